package surroundings

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// The mail transfer agents that are told apart.
const (
	postfix  = "postfix"
	sendmail = "sendmail"
	exim     = "exim"
)

// agent tells which of them a host runs: by what its administrator chose among several (alternatives, start links), else by
// whose configuration there is.
func (h *host) agent() string {
	for _, link := range []string{"etc/alternatives/mta", "etc/alternatives/mta-mta", "usr/sbin/sendmail"} {
		if target, err := h.root.Readlink(link); err == nil {
			if a := agentIn(path.Base(target)); a != "" && (a != sendmail || strings.Contains(target, ".")) {
				return a
			}
		}
	}
	for _, dir := range []string{"etc/systemd/system/multi-user.target.wants", "etc/rc3.d", "etc/rc.d/rc3.d", "etc/rc2.d"} {
		for _, name := range h.list(dir) {
			if a := agentIn(name); a != "" && (name[0] == 'S' || strings.Contains(name, ".")) {
				return a
			}
		}
	}
	for _, c := range []struct{ agent, file string }{
		{postfix, "etc/postfix/main.cf"}, {exim, "etc/exim4/update-exim4.conf.conf"}, {exim, "etc/exim/exim.conf"}, {exim, "etc/exim4/exim4.conf.template"},
		{sendmail, "etc/mail/sendmail.cf"}, {sendmail, "etc/sendmail.cf"}, {sendmail, "etc/mail/sendmail.mc"},
	} {
		if h.file(c.file) {
			return c.agent
		}
	}
	return ""
}

func agentIn(name string) string {
	for _, a := range []string{postfix, exim, sendmail} {
		if strings.Contains(name, a) {
			return a
		}
	}
	return ""
}

// agents tells what cannot be compared, and whether the new one listens to the network at all.
func (f *finder) agents() {
	old, new := f.mta[0], f.mta[1]
	switch {
	case old == "" && new == "":
		return
	case new == "":
		f.add(Finding{Rule: "MTA", Severity: Loss, Name: old, At: "etc",
			Detail: "the new host has no mail transfer agent (looked for Postfix, sendmail and Exim); the old one has " + old,
			Advice: "install one, best Postfix; then plan again"})
	case old == exim || new == exim && old != "":
		f.add(Finding{Rule: "MTA", Severity: Degraded, Name: new, At: "etc",
			Detail: fmt.Sprintf("the mail transfer agent changes from %s to %s; Exim's configuration is not read here", old, new),
			Advice: "compare by hand which domains it takes mail for, how it delivers, and what users' .forward files may do"})
	}
	if new == postfix {
		f.listens(f.postfix[1])
	}
	if new == sendmail {
		for _, c := range parseMC(f.new.read("etc/mail/sendmail.mc")) {
			if c.name == "DAEMON_OPTIONS" && strings.Contains(c.text, "127.0.0.1") && !strings.Contains(strings.ToLower(c.text), "name=msa") {
				f.add(Finding{Rule: "LISTEN", Severity: Loss, Name: "DAEMON_OPTIONS", At: at("etc/mail/sendmail.mc", c.line),
					Detail: "sendmail on the new host takes mail from itself only", Advice: "put dnl before this line, run make -C /etc/mail, and restart sendmail"})
			}
		}
	}
}

// listens: Red Hat's Postfix comes with inet_interfaces = localhost.
func (f *finder) listens(m *mainCF) {
	v := m.get("inet_interfaces")
	words := strings.FieldsFunc(m.expand(v.text), listSeparator)
	x := Finding{Rule: "LISTEN", Severity: Loss, Name: "inet_interfaces", At: v.at(), Advice: "postconf -e 'inet_interfaces = all', and restart Postfix"}
	switch {
	case len(words) == 0 || slices.Contains(words, "all"):
		return
	case !slices.ContainsFunc(words, func(w string) bool {
		return w != "localhost" && w != "loopback-only" && !strings.HasPrefix(w, "127.") && w != "::1" && w != "[::1]"
	}):
		x.Detail = "Postfix on the new host takes mail from itself only"
	default:
		x.Severity = Degraded
		x.Detail = "Postfix on the new host listens on " + clean(strings.Join(words, ", ")) + " only: with the old host's address it may not listen there"
	}
	f.add(x)
}

func listSeparator(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\n' || r == '\r' }
