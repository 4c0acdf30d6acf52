package dovecotconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MailPaths lists the directories and files in which the server keeps mail, inboxes, indexes and control files, with the
// variables of 2.4: %{home}/mail, /var/mail/%{user}. Those of namespaces and of the fields of user databases are among them, as far
// as the configuration itself names them; for the lines of a passwd-file see PasswdFilePaths. Memory and what is not set are left
// out. At is the line that names the place of mail.
func (c *Config) MailPaths() []Value {
	paths := c.location().paths(nil)
	for _, loc := range c.otherLocations() {
		paths = loc.paths(paths)
	}
	return paths
}

// paths adds those of a place that are not listed yet.
func (l location) paths(to []Value) []Value {
	for _, p := range []string{l.path, l.inbox, l.index, l.control} {
		if p != "" && p != "MEMORY" && !slices.ContainsFunc(to, func(v Value) bool { return v.Value == p }) {
			to = append(to, Value{Value: p, At: l.at})
		}
	}
	return to
}

// ownerVars are those of a shared namespace, before the others are looked at: mail of the one who shares it.
var ownerVars = strings.NewReplacer("%%h", "%{owner_home}", "%%u", "%{owner_user}", "%%n", "%{owner_username}", "%%d", "%{owner_domain}")

// otherLocations are those that hold for a namespace, or for some users only.
func (c *Config) otherLocations() (all []location) {
	set := c.explicit("imap")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		at := strings.LastIndexByte(name, '/')
		if at < 0 {
			continue
		}
		section, key, e := name[:at+1], name[at+1:], set[name]
		users := strings.Contains("/"+section, "/userdb") || strings.Contains("/"+section, "/passdb")
		switch value := c.valueOf(e); {
		case strings.HasPrefix(name, "namespace") && key == "location" && value != "":
			all = append(all, parseLocation(ownerVars.Replace(value), e.at.String()))
		case users && (key == "args" || key == "default_fields" || key == "override_fields"):
			all = append(all, locationsIn(value, e.at.String())...)
		case key == "mail_path" && (users || strings.HasPrefix(name, "namespace")):
			all = append(all, c.section24(set, section, e))
		}
	}
	return all
}

// section24 reads the mail_ settings of a section of 2.4.
func (c *Config) section24(set map[string]*entry, section string, at *entry) location {
	get := func(key string) string {
		if e, ok := set[section+key]; ok {
			return plainPath(c.valueOf(e))
		}
		return ""
	}
	return location{driver: strings.ToLower(get("mail_driver")), path: get("mail_path"), inbox: get("mail_inbox_path"), index: get("mail_index_path"),
		control: get("mail_control_path"), at: at.at.String(), set: true}
}

// locationsIn finds mail=LOCATION among the words of a user database, and what 2.4 calls it.
func locationsIn(fields, at string) (all []location) {
	for w := range strings.FieldsSeq(fields) {
		key, value, _ := strings.Cut(w, "=")
		switch strings.TrimPrefix(key, "userdb_") {
		case "mail", "mail_location", "mail_path":
			if value != "" {
				all = append(all, parseLocation(value, at))
			}
		}
	}
	return all
}

// PasswdFilePaths lists the places of mail that the extra fields of a passwd-file name, the file of that driver of passdb and userdb:
// user:password:uid:gid:gecos:home:shell:fields, blanks between these. Places of several users that differ by their names alone are
// one, with %{user}. name is for positions only; passwords are passed over.
func PasswdFilePaths(name string, src []byte) (paths []Value) {
	type place struct {
		Value
		pattern string
	}
	var all []place
	users := map[string]int{} // pattern -> how many places
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		parts := strings.SplitN(strings.TrimRight(line, "\r\n"), ":", 8)
		if len(parts) < 8 || strings.HasPrefix(line, "#") {
			continue
		}
		for _, loc := range locationsIn(parts[7], fmt.Sprintf("%s:%d", name, n)) {
			for _, v := range loc.paths(nil) {
				elems := strings.Split(v.Value, "/")
				for i, e := range elems {
					if e == parts[0] {
						elems[i] = "%{user}"
					}
				}
				pattern := strings.Join(elems, "/")
				users[pattern]++
				all = append(all, place{v, pattern})
			}
		}
	}
	seen := map[string]bool{}
	for _, v := range all {
		if users[v.pattern] > 1 {
			v.Value.Value = v.pattern
		}
		if !seen[v.Value.Value] {
			seen[v.Value.Value] = true
			paths = append(paths, v.Value)
		}
	}
	return paths
}
