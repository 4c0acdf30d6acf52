package surroundings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// decisive are parameters whose tables decide which mail is taken, and where it goes.
var decisive = []string{"virtual_alias_maps", "virtual_maps", "virtual_mailbox_maps", "virtual_alias_domains", "virtual_mailbox_domains", "transport_maps",
	"relay_recipient_maps", "relay_domains", "local_recipient_maps", "canonical_maps", "recipient_canonical_maps", "mailbox_command_maps", "mailbox_transport_maps", "mydestination"}

// postfixMaps tells of lookup tables of the old Postfix that the new host lacks.
func (f *finder) postfixMaps() {
	old, new := f.postfix[0], f.postfix[1]
	if f.mta[0] != postfix || f.mta[1] == "" {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(old.values)) {
		v := old.values[key]
		if v.line == 0 || strings.HasSuffix(key, "_database") || strings.HasSuffix(key, "_cache_map") {
			continue
		}
		severity := Degraded
		if slices.Contains(decisive, key) {
			severity = Loss
		}
		for _, t := range old.tables(v.text) {
			if key == "alias_maps" && t.keyed() {
				continue // read by name
			}
			x := Finding{Rule: "POSTFIX-MAP", Severity: severity, Name: clean(key), At: v.at()}
			x.Detail, x.Advice = f.mapLack(key, v.text, t, new)
			if x.Detail != "" {
				f.add(x)
			}
		}
	}
}

// mapLack compares one table; "" when the new host has all of it.
func (f *finder) mapLack(key, value string, t table, new *mainCF) (detail, advice string) {
	name := clean(t.kind + ":" + t.path)
	if f.mta[1] != postfix {
		return name + " has no counterpart on the new host, which runs " + f.mta[1], "carry what it says over to " + f.mta[1]
	}
	have := slices.ContainsFunc(new.tables(new.get(key).text), func(n table) bool { return n.path == t.path })
	set := "postconf -e " + hostcmd.Quote(clean(key)+" = "+clean(value))
	text := clean(t.path)
	if !t.isFile() {
		if have && f.new.file(t.path) {
			return "", ""
		}
		return "looks up in " + name + ", the new host does not", "copy " + text + ", see that the new host reaches what it names, and " + set
	}
	src := f.old.read(t.path)
	if src == nil && f.old.stat(t.path) == nil {
		return "", "" // absent on the old host too, or not fetched: nothing to hold against
	}
	now := f.new.read(t.path)
	entries := parseTable(src)
	switch {
	case t.keyed() && len(entries) == 0:
		return "", "" // the comments that a package came with
	case now == nil:
		advice = "copy " + text
		if t.keyed() && t.kind != "texthash" {
			advice += ", run postmap " + clean(new.expand("$default_database_type")+":"+t.path)
		}
		if !have {
			advice += ", and " + set
		}
		return name + ", with " + plural(len(entries), "line", "lines") + ", is not on the new host", advice
	case !have:
		return "the new host has " + text + " but does not use it", set
	case !t.keyed():
		if string(src) != string(now) {
			return text + " differs on the new host", "compare the two files"
		}
		return "", ""
	}
	known := map[string]bool{}
	for _, e := range parseTable(now) {
		known[strings.ToLower(e.key)] = true
	}
	var lines []string
	for _, e := range entries {
		if !known[strings.ToLower(e.key)] {
			lines = append(lines, clean(e.key+" "+e.value))
		}
	}
	if len(lines) == 0 {
		return "", ""
	}
	return fmt.Sprintf("%d of %d lines of %s are not on the new host", len(lines), len(entries), text),
		block("add to "+text+", then run postmap "+clean(new.expand("$default_database_type")+":"+t.path)+":", lines)
}

// compared are parameters that are told of when the old Postfix sets them and the new one has another value.
var compared = []struct{ key, severity, effect string }{
	{"home_mailbox", Loss, "mail is delivered to another place than the old host's"},
	{"mail_spool_directory", Loss, "mail is delivered to another place than the old host's"},
	{"mailbox_transport", Loss, "mail is delivered by another program"},
	{"local_transport", Loss, "mail is delivered by another program"},
	{"virtual_transport", Loss, "mail is delivered by another program"},
	{"virtual_mailbox_base", Loss, "mail is delivered to another place than the old host's"},
	{"recipient_delimiter", Loss, "addresses with an extension, as in user+list@, are refused"},
	{"luser_relay", Degraded, "mail to unknown users goes elsewhere, or is refused"},
	{"fallback_transport", Degraded, "mail to unknown users goes elsewhere, or is refused"},
	{"mailbox_command", Degraded, "mail is delivered by another program"},
	{"relayhost", Degraded, "mail leaves by another way"},
	{"mynetworks", Degraded, "hosts that sent through the old host may not through the new one"},
	{"relay_domains", Loss, "mail for these domains is refused"},
	{"masquerade_domains", Degraded, "senders are not rewritten as before"},
	{"always_bcc", Degraded, "copies are not kept"},
	{"content_filter", Degraded, "mail is not filtered as before"},
	{"smtpd_milters", Degraded, "mail is not filtered or signed as before"},
	{"smtpd_sasl_auth_enable", Loss, "users who send with a password are refused"},
	{"smtpd_sasl_type", Degraded, "passwords of those who send are checked otherwise"},
}

// postfixSettings compares what is no table.
func (f *finder) postfixSettings() {
	if f.mta[1] != postfix {
		return
	}
	f.limits()
	f.services()
	if f.mta[0] != postfix {
		return
	}
	old, new := f.postfix[0], f.postfix[1]
	for _, c := range compared {
		v, now := old.get(c.key), new.get(c.key)
		was, is := old.words(c.key), new.words(c.key)
		if v.line == 0 || slices.Equal(was, is) || len(old.tables(v.text)) > 0 {
			continue
		}
		if c.key == "mailbox_command" && strings.Contains(v.text, "procmail") {
			continue // judged by who has recipes
		}
		if c.key == "mynetworks" || c.key == "relay_domains" || c.key == "masquerade_domains" {
			was = slices.DeleteFunc(was, func(w string) bool {
				return slices.Contains(is, w) || strings.Contains(w, "127.0.0") || strings.Contains(w, "::1")
			})
			if len(was) == 0 {
				continue
			}
		}
		shown := "nothing"
		if now.text != "" {
			shown = clean(now.text)
		}
		f.add(Finding{Rule: "POSTFIX-SETTING", Severity: c.severity, Name: c.key, At: v.at(),
			Detail: fmt.Sprintf("%s: %s here, %s on the new host", c.effect, clean(v.text), shown), Advice: "postconf -e " + hostcmd.Quote(c.key+" = "+clean(v.text))})
	}
}

// limits: sendmail has none by default, Postfix has.
func (f *finder) limits() {
	for _, l := range []struct{ key, rule, what string }{
		{"message_size_limit", "MESSAGE-LIMIT", "larger messages, which the old host takes, would be refused"},
		{"mailbox_size_limit", "MAILBOX-LIMIT", "mail for larger mailboxes would wait and bounce"},
	} {
		v := f.postfix[1].get(l.key)
		new, err := strconv.ParseInt(f.postfix[1].expand(v.text), 10, 64)
		if err != nil || new <= 0 {
			continue
		}
		old := int64(0)
		switch f.mta[0] {
		case "":
			continue
		case postfix:
			if old, err = strconv.ParseInt(f.postfix[0].expand(f.postfix[0].get(l.key).text), 10, 64); err != nil {
				continue
			}
		case sendmail:
			if l.key == "message_size_limit" {
				old = f.old.sendmailLimit()
			}
		}
		if old > 0 && old <= new {
			continue
		}
		x := Finding{Rule: l.rule, Severity: Degraded, Name: l.key, At: v.at(), Detail: fmt.Sprintf("%s: the new host's limit is %d bytes", l.what, new),
			Advice: fmt.Sprintf("postconf -e '%s = %d'", l.key, old)}
		if l.key == "mailbox_size_limit" {
			if full := f.larger(new); len(full) > 0 {
				x.Severity, x.Name = Loss, some(full)
				x.Detail = fmt.Sprintf("their inboxes are larger than mailbox_size_limit of the new host, %d bytes: all their mail would wait and bounce", new)
			}
		}
		f.add(x)
	}
}

func (f *finder) larger(limit int64) (users []string) {
	for _, u := range f.Users {
		if u.Inbox > limit {
			users = append(users, clean(u.To))
		}
	}
	return users
}

// ports by the names that master.cf and sendmail.mc use.
var ports = map[string]string{"smtp": "25", "submission": "587", "smtps": "465", "submissions": "465", "ssmtp": "465", "msa": "587"}

// services: people send by port 587 or 465, which Postfix does not open by itself.
func (f *finder) services() {
	new := masterPorts(f.new.read("etc/postfix/master.cf"))
	if new == nil {
		return
	}
	var old map[string]int
	file := "etc/postfix/master.cf"
	switch f.mta[0] {
	case postfix:
		old = masterPorts(f.old.read(file))
	case sendmail:
		file = "etc/mail/sendmail.mc"
		old = mcPorts(f.old.read(file))
	}
	for _, port := range slices.Sorted(maps.Keys(old)) {
		if _, ok := new[port]; ok || port == "25" {
			continue
		}
		f.add(Finding{Rule: "SUBMISSION", Severity: Loss, Name: "port " + clean(port), At: at(file, old[port]), Detail: "the old host takes mail on this port, by which its users may send; the new one does not",
			Advice: "enable the service for it in /etc/postfix/master.cf, with its -o lines, and restart Postfix"})
	}
}

// masterPorts are those of the inet services in a master.cf (master(5)) that run smtpd, with their lines.
func masterPorts(src []byte) map[string]int {
	if src == nil {
		return nil
	}
	all := map[string]int{}
	for _, l := range logical(src) {
		w := strings.Fields(l.text)
		if len(w) < 8 || w[1] != "inet" || w[7] != "smtpd" && w[7] != "postscreen" {
			continue
		}
		port := w[0][strings.LastIndexByte(w[0], ':')+1:]
		if strings.HasPrefix(w[0], "127.") || strings.HasPrefix(w[0], "localhost") || strings.HasPrefix(w[0], "[::1]") {
			continue
		}
		if p, ok := ports[port]; ok {
			port = p
		}
		if _, ok := all[port]; !ok {
			all[port] = l.line
		}
	}
	return all
}
