package main

import (
	"context"
	"errors"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/service"
)

// transfer are the roles of those that bring mail. They stop before the others: senders keep what they have for a while, and
// whoever reads mail need not wait for these daemons to end.
var transfer = []service.Role{service.MTA, service.Feeder}

// stops are the commands that stop what runs now on a host, of these roles alone where some are given.
func (c *cutover) stops(side int, roles ...service.Role) []service.Command {
	s := c.now[side]
	if s != nil && len(roles) > 0 {
		s = s.Of(roles...)
	}
	if s == nil {
		return nil
	}
	return s.StopCommands()
}

// stopNew returns when the daemons are gone and nobody writes to a mailbox: what is started later finds nothing of them.
func (c *cutover) stopNew(ctx context.Context) error {
	if c.now[1] == nil {
		return nil
	}
	return c.busy(1, service.Stop(ctx, c.m.new, c.now[1], c.stops(1), c.rec.Mail[1], patience))
}

// stopTransfer lets no more mail in, and brings to the old host meanwhile what stops the others.
func (c *cutover) stopTransfer(ctx context.Context) error {
	if c.now[0] == nil {
		return nil
	}
	c.hold(ctx)
	return c.busy(0, service.End(ctx, c.m.old, c.now[0].Of(transfer...), c.stops(0, transfer...), patience))
}

// hold prepares to stop those that people read their mail through. All are waited for.
func (c *cutover) hold(ctx context.Context) {
	c.held = service.Silence(ctx, c.m.old, c.now[0], c.stops(0, service.Access), c.rec.Mail[0], patience)
}

// drop gives up what was prepared and not used.
func (c *cutover) drop() {
	if c.held != nil {
		c.held.Drop()
	}
}

// stopOld returns as soon as nobody can write to a mailbox.
func (c *cutover) stopOld(ctx context.Context) error {
	c.watchAccounts(ctx)
	if c.now[0] == nil {
		return nil
	}
	if c.held == nil {
		c.hold(ctx)
	}
	held := c.held
	c.held = nil
	return c.busy(0, held.Go())
}

// busy says what to do with programs that do not end.
func (c *cutover) busy(side int, err error) error {
	var busy *service.BusyError
	if errors.As(err, &busy) {
		return &cli.Hinted{Err: err, Hint: "end these programs on the " + sides[side] + " host and run the same command again, or go back: " + c.m.typed().command("rollback")}
	}
	return err
}
