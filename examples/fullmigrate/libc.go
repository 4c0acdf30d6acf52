package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/passwd"
)

// askLibc asks as every daemon does: nsswitch.conf, caches and directories may have other answers than the files.
func (p *plan) askLibc(ctx context.Context, m *migration) error {
	host, err := passwd.ReadHost(m.to)
	if err != nil {
		return err
	}
	var users, groups []string
	for u := range p.accounts.Migrated() {
		users = append(users, u.To)
	}
	for _, g := range p.accounts.Groups {
		if g.Moves() {
			groups = append(groups, g.To)
		}
	}
	known, err := getent(ctx, m.new, "passwd", users)
	if err != nil {
		return err
	}
	for u := range p.accounts.Migrated() {
		want := []string{id(u.ToUID), id(u.ToGID), u.ToHome}
		switch f := known[u.To]; {
		case len(f) < 7:
			p.fails("%s: libc does not know the account (getent passwd): look at etc/nsswitch.conf, nscd, sssd", u.To)
		case f[2] != want[0] || f[3] != want[1] || u.ToHome != "" && f[5] != want[2]:
			p.fails("%s: libc gives uid %s, gid %s, home %s, want %s", u.To, f[2], f[3], f[5], strings.Join(want, ", "))
		}
	}
	if known, err = getent(ctx, m.new, "group", groups); err != nil {
		return err
	}
	for _, g := range p.accounts.Groups {
		if !g.Moves() {
			continue
		}
		f := known[g.To]
		if len(f) < 4 || f[2] != id(g.ToGID) {
			p.fails("%s: libc does not know the group with gid %d (getent group)", g.To, g.ToGID)
			continue
		}
		line, _ := host.Group.Lookup(g.To)
		for _, member := range line.Members {
			if !slices.Contains(strings.Split(f[3], ","), member) {
				p.fails("%s: libc does not know that %s is a member (getent group)", g.To, member)
			}
		}
	}
	p.Outcome.Live.Accounts, p.Outcome.Live.Groups = len(users), len(groups)
	return nil
}

func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// getent gives the fields of each name that is known.
func getent(ctx context.Context, h *hostcmd.Host, database string, names []string) (map[string][]string, error) {
	known := map[string][]string{}
	for some := range slices.Chunk(names, 500) {
		out, err := h.Run(ctx, nil, "getent", append([]string{database, "--"}, some...)...)
		if err != nil && exitCode(err) != 2 { // 2: some are not known
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimRight(line, "\n"), ":")
			known[f[0]] = f
		}
	}
	return known, nil
}

// exitCode is that of a program that ran; -1: it did not.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
