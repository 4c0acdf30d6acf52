package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/internal/service"
)

// step is one piece of work between two lines of the journal.
type step struct {
	name  string
	title string
	lines []string // commands that it runs, as a person would type them on the new host
	due   bool
	run   func(context.Context) error
}

// do carries steps out in order, each shown with its commands before and its time after.
func (m *migration) do(ctx context.Context, dir *run.Dir, steps []step) error {
	for _, s := range steps {
		if !s.due {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		m.say1("%s", s.title)
		for _, l := range s.lines {
			if !m.c.JSON {
				_ = m.c.Script(now() + "    " + l) // who reads it may be gone; the work goes on
			}
		}
		began := time.Now()
		if err := dir.Step(s.name, func() error { return s.run(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		m.say1("  done in %s", since(began))
	}
	return nil
}

// say1 prints one line with the time of day; with -json there is one object, at the end.
func (m *migration) say1(format string, a ...any) {
	if !m.c.JSON {
		_ = m.c.Print(now() + fmt.Sprintf(format, a...)) // who reads it may be gone; the work goes on
	}
}

func now() string { return time.Now().Format("15:04:05.000  ") }

func since(began time.Time) string { return fmt.Sprintf("%.2f s", time.Since(began).Seconds()) }

// openCutover opens the run directory and what an earlier cutover wrote there.
func (m *migration) openCutover() (*cutover, error) {
	dir, err := run.Open(m.runDir)
	if err != nil {
		return nil, err
	}
	return &cutover{m: m, dir: dir, out: &verdict{Problems: []string{}, Flushed: []string{}, Advice: []string{}}}, nil
}

// prepare finds out all that the steps need: from the hosts, or of a cutover that was begun from what it saved.
func (c *cutover) prepare(ctx context.Context, resumed bool) (err error) {
	if !resumed {
		return c.preflight(ctx)
	}
	if err := c.dir.Load(fileRecord, &c.rec); err != nil {
		return err
	}
	if !slices.Equal(c.rec.Chosen, c.m.chosen()) {
		return &cli.Hinted{Err: errors.New("the cutover was begun with other flags"),
			Hint: "go on with " + hostcmd.Quote(append([]string{"fullmigrate", "cutover", "-from", c.m.src, "-to", c.m.to}, c.rec.Chosen...)...)}
	}
	if c.p, err = c.m.replan(ctx); err != nil {
		return err
	}
	return c.look(ctx)
}

// look finds what runs on both hosts at this moment.
func (c *cutover) look(ctx context.Context) error {
	var errs [2]error
	done := make(chan struct{})
	find := func(i int) {
		if h := c.m.hosts()[i]; h != nil {
			c.now[i], errs[i] = service.Find(ctx, h)
		}
	}
	go func() { defer close(done); find(0) }()
	find(1)
	<-done
	return errors.Join(errs[:]...)
}

// stuck says how to go on after a step that failed.
func (c *cutover) stuck(err error) error {
	var advice interface{ Advice() string }
	if errors.As(err, &advice) && advice.Advice() != "" {
		return err
	}
	hint := "neither host may serve now: run the same command again to go on, or let the old host serve again: " + c.m.typed().command("rollback")
	return &cli.Hinted{Err: err, Hint: hint}
}
