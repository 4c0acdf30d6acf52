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
func (c *comparison) addMail(rule string, sev Severity, old, now, effect, advice string) {
	c.r.Findings = append(c.r.Findings, Finding{Rule: rule, Severity: sev, Setting: c.mailKey(), Old: old, New: now,
		OldAt: c.oldMail.at, NewAt: c.mail.at, Effect: effect, Advice: advice})
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
		c.add("S08", Blocks, "first_valid_uid", "first_valid_uid", fmt.Sprintf("users with a uid from %d to %d cannot log in", lowest, now-1), line("first_valid_uid", strconv.Itoa(lowest)))
	}
}

func (c *comparison) placeRules() {
	o, n := c.oldMail, c.mail
	if !o.set || !n.set {
		if o.set != n.set || o.driver == "" {
			c.addMail("S04", Degraded, o.driver+":"+o.path, n.driver+":"+n.path, "one server finds the mailboxes by looking, which fails for users without mail", "say where mail is: "+c.mailLines())
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
		c.addMail("S01", Loss, o.driver+":"+o.path, n.driver+":"+n.path, "the new server looks for mail elsewhere: "+strings.Join(differs, ", "), "unless the mail is moved there: "+c.mailLines())
	}
	if o.inbox != n.inbox && o.driver == n.driver {
		rule := "S01"
		if !c.new.v.old() {
			rule = "S03"
		}
		c.addMail(rule, Loss, o.inbox, n.inbox, "the INBOX is looked for elsewhere and is empty", "unless the mail is moved there: "+c.mailLines())
	}
}

// mailLines writes the old place of mail in the new server's syntax.
func (c *comparison) mailLines() string {
	o := c.oldMail
	if !o.set {
		return "mail_location or mail_driver and mail_path are not set on the old server"
	}
	if !c.new.v.old() {
		out := fmt.Sprintf("mail_driver = %s, mail_path = %s", o.driver, o.path)
		if o.driver == "mbox" {
			out += ", mail_inbox_path = " + o.inbox
		}
		return out
	}
	back := strings.NewReplacer("%{user}", "%u", "%{username}", "%n", "%{domain}", "%d", "%{home}", "~",
		"%{user | lower}", "%Lu", "%{username | lower}", "%Ln")
	out := "mail_location = " + o.driver + ":" + back.Replace(o.path)
	if o.inbox != "" {
		out += ":INBOX=" + back.Replace(o.inbox)
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
			c.add("A02", Blocks, key, key, v+" is plain text in 2.4: every login becomes the same user", line(key, "%{user | lower}"))
		case v != "" && !strings.HasSuffix(e.value, v+"%"):
			c.r.Findings = append(c.r.Findings, Finding{Rule: "S02", Severity: Loss, Setting: name, New: show(c.new.v, name, e.value),
				OldAt: atDefault, NewAt: e.at.String(), Effect: v + " is plain text in 2.4: all users share one place, or have an empty one",
				Advice: line(key, oldPathVars.Replace(e.value))})
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
		c.add("S05", Degraded, key, key, "other programs that deliver mail must lock alike, or mailboxes break", "what the old server used: "+line(key, old.Value))
	}
	if e, ok := c.listBlock(key); ok {
		c.r.Findings = append(c.r.Findings, Finding{Rule: "S06", Severity: Degraded, Setting: key, Old: old.Value, New: now.Value,
			OldAt: old.At, NewAt: e, Effect: "a block adds to the default list", Advice: line(key, old.Value)})
	}
	system := strings.HasPrefix(c.mail.inbox, "/var/mail/") || strings.HasPrefix(c.mail.inbox, "/var/spool/mail/")
	groups := c.new.Get("", "mail_privileged_group").Value + c.new.Get("", "mail_access_groups").Value
	if system && strings.Contains(now.Value, "dotlock") && (groups == "" || strings.HasPrefix(groups, "$SET")) {
		c.add("S07", Blocks, "mail_privileged_group", "mail_privileged_group", "Dovecot cannot create lock files beside the INBOX", line("mail_privileged_group", "mail"))
	}
}

// listBlock finds a list of 2.4 that is written as a block.
func (c *comparison) listBlock(key string) (string, bool) {
	short := strings.TrimPrefix(key, "mbox_")
	for i := range c.new.entries {
		e := &c.new.entries[i]
		if n := len(e.path); e.list && n > 0 && (e.path[n-1] == key || e.path[n-1] == short) {
			return e.at.String(), true
		}
	}
	return "", false
}

// namespaceRules is S09: what IMAP clients see of the namespace with the INBOX.
func (c *comparison) namespaceRules() {
	o, n := c.old.inboxNamespace(), c.new.inboxNamespace()
	for _, key := range []string{"prefix", "separator", "list", "hidden"} {
		a, b := o[key], n[key]
		if a.Value == b.Value || key == "separator" && cmp.Or(a.Value, "/") == cmp.Or(b.Value, "/") && c.mail.driver == "mbox" {
			continue
		}
		c.r.Findings = append(c.r.Findings, Finding{Rule: "S09", Severity: Degraded, Setting: "namespace/" + key, Old: a.Value, New: b.Value,
			OldAt: a.At, NewAt: b.At, Effect: "IMAP clients see other folder names, or subscriptions that do not match", Advice: "in the namespace with inbox = yes: " + line(key, a.Value)})
	}
}

// inboxNamespace gives the settings of the namespace with inbox = yes, defaults without one.
func (c *Config) inboxNamespace() map[string]Value {
	out := map[string]Value{"prefix": {"", atDefault}, "separator": {"", atDefault}, "list": {"yes", atDefault}, "hidden": {"no", atDefault}}
	set := c.explicit("imap")
	names := slices.Sorted(maps.Keys(set))
	section := ""
	for _, name := range names {
		if s, ok := strings.CutSuffix(name, "/inbox"); ok && strings.HasPrefix(name, "namespace") && !strings.Contains(s, "/") {
			if yes, _ := boolean(c.v, set[name].value); yes {
				section = s
				break
			}
		}
	}
	for key := range out {
		if e, ok := set[section+"/"+key]; ok && section != "" {
			out[key] = Value{e.value, e.at.String()}
		}
	}
	return out
}
