package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/mailmove/mailmove/internal/liveaddr"
	"github.com/mailmove/mailmove/netcfg"
)

// move is the way of the addresses from the old host to the new one.
type move struct {
	Plan     *netcfg.Plan    `json:"plan"`      // of the new host's files
	Old      []liveaddr.Addr `json:"old"`       // that the old host has now and lets go
	Stay     []liveaddr.Addr `json:"stay"`      // that it keeps on the same interfaces
	Routes   []string        `json:"routes"`    // of the old host, as ip route shows them
	Had      []string        `json:"had"`       // of those that move, what the new host has already
	LastCopy int             `json:"last_copy"` // the newest backup of the new host's files before ours
}

// planMove finds out what moves. It refuses to move the address that the connection to the old host goes to: the old host
// could not be reached afterwards.
func (c *cutover) planMove(ctx context.Context) error {
	if c.m.iface == "" {
		return nil
	}
	mv := &move{Old: []liveaddr.Addr{}, Stay: []liveaddr.Addr{}, Routes: []string{}, Had: []string{}}
	var old *liveaddr.Host
	opt := &netcfg.Options{Iface: c.m.iface, OldIface: c.m.oldIface}
	if c.m.old != nil {
		var err error
		if old, err = liveaddr.Look(ctx, c.m.old); err != nil {
			return err
		}
		mv.Routes = old.Routes
		if old.Here.IsValid() {
			opt.Stay = []netip.Addr{old.Here}
		}
	}
	oldHost, err1 := netcfg.ReadHost(c.m.from)
	newHost, err2 := netcfg.ReadHost(c.m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	mv.Plan = netcfg.TakeOver(oldHost, newHost, opt)
	c.m.bySelf(mv.Plan)
	c.p.judgeAddress(c.m.iface, mv.Plan)
	for _, f := range mv.Plan.Blockers() {
		c.p.block(finding{Part: "address", Rule: f.Rule, Name: c.m.iface, Detail: f.Detail, Advice: f.Advice})
	}
	if old != nil {
		c.judgeMove(mv, old, netcfg.TakeOver(oldHost, newHost, &netcfg.Options{Iface: c.m.iface, OldIface: c.m.oldIface}))
	}
	if c.m.new != nil {
		now, err := liveaddr.Look(ctx, c.m.new)
		if err != nil {
			return err
		}
		for _, a := range now.Addrs {
			if slices.ContainsFunc(mv.Plan.Addresses, func(p netip.Prefix) bool { return p.Addr() == a.Addr() }) {
				mv.Had = append(mv.Had, a.Addr().String())
			}
		}
	}
	c.rec.Move = mv
	var err error
	mv.LastCopy, err = lastCopy(c.m.to)
	return err
}

// bySelf leaves out of a plan what a cutover does by itself: it takes the address live, and tells the neighbours.
func (m *migration) bySelf(address *netcfg.Plan) {
	if m.new == nil {
		return
	}
	address.Commands = []string{}
	address.Findings = slices.DeleteFunc(address.Findings, func(f netcfg.Finding) bool { return f.Rule == "PROBE" || f.Rule == "ANNOUNCE" })
}

// judgeMove holds the plan against what the old host has now.
func (c *cutover) judgeMove(mv *move, old *liveaddr.Host, whole *netcfg.Plan) {
	moves := func(a netip.Addr) bool {
		return slices.ContainsFunc(mv.Plan.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	}
	if f, ok := c.m.wrongWay(whole, old.Here); ok {
		c.p.judgeAddress(c.m.iface, whole)
		c.p.block(finding{Part: "address", Rule: f.Rule, Name: old.Here.String(), Detail: f.Detail, Advice: f.Advice})
	}
	for _, a := range old.Addrs {
		switch {
		case moves(a.Addr()):
			mv.Old = append(mv.Old, a)
		default:
			mv.Stay = append(mv.Stay, a)
		}
	}
	for _, p := range mv.Plan.Addresses {
		if !slices.ContainsFunc(mv.Old, func(h liveaddr.Addr) bool { return h.Addr() == p.Addr() }) {
			c.p.note(finding{Part: "address", Rule: "NOT-LIVE", Severity: "warn", Name: p.Addr().String(), Detail: "the old host's files name this address, but no interface of it has it now"})
		}
	}
	dev := map[string]bool{}
	for _, a := range mv.Old {
		dev[a.Dev] = true
	}
	mv.Stay = slices.DeleteFunc(mv.Stay, func(h liveaddr.Addr) bool { return !dev[h.Dev] })
}

// lastCopy is the number of the newest backup that netcfg made below root, 0 for none.
func lastCopy(root string) (last int, err error) {
	entries, err := os.ReadDir(filepath.Join(root, copies))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			last = max(last, n)
		}
	}
	return last, err
}

// copies is where netcfg keeps what its plans replace.
const copies = "var/lib/mailmove/netcfg"

func copyName(n int) string { return path.Join(copies, strconv.Itoa(n)) }
