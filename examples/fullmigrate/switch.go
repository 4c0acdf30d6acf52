package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mailmove/mailmove/internal/service"
)

// letServe takes over the address and starts the new host's daemons. From here on mail may arrive there.
func (c *cutover) letServe(ctx context.Context) error {
	if c.m.new == nil {
		return c.moveAddress(ctx)
	}
	started := make(chan error, 1)
	start := func() { started <- service.Start(ctx, c.m.new, c.starts()) }
	beside := c.startsWithoutAddress()
	if beside {
		go start()
	}
	if err := c.moveAddress(ctx); err != nil {
		if beside {
			err = errors.Join(err, <-started)
		}
		return err
	}
	if !beside {
		go start()
	}
	silent, err := c.awaitAnswers(ctx)
	if err != nil {
		return err
	}
	err = <-started
	if len(silent) > 0 { // a command that took long may have ended only now
		silent = answers(ctx, c.addresses(), silent)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && (len(silent) > 0 || len(c.rec.Ports) == 0):
		return err
	case err != nil:
		c.out.Problems = append(c.out.Problems, err.Error())
	}
	for _, port := range silent {
		c.out.Problems = append(c.out.Problems, fmt.Sprintf("nobody answers on port %d of the new host", port))
	}
	return nil
}

// startsWithoutAddress tells whether what starts ran on the new host before the cutover: it then needs no address that is
// only coming.
func (c *cutover) startsWithoutAddress() bool {
	ran := c.rec.Ran[1]
	return ran != nil && slices.EqualFunc(ran.StartCommands(), c.starts(), func(a, b service.Command) bool { return a.Line == b.Line })
}

// awaitAnswers notes in the journal when mail clients are served, and when all are; it gives the ports on which nobody
// answers. The commands that start the daemons may have more to do than that.
func (c *cutover) awaitAnswers(ctx context.Context) (silent []int, err error) {
	var clients, others []int
	for _, port := range c.rec.Ports {
		if takesMail(port) {
			others = append(others, port)
		} else {
			clients = append(clients, port)
		}
	}
	for _, part := range []struct {
		step  string
		ports []int
	}{{stepClients, clients}, {stepServes, others}} {
		silent = append(silent, answers(ctx, c.addresses(), part.ports)...)
		if len(silent) > 0 || len(c.rec.Ports) == 0 || ctx.Err() != nil {
			continue
		}
		if err := c.dir.Step(part.step, func() error { return nil }); err != nil {
			return silent, err
		}
	}
	slices.Sort(silent)
	return silent, nil
}

// takesMail tells the ports of mail transfer from those of mail clients that read.
func takesMail(port int) bool { return port == 25 || port == 465 || port == 587 }
