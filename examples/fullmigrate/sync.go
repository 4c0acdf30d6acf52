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

// migrate carries the plan out: accounts, then homes and mail, then a look at the result. What an earlier run left
// unfinished is finished first, by its own plan.
func (m *migration) migrate(ctx context.Context) error {
	if err := m.stillOld(); err != nil {
		return err
	}
	if err := m.resume(ctx); err != nil {
		return err
	}
	p, err := m.replan(ctx)
	if err != nil {
		return err
	}
	if len(p.Blockers) > 0 {
		return m.refuse(p)
	}
	if err := p.foresee(ctx, m); err != nil {
		return err
	}
	if err := m.say(p); err != nil {
		return err
	}
	return m.carryOut(ctx, p)
}

// refuse shows a plan that cannot be carried out, and says so last: what blocks it has scrolled away.
func (m *migration) refuse(p *plan) error {
	err := m.c.Report(p, p)
	m.c.Warn("nothing was done: %d of the above must be settled first, see BLOCKS", len(p.Blockers))
	return errors.Join(err, cli.ErrFinding)
}

// stillOld refuses to copy over what the new host serves.
func (m *migration) stillOld() error {
	dir, err := run.View(m.runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return stillOld(dir)
}

func stillOld(dir *run.Dir) error {
	if dir.Unfinished(stepRollback) {
		return &cli.Hinted{Err: errors.New("the way back was begun and has not ended"), Hint: "finish it with fullmigrate rollback"}
	}
	if dir.Done(stepCutover) || dir.Unfinished(stepCutover) {
		return &cli.Hinted{Err: errors.New("the cutover was begun: a sync would copy over what the new host serves"), Hint: "finish it with fullmigrate cutover, or go back with fullmigrate rollback"}
	}
	return nil
}

// replan reads both hosts as they are now.
func (m *migration) replan(ctx context.Context) (*plan, error) {
	known, err := m.known()
	if err != nil {
		return nil, err
	}
	return m.plan(ctx, known)
}

func (m *migration) carryOut(ctx context.Context, p *plan) error {
	dir, err := run.Open(m.runDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := stillOld(dir); err != nil { // nobody else's cutover since the first look
		return err
	}
	if err := m.keepTyped(ctx, dir); err != nil {
		return err
	}
	if err := m.copyAll(ctx, dir, p); err != nil {
		return err
	}
	if err := p.verify(ctx, m, tree.ByStat); err != nil {
		return err
	}
	if err := dir.Save(ctx, fileMail, p.Outcome.Users); err != nil {
		return err
	}
	return m.conclude(p)
}

// copyAll is one pass: accounts that the new host lacks, then homes and mail.
func (m *migration) copyAll(ctx context.Context, dir *run.Dir, p *plan) error {
	known, err := m.known()
	if err != nil {
		return err
	}
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
		p.accounts, p.passwords, p.carry = written.accounts, written.passwords, written.carry
	}
	if err := p.keepCarried(ctx, dir); err != nil {
		return err
	}
	src, err := m.source()
	if err != nil {
		return err
	}
	opt := p.options()
	opt.State, opt.Delete, opt.Expect = filepath.Join(dir.Path(), fileState), true, p.expect
	if p.last {
		opt.Canaries = -1 // the pass a moment ago had them, and nobody is served meanwhile
	}
	end := m.phase("copy", opt)
	p.touched = watchPairs(opt)
	p.Outcome.Copy, err = tree.Sync(ctx, src, m.to, opt)
	if end(); err != nil {
		return err
	}
	r := p.Outcome.Copy
	p.Mail.Files, p.Mail.Bytes, p.Mail.Deletions, p.Mail.SecondsEstimated = r.CopiedFiles, r.CopiedBytes, r.Deleted, r.Seconds
	// A pass that found nothing to do writes nothing.
	if !dir.Done(stepCopied) || r.CopiedFiles+r.Metadata+r.Renamed+r.Linked+r.Deleted > 0 {
		return dir.Step(stepCopied, func() error { return nil })
	}
	return nil
}
