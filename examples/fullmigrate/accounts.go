package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/passwd"
)

// What the run directory keeps. before/old and before/new are the account files of both hosts as they were when the plan
// was made: the plan is a pure function of them, so they are the saved plan, and the way back.
const (
	stepAccounts = "accounts"
	fileIDs      = "ids.json"
	fileOptions  = "options.json"
	fileState    = "mail.db"
	dirBefore    = "before"
)

// accountFiles are all that a plan about accounts is made from.
var accountFiles = []string{"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc/login.defs", "etc/shells"}

// options are the choices that go with the saved files.
type options struct {
	Users   []string `json:"users"`
	Exclude []string `json:"exclude"`
	Known   ids      `json:"known"`
}

// resume finishes what a run that was cut off had begun with the accounts, by the plan of that run. Where somebody changed
// the account files since, that plan is void: nothing was copied by it yet, so that the next one may number anew.
func (m *migration) resume(ctx context.Context) error {
	if begun, err := m.unfinished(); err != nil || !begun {
		return err
	}
	dir, err := run.Open(m.runDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return m.resumeIn(ctx, dir)
}

func (m *migration) resumeIn(ctx context.Context, dir *run.Dir) error {
	var o options
	if err := dir.Load(fileOptions, &o); err != nil {
		return err
	}
	if !slices.Equal(o.Users, m.users) || !slices.Equal(o.Exclude, m.exclude) {
		return &cli.Hinted{
			Err:  errors.New("an earlier run with other users was cut off while it wrote accounts"),
			Hint: fmt.Sprintf("finish that one first, with -users %q -exclude %q", strings.Join(o.Users, ","), strings.Join(o.Exclude, ",")),
		}
	}
	m.c.Warn("finishing the accounts that an earlier run had begun")
	_, err := m.accounts(ctx, dir, o)
	if errors.Is(err, passwd.ErrDrift) {
		m.c.Warn("%v; planning anew", err)
		err = dir.Step(stepAccounts, func() error { return nil })
	}
	return err
}

// unfinished tells whether an earlier run was cut off while it wrote accounts.
func (m *migration) unfinished() (bool, error) {
	dir, err := run.View(m.runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return dir.Unfinished(stepAccounts), nil
}

// keepBefore saves the account files of both hosts and the choices.
func (m *migration) keepBefore(ctx context.Context, dir *run.Dir, known ids) error {
	for side, at := range map[string]string{"old": m.from, "new": m.to} {
		root, err := os.OpenRoot(at)
		if err != nil {
			return err
		}
		defer root.Close()
		for _, name := range accountFiles {
			s, err := atomicfile.Read(root, name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = dir.Keep(ctx, filepath.Join(dirBefore, side, name), nil)
			case err == nil:
				err = dir.Keep(ctx, filepath.Join(dirBefore, side, name), s.Data)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	}
	return dir.Save(ctx, fileOptions, options{m.users, m.exclude, known})
}

// saved makes the plan about accounts that the run directory holds.
func (m *migration) saved(dir *run.Dir, o options) (*plan, error) {
	then := migration{users: o.Users, exclude: o.Exclude, runDir: dir.Path()}
	return then.merge(filepath.Join(dir.Path(), dirBefore, "old"), filepath.Join(dir.Path(), dirBefore, "new"), o.Known)
}

// accounts carries the saved plan out. Each file is as it was, or already as wanted, or nothing is written.
func (m *migration) accounts(ctx context.Context, dir *run.Dir, o options) (*plan, error) {
	p, err := m.saved(dir, o)
	if err != nil {
		return nil, err
	}
	return p, dir.Step(stepAccounts, func() error {
		receipt, err := p.accounts.Apply(ctx, m.to, p.passwords)
		if err != nil {
			return err
		}
		return errors.Join(dir.Save(ctx, "receipt.json", receipt), dir.Save(ctx, fileIDs, given(p.accounts, o.Known)))
	})
}

// given adds the ids of a plan to those of earlier ones.
func given(accounts *passwd.Plan, known ids) ids {
	all := ids{Users: map[string]renumbered{}, Groups: map[string]renumbered{}}
	maps.Copy(all.Users, known.Users)
	maps.Copy(all.Groups, known.Groups)
	for u := range accounts.Migrated() {
		all.Users[u.Name] = renumbered{u.FromUID, u.ToUID}
	}
	for _, g := range accounts.Groups {
		if g.Moves() {
			all.Groups[g.Name] = renumbered{g.FromGID, g.ToGID}
		}
	}
	return all
}
