package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mailmove/mailmove/mx"
	"github.com/mailmove/mailmove/netcfg"
)

// writeFiles makes the address survive the next boot of the new host.
func (c *cutover) writeFiles(ctx context.Context) error {
	receipt, err := c.rec.Move.Plan.Apply(ctx, c.m.to)
	switch {
	case errors.Is(err, netcfg.ErrDrift):
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("the new host's network files were left alone, and the next boot loses the address: %v", err))
		return nil
	case err == nil && receipt.Backup != "":
		c.m.say1("  the files before: %s", receipt.Backup)
	}
	return err
}

func (c *cutover) fileLines() []string {
	if c.rec.Move == nil || len(c.rec.Move.Plan.Files) == 0 {
		return nil
	}
	var out []string
	for _, f := range c.rec.Move.Plan.Files {
		out = append(out, "# writes /"+f.Path)
	}
	return out
}

func (c *cutover) flushLines() (out []string) {
	for _, b := range c.rec.Backups {
		out = append(out, "mxcheck -flush -domain "+c.rec.Domain+" -backup "+b)
	}
	return out
}

// announceAgain is when neighbours are told once more. Tests have no time for it.
var announceAgain = netcfg.Schedule()[1:3]

// flush asks for the mail that waited, and tells the neighbours again where the address is. What it cannot do is told: the
// new host serves in any case.
func (c *cutover) flush(ctx context.Context) error {
	var wg sync.WaitGroup
	if mv := c.rec.Move; mv != nil && c.m.new != nil {
		for _, a := range mv.Plan.Addresses {
			wg.Go(func() { _, _ = netcfg.Announce(ctx, mv.Plan.Iface, a.Addr(), announceAgain...) }) // the first time it was told, or why not
		}
	}
	for _, b := range c.rec.Backups {
		r, err := mx.Flush(ctx, b, c.rec.Domain, &mx.FlushOptions{SMTPWait: 15 * time.Second})
		if err != nil {
			wg.Wait()
			return err
		}
		c.out.Flushed = append(c.out.Flushed, fmt.Sprintf("%s: %s: %s", b, r.Status, r.Detail))
		if r.Status == mx.Fail || r.Status == mx.Unknown {
			c.out.Problems = append(c.out.Problems, "the backup MX "+b+" was not asked with success; it delivers by its own schedule")
		}
	}
	if n := queued(ctx, c.m.old); n > 0 {
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("%d recipients wait in the queue of the old host: %s", n, queueAdvice))
	}
	wg.Wait()
	return ctx.Err()
}
