// Command copymail copies a tree of homes or mail from one host's files to another's, and when called again copies only
// what changed.
package main

import (
	"context"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
)

const usage = `usage: copymail -from SRC -to DIR [flags]

Copies the contents of SRC into DIR with owners, modes, times, links, attributes and holes; mailboxes under their locks.
It writes at once; -n only shows what would be done. Exit code 1: something could not be copied, or differs (-verify).

example: copymail -from /mnt/old/home -to /home -map ids.json -state /var/lib/mailmove/home.db`

func main() { cli.Main("copymail", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	from := c.Flags.String("from", "", "`directory` to copy")
	to := c.Flags.String("to", "", "`directory` that receives its contents")
	ids := c.Flags.String("map", "", "`file` with the id maps that mergeaccounts wrote")
	state := c.Flags.String("state", "", "`file` that remembers what earlier passes saw and wrote")
	remove := c.Flags.Bool("delete", false, "remove what vanished from the source since an earlier pass (needs -state)")
	dry := c.Flags.Bool("n", false, "show what would be done")
	verify := c.Flags.String("verify", "none", "compare afterwards: none, stat or `hash`")
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	switch {
	case *from == "" || *to == "":
		return c.Misused("-from and -to are needed")
	case strings.Contains(*from, ":"):
		return c.Misused("-from %q: copying from another machine is not in this release", *from)
	case *remove && *state == "":
		return c.Misused("-delete needs -state: only what an earlier pass wrote is removed")
	case *verify != "none" && *verify != "stat" && *verify != "hash":
		return c.Misused("-verify %q: want none, stat or hash", *verify)
	case *dry && *verify != "none":
		return c.Misused("-n copies nothing that -verify could compare")
	}
	opt := tree.Options{State: *state, Delete: *remove}
	if show := c.Progress(); show != nil {
		opt.Progress = func(e tree.Event) { show(e) }
	}
	if *ids != "" {
		if err := readMap(*ids, &opt); err != nil {
			return err
		}
	}
	var report *tree.Report
	var err error
	if *dry {
		report, err = tree.Diff(ctx, tree.Dir(*from), *to, &opt, printer(c))
	} else {
		report, err = tree.Sync(ctx, tree.Dir(*from), *to, &opt)
	}
	if err == nil && *verify != "none" {
		err = compare(ctx, *from, *to, &opt, tree.How(*verify), report)
	}
	if err != nil {
		return err
	}
	if err := c.Report(report, report); err != nil {
		return err
	}
	if len(report.Problems) > 0 || report.Mismatched > 0 {
		return cli.ErrFinding
	}
	return nil
}
