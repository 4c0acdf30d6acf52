package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/mbox/tree"
)

// known reads the ids that earlier runs gave; there need be none.
func (m *migration) known() (known ids, err error) {
	dir, err := run.View(m.runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return known, err
	}
	defer dir.Close()
	if err = dir.Load(fileIDs, &known); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return known, err
}

// migrate carries the plan out: accounts, then homes and mail, then a look at the result. What an earlier run left
// unfinished is finished first, by its own plan.
func (m *migration) migrate(ctx context.Context) error {
	if err := m.resume(ctx); err != nil {
		return err
	}
	known, err := m.known()
	if err != nil {
		return err
	}
	p, err := m.plan(ctx, known)
	if err != nil {
		return err
	}
	if len(p.Blockers) > 0 {
		return errors.Join(m.c.Report(p, p), cli.ErrFinding)
	}
	if err := m.say(p); err != nil {
		return err
	}
	return m.carryOut(ctx, p, known)
}

func (m *migration) carryOut(ctx context.Context, p *plan, known ids) error {
	dir, err := run.Open(m.runDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	p.Outcome = &outcome{AccountsChanged: slices.Concat([]string{}, p.accounts.Changed, p.passwords.Changed)}
	if len(p.Outcome.AccountsChanged) > 0 {
		if err := m.keepBefore(ctx, dir, known); err != nil {
			return err
		}
		written, err := m.accounts(ctx, dir, options{m.users, m.exclude, known})
		if err != nil {
			return err
		}
		// Between the plan and the files that were saved for it somebody may have come in: no file goes by the older maps.
		if !maps.Equal(written.accounts.UIDMap, p.accounts.UIDMap) || !maps.Equal(written.accounts.GIDMap, p.accounts.GIDMap) {
			return &cli.Hinted{Err: errors.New("the account files changed while the plan was made; nothing was copied"), Hint: "run the same command again"}
		}
		p.accounts, p.passwords = written.accounts, written.passwords
	}
	src, err := m.source()
	if err != nil {
		return err
	}
	opt := p.options(m)
	opt.State, opt.Delete = filepath.Join(dir.Path(), fileState), true
	if p.Outcome.Copy, err = tree.Sync(ctx, src, m.to, opt); err != nil {
		return err
	}
	p.Mail.Files, p.Mail.Bytes = p.Outcome.Copy.CopiedFiles, p.Outcome.Copy.CopiedBytes
	p.Mail.Deletions, p.Mail.SecondsEstimated = p.Outcome.Copy.Deleted, p.Outcome.Copy.Seconds
	if err := p.verify(ctx, m, tree.ByStat); err != nil {
		return err
	}
	return m.conclude(p)
}
