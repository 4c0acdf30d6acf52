// Command copymail copies a tree of homes or mail from one host's files to another's, and when called again copies only
// what changed.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

const usage = `usage: copymail -from SRC -to DIR [flags]

SRC is a directory, or [user@]host:/dir through ssh. Copies its contents into DIR with owners, modes, times, links, attributes and holes; mailboxes under their locks.
It writes at once; -n only shows what would be done. Exit code 1: something could not be copied, or differs (-verify).

example: copymail -from root@old:/home -to /home -map ids.json -state /var/lib/mailmove/home.db`

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveWord {
		os.Exit(hostcmd.Answer(tree.Serve))
	}
	debug.SetMemoryLimit(64 << 20) // what is garbage need not stay on a host that serves
	cli.Main("copymail", usage, run)
}

func run(ctx context.Context, c *cli.Call) error {
	from := c.Flags.String("from", "", "`directory` to copy, or [user@]host:/dir")
	plain := c.Flags.Bool("plain", false, "read another host by its find and tar, without putting this program there for the time")
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
	case *remove && *state == "":
		return c.Misused("-delete needs -state: only what an earlier pass wrote is removed")
	case *verify != "none" && *verify != "stat" && *verify != "hash":
		return c.Misused("-verify %q: want none, stat or hash", *verify)
	case *dry && *verify != "none":
		return c.Misused("-n copies nothing that -verify could compare")
	}
	opt, err := options(c, *state, *remove, *ids)
	if err != nil {
		return err
	}
	src, leave, err := open(ctx, c, *from, *plain)
	if err != nil {
		return err
	}
	defer leave()
	var report *tree.Report
	if *dry {
		report, err = tree.Diff(ctx, src, *to, opt, printer(c))
	} else {
		report, err = tree.Sync(ctx, src, *to, opt)
	}
	if err == nil && *verify != "none" {
		err = compare(ctx, src, *to, opt, tree.How(*verify), report)
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
