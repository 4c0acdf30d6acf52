package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox"
)

// moved is what leaves one mailbox, or has left it.
type moved struct {
	Path     string   `json:"path"`
	Messages int      `json:"messages"` // that leave
	Bytes    int64    `json:"bytes"`
	Kept     int      `json:"kept"`
	Oldest   string   `json:"oldest"` // of those that leave, RFC 3339; "" when there are none
	Newest   string   `json:"newest"`
	Held     held     `json:"held"`
	Archives []target `json:"archives"`
	Applied  bool     `json:"applied"`
	Error    string   `json:"error,omitempty"`
}

// held counts old messages that stay.
type held struct {
	Flagged    int `json:"flagged"`
	Unread     int `json:"unread"`
	Unnumbered int `json:"unnumbered"`
}

type target struct {
	Path     string `json:"path"`
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

type archiveReport struct {
	Mailboxes []*moved `json:"mailboxes"`
	Messages  int      `json:"messages"`
	Bytes     int64    `json:"bytes"`
	Applied   bool     `json:"applied"`
}

func archive(ctx context.Context, c *cli.Call) error {
	rule := &mbox.Archive{}
	older := c.Flags.String("older", "", "`AGE` such as 365d, 52w, 2y or 36h, or a date: what arrived before that leaves")
	c.Flags.StringVar(&rule.Into, "into", "", "`PATH` of the archive, a template")
	c.Flags.BoolVar(&rule.KeepFlagged, "keep-flagged", false, "flagged messages stay")
	c.Flags.BoolVar(&rule.KeepUnread, "keep-unread", false, "unread messages stay")
	c.Flags.StringVar(&rule.Journal, "journal", journalDir(), "private `DIR` for the journal; all runs should share one")
	c.Flags.DurationVar(&rule.Wait, "wait", 20*time.Second, "how long to try for the locks of a mailbox")
	useDoveadm := c.Flags.Bool("doveadm", false, "let doveadm move the messages")
	apply := c.Flags.Bool("apply", false, "move the messages; else only show which")
	if err := c.Parse(1, -1); err != nil {
		return err
	}
	if *older == "" || rule.Into == "" {
		return c.Misused("-older and -into are needed")
	}
	if _, err := mbox.ArchivePath(rule.Into, mbox.Owner{Name: "u", Home: "/"}, "f", time.Now()); err != nil {
		return c.Misused("-into: %v", err)
	}
	var err error
	if rule.Before, err = cutoff(*older, time.Now()); err != nil {
		return c.Misused("%v", err)
	}
	if rule.Wait == 0 {
		rule.Wait = -1
	}
	one := files(c, rule, *apply)
	if *useDoveadm {
		one = folders(rule, *apply)
	} else if err := settle(ctx, c, rule, *apply); err != nil && !errors.Is(err, cli.ErrFinding) {
		return err
	}
	return each(ctx, c, one, *apply)
}

// each goes through the mailboxes. One that cannot be worked on does not keep the others from it.
func each(ctx context.Context, c *cli.Call, one func(context.Context, string) (*moved, error), apply bool) error {
	r := &archiveReport{Mailboxes: []*moved{}, Applied: apply}
	var finding error
	var failed []error
	for _, path := range c.Flags.Args() {
		m, err := one(ctx, path)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m = &moved{Path: path, Archives: []target{}, Error: err.Error()}
			r.Applied = false
			if !settled(err) {
				failed = append(failed, err)
			} else {
				finding = cli.ErrFinding
				c.Warn("%v", err)
			}
		}
		r.Mailboxes = append(r.Mailboxes, m)
		r.Messages += m.Messages
		r.Bytes += m.Bytes
	}
	if err := c.Report(r, r); err != nil || len(failed) > 0 {
		return errors.Join(append(failed, err)...)
	}
	return finding
}

// settled tells errors that a person, or time, must settle from those that show that the run itself went wrong.
func settled(err error) bool {
	return errors.Is(err, mbox.ErrBusy) || errors.Is(err, mbox.ErrDrift) || errors.Is(err, mbox.ErrRefused)
}

// settle first puts right what an earlier run left undone; without -apply it only says that there is something.
func settle(ctx context.Context, c *cli.Call, rule *mbox.Archive, apply bool) (finding error) {
	if !apply {
		left, err := filepath.Glob(filepath.Join(rule.Journal, "job-*"))
		if len(left) > 0 {
			c.Warn("%s: an earlier run was cut short, or another is at work; -apply completes it", rule.Journal)
		}
		return err
	}
	recovered, err := rule.Recover(ctx)
	for _, r := range recovered {
		switch {
		case r.Err != nil && !settled(r.Err):
			return r.Err
		case r.Err != nil:
			c.Warn("%v", r.Err)
			finding = cli.ErrFinding
		case r.Path != "":
			c.Warn("%s: what an earlier run left undone has been put right", r.Path)
		}
	}
	return errors.Join(err, finding)
}

// files works on mbox files itself.
func files(c *cli.Call, rule *mbox.Archive, apply bool) func(context.Context, string) (*moved, error) {
	return func(ctx context.Context, path string) (*moved, error) {
		for try := 1; ; try++ {
			p, err := rule.Plan(ctx, path)
			if err != nil {
				return nil, err
			}
			m := show(p)
			if !apply {
				return m, nil
			}
			// A mail program may have written to the mailbox just now: then the plan is made again.
			got, err := p.Apply(ctx)
			if errors.Is(err, mbox.ErrDrift) && try < 3 {
				continue
			}
			if err != nil {
				return nil, err
			}
			if got.DotlockSkipped != nil {
				c.Warn("%s: no dotlock could be made: %v", path, got.DotlockSkipped)
			}
			m.Applied = true
			return m, nil
		}
	}
}

func show(p *mbox.ArchivePlan) *moved {
	m := &moved{
		Path: p.Path, Messages: p.Messages, Bytes: p.Bytes, Kept: p.Kept, Archives: []target{},
		Held: held{Flagged: p.Held.Flagged, Unread: p.Held.Unread, Unnumbered: p.Held.Unnumbered},
	}
	if p.Messages > 0 {
		m.Oldest, m.Newest = p.Oldest.Format(time.RFC3339), p.Newest.Format(time.RFC3339)
	}
	for _, t := range p.Targets {
		m.Archives = append(m.Archives, target{Path: t.Path, Messages: t.Messages, Bytes: t.Bytes})
	}
	return m
}

// journalDir is where root's runs find each other, and those of any other user.
func journalDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/mailmove/spool"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mailmove", "spool")
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "mailmove", "spool")
}

// String says what leaves each mailbox, and where it goes.
func (r *archiveReport) String() string {
	var b strings.Builder
	leave := "would leave"
	if r.Applied {
		leave = "left"
	}
	for _, m := range r.Mailboxes {
		if m.Error != "" {
			continue // said already
		}
		fmt.Fprintf(&b, "%s: %d messages, %s %s; %d stay", m.Path, m.Messages, size(m.Bytes), leave, m.Kept)
		if h := m.Held; h != (held{}) {
			fmt.Fprintf(&b, ", old ones among them: %d flagged, %d unread, %d without a UID", h.Flagged, h.Unread, h.Unnumbered)
		}
		b.WriteByte('\n')
		for _, t := range m.Archives {
			fmt.Fprintf(&b, "  %d messages, %s to %s\n", t.Messages, size(t.Bytes), t.Path)
		}
	}
	fmt.Fprintf(&b, "in all %d messages, %s %s", r.Messages, size(r.Bytes), leave)
	return b.String()
}
