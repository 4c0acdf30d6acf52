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
	"strings"

	"github.com/mailmove/mailmove/netcfg"
)

// releaseScript: DEV PREFIX ... -- DEV PREFIX WORDS ... with the routes on stdin. The first are taken away; the others have to
// stay: a kernel that is not told otherwise deletes them with the first of their network, and the connection with them.
// Once begun it ends, whatever becomes of the connection.
const releaseScript = "# let go of the address\n" + ipPrelude + `
has() { ip -o addr show dev "$1" | grep -F " $2 " >/dev/null; }
while [ "$1" != -- ]; do
	{ echo 1 >"/proc/sys/net/ipv4/conf/$1/promote_secondaries"; } 2>/dev/null
	! has "$1" "$2" || ip addr del "$2" dev "$1" || exit
	shift 2
done
shift
while [ $# -gt 0 ]; do
	has "$1" "$2" || ip addr add "$2" dev "$1" $3
	shift 3
done
while read -r r; do ip route show | grep -Fx "$r" >/dev/null || ip route add $r; done 2>/dev/null
exit 0
`

// giveBackScript: DEV PREFIX WORDS KEEP ... -- DEV PREFIX WORDS ... with the routes on stdin. The first come back; the
// others, which were second to them, are taken away and put back at once, so that they are second again and the host speaks
// by the address that it spoke by.
const giveBackScript = "# have the address again\n" + ipPrelude + `
has() { ip -o addr show dev "$1" | grep -F " $2 " >/dev/null; }
came= keep=
while [ "$1" != -- ]; do
	has "$1" "$2" || { ip addr add "$2" dev "$1" $3 || exit; came="$came $1:$2"; }
	[ -z "$4" ] || keep="$keep $1:$4"
	shift 4
done
shift
while [ -n "$came" ] && [ $# -gt 0 ]; do
	ip addr del "$2" dev "$1" && ip addr add "$2" dev "$1" $3
	shift 3
done
while read -r r; do ip route show | grep -Fx "$r" >/dev/null || ip route add $r; done 2>/dev/null
for a in $came; do
	d=${a%%:*}; a=${a#*:}; a=${a%%/*}
	case $a in *:*) continue;; esac
	if command -v arping >/dev/null; then arping -U -c 2 -w 1 -I "$d" "$a"
	else # whoever is asked something by the address learns where it is
		g=$(ip route show | sed -n 's/^default via \([^ ]*\).*/\1/p;q')
		[ -z "$g" ] || { ip neigh flush to "$g"; ping -c 1 -w 1 -I "$a" "$g"; }
	fi
done >/dev/null 2>&1 </dev/null &
for a in $keep; do echo "${a##*:}" >"/proc/sys/net/ipv4/conf/${a%:*}/promote_secondaries"; done 2>/dev/null
exit 0
`

const takeScript = "# take the address\n" + ipPrelude + `
while [ $# -gt 0 ]; do
	if ! ip -o addr show | grep -F " ${2%/*}/" >/dev/null; then
		case $2 in
		*:*) ip addr add "$2" dev "$1" nodad || exit;;
		*) ip addr add "$2" brd + dev "$1" || exit;;
		esac
	fi
	shift 2
done
`

const dropScript = "# give the address away\n" + ipPrelude + `
while [ $# -gt 0 ]; do
	! ip -o addr show dev "$1" | grep -F " $2 " >/dev/null || ip addr del "$2" dev "$1" || exit
	shift 2
done
`

func (mv *move) routes() *strings.Reader {
	return strings.NewReader(strings.Join(mv.Routes, "\n") + "\n")
}

// ours are the addresses that the new host has only through the cutover, as DEV PREFIX.
func (mv *move) ours() (args []string) {
	for _, p := range mv.Plan.Addresses {
		if !slices.Contains(mv.Had, p.Addr().String()) {
			args = append(args, mv.Plan.Iface, p.String())
		}
	}
	return args
}

// moveLines are the commands of moveAddress for a person.
func (c *cutover) moveLines() (out []string) {
	mv := c.rec.Move
	if mv == nil {
		return nil
	}
	for _, h := range mv.Old {
		out = append(out, c.m.line(0, fmt.Sprintf("echo 1 >/proc/sys/net/ipv4/conf/%s/promote_secondaries; ip addr del %s dev %s", h.Dev, h.Prefix, h.Dev)))
	}
	if c.m.new == nil {
		return out
	}
	for i, args := 0, mv.ours(); i < len(args); i += 2 {
		out = append(out, c.m.line(1, fmt.Sprintf("ip addr add %s brd + dev %s", args[i+1], args[i])))
	}
	for _, p := range mv.Plan.Addresses {
		out = append(out, fmt.Sprintf("takeip -announce %s -iface %s", p.Addr(), mv.Plan.Iface))
	}
	return out
}

// moveAddress takes the addresses from the old host and gives them to the new one, live.
func (c *cutover) moveAddress(ctx context.Context) error {
	mv := c.rec.Move
	if mv == nil {
		return nil
	}
	if c.m.old != nil && len(mv.Old) > 0 {
		args := []string{}
		for _, h := range mv.Old {
			args = append(args, h.Dev, h.Prefix)
		}
		args = append(args, "--")
		for _, h := range mv.Stay {
			args = append(args, h.Dev, h.Prefix, h.Words)
		}
		if _, err := c.m.old.Shell(ctx, mv.routes(), releaseScript, args...); err != nil {
			return err
		}
	}
	if c.m.new == nil {
		return nil
	}
	if _, err := c.m.new.Shell(ctx, nil, takeScript, mv.ours()...); err != nil {
		return err
	}
	for _, p := range mv.Plan.Addresses {
		if _, err := netcfg.Announce(ctx, mv.Plan.Iface, p.Addr()); err != nil {
			c.out.Problems = append(c.out.Problems, fmt.Sprintf("neighbours were not told that %s moved: %v", p.Addr(), err))
		}
	}
	return nil
}

// addressBack undoes moveAddress.
func (c *cutover) addressBack(ctx context.Context) error {
	mv := c.rec.Move
	if c.m.new != nil {
		if _, err := c.m.new.Shell(ctx, nil, dropScript, mv.ours()...); err != nil {
			return err
		}
	}
	if c.m.old == nil || len(mv.Old) == 0 {
		return nil
	}
	args := []string{}
	first := map[string]netip.Prefix{}
	for _, h := range mv.Old {
		args = append(args, h.Dev, h.Prefix, h.Words, h.Keep)
		if !h.Second {
			first[h.Dev], _ = netip.ParsePrefix(h.Prefix) // read by parseHeld
		}
	}
	args = append(args, "--")
	for _, h := range mv.Stay {
		if p, ok := first[h.Dev]; ok && h.Second && p.Contains(h.addr()) {
			args = append(args, h.Dev, h.Prefix, h.Words)
		}
	}
	_, err := c.m.old.Shell(ctx, mv.routes(), giveBackScript, args...)
	return err
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
