// Command fullmigrate moves the people of a mail server: it merges their accounts into a new host, copies their homes and
// mail, compares what mail clients will see on both, and shows the take-over of the address. Each phase has a file of its
// own; all of them only put packages together.
package main

import (
	"context"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
)

const usage = `usage: fullmigrate [demo]
       fullmigrate [plan|sync|verify] -from OLD -to NEWROOT [-apply] [flags]

Without arguments: builds a small old and a new host in a temporary directory, moves one to the other and shows the result.
OLD is the old host: [user@]host:/ through ssh, or the root of its file tree. NEWROOT is the root of the new host's file
tree; / is this host. The old host's mail daemons must be stopped for the last pass. Without a verb the plan is shown, and with -apply carried out and verified. Exit code 1: a person must settle
something.

example: fullmigrate -from root@old:/ -to / -apply`

// migration is what the command line asked for.
type migration struct {
	c              *cli.Call
	src            string // the old host, as given: a directory, or [user@]host:/
	from, to       string // local roots; of a host behind ssh, from holds its small files only
	old, new       *hostcmd.Host
	mirror         string // temporary directory around from; "" when from is the old host itself
	host           oldHost
	runDir         string
	users, exclude []string
	iface          string
	apply          bool
}

func main() { cli.Main("fullmigrate", usage, start) }

func start(ctx context.Context, c *cli.Call) error {
	m := &migration{c: c}
	c.Flags.StringVar(&m.src, "from", "", "the old host: `[user@]host:/` through ssh, or the root of its files")
	c.Flags.StringVar(&m.to, "to", "", "`root` of the new host's files")
	c.Flags.StringVar(&m.runDir, "run", "", "`directory` that keeps plan, journal and state (default: below -to, var/lib/mailmove)")
	users := c.Flags.String("users", "", "only these users, `a,b`")
	exclude := c.Flags.String("exclude", "", "all but these users, `a,b`")
	c.Flags.StringVar(&m.iface, "iface", "", "plan the take-over of the address on this interface, such as `eth0`")
	c.Flags.BoolVar(&m.apply, "apply", false, "carry the plan out")
	c.Flags.Bool("yes", false, "ask no questions (this release asks none)")
	verb, err := c.Verb("demo", "plan", "sync", "verify")
	if err != nil {
		return err
	}
	m.users, m.exclude = list(*users), list(*exclude)
	if verb == "demo" || verb == "" && m.src == "" && m.to == "" && !m.apply {
		return m.demo(ctx)
	}
	if m.src == "" || m.to == "" {
		return c.Misused("-from and -to are needed")
	}
	defer m.leave()
	if err := m.reach(ctx); err != nil {
		return err
	}
	if err := m.place(); err != nil {
		return err
	}
	switch {
	case verb == "verify":
		return m.verifyOnly(ctx)
	case verb == "sync", verb == "" && m.apply:
		return m.migrate(ctx)
	case m.apply:
		return c.Misused("-apply goes with sync, or with no verb")
	}
	return m.showPlan(ctx)
}
