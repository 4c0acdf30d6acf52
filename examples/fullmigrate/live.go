package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// asked counts what the running new host was asked. It is asked only when -to is its own root.
type asked struct {
	Accounts int    `json:"accounts"` // that libc was asked for
	Groups   int    `json:"groups"`
	Dovecot  int    `json:"dovecot"` // accounts that Dovecot was asked for
	Rights   int    `json:"rights"`  // mailboxes and directories that were tried with their owner's rights
	Login    string `json:"login"`   // what the test account saw
}

func (l *asked) String() string {
	s := fmt.Sprintf("asked this host: %d accounts and %d groups by libc, %d accounts by Dovecot, %d mailboxes and directories with their users' rights",
		l.Accounts, l.Groups, l.Dovecot, l.Rights)
	if l.Login != "" {
		s += "\ntest account: " + l.Login
	}
	return s
}

// isThisHost tells whether -to is the root of the host that this program runs on.
func (m *migration) isThisHost() bool {
	to, err1 := os.Stat(m.to)
	root, err2 := os.Stat("/")
	return err1 == nil && err2 == nil && os.SameFile(to, root)
}

// askNewHost looks through the eyes of the running host: libc, Dovecot, the users' own rights, a mail client.
func (p *plan) askNewHost(ctx context.Context, m *migration) error {
	if !m.isThisHost() {
		return nil
	}
	p.Outcome.Live = &asked{}
	for _, ask := range []func(context.Context, *migration) error{p.askLibc, p.askDovecot, p.tryRights, p.tryLogin} {
		if err := ask(ctx, m); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *plan) fails(format string, a ...any) {
	p.Outcome.Failures = append(p.Outcome.Failures, fmt.Sprintf(format, a...))
}

// askDovecot asks whom Dovecot takes the people for, when it runs.
func (p *plan) askDovecot(ctx context.Context, m *migration) error {
	serves := m.serves()
	for u := range p.accounts.Migrated() {
		got := map[string]string{}
		out, err := m.new.Run(ctx, nil, "doveadm", "user", "--", u.To)
		switch code := exitCode(err); {
		case err == nil:
		case code == 67: // EX_NOUSER
			p.fails("%s: Dovecot does not know the user (doveadm user): look at its userdb", u.To)
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		default: // no Dovecot here, or it does not run: nobody to ask
			return nil
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 2); len(f) == 2 {
				got[f[0]] = f[1]
			}
		}
		p.Outcome.Live.Dovecot++
		if got["uid"] != id(u.ToUID) || got["gid"] != id(u.ToGID) || u.ToHome != "" && got["home"] != u.ToHome {
			p.fails("%s: Dovecot gives uid %s, gid %s, home %s, want %d, %d, %s", u.To, got["uid"], got["gid"], got["home"], u.ToUID, u.ToGID, u.ToHome)
		}
		if serves { // before that Dovecot would write to mailboxes that are to be copied
			p.countMessages(ctx, m, u.To)
		}
	}
	return nil
}

// countMessages asks Dovecot how many messages a user has; since the cutover there may have come some.
func (p *plan) countMessages(ctx context.Context, m *migration, user string) {
	at := slices.IndexFunc(p.Outcome.Users, func(u userMail) bool { return u.To == user })
	if at < 0 {
		return
	}
	out, err := m.new.Run(ctx, nil, "doveadm", "-f", "flow", "mailbox", "status", "-u", user, "-t", "messages", "*")
	var n int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "messages=%d", &n)
	}
	switch want := p.Outcome.Users[at].Checked; {
	case err != nil:
		p.fails("%s: Dovecot does not count the messages: %v", user, err)
	case n < want:
		p.fails("%s: Dovecot shows %d messages in all folders, want %d", user, n, want)
	}
}
