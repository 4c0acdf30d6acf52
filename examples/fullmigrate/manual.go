package main

import (
	"fmt"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// manual writes steps as a script that a person follows, or runs piece by piece.
func manual(steps []step) string {
	var b strings.Builder
	n := 0
	for _, s := range steps {
		if !s.due {
			continue
		}
		n++
		fmt.Fprintf(&b, "# %d. %s\n", n, s.title)
		for _, l := range s.lines {
			fmt.Fprintln(&b, l)
		}
		if len(s.lines) == 0 {
			fmt.Fprintln(&b, "# no command does this; fullmigrate without -manual does")
		}
		fmt.Fprintln(&b)
	}
	return strings.TrimRight(b.String(), "\n")
}

// manual is the cutover as commands. The passes are ordinary syncs: fullmigrate knows of no cutover then.
func (c *cutover) manual() []string {
	sync := c.m.typed().command("sync")
	watch := "lsof +D " + strings.Join(c.rec.Mail[0].Spools, " ") + "   # until nothing is listed"
	steps := []step{
		{title: "copy while the old host still serves", lines: []string{sync}, due: true},
		{title: "stop the mail daemons of the new host", lines: c.m.lines(1, c.stops(1)), due: c.m.new != nil},
		{title: "stop those of the old host, and wait until nobody writes to a mailbox", lines: append(c.m.lines(0, c.stops(0)), c.m.line(0, watch)), due: c.m.old != nil},
		{title: "copy what changed last; exit code 0 says that both sides are alike", lines: []string{sync}, due: true},
		{title: "move the address", lines: append(c.releaseLines(), c.takeLines()...), due: c.rec.Move != nil},
		{title: "start the mail daemons of the new host", lines: c.m.lines(1, c.starts()), due: c.m.new != nil},
		{title: "write the address into the new host's files", lines: c.takeipLines(), due: c.rec.Move != nil},
		{title: "ask the backup MX for the mail that it holds", lines: c.flushLines(), due: len(c.rec.Backups) > 0},
		{title: "keep the old host's daemons from coming back at its next boot", lines: c.bootLines(), due: c.rec.Ran[0] != nil},
	}
	return []string{manual(steps)}
}

func (c *cutover) takeipLines() []string {
	if c.rec.Move == nil {
		return nil
	}
	if c.m.remote() { // its files are here for the time of this run only
		var lines []string
		for _, f := range c.rec.Move.Plan.Files {
			lines = append(lines, "patch -p1 -d "+hostcmd.Quote(c.m.to)+" <<'END'", f.Diff+"END")
		}
		return lines
	}
	args := []string{"takeip", "-old", c.m.from, "-new", c.m.to, "-iface", c.m.iface}
	if c.m.oldIface != "" {
		args = append(args, "-old-iface", c.m.oldIface)
	}
	return []string{hostcmd.Quote(append(args, "-apply")...)}
}

// bootLines are advice: nothing of it is run.
func (c *cutover) bootLines() (out []string) {
	if c.rec.Ran[0] == nil {
		return nil
	}
	for _, l := range c.rec.Ran[0].BootAdvice() {
		out = append(out, c.m.line(0, l))
	}
	return out
}
