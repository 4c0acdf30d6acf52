package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
)

// copyWhileServing leaves little for the last pass. It is left out when the old host was stopped already.
func (c *cutover) copyWhileServing(ctx context.Context) (err error) {
	if c.dir.Unfinished(stepStopOld) || c.dir.Done(stepStopOld) {
		return nil
	}
	c.m.say1("copy while the old host still serves")
	began := time.Now()
	if err = c.m.copyAll(ctx, c.dir, c.p); err != nil {
		return err
	}
	c.m.say1("  %s in %s", strings.SplitN(c.p.Outcome.Copy.String(), "\n", 2)[0], since(began))
	// What stirs is copied by the last pass. What is not as it was left on the new host stays a problem.
	return c.p.lost(c.m, slices.DeleteFunc(slices.Clone(c.p.Outcome.Copy.Problems), func(pr tree.Problem) bool { return pr.Op != "compare" }))
}

// watchAccounts looks for accounts that somebody changed meanwhile, beside what else is at hand.
func (c *cutover) watchAccounts(ctx context.Context) {
	type answer struct {
		p   *plan
		err error
	}
	p, done := c.p, make(chan answer, 1)
	go func() {
		p, err := c.m.redecide(ctx, p)
		done <- answer{p, err}
	}()
	c.accounts = sync.OnceValues(func() (*plan, error) { a := <-done; return a.p, a.err })
}

// finalPass copies accounts and mail while nobody writes, and looks whether both sides are alike then.
func (c *cutover) finalPass(ctx context.Context) (err error) {
	if c.accounts == nil {
		c.watchAccounts(ctx)
	}
	if c.p, err = c.accounts(); err != nil {
		return err
	}
	if len(c.p.Blockers) > 0 {
		return errors.Join(errors.New(c.p.Blockers[0].String()), cli.ErrFinding)
	}
	c.release(ctx)
	if err := c.copyLast(ctx); err != nil {
		return errors.Join(err, c.released())
	}
	return nil
}

// copyLast is the pass, and the look whether it left both sides alike.
func (c *cutover) copyLast(ctx context.Context) error {
	began := time.Now()
	c.p.last = true
	if err := c.m.copyAll(ctx, c.dir, c.p); err != nil {
		return err
	}
	c.m.say1("  %s in %s", strings.SplitN(c.p.Outcome.Copy.String(), "\n", 2)[0], since(began))
	if err := c.p.lost(c.m, c.p.Outcome.Copy.Problems); err != nil {
		return err
	}
	return c.compare(ctx)
}

// compare looks once more at the trees in which the last pass did something. The others it has found as the passes before
// left them, and every sync compares everything: nobody waits for that now.
func (c *cutover) compare(ctx context.Context) error {
	opt := c.p.options()
	all := opt.Pairs
	opt.Pairs = []tree.Pair{}
	for i, pair := range all {
		if c.p.touched[i] {
			opt.Pairs = append(opt.Pairs, pair)
		}
	}
	if len(opt.Pairs) == 0 {
		return nil
	}
	src, err := c.m.source()
	if err != nil {
		return err
	}
	began := time.Now()
	end := c.m.phase("compare", opt)
	c.p.Outcome.Verified, err = tree.Verify(ctx, src, c.m.to, opt, tree.ByStat)
	if end(); err != nil {
		return err
	}
	c.m.say1("  compared %d objects of %d trees in %s", c.p.Outcome.Verified.Verified, len(opt.Pairs), since(began))
	return c.p.lost(c.m, c.p.Outcome.Verified.Problems)
}
