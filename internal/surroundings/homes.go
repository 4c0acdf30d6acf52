package surroundings

import (
	"bytes"
	"path"
	"strings"
)

// homes looks at what users have their mail delivered by. Of what they wrote only names of programs are told.
func (f *finder) homes() {
	var sieves []string
	for _, u := range f.Users {
		if u.Home == "" {
			continue
		}
		home := strings.Trim(path.Clean("/"+u.Home), "/")
		if src := f.old.readHome(home, ".forward"); src != nil {
			f.forward(u.Name, home+"/.forward", src)
		}
		if src := f.old.readHome(home, ".procmailrc"); src != nil {
			f.recipes(u.Name, home+"/.procmailrc", src)
		}
		if f.old.readHome(home, ".dovecot.sieve") != nil {
			sieves = append(sieves, clean(u.Name))
		}
	}
	if len(sieves) > 0 && !f.Sieve {
		f.add(Finding{Rule: "SIEVE", Severity: Degraded, Name: some(sieves), At: "home",
			Detail: "have sieve scripts; the new Dovecot does not run them on delivery: mail would arrive unsorted, nobody would get vacation replies",
			Advice: "install Dovecot's sieve plugin (Pigeonhole) and add sieve to mail_plugins of the protocol that delivers, lmtp or lda"})
	}
}

// forward looks at one .forward.
func (f *finder) forward(user, name string, src []byte) {
	user = clean(user)
	where := clean(name)
	if first, _, _ := bytes.Cut(src, []byte("\n")); f.mta[1] != exim && (bytes.Contains(first, []byte("Exim filter")) || bytes.Contains(first, []byte("Sieve filter"))) {
		f.add(Finding{Rule: "FORWARD-FILTER", Severity: Loss, Name: user, At: where, Detail: "is a filter for Exim, which the new host's mail transfer agent would take for addresses",
			Advice: "write it anew with sieve or procmail"})
		return
	}
	line := 0
	for text := range strings.Lines(string(src)) {
		line++
		for _, t := range parseTargets(text) {
			f.forwardTarget(user, at(name, line), t)
		}
	}
}

func (f *finder) forwardTarget(user, where string, t target) {
	switch t.kind {
	case command:
		for _, prog := range programs(t.text) {
			f.absent("FORWARD-PROGRAM", user, where, prog, "this .forward")
			if path.Base(prog) == "vacation" && !f.lacks(prog) {
				f.add(Finding{Rule: "VACATION", Severity: Info, Name: user, At: where, Detail: "answers with vacation, whose database may be of another format on the new host",
					Advice: "if replies fail there, let the user run vacation -I once"})
			}
		}
	case include, file:
		p := path.Clean("/" + strings.TrimPrefix(t.text, "~"))
		if strings.HasPrefix(t.text, "~") || f.inHomes(p) || p == "/dev/null" || f.new.file(p) || t.kind == file && f.new.stat(path.Dir(p)) != nil {
			return
		}
		f.add(Finding{Rule: "FORWARD-FILE", Severity: Loss, Name: user, At: where, Detail: "this .forward names a file outside of the homes that the new host has no place for",
			Advice: "look at the line with the user, and make the place"})
	case local:
		if name := strings.ToLower(t.text); !f.accounts[t.text] && !f.accounts[name] && f.old.colons("etc/passwd")[name] != "" {
			f.add(Finding{Rule: "FORWARD-USER", Severity: Loss, Name: user, At: where, Detail: "this .forward leads to an account of the old host that does not move",
				Advice: "move that account too, or change the line with the user"})
		}
	}
}
