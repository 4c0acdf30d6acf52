package dovecotconf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// addMail records a finding about the place of mail.
func (c *comparison) addMail(rule string, sev Severity, old, now, effect, advice string) *Finding {
	c.r.Findings = append(c.r.Findings, Finding{Rule: rule, Severity: sev, Setting: c.mailKey(), Old: old, New: now,
		OldAt: c.oldMail.at, NewAt: c.mail.at, Effect: effect, Advice: advice})
	return &c.r.Findings[len(c.r.Findings)-1]
}

func (c *comparison) mailKey() string {
	if c.new.v.old() {
		return "mail_location"
	}
	return "mail_path"
}

// storeRules are S01 to S08.
func (c *comparison) storeRules() {
	c.placeRules()
	c.literalRules()
	c.lockRules()
	uid := func(cfg *Config) int {
		n, _ := strconv.Atoi(cfg.Get("", "first_valid_uid").Value)
		return n
	}
	lowest, now := uid(c.old), uid(c.new)
	if c.opt.LowestUID > 0 {
		lowest = int(c.opt.LowestUID)
	}
	if lowest > 0 && now > lowest {
		c.add("S08", Blocks, "first_valid_uid", "first_valid_uid", fmt.Sprintf("users with a uid from %d to %d cannot log in", lowest, now-1), line("first_valid_uid", strconv.Itoa(lowest))).set("first_valid_uid", strconv.Itoa(lowest))
	}
}

func (c *comparison) placeRules() {
	o, n := c.oldMail, c.mail
	if !o.set || !n.set {
		if o.set != n.set || o.driver == "" {
			c.addMail("S04", Degraded, o.driver+":"+o.path, n.driver+":"+n.path, "one server finds the mailboxes by looking, which fails for users without mail", "say where mail is: "+c.mailLines()).place(c, !o.set)
		}
		return
	}
	var differs []string
	if o.driver != n.driver {
		differs = append(differs, fmt.Sprintf("format %s and %s", o.driver, n.driver))
	}
	if o.path != n.path {
		differs = append(differs, fmt.Sprintf("folders in %s and %s", o.path, n.path))
	}
	if len(differs) > 0 {
		c.addMail("S01", Loss, o.driver+":"+o.path, n.driver+":"+n.path, "the new server looks for mail elsewhere: "+strings.Join(differs, ", "), "unless the mail is moved there: "+c.mailLines()).place(c, o.driver != n.driver)
	}
	if o.inbox != n.inbox && o.driver == n.driver {
		rule := "S01"
		if !c.new.v.old() {
			rule = "S03"
		}
		c.addMail(rule, Loss, o.inbox, n.inbox, "the INBOX is looked for elsewhere and is empty", "unless the mail is moved there: "+c.mailLines()).place(c, false)
	}
}

// place adds the old place of mail to the snippet.
func (f *Finding) place(c *comparison, maybe bool) *Finding {
	for _, l := range c.placeLines() {
		key, value, _ := strings.Cut(l, " = ")
		f.settings = append(f.settings, setting{key: key, value: value, maybe: maybe})
	}
	return f
}

// fixed is a setting of the snippet in place of an entry that stands in no section.
func fixed(e *entry, value string) []setting {
	if len(e.path) > 0 {
		return nil
	}
	return []setting{{key: e.key, value: value}}
}

// mailLines writes the old place of mail in the new server's syntax.
func (c *comparison) mailLines() string {
	o := c.oldMail
	if !o.set {
		return "mail_location or mail_driver and mail_path are not set on the old server"
	}
	return strings.Join(c.placeLines(), ", ")
}

// placeLines are none when the old server finds mail by looking.
func (c *comparison) placeLines() []string {
	o := c.oldMail
	switch {
	case !o.set || o.driver == "":
		return nil
	case !c.new.v.old():
		return lines24(o)
	}
	back := strings.NewReplacer("%{user}", "%u", "%{username}", "%n", "%{domain}", "%d", "%{home}", "~",
		"%{user | lower}", "%Lu", "%{username | lower}", "%Ln")
	out := o.driver + ":" + back.Replace(o.path)
	for _, p := range []struct{ key, path string }{{"INBOX", o.inbox}, {"INDEX", o.index}, {"CONTROL", o.control}} {
		if p.path != "" {
			out += ":" + p.key + "=" + back.Replace(p.path)
		}
	}
	return []string{"mail_location = " + out}
}

// lines24 are the settings of 2.4 for a place of mail.
func lines24(o location) []string {
	out := []string{"mail_driver = " + o.driver, "mail_path = " + o.path}
	for _, p := range []struct{ key, path string }{{"mail_inbox_path", o.inbox}, {"mail_index_path", o.index}, {"mail_control_path", o.control}} {
		if p.path != "" {
			out = append(out, p.key+" = "+p.path)
		}
	}
	return out
}

// literalRules finds letters of the old syntax in values of 2.4 (S02, A02) and $name that is text there (C02).
func (c *comparison) literalRules() {
	if c.new.v.old() {
		return
	}
	set := c.new.explicit("pop3")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		e := set[name]
		key := name[strings.LastIndexByte(name, '/')+1:]
		v := leftover(e.value)
		switch {
		case key == uidlKey || strings.HasSuffix(key, "_format") && key != "auth_username_format" || strings.HasPrefix(key, "log_") || strings.Contains(key, "_log_"):
		case v != "" && key == "auth_username_format":
			c.add("A02", Blocks, key, key, v+" is plain text in 2.4: every login becomes the same user", line(key, "%{user | lower}")).set(key, "%{user | lower}")
		case v != "" && !strings.HasSuffix(e.value, v+"%"):
			c.r.Findings = append(c.r.Findings, Finding{Rule: "S02", Severity: Loss, Setting: name, New: show(c.new.v, name, e.value),
				OldAt: atDefault, NewAt: e.at.String(), Effect: v + " is plain text in 2.4: all users share one place, or have an empty one",
				Advice: line(key, oldPathVars.Replace(e.value)), settings: fixed(e, oldPathVars.Replace(e.value))})
		}
		if strings.Contains(e.value, "$"+key) {
			c.add("C02", Degraded, key, name, "$"+key+" is plain text in 2.4", "write $SET:"+key+", or a block: "+key+" { name = yes }")
		}
	}
}

func (c *comparison) lockRules() {
	if c.mail.driver != "mbox" {
		return
	}
	const key = "mbox_write_locks"
	old, now := c.old.Get("", key), c.new.Get("", key)
	if old.Value != now.Value {
		c.add("S05", Degraded, key, key, "other programs that deliver mail must lock alike, or mailboxes break", "what the old server used: "+line(key, old.Value)).set(key, old.Value)
	}
	if c.byBlock(key, now.At) {
		c.r.Findings = append(c.r.Findings, Finding{Rule: "S06", Severity: Degraded, Setting: key, Old: old.Value, New: now.Value,
			OldAt: old.At, NewAt: now.At, Effect: "a block adds to the default list", Advice: line(key, old.Value), settings: []setting{{key: key, value: old.Value}}})
	}
	system := strings.HasPrefix(c.mail.inbox, "/var/mail/") || strings.HasPrefix(c.mail.inbox, "/var/spool/mail/")
	groups := c.new.Get("", "mail_privileged_group").Value + c.new.Get("", "mail_access_groups").Value
	if system && strings.Contains(now.Value, "dotlock") && (groups == "" || strings.HasPrefix(groups, "$SET")) {
		c.add("S07", Blocks, "mail_privileged_group", "mail_privileged_group", "Dovecot cannot create lock files beside the INBOX", line("mail_privileged_group", "mail")).set("mail_privileged_group", "mail")
	}
}

// byBlock tells whether a list of 2.4 got its value at this line of a block.
func (c *comparison) byBlock(key, at string) bool {
	short := strings.TrimPrefix(key, "mbox_")
	for i := range c.new.entries {
		e := &c.new.entries[i]
		if n := len(e.path); e.list && n > 0 && (e.path[n-1] == key || e.path[n-1] == short) && e.at.String() == at {
			return true
		}
	}
	return false
}

// namespaceRules is S09: what IMAP clients see of the namespace with the INBOX.
func (c *comparison) namespaceRules() {
	o, n := c.old.inboxNamespace(), c.new.inboxNamespace()
	section := c.new.inboxSection()
	for _, key := range []string{"prefix", "separator", "list", "hidden"} {
		a, b := o[key], n[key]
		if a.Value == b.Value || key == "separator" && cmp.Or(a.Value, "/") == cmp.Or(b.Value, "/") && c.mail.driver == "mbox" {
			continue
		}
		var settings []setting
		if strings.Contains(section, " ") {
			settings = []setting{{key: key, value: a.Value, section: section}}
		}
		c.r.Findings = append(c.r.Findings, Finding{settings: settings, Rule: "S09", Severity: Degraded, Setting: "namespace/" + key, Old: a.Value, New: b.Value,
			OldAt: a.At, NewAt: b.At, Effect: "IMAP clients see other folder names, or subscriptions that do not match", Advice: "in the namespace with inbox = yes: " + line(key, a.Value)})
	}
}

// inboxSection names the namespace with inbox = yes, "" without one.
func (c *Config) inboxSection() string {
	set := c.explicit("imap")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if s, ok := strings.CutSuffix(name, "/inbox"); ok && strings.HasPrefix(name, "namespace") && !strings.Contains(s, "/") {
			if yes, _ := boolean(c.v, set[name].value); yes {
				return s
			}
		}
	}
	return ""
}

// inboxNamespace gives the settings of the namespace with inbox = yes, defaults without one.
func (c *Config) inboxNamespace() map[string]Value {
	out := map[string]Value{"prefix": {"", atDefault}, "separator": {"", atDefault}, "list": {"yes", atDefault}, "hidden": {"no", atDefault}}
	set, section := c.explicit("imap"), c.inboxSection()
	for key := range out {
		if e, ok := set[section+"/"+key]; ok && section != "" {
			out[key] = Value{e.value, e.at.String()}
		}
	}
	return out
}
