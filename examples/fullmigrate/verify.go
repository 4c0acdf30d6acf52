package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
)

// outcome is what the move came to.
type outcome struct {
	AccountsChanged []string     `json:"accounts_changed"` // files
	Copy            *tree.Report `json:"copy,omitempty"`
	Verified        *tree.Report `json:"verified"`
	Used            int          `json:"changed_since"` // objects that differ because the new host serves
	Users           []userMail   `json:"users"`
	Failures        []string     `json:"failures"` // what is not as it must be
	Live            *asked       `json:"new_host,omitempty"`
}

// verify looks at the result with other eyes than the copy's: accounts as libc reads them, every object's metadata, and
// the identity of every message.
func (p *plan) verify(ctx context.Context, m *migration, how tree.How) (err error) {
	p.Outcome.Failures = []string{}
	for _, e := range []error{p.accounts.Verify(ctx, m.to), p.passwords.Verify(ctx, m.to)} {
		if e != nil {
			p.Outcome.Failures = append(p.Outcome.Failures, e.Error())
		}
	}
	src, err := m.source()
	if err != nil {
		return err
	}
	opt := p.options()
	if p.Outcome.Copy != nil {
		opt.Expect = p.Outcome.Copy.Files
	}
	end := m.phase("compare", opt)
	p.Outcome.Verified, err = tree.Verify(ctx, src, m.to, opt, how)
	if end(); err != nil {
		return err
	}
	return p.compareMail(ctx, m)
}

// compareMail holds each mailbox against its copy, message by message. Of an old host behind ssh the copy stands for the
// original, whose bytes it has, as was verified: only the servers differ then. So it does for one that is in use since the
// cutover.
func (p *plan) compareMail(ctx context.Context, m *migration) error {
	from := m.from
	if m.remote() {
		from = m.to
	}
	old, err1 := os.OpenRoot(from)
	new, err2 := os.OpenRoot(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer old.Close()
	defer new.Close()
	p.Outcome.Users = []userMail{}
	row, since := map[int]int{}, m.switched()
	for _, t := range p.trees {
		u := p.Users[t.user]
		at, seen := row[t.user]
		if !seen {
			at, row[t.user] = len(row), len(row)
			p.Outcome.Users = append(p.Outcome.Users, userMail{Name: u.Name, To: u.To, FromUID: u.FromUID, ToUID: u.ToUID, Problems: []string{}})
		}
		mail := &p.Outcome.Users[at]
		start := t.From
		if m.remote() {
			start = t.To
		}
		for box, err := range tree.Mailboxes(old, start, p.folders...) {
			if err == nil {
				root, at, to := old, box, t.To+strings.TrimPrefix(box, start)
				if m.used(to, since) {
					root, at = new, to
				}
				err = mail.compare(ctx, root, new, at, to, p.choices)
			}
			if err != nil {
				mail.Problems = append(mail.Problems, fmt.Sprintf("%q: %v", box, err))
			}
		}
	}
	return ctx.Err()
}

// conclude prints the outcome and says whether a person is needed.
func (m *migration) conclude(p *plan) error {
	if err := m.report(p); err != nil {
		return err
	}
	o := p.Outcome
	bad := len(o.Failures) > 0 || o.Verified.Mismatched > 0 || len(o.Verified.Problems) > 0 || o.Copy != nil && len(o.Copy.Problems) > 0
	for _, u := range o.Users {
		bad = bad || u.Changed > 0 || len(u.Problems) > 0
	}
	if bad {
		return cli.ErrFinding
	}
	err := p.settled()
	if err != nil {
		m.c.Warn("the copy is as it should be; of the findings above something must be settled")
	}
	return err
}
