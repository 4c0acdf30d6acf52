package main

import (
	"fmt"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
)

// advise tells what is left to a person after a cutover: all that outlives the next boot of the old host.
func (c *cutover) advise() {
	for _, l := range c.bootLines() {
		c.out.Advice = append(c.out.Advice, "so that the old host's daemons stay stopped at its next boot: "+l)
	}
	if mv := c.rec.Move; mv != nil {
		for _, p := range mv.Plan.Addresses {
			c.out.Advice = append(c.out.Advice, fmt.Sprintf("take %s out of the old host's network files before that boot, or switch it off: two hosts must not have it", p.Addr()))
		}
	} else {
		c.out.Advice = append(c.out.Advice, "no address was moved: clients come when the name leads to the new host")
	}
	c.out.Advice = append(c.out.Advice, "keep the old host as it is until all is well, for the way back needs it: "+c.m.typed().command("rollback"))
}

// conclude tells the outcome.
func (c *cutover) conclude(what string) error {
	st := statusOf(c.dir)
	c.out.What, c.out.status = what, st
	if c.p != nil {
		c.out.Problems = append(c.out.Problems, c.p.left...)
	}
	if err := c.m.c.Report(c.out, c.out); err != nil {
		return err
	}
	if len(c.out.Problems) > 0 {
		return cli.ErrFinding
	}
	return nil
}

// verdict is what a cutover came to.
type verdict struct {
	What     string   `json:"what"`
	Problems []string `json:"problems"` // for a person to settle
	Flushed  []string `json:"flushed"`  // what the backup MX answered
	Advice   []string `json:"advice"`
	status
}

func (v *verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", v.What)
	if v.Downtime > 0 {
		fmt.Fprintf(&b, "downtime: %s, from before the first command that stopped them on the old host to the new one's answer\n", v.downtime())
	}
	for _, part := range []struct {
		word string
		list []string
	}{{"problem", v.Problems}, {"backup MX", v.Flushed}, {"to do", v.Advice}} {
		for _, l := range part.list {
			fmt.Fprintf(&b, "%s: %s\n", part.word, l)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
