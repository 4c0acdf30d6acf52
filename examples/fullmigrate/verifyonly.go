package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

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

// nobodyThere tells whether all who move have still to come.
func (p *plan) nobodyThere() bool {
	for u := range p.accounts.Migrated() {
		if !u.Added() {
			return false
		}
	}
	return true
}

// verifyOnly looks at an earlier move, byte by byte, and changes nothing.
func (m *migration) verifyOnly(ctx context.Context) error {
	p, err := m.replan(ctx)
	if err != nil {
		return err
	}
	if p.nobodyThere() {
		return &cli.Hinted{Err: errors.New("nothing to verify: no account of the old host is on the new one yet"), Hint: "run fullmigrate sync first"}
	}
	p.Outcome = &outcome{AccountsChanged: []string{}}
	if err := p.verify(ctx, m, tree.ByHash); err != nil {
		return err
	}
	p.Outcome.Used = m.leaveUsed(p.Outcome.Verified)
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
