package surroundings

import (
	"slices"
	"strings"
)

// domain is one that a host takes mail for as its own, and the line that says so.
type domain struct {
	name, at string
	self     bool // by the host's own name, not because somebody listed it
}

// localDomains lists what a host's mail transfer agent delivers itself.
func (f *finder) localDomains(i int) (all []domain) {
	h := []*host{f.old, f.new}[i]
	add := func(names []string, where string, self bool) {
		for _, n := range names {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if n != "" && !slices.ContainsFunc(all, func(d domain) bool { return d.name == n }) {
				all = append(all, domain{n, where, self})
			}
		}
	}
	switch f.mta[i] {
	case postfix:
		m := f.postfix[i]
		own := []string{m.expand("$myhostname"), m.expand("localhost.$mydomain"), "localhost"}
		for _, key := range []string{"mydestination", "virtual_alias_domains", "virtual_mailbox_domains"} {
			for _, w := range m.words(key) {
				switch {
				case strings.HasPrefix(w, "/"):
					add(fileWords(h.read(w)), clean(strings.TrimPrefix(w, "/")), false)
				case strings.Contains(w, ":"):
					for _, t := range m.tables(w) {
						add(tableDomains(t, h.read(t.path)), clean(strings.TrimPrefix(t.path, "/")), false)
					}
				default:
					add([]string{w}, m.get(key).at(), slices.Contains(own, w))
				}
			}
		}
	case sendmail:
		add([]string{h.hostname(), "localhost"}, "etc/hostname", true)
		for _, name := range []string{"etc/mail/local-host-names", "etc/mail/sendmail.cw", "etc/sendmail.cw"} {
			add(fileWords(h.read(name)), name, false)
		}
		for _, c := range parseMC(h.read("etc/mail/sendmail.mc")) {
			if c.name == "LOCAL_DOMAIN" {
				add(strings.Fields(c.arg(0)), at("etc/mail/sendmail.mc", c.line), false)
			}
		}
	}
	return all
}

func fileWords(src []byte) (words []string) {
	for line := range strings.Lines(string(src)) {
		line, _, _ = strings.Cut(line, "#")
		words = append(words, strings.Fields(line)...)
	}
	return words
}

// tableDomains are the domains among the keys of a table: what is no address.
func tableDomains(t table, src []byte) (words []string) {
	if !t.keyed() {
		return nil
	}
	for _, e := range parseTable(src) {
		if !strings.Contains(e.key, "@") && strings.Contains(e.key, ".") {
			words = append(words, e.key)
		}
	}
	return words
}

// domains tells for which the new host would refuse mail.
func (f *finder) domains() {
	if f.mta[0] == "" || f.mta[1] != postfix && f.mta[1] != sendmail {
		return
	}
	have := f.localDomains(1)
	for _, d := range f.localDomains(0) {
		if strings.HasPrefix(d.name, "localhost") || slices.ContainsFunc(have, func(x domain) bool { return x.name == d.name }) {
			continue
		}
		x := Finding{Rule: "DOMAIN", Severity: Loss, Name: clean(d.name), At: d.at, Detail: "the old host takes mail for this domain, the new one would refuse it"}
		if f.mta[1] == postfix {
			x.Advice = "add it to mydestination in /etc/postfix/main.cf, and postfix reload"
		} else {
			x.Advice = "add it to /etc/mail/local-host-names, and restart sendmail"
		}
		if d.self {
			x.Severity = Degraded
			x.Detail = "the old host takes mail for its own name, the new one would refuse it"
		}
		f.add(x)
	}
}

// isLocal tells whether an address is one of the old host's own, and gives its local part.
func isLocal(a string, domains []domain) (string, bool) {
	user, host, _ := strings.Cut(a, "@")
	host = strings.ToLower(host)
	return user, slices.ContainsFunc(domains, func(d domain) bool { return d.name == host })
}
