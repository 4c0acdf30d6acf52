package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/service"
	"github.com/mailmove/mailmove/mbox/tree"
)

// rollBack lets the old host serve again, from whatever point a cutover came to. The new host is silenced first; then the
// old one has its address and its daemons back; mail that reached the new one meanwhile is kept after that, for nothing
// changes it any more.
func (m *migration) rollBack(ctx context.Context) error {
	if _, err := os.Lstat(m.runDir); err != nil { // and nothing is made for it
		return &cli.Hinted{Err: fmt.Errorf("no cutover to go back from: %w", err), Hint: strings.Join(append([]string{"give -from, -to and -run as for the cutover"}, m.otherRuns()...), "; or ")}
	}
	c, err := m.openCutover()
	if err != nil {
		return err
	}
	defer c.dir.Close()
	if !c.dir.Unfinished(stepRollback) && !c.dir.Unfinished(stepCutover) && !c.dir.Done(stepCutover) {
		return c.conclude("there is no cutover to go back from")
	}
	if err := c.dir.Load(fileRecord, &c.rec); err != nil {
		return err
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	steps := c.wayBack(c.dir.Unfinished(stepSwitch) || c.dir.Done(stepSwitch))
	if m.manual {
		return m.c.Script(manual(steps))
	}
	if !c.dir.Unfinished(stepRollback) {
		if err := m.c.Confirm("Stop the mail service of the new host now and let the old one serve again?", m.yes); err != nil {
			return err
		}
		if err := c.dir.Undo(rollbackSteps...); err != nil { // of an earlier way back
			return err
		}
	}
	c.dir.Watch(watchJournal)
	err = c.dir.Step(stepRollback, func() error {
		if err := m.do(ctx, c.dir, steps); err != nil {
			return err
		}
		return c.dir.Undo(append(slices.Clone(cutoverSteps), stepCutover)...)
	})
	if err != nil {
		return &cli.Hinted{Err: err, Hint: "run fullmigrate rollback again; it goes on where this ended"}
	}
	c.adviseBack(ctx)
	return c.conclude("the old host serves again")
}

// wayBack lists the steps. served: mail may have arrived on the new host.
func (c *cutover) wayBack(served bool) []step {
	moved := c.rec.Move != nil
	return []step{
		{stepBackStop, "stop the mail daemons of the new host", c.m.lines(1, c.stops(1)), true, c.stopNew},
		{stepBackMove, "give the address back", c.backLines(), moved, c.addressBack},
		{stepBackStart, "start on the old host what ran there", c.m.lines(0, c.restarts()), true, c.startOld},
		{stepBackFiles, "put the new host's network files back", nil, moved, c.filesBack},
		{stepBackKeep, "keep the mail that reached the new host meanwhile", nil, served, c.keep},
		{stepBackAdopt, "let the next sync replace what changed there", nil, served, c.adopt},
	}
}

// restarts are the commands for what ran on the old host and does not now.
func (c *cutover) restarts() []service.Command {
	if c.rec.Ran[0] == nil {
		return nil
	}
	missing := *c.rec.Ran[0]
	missing.Services = slices.DeleteFunc(slices.Clone(missing.Services), func(v service.Service) bool {
		return c.now[0] != nil && slices.ContainsFunc(c.now[0].Services, func(n service.Service) bool { return n.Name == v.Name && n.Running })
	})
	return missing.StartCommands()
}

func (c *cutover) startOld(ctx context.Context) error {
	if c.m.old == nil {
		return nil
	}
	return service.Start(ctx, c.m.old, c.restarts())
}

// keepRounds is how often it is looked whether somebody wrote while that was kept which he had written before.
const keepRounds = 3

// adopt makes a further sync possible: without it, what changed on the new host would be left alone as somebody's. Only what was
// kept is adopted; what logged-in people wrote since is kept now, and what they still write stays where it is and is told.
func (c *cutover) adopt(ctx context.Context) error {
	for round := 1; ; round++ {
		_, err := tree.Adopt(ctx, c.m.to, c.treeOptions(), c.changes)
		if err != nil {
			return err
		}
		left, err := c.changed(ctx)
		known := map[tree.Change]bool{} // kept, but not to be adopted
		for _, ch := range c.changes {
			known[ch] = true
		}
		left = slices.DeleteFunc(left, func(ch tree.Change) bool { return known[ch] })
		if err != nil || len(left) == 0 {
			return err
		}
		if round == keepRounds {
			c.out.Problems = append(c.out.Problems, fmt.Sprintf("somebody still writes on the new host: %d files, the first %q, were changed after they were kept; a sync leaves them alone and tells of them", len(left), left[0].Path))
			return nil
		}
		c.m.say1("  somebody wrote there meanwhile")
		if err := c.keep(ctx); err != nil {
			return err
		}
	}
}

// adviseBack tells what is left to a person.
func (c *cutover) adviseBack(ctx context.Context) {
	if n := queued(ctx, c.m.new); n > 0 {
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("%d recipients wait in the queue of the new host, whose mail transfer agent is stopped", n))
	}
	if c.rec.Ran[1] != nil {
		for _, l := range c.rec.Ran[1].StartCommands() {
			c.out.Advice = append(c.out.Advice, "the new host's mail daemons stay stopped, so that nothing arrives there; to start them: "+l.Line)
		}
	}
	if len(statusOf(c.dir).Kept) > 0 {
		c.out.Advice = append(c.out.Advice, "give the users the mail that is kept below "+c.dir.Path())
	}
	c.out.Advice = append(c.out.Advice, "a further sync and cutover replace what changed on the new host meanwhile")
}
