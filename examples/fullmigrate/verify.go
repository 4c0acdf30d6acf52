package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

// outcome is what the move came to.
type outcome struct {
	AccountsChanged []string     `json:"accounts_changed"` // files
	Copy            *tree.Report `json:"copy,omitempty"`
	Verified        *tree.Report `json:"verified"`
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
// original, whose bytes it has, as was verified: only the servers differ then.
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
	row := map[int]int{}
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
		for box, err := range tree.Mailboxes(old, start) {
			if err == nil {
				err = mail.compare(ctx, old, new, box, t.To+strings.TrimPrefix(box, start), p.choices)
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
	return p.settled()
}

// verifyPasswords looks whether people still log in with the password that they had.
func (p *plan) verifyPasswords(m *migration) error {
	old, err1 := shadow.ReadHost(m.from)
	new, err2 := shadow.ReadHost(m.to)
	users, err3 := passwd.ReadHost(m.from)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	old.Password = users.Passwd.Password
	for u := range p.accounts.Migrated() {
		if !shadow.SamePerson(old, new, u.Name, u.To) {
			p.Outcome.Failures = append(p.Outcome.Failures, u.To+": the entry in etc/shadow is not the old host's")
		}
	}
	if info, err := os.Lstat(filepath.Join(m.to, "etc/shadow")); err == nil && info.Mode().Perm()&0o007 != 0 {
		p.Outcome.Failures = append(p.Outcome.Failures, fmt.Sprintf("etc/shadow: mode %04o: everybody may read it", info.Mode().Perm()))
	}
	return nil
}

// verifyOnly looks at an earlier move, byte by byte, and changes nothing.
func (m *migration) verifyOnly(ctx context.Context) error {
	known, err := m.known()
	if err != nil {
		return err
	}
	p, err := m.plan(ctx, known)
	if err != nil {
		return err
	}
	p.Outcome = &outcome{AccountsChanged: []string{}}
	if err := p.verify(ctx, m, tree.ByHash); err != nil {
		return err
	}
	if err := p.verifyPasswords(m); err != nil {
		return err
	}
	if err := p.askNewHost(ctx, m); err != nil {
		return err
	}
	for _, missing := range slices.Concat(p.accounts.Changed, p.passwords.Changed) {
		p.Outcome.Failures = append(p.Outcome.Failures, missing+" lacks accounts of the old host")
	}
	if err := m.sayGrave(p); err != nil {
		return err
	}
	return m.conclude(p)
}
