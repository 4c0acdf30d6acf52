package dovecotconf

import (
	"fmt"
	"strings"
)

// uidlRules are R03, R04, R07, R11 to R19.
func (c *comparison) uidlRules() {
	c.fileOrder()
	if f := c.newFmt; f != nil {
		if left := f.Leftovers(); len(left) > 0 {
			effect := fmt.Sprintf("%s is plain text in 2.4: the UIDLs change", strings.Join(left, " "))
			if f.Constant() {
				effect = fmt.Sprintf("%s is plain text in 2.4: all messages have the same UIDL and clients skip new mail", strings.Join(left, " "))
			}
			c.add("R07", Loss, uidlKey, uidlKey, effect, c.advice())
		} else if f.Constant() {
			c.add("R07", Loss, uidlKey, uidlKey, "all messages have the same UIDL and clients skip new mail", c.advice())
		}
		if d := c.mail.driver; f.Uses("md5") && d != "" && d != "mbox" {
			c.add("R12", Blocks, uidlKey, uidlKey, "the header MD5 exists for mbox only: POP3 clients are disconnected", "save the UIDLs before the storage changes, then choose another format")
		}
		if d := c.mail.driver; f.Uses("filename") && d != "" && d != "maildir" {
			c.add("R13", Blocks, uidlKey, uidlKey, "file names exist for Maildir only: POP3 clients are disconnected", "save the UIDLs before the storage changes, then choose another format")
		}
		if c.mail.driver == "maildir" && (f.Uses("filename") || f.Uses("guid")) {
			c.add("R14", Info, uidlKey, uidlKey, "the UIDLs contain file names", "keep the Maildir file names as they are, S= and W= included")
		}
	}
	if f := c.oldFmt; f != nil && len(f.Ignored()) > 0 {
		sev := Info
		if !c.r.UIDLEqual {
			sev = Redownload
		}
		c.add("R11", sev, uidlKey, uidlKey, fmt.Sprintf("%s expanded to nothing in %s", strings.Join(f.Ignored(), " "), c.old.Version), c.advice())
	}
	c.md5Rule()
	c.xuidlRules()
	c.saveRules()
}

// fileOrder finds settings of 1.x whose meaning hangs on the order of lines, which later versions do not follow.
func (c *comparison) fileOrder() {
	if !c.old.v.before(v20) || c.old.Dump {
		return
	}
	inBlock := map[string]bool{}
	said := map[string]bool{}
	now := c.old.explicit("pop3")
	for i := range c.old.entries {
		e := &c.old.entries[i]
		name := e.name()
		if len(e.filters) > 0 && e.filters[0].arg == "pop3" {
			inBlock[name] = true
			continue
		}
		if now[name] == nil || now[name].at != e.at || said[name] || len(e.path) > 0 {
			continue
		}
		sev := Degraded
		if name == uidlKey {
			sev = Redownload
		}
		advice := "copying the file changes the value; write the one in force: " + line(name, e.value)
		switch {
		case e.leaked:
			said[name] = true
			c.add("R04", sev, name, name, "the line stands in a protocol block, but in 1.x it is global, because a section inside the block was closed before it", advice)
		case inBlock[name]:
			said[name] = true
			c.add("R03", sev, name, name, "a global line after protocol pop3 { } overrides it in 1.x and does not since 2.0", advice)
		}
	}
}

func (c *comparison) md5Rule() {
	old, now := c.old.Get("pop3", "mbox_md5").Value, c.new.Get("pop3", "mbox_md5").Value
	if old == "" {
		old = "apop3d"
	}
	if now == "" {
		now = "apop3d"
	}
	uses := func(f *Format) bool { return f != nil && (f.Uses("md5") || f.Uses("guid")) }
	if old != now && c.mail.driver == "mbox" && (uses(c.oldFmt) || uses(c.newFmt)) {
		c.add("R15", Redownload, "mbox_md5", "mbox_md5", "the header MD5 in the UIDLs is made of other headers", line("mbox_md5", old)).set("mbox_md5", old)
	}
}

func (c *Config) yes(key string) bool {
	v, _ := boolean(c.v, c.Get("pop3", key).Value)
	return v
}

func (c *comparison) xuidlRules() {
	const key = "pop3_reuse_xuidl"
	old, now := c.old.yes(key), c.new.yes(key)
	if old != now {
		was := c.old.Get("pop3", key).Value
		c.add("R16", Redownload, key, key, "messages with an X-UIDL header are downloaded again", line(key, was)).set(key, was)
	}
	if now {
		c.add("R17", Info, key, key, "empty, folded and repeated X-UIDL headers give broken or equal UIDLs", "look for such headers in the mailboxes")
	}
}

// lockRule is S13: since 2.2 the lock of a session keeps out POP3 only, before it kept out all others.
func (c *comparison) lockRule() {
	const key = "pop3_lock_session"
	old, now := c.old.yes(key), c.new.yes(key)
	switch v22 := (release{2, 2}); {
	case old != now:
		was := c.old.Get("pop3", key).Value
		c.add("S13", Degraded, key, key, "two POP3 sessions of a user get in each other's way, or no longer can", line(key, was)).set(key, was)
	case old && c.old.v.before(v22) && !c.new.v.before(v22):
		c.add("S13", Info, key, key, "a POP3 session keeps out other POP3 sessions, and no longer IMAP and delivery", "nothing to do")
	}
}

func (c *comparison) saveRules() {
	const key = "pop3_save_uidl"
	if c.old.yes(key) {
		switch c.oldMail.driver {
		case "maildir":
			c.add("R18", Info, key, key, "UIDLs are saved in dovecot-uidlist and do not change with the format", "carry the dovecot-uidlist files")
		case "mbox", "sdbox", "mdbox", "dbox":
			c.add("R19", Info, key, key, "has no effect with "+c.oldMail.driver, "do not rely on saved UIDLs")
		}
	}
	if c.oldMail.driver == "maildir" && c.mail.driver == "maildir" && c.oldMail.control != c.mail.control {
		c.addMail("R20", Redownload, c.oldMail.control, c.mail.control, "dovecot-uidlist is looked for elsewhere: all messages get new UIDs", "use the same control directory, or move the files")
	}
}

// popRules are R25 to R27, S12 and L06.
func (c *comparison) popRules() {
	const flag, kind = "pop3_deleted_flag", "pop3_delete_type"
	if old := c.old.Get("pop3", flag).Value; old != "" && old != c.new.Get("pop3", flag).Value {
		c.add("R25", Loss, flag, flag, "messages that POP3 users deleted long ago appear again", line(flag, old)).set(flag, old)
	}
	if c.new.Get("pop3", kind).Value == "flag" && c.new.Get("pop3", flag).Value == "" {
		c.add("R26", Blocks, kind, kind, "pop3_delete_type=flag without pop3_deleted_flag is refused", line(kind, "default")).set(kind, "default")
	}
	const dup = "pop3_uidl_duplicates"
	if !c.old.v.before(v217) || c.new.Get("pop3", dup).Value == "rename" {
		old, now := c.old.Get("pop3", dup).Value, c.new.Get("pop3", dup).Value
		if old == "" {
			old = "allow"
		}
		if old != now && now != "" {
			c.add("R27", Info, dup, dup, "differs for messages with equal UIDLs only", line(dup, old)).set(dup, old)
		}
	}
	const seen = "pop3_no_flag_updates"
	if c.old.yes(seen) != c.new.yes(seen) {
		was := c.old.Get("pop3", seen).Value
		c.add("S12", Degraded, seen, seen, "POP3 marks mail as read for webmail users, or no longer does", line(seen, was)).set(seen, was)
	}
	const work = "pop3_client_workarounds"
	for _, w := range strings.Fields(c.old.Get("pop3", work).Value) {
		if !wordSet(c.new.Get("pop3", work).Value)[w] {
			was := c.old.Get("pop3", work).Value
			c.add("L06", Degraded, work, work, "old Outlook clients hang without "+w, line(work, was)).set(work, was)
			break
		}
	}
	c.lockRule()
	if before := release.before; before(c.new.v, release{1, 0, 2}) && !before(c.old.v, v11) && c.mail.driver == "maildir" {
		c.add("R24", Redownload, uidlKey, uidlKey, "the new server cannot read the dovecot-uidlist of the old one and gives all messages new UIDs", "install 1.0.2 or later")
	}
	if c.oldMail.driver == "maildir" && c.old.v.before(v2013) != c.new.v.before(v2013) {
		c.add("R28", Info, uidlKey, uidlKey, "the POP3 order of dovecot-uidlist (O) counts since 2.0.13: only the numbers of messages change", "nothing to do")
	}
}
