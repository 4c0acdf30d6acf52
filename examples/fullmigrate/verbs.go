package main

import (
	"context"
	"errors"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
)

// start does what the command line asks for.
func start(ctx context.Context, c *cli.Call) (err error) {
	c.Prose = true
	m := &migration{c: c}
	m.flags()
	verb, err := c.Word("demo", "plan", "sync", "verify", "cutover", "rollback", "status")
	if err != nil {
		return err
	}
	if h, ok := helps[verb]; ok {
		c.Help(h.usage, h.flags...)
	}
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	if verb == "demo" || verb == "" && m.src == "" && m.to == "" && !m.apply {
		return m.demo(ctx)
	}
	if verb == "status" {
		if m.reportFile != "" {
			return c.Misused("-report goes with what reads both hosts, such as verify")
		}
		return m.showStatus()
	}
	if m.src == "" || m.to == "" {
		return c.Misused("-from and -to are needed, as in %s -from root@old:/ -to /", strings.TrimSpace("fullmigrate "+verb))
	}
	defer m.leave()
	if err := m.reach(ctx); err != nil {
		return err
	}
	if err := errors.Join(m.place(), m.canHandOut()); err != nil {
		return err
	}
	defer func() { err = m.handOut(err) }()
	if verb != "" && verb != "plan" || m.apply { // a plan writes nothing, not even there
		if err := m.placeHelper(ctx); err != nil {
			return err
		}
	}
	if verb == "plan" || verb == "sync" || verb == "" {
		m.warnOthers()
	}
	switch {
	case verb == "cutover":
		return m.cutOver(ctx)
	case verb == "rollback":
		return m.rollBack(ctx)
	case verb == "verify":
		return m.verifyOnly(ctx)
	case verb == "sync", verb == "" && m.apply:
		return m.migrate(ctx)
	case m.apply:
		return c.Misused("-apply goes with sync, or with no verb")
	}
	return m.showPlan(ctx)
}
