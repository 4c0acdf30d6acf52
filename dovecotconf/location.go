package dovecotconf

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// location is where mail is kept, from mail_location (up to 2.3) or the mail_ settings of 2.4. Paths use the variables
// of 2.4, so that both can be compared.
type location struct {
	driver, path, inbox, index, control string
	at                                  string
	set                                 bool
}

var oldPathVars = strings.NewReplacer("%u", "%{user}", "%n", "%{username}", "%d", "%{domain}", "%h", "%{home}", "%%", "%",
	"%Lu", "%{user | lower}", "%Ln", "%{username | lower}", "%Ld", "%{domain | lower}")

func plainPath(p string) string {
	if rest, ok := strings.CutPrefix(p, "~"); ok {
		p = "%{home}" + rest
	}
	return strings.TrimSuffix(p, "/")
}

func (c *Config) location() location {
	if !c.v.old() {
		return c.location24()
	}
	key := "mail_location"
	v := c.Get("pop3", key)
	if v.Value == "" && c.v.before(v11) {
		v = c.Get("pop3", "default_mail_env")
	}
	loc := location{at: v.At, set: v.Value != ""}
	if v.Value == "" {
		return loc
	}
	return parseLocation(v.Value, v.At)
}

// parseLocation reads DRIVER:PATH:KEY=VALUE..., or a path without a driver, which Dovecot then finds out by looking.
func parseLocation(value, at string) location {
	loc := location{at: at, set: true}
	rest := value
	if n := strings.IndexFunc(value, func(r rune) bool { return !strings.ContainsRune(alphanumeric, r) }); n < 0 {
		loc.driver, rest = strings.ToLower(value), ""
	} else if value[n] == ':' {
		loc.driver, rest = strings.ToLower(value[:n]), value[n+1:]
	}
	parts := strings.Split(rest, ":")
	loc.path = plainPath(oldPathVars.Replace(parts[0]))
	for _, p := range parts[1:] {
		k, val, _ := strings.Cut(p, "=")
		val = plainPath(oldPathVars.Replace(val))
		switch k {
		case "INBOX":
			loc.inbox = val
		case "INDEX":
			loc.index = val
		case "CONTROL":
			loc.control = val
		}
	}
	if loc.inbox == "" && loc.driver == "mbox" {
		loc.inbox = path.Join(loc.path, "inbox")
	}
	return loc
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (c *Config) location24() location {
	get := func(key string) string { return c.Get("pop3", key).Value }
	v := c.Get("pop3", "mail_driver")
	loc := location{driver: strings.ToLower(v.Value), at: v.At, set: v.Value != ""}
	inDriver := func(key string) string {
		if s := get(loc.driver + "/" + key); s != "" && get(key) == "" {
			return plainPath(s)
		}
		return plainPath(get(key))
	}
	loc.path = inDriver("mail_path")
	if p := c.Get("pop3", "mail_path"); p.At != atDefault {
		loc.at = p.At
	}
	loc.inbox, loc.index, loc.control = inDriver("mail_inbox_path"), inDriver("mail_index_path"), inDriver("mail_control_path")
	if loc.inbox == "" && loc.driver == "mbox" {
		loc.inbox = path.Join(loc.path, "inbox")
	}
	return loc
}

// oldVariable is a letter variable of the old syntax, which 2.4 takes for text.
var oldVariable = regexp.MustCompile(`%[0-9.]*[LUXMRTEHN]*[undhslrp]\b`)

// leftover finds an old variable in a value of 2.4.
func leftover(value string) string { return oldVariable.FindString(value) }

// UIDList gives the path of the dovecot-uidlist of a Maildir, both below the root of the host's file tree, or "" when it
// stands in the Maildir itself. With a control directory (CONTROL=, mail_control_path) it stands there. ok is false when
// that is outside of what the name of the Maildir tells: another tree that depends on the user.
func (c *Config) UIDList(maildir string) (name string, ok bool) {
	loc := c.location()
	if loc.driver != "maildir" || loc.control == "" {
		return "", true
	}
	box, folder := maildir, "INBOX"
	if last := path.Base(maildir); strings.HasPrefix(last, ".") {
		box, folder = path.Dir(maildir), last[1:]
	}
	mail, control := strings.Split(loc.path, "/"), strings.Split(loc.control, "/")
	n := 0
	for n < len(mail) && n < len(control) && mail[n] == control[n] {
		n++
	}
	below, beside := path.Join(mail[n:]...), path.Join(control[n:]...)
	home, found := "/"+box, true
	if below != "" {
		home, found = strings.CutSuffix(home, "/"+below)
	}
	if !found || n == 0 || strings.Contains(below+beside, "%{") {
		return "", false
	}
	return strings.TrimPrefix(path.Join(home, beside, "."+folder, "dovecot-uidlist"), "/"), true
}

// Inboxes lists where an INBOX may be below a directory that has the user's name or is a home: "" for the directory
// itself, and what the server's configuration puts below a home, such as "Maildir".
func (c *Config) Inboxes() []string {
	out := []string{""}
	loc := c.location()
	for _, p := range []string{loc.inbox, loc.path} {
		if rest, ok := strings.CutPrefix(p, "%{home}/"); ok && !strings.Contains(rest, "%{") && !slices.Contains(out, rest) {
			out = append(out, rest)
		}
	}
	return out
}
