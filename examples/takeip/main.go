// Command takeip plans and writes what lets a new host take over the address of an old one: its interface file and its
// hosts file, and the commands that a person runs then. It also asks the network whether an address is free, and tells it
// where the address is now.
package main

import (
	"cmp"
	"context"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/netcfg"
)

const usage = `usage: takeip -old DIR -new DIR -iface NAME [flags]
       takeip -new DIR -restore BACKUP
       takeip -probe IP -iface NAME -control IP
       takeip -announce IP -iface NAME [-repeat]

DIR is the root of a host's file tree; / is this host. The plan is printed, and with -apply its files are written; no
network is restarted. Exit code 1: something stands against it, and nothing was written; or the address is not free.

example: takeip -old /mnt/old -new / -iface eth0 -apply`

func main() { cli.Main("takeip", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	opt := netcfg.Options{}
	oldRoot := c.Flags.String("old", "", "`root` of the old host's files")
	newRoot := c.Flags.String("new", "", "`root` of the new host's files")
	backend := c.Flags.String("backend", "auto", "`kind` of file to write: auto, ifcfg or keyfile")
	c.Flags.StringVar(&opt.Iface, "iface", "", "`interface` of the new host")
	c.Flags.StringVar(&opt.OldIface, "old-iface", "", "`interface` of the old host (default: the same)")
	c.Flags.BoolVar(&opt.KeepTemporary, "keep-temporary", false, "the new host keeps its present address beside")
	n := newWire(c.Flags, &opt.Iface)
	restore := c.Flags.String("restore", "", "put back the files of a `backup` that -apply made")
	apply := c.Flags.Bool("apply", false, "write the files")
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	if n.probe != "" || n.announce != "" {
		return n.run(ctx, c)
	}
	if *restore != "" {
		if *newRoot == "" {
			return c.Misused("-restore needs -new")
		}
		return putBack(ctx, c, *newRoot, *restore)
	}
	if *oldRoot == "" || *newRoot == "" || opt.Iface == "" {
		return c.Misused("-old, -new and -iface are needed")
	}
	switch opt.Backend = netcfg.Backend(*backend); opt.Backend {
	case "auto":
		opt.Backend = netcfg.Auto
	case netcfg.BackendIfcfg, netcfg.BackendKeyfile:
	default:
		return c.Misused("-backend %s: want auto, ifcfg or keyfile", *backend)
	}
	oldHost, err1 := netcfg.ReadHost(*oldRoot)
	newHost, err2 := netcfg.ReadHost(*newRoot)
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	r := report{Plan: netcfg.TakeOver(oldHost, newHost, &opt)}
	blocked := len(r.Blockers()) > 0
	if *apply && !blocked {
		receipt, err := r.Apply(ctx, *newRoot)
		if err != nil {
			return err
		}
		r.Backup = receipt.Backup
	}
	if err := c.Report(r, r); err != nil {
		return err
	}
	if blocked {
		return cli.ErrFinding
	}
	return nil
}
