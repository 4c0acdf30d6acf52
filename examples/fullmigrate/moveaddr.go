package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mailmove/mailmove/internal/liveaddr"
	"github.com/mailmove/mailmove/netcfg"
)

// ours are the addresses that the new host has only through the cutover.
func (mv *move) ours() (out []netip.Prefix) {
	for _, p := range mv.Plan.Addresses {
		if !slices.Contains(mv.Had, p.Addr().String()) {
			out = append(out, p)
		}
	}
	return out
}

// releaseLines are the commands of release for a person.
func (c *cutover) releaseLines() (out []string) {
	if mv := c.rec.Move; mv != nil {
		for _, a := range mv.Old {
			out = append(out, c.m.line(0, liveaddr.ReleaseLine(a)))
		}
	}
	return out
}

// takeLines are those of moveAddress after that.
func (c *cutover) takeLines() (out []string) {
	mv := c.rec.Move
	if mv == nil || c.m.new == nil {
		return nil
	}
	for _, p := range mv.ours() {
		out = append(out, c.m.line(1, liveaddr.TakeLine(mv.Plan.Iface, p)))
	}
	for _, p := range mv.Plan.Addresses {
		out = append(out, fmt.Sprintf("takeip -announce %s -iface %s", p.Addr(), mv.Plan.Iface))
	}
	return out
}

// release begins to take the addresses from the old host, live, beside what else is to do while nobody is served there. The way
// back gives them again, however far this came.
func (c *cutover) release(ctx context.Context) {
	mv, done := c.rec.Move, make(chan error, 1)
	c.released = sync.OnceValue(func() error { return <-done })
	if mv == nil || c.m.old == nil || len(mv.Old) == 0 {
		done <- nil
		return
	}
	go func() { done <- liveaddr.Release(ctx, c.m.old, mv.Old, mv.Stay, mv.Routes) }()
}

// moveAddress gives the addresses to the new host, live, when the old one has let go of them.
func (c *cutover) moveAddress(ctx context.Context) error {
	if c.released == nil {
		c.release(ctx)
	}
	mv := c.rec.Move
	if err := c.released(); err != nil || mv == nil || c.m.new == nil {
		return err
	}
	if err := liveaddr.Take(ctx, c.m.new, mv.Plan.Iface, mv.ours()); err != nil {
		return err
	}
	for _, p := range mv.Plan.Addresses {
		if _, err := netcfg.Announce(ctx, mv.Plan.Iface, p.Addr()); err != nil {
			c.out.Problems = append(c.out.Problems, fmt.Sprintf("neighbours were not told that %s moved: %v", p.Addr(), err))
		}
	}
	return nil
}

func (c *cutover) backLines() (out []string) {
	mv := c.rec.Move
	if mv == nil {
		return nil
	}
	if c.m.new != nil {
		for _, p := range mv.ours() {
			out = append(out, c.m.line(1, liveaddr.DropLine(mv.Plan.Iface, p)))
		}
	}
	for _, a := range mv.Old {
		out = append(out, c.m.line(0, liveaddr.GiveBackLine(a)))
	}
	return out
}

// addressBack undoes moveAddress.
func (c *cutover) addressBack(ctx context.Context) error {
	mv := c.rec.Move
	if c.m.new != nil {
		if err := liveaddr.Drop(ctx, c.m.new, mv.Plan.Iface, mv.ours()); err != nil {
			return err
		}
	}
	if c.m.old == nil || len(mv.Old) == 0 {
		return nil
	}
	return liveaddr.GiveBack(ctx, c.m.old, mv.Old, mv.Stay, mv.Routes)
}

// filesBack puts back what netcfg replaced on the new host, the newest first. A copy that was never finished has no manifest,
// and nothing was written by it.
func (c *cutover) filesBack(ctx context.Context) error {
	last, err := lastCopy(c.m.to)
	if err != nil {
		return err
	}
	for n := last; n > c.rec.Move.LastCopy; n-- {
		if _, err := os.Lstat(filepath.Join(c.m.to, copyName(n), "manifest.json")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := netcfg.Revert(ctx, c.m.to, copyName(n)); errors.Is(err, netcfg.ErrDrift) {
			c.out.Problems = append(c.out.Problems, err.Error())
		} else if err != nil {
			return err
		}
	}
	return nil
}
