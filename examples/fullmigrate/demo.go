package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// demo moves one small host to another in a temporary directory. It needs neither root nor a network.
func (m *migration) demo(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "mailmove-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, host := range []string{"old", "new"} {
		if err := build(host, filepath.Join(dir, host)); err != nil {
			return err
		}
	}
	d := &migration{c: m.c, src: filepath.Join(dir, "old"), to: filepath.Join(dir, "new"), iface: "eth0", reportFile: m.reportFile}
	d.runDir = filepath.Join(d.to, "var/lib/mailmove/mail.example.org")
	if err := d.reach(ctx); err != nil {
		return err
	}
	if !m.c.JSON {
		fmt.Fprintln(m.c.Stdout, "A mail server of 2010 (Fedora 13, Dovecot 1.2) moves to one of today. The plan:")
	}
	p, err := d.plan(ctx, ids{})
	if err != nil {
		return err
	}
	if err := p.estimate(ctx, d); err != nil {
		return err
	}
	if err := d.say(p); err != nil {
		return err
	}
	if !m.c.JSON {
		fmt.Fprintln(m.c.Stdout, "\nThe move:")
	}
	if err := d.carryOut(ctx, p); err != nil {
		return err
	}
	receipt, err := p.address.Apply(ctx, d.to)
	if err != nil {
		return err
	}
	if !m.c.JSON {
		fmt.Fprintf(m.c.Stdout, "\nThe new host has the old one's address after the next restart of its network; the files before: %s\n", receipt.Backup)
	}
	return d.handOut(nil)
}
