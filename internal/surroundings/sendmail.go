package surroundings

import (
	"slices"
	"strings"
)

// counterpart is what Postfix has for a table of sendmail: the parameters that look it up, the file that they usually name, and
// how a line reads there ("" when it has no counterpart).
type counterpart struct {
	table, rule string
	keys        []string
	file        string
	convert     func(e entry) string
	effect      string
}

var counterparts = []counterpart{
	{"virtusertable", "VIRTUSERTABLE", []string{"virtual_alias_maps"}, "/etc/postfix/virtual", virtual, "mail to these addresses would be refused or go to the wrong mailbox"},
	{"mailertable", "MAILERTABLE", []string{"transport_maps"}, "/etc/postfix/transport", transport, "mail to these domains would go the wrong way"},
	{"genericstable", "GENERICSTABLE", []string{"smtp_generic_maps", "sender_canonical_maps"}, "/etc/postfix/generic", generic, "senders are not rewritten as before"},
	{"domaintable", "DOMAINTABLE", []string{"recipient_canonical_maps", "canonical_maps"}, "/etc/postfix/canonical", canonical, "addresses in the old domains are not rewritten"},
}

func virtual(e entry) string {
	v := strings.ReplaceAll(e.value, "%1@", "@")
	if strings.Contains(v, "error:") || strings.Contains(v, "%") || v == "" || strings.HasSuffix(e.key, "@") {
		return ""
	}
	return e.key + " " + v
}

func transport(e entry) string {
	mailer, host, ok := strings.Cut(e.value, ":")
	switch m := strings.ToLower(mailer); {
	case !ok:
		return ""
	case m == "smtp" || m == "esmtp" || m == "smtp8" || m == "relay" || m == "dsmtp":
		return e.key + " smtp:" + host
	case m == "local":
		return e.key + " local:"
	case m == "error":
		return e.key + " error:" + host
	}
	return ""
}

func generic(e entry) string {
	if !strings.Contains(e.key, "@") {
		e.key += "@$myhostname"
	}
	return e.key + " " + e.value
}

func canonical(e entry) string { return "@" + e.key + " @" + e.value }

// sendmailTables tells of /etc/mail tables of the old host that the new one lacks.
func (f *finder) sendmailTables() {
	if f.mta[0] != sendmail || f.mta[1] == "" {
		return
	}
	for _, c := range counterparts {
		name := "etc/mail/" + c.table
		entries := parseTable(f.old.read(name))
		x := Finding{Rule: c.rule, Severity: Loss, Name: c.table, At: name}
		if c.table == "genericstable" || c.table == "domaintable" {
			x.Severity = Degraded
		}
		switch f.mta[1] {
		case postfix:
			known := map[string]bool{}
			for _, key := range c.keys {
				for _, t := range f.postfix[1].tables(f.postfix[1].get(key).text) {
					for _, e := range parseTable(f.new.read(t.path)) {
						known[strings.ToLower(e.key)] = true
					}
				}
			}
			x.Detail, x.Advice = f.toPostfix(c, entries, known)
		default:
			lines := lacking(entries, parseTable(f.new.read(name)))
			if len(lines) > 0 {
				x.Detail = plural(len(lines), "line", "lines") + " that the new host lacks: " + c.effect
				x.Advice = block("add to /"+name+" and run make -C /etc/mail (or, for another program than sendmail, what it has instead):", lines)
			}
		}
		if x.Detail != "" {
			f.add(x)
		}
	}
	f.access()
	f.relayDomains()
}

// lacking are the entries whose key is not among have.
func lacking(entries, have []entry) (lines []string) {
	known := map[string]bool{}
	for _, e := range have {
		known[strings.ToLower(e.key)] = true
	}
	for _, e := range entries {
		if !known[strings.ToLower(e.key)] {
			lines = append(lines, clean(e.key+"\t"+e.value))
		}
	}
	return lines
}

func (f *finder) toPostfix(c counterpart, entries []entry, known map[string]bool) (detail, advice string) {
	var lines, odd []string
	for _, e := range entries {
		line := c.convert(e)
		key, _, _ := strings.Cut(line, " ")
		switch {
		case known[strings.ToLower(key)] || known[strings.ToLower(e.key)]:
		case line == "":
			odd = append(odd, "# has no counterpart: "+clean(e.key+" "+e.value))
		default:
			lines = append(lines, clean(line))
		}
	}
	if len(lines)+len(odd) == 0 {
		return "", ""
	}
	kind := f.postfix[1].expand("$default_database_type")
	file, key := c.file, c.keys[0]
	for _, k := range c.keys {
		for _, t := range f.postfix[1].tables(f.postfix[1].get(k).text) {
			if t.keyed() {
				return plural(len(lines)+len(odd), "line", "lines") + " that the new host's " + k + " lacks: " + c.effect,
					block("add to "+clean(t.path)+", then run postmap "+clean(t.kind+":"+t.path)+":", append(lines, odd...))
			}
		}
	}
	return plural(len(lines)+len(odd), "line", "lines") + " whose counterpart, " + key + ", the new host does not set: " + c.effect,
		block("postconf -e '"+key+" = "+kind+":"+file+"', run postmap "+kind+":"+file+" after writing to it:", append(lines, odd...))
}

// access tells what sendmail's access table decides; lines that come with the package do not count.
func (f *finder) access() {
	var relay, refuse []string
	first := 0
	for _, e := range parseTable(f.old.read("etc/mail/access")) {
		tag, what, tagged := strings.Cut(e.key, ":")
		if !tagged {
			what = e.key
		}
		if l := strings.ToLower(what); strings.HasPrefix(l, "localhost") || l == "127.0.0.1" || l == "127" {
			continue
		}
		if first == 0 {
			first = e.line
		}
		switch action := strings.ToUpper(e.value); {
		case strings.HasPrefix(action, "RELAY") && !strings.EqualFold(tag, "To"):
			relay = append(relay, clean(what))
		case strings.HasPrefix(action, "RELAY"):
			relay = append(relay, clean("to "+what))
		default:
			refuse = append(refuse, clean(e.key+" "+e.value))
		}
	}
	if f.mta[1] == sendmail {
		lines := lacking(parseTable(f.old.read("etc/mail/access")), parseTable(f.new.read("etc/mail/access")))
		if len(lines) > 0 {
			f.add(Finding{Rule: "ACCESS", Severity: Degraded, Name: "access", At: "etc/mail/access", Detail: plural(len(lines), "line", "lines") + " that the new host lacks",
				Advice: block("add to /etc/mail/access and run make -C /etc/mail:", lines)})
		}
		return
	}
	if f.mta[1] == postfix {
		nets := f.postfix[1].words("mynetworks")
		relay = slices.DeleteFunc(relay, func(w string) bool { return slices.Contains(nets, w) || slices.Contains(nets, dotted(w)) })
	}
	if len(relay) > 0 {
		f.add(Finding{Rule: "ACCESS-RELAY", Severity: Degraded, Name: some(relay), At: at("etc/mail/access", first), Detail: "may send through the old host by its access table, not through the new one",
			Advice: "Postfix: add networks to mynetworks (" + some(dottedAll(relay)) + "), domains after \"to\" to relay_domains"})
	}
	if len(refuse) > 0 {
		f.add(Finding{Rule: "ACCESS", Severity: Degraded, Name: "access", At: at("etc/mail/access", first), Detail: plural(len(refuse), "line", "lines") + " that accept or refuse mail, which the new host does not look at",
			Advice: block("Postfix: check_client_access (Connect:), check_sender_access (From:), check_recipient_access (To:) in smtpd_recipient_restrictions; sendmail's lines are", refuse)})
	}
}

// dotted writes a network of sendmail's, 192.168.1, as Postfix has it: 192.168.1.0/24.
func dotted(w string) string {
	n := strings.Count(w, ".") + 1
	if strings.Trim(w, "0123456789.") != "" || w == "" || n > 3 {
		return w
	}
	return w + strings.Repeat(".0", 4-n) + [...]string{"/8", "/16", "/24"}[n-1]
}

func dottedAll(words []string) (all []string) {
	for _, w := range words {
		all = append(all, dotted(w))
	}
	return all
}

// relayDomains: those that the old host takes mail for to hand it on.
func (f *finder) relayDomains() {
	var have []string
	advice := "add them to /etc/mail/relay-domains, and restart sendmail"
	switch f.mta[1] {
	case postfix:
		m := f.postfix[1]
		have = slices.Concat(m.words("relay_domains"), m.words("mynetworks"), m.words("mydestination"))
		advice = "add domains to relay_domains, networks to mynetworks in /etc/postfix/main.cf"
	default:
		have = fileWords(f.new.read("etc/mail/relay-domains"))
	}
	var lines []string
	for _, w := range fileWords(f.old.read("etc/mail/relay-domains")) {
		if !slices.Contains(have, w) && !slices.Contains(have, dotted(w)) {
			lines = append(lines, clean(w))
		}
	}
	if len(lines) > 0 {
		f.add(Finding{Rule: "RELAY-DOMAINS", Severity: Loss, Name: some(lines), At: "etc/mail/relay-domains", Detail: "the old host relays for them, the new one would refuse", Advice: advice})
	}
}

// features are what sendmail.mc may ask for, with what Postfix has instead: a parameter, and words on it.
var features = []struct{ what, key, effect, advice string }{
	{"MASQUERADE_AS", "masquerade_domains", "senders would appear under another name", "postconf -e 'myorigin = $1' 'masquerade_domains = $1'"},
	{"EXPOSED_USER", "masquerade_exceptions", "these users' senders are rewritten too", "postconf -e 'masquerade_exceptions = $1'"},
	{"define SMART_HOST", "relayhost", "mail leaves by another way", "postconf -e 'relayhost = $2'"},
	{"define LUSER_RELAY", "luser_relay", "mail to unknown users would be refused", "postconf -e 'luser_relay = $2' 'local_recipient_maps ='"},
	{"define MAIL_HUB", "fallback_transport", "local mail goes to another host", "postconf -e 'mailbox_transport = smtp:[$2]'"},
	{"INPUT_MAIL_FILTER", "smtpd_milters", "mail is not filtered or signed as before", "install the filter and name its socket in smtpd_milters: $2"},
	{"FEATURE dnsbl", "smtpd_recipient_restrictions", "more spam would come in", "add reject_rbl_client $2 to smtpd_recipient_restrictions"},
	{"FEATURE enhdnsbl", "smtpd_recipient_restrictions", "more spam would come in", "add reject_rbl_client $2 to smtpd_recipient_restrictions"},
	{"define confAUTH_MECHANISMS", "smtpd_sasl_auth_enable", "users who send with a password would be refused", "postconf -e 'smtpd_sasl_auth_enable = yes' 'smtpd_sasl_type = dovecot' 'smtpd_sasl_path = private/auth', and give Dovecot's auth service that socket"},
}

// sendmailFeatures tells of calls in sendmail.mc that the new host's configuration has no counterpart of.
func (f *finder) sendmailFeatures() {
	const name = "etc/mail/sendmail.mc"
	if f.mta[0] != sendmail || f.mta[1] != sendmail && f.mta[1] != postfix {
		return
	}
	new := parseMC(f.new.read(name))
	for _, c := range parseMC(f.old.read(name)) {
		for _, x := range features {
			if x.what != c.what() || c.name == "EXPOSED_USER" && c.arg(0) == "root" {
				continue
			}
			y := Finding{Rule: "SENDMAIL-MC", Severity: Degraded, Name: x.what, At: at(name, c.line), Detail: x.effect + ": " + c.text,
				Advice: clean(strings.NewReplacer("$1", c.arg(0), "$2", c.arg(1)).Replace(x.advice))}
			if f.mta[1] == sendmail {
				if slices.ContainsFunc(new, func(n call) bool { return n.what() == c.what() && slices.Equal(n.args, c.args) }) {
					continue
				}
				y.Advice = "add the line to /" + name + ", and run make -C /etc/mail"
			} else if v := f.postfix[1].get(x.key).text; v != "" && v != "no" && (c.arg(1) == "" || x.key != "smtpd_recipient_restrictions" || strings.Contains(v, c.arg(1))) {
				continue
			}
			f.add(y)
		}
	}
	if f.mta[1] == postfix && f.postfix[1].get("recipient_delimiter").text == "" {
		f.add(Finding{Rule: "POSTFIX-SETTING", Severity: Degraded, Name: "recipient_delimiter", At: mainName, Detail: "sendmail delivers user+list@ to the user, the new host would refuse it",
			Advice: "postconf -e 'recipient_delimiter = +'"})
	}
}
