package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mailmove/mailmove/internal/service"
)

// starts are the commands that let the new host serve: those for people who read mail, then the others, or of these roles alone.
func (c *cutover) starts(roles ...service.Role) []service.Command {
	switch {
	case c.rec.Next == nil:
		return nil
	case len(roles) == 0:
		return append(c.starts(service.Access), c.starts(transfer...)...)
	}
	return c.rec.Next.Of(roles...).StartCommands()
}

// start prepares a start: begin lets it begin, once, and ended waits until its commands have ended.
func (c *cutover) start(ctx context.Context, roles ...service.Role) (begin func(), ended func() error) {
	done := make(chan error, 1)
	begin = sync.OnceFunc(func() {
		go func() { done <- service.Start(ctx, c.m.new, c.starts(roles...)) }()
	})
	return begin, sync.OnceValue(func() error { return <-done })
}

// letServe takes over the address and starts the new host's daemons: those for people who read mail first, for the others would
// only slow them down. From here on mail may arrive there.
func (c *cutover) letServe(ctx context.Context) error {
	if c.m.new == nil {
		return c.moveAddress(ctx)
	}
	beginAccess, accessEnded := c.start(ctx, service.Access)
	beginTransfer, transferEnded := c.start(ctx, transfer...)
	beside := c.startsWithoutAddress()
	if beside {
		beginAccess()
	}
	if err := c.moveAddress(ctx); err != nil {
		if beside {
			err = errors.Join(err, accessEnded())
		}
		return err
	}
	beginAccess()
	go func() {
		if accessEnded() != nil { // nobody waits for its answer then
			beginTransfer()
		}
	}()
	silent, err := c.awaitAnswers(ctx, beginTransfer)
	if err != nil {
		return err
	}
	err = errors.Join(accessEnded(), transferEnded())
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

// startsWithoutAddress tells whether what starts first ran on the new host before the cutover: it then needs no address that is
// only coming.
func (c *cutover) startsWithoutAddress() bool {
	ran := c.rec.Ran[1]
	return ran != nil && slices.EqualFunc(ran.Of(service.Access).StartCommands(), c.starts(service.Access), func(a, b service.Command) bool { return a.Line == b.Line })
}

// headStart is for the first who log in: a server that has greeted has yet to start all that a login needs.
const headStart = 500 * time.Millisecond

// awaitAnswers notes in the journal when mail clients are served, and when all are; it gives the ports on which nobody
// answers. The commands that start the daemons may have more to do than that. begin starts those that others than mail clients
// wait for.
func (c *cutover) awaitAnswers(ctx context.Context, begin func()) (silent []int, err error) {
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
		if part.step == stepClients && len(silent) == 0 && len(clients) > 0 {
			time.AfterFunc(headStart, begin)
		} else {
			begin()
		}
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
