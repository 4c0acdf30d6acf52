package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/netcfg"
)

// move is the way of the addresses from the old host to the new one.
type move struct {
	Plan     *netcfg.Plan `json:"plan"`      // of the new host's files
	Old      []held       `json:"old"`       // that the old host has now and lets go
	Stay     []held       `json:"stay"`      // that it keeps on the same interfaces
	Routes   []string     `json:"routes"`    // of the old host, as ip route shows them
	Had      []string     `json:"had"`       // of those that move, what the new host has already
	LastCopy int          `json:"last_copy"` // the newest backup of the new host's files before ours
}

// held is one address as `ip -o address show` tells of it.
type held struct {
	Dev    string `json:"dev"`
	Prefix string `json:"prefix"` // with its length
	Words  string `json:"words"`  // broadcast address, scope and label, as ip address add takes them
	Second bool   `json:"second"` // to another address of its network
	Keep   string `json:"keep"`   // net.ipv4.conf.Dev.promote_secondaries: whether the others of its network stay when it goes
}

const ipPrelude = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; trap '' HUP
`

// lookScript prints the addresses, then "--", the routes, "--", the address that this connection goes to, and
// whether the addresses of each interface outlive the first of their network.
const lookScript = "# look at the addresses\n" + ipPrelude + `
ip -o address show || exit
echo --; ip route show; echo --
set -- $SSH_CONNECTION; echo "$3"
for x in /proc/sys/net/ipv4/conf/*/promote_secondaries; do
	d=${x#/proc/sys/net/ipv4/conf/}; { read -r v <"$x"; } 2>/dev/null && echo "${d%/*} $v"
done
exit 0
`

// live is what a host says of its network now.
type live struct {
	addrs  []held
	routes []string
	here   netip.Addr // that the connection to the host goes to; invalid on this host
}

func lookLive(ctx context.Context, h *hostcmd.Host) (*live, error) {
	out, err := h.Shell(ctx, nil, lookScript)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(string(out), "--\n", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("addresses: %q: want those of a host, its routes and its connection", out)
	}
	l := &live{}
	for line := range strings.Lines(parts[0]) {
		if a, ok := parseHeld(line); ok {
			l.addrs = append(l.addrs, a)
		}
	}
	l.routes = strings.Split(strings.TrimSpace(parts[1]), "\n")
	here, keeps, _ := strings.Cut(parts[2], "\n")
	l.here, _ = netip.ParseAddr(here) // "" on this host
	for line := range strings.Lines(keeps) {
		dev, keep, _ := strings.Cut(strings.TrimSpace(line), " ")
		for i := range l.addrs {
			if l.addrs[i].Dev == dev {
				l.addrs[i].Keep = keep
			}
		}
	}
	return l, nil
}

// parseHeld reads "2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global secondary eth0:0\       valid_lft ...".
func parseHeld(line string) (held, bool) {
	line, _, _ = strings.Cut(line, `\`)
	w := strings.Fields(line)
	if len(w) < 4 || w[2] != "inet" && w[2] != "inet6" {
		return held{}, false
	}
	if _, err := netip.ParsePrefix(w[3]); err != nil {
		return held{}, false
	}
	h := held{Dev: w[1], Prefix: w[3]}
	for i := 4; i < len(w); i++ {
		switch {
		case (w[i] == "brd" || w[i] == "scope") && i+1 < len(w):
			h.Words += " " + w[i] + " " + w[i+1]
			i++
		case w[i] == "secondary":
			h.Second = true
		case strings.HasPrefix(w[i], h.Dev+":"):
			h.Words += " label " + w[i]
		}
	}
	h.Words = strings.TrimSpace(h.Words)
	return h, true
}

func (h held) addr() netip.Addr {
	p, _ := netip.ParsePrefix(h.Prefix) // read by parseHeld
	return p.Addr()
}

// planMove finds out what moves. It refuses to move the address that the connection to the old host goes to: the old host
// could not be reached afterwards.
func (c *cutover) planMove(ctx context.Context) error {
	if c.m.iface == "" {
		return nil
	}
	mv := &move{Old: []held{}, Stay: []held{}, Routes: []string{}, Had: []string{}}
	var old *live
	opt := &netcfg.Options{Iface: c.m.iface, OldIface: c.m.oldIface}
	if c.m.old != nil {
		var err error
		if old, err = lookLive(ctx, c.m.old); err != nil {
			return err
		}
		mv.Routes = old.routes
		if old.here.IsValid() {
			opt.Stay = []netip.Addr{old.here}
		}
	}
	oldHost, err1 := netcfg.ReadHost(c.m.from)
	newHost, err2 := netcfg.ReadHost(c.m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	mv.Plan = netcfg.TakeOver(oldHost, newHost, opt)
	c.p.judgeAddress(c.m.iface, mv.Plan)
	for _, f := range mv.Plan.Blockers() {
		c.p.block(finding{Part: "address", Rule: f.Rule, Name: c.m.iface, Detail: f.Detail, Advice: f.Advice})
	}
	if old != nil {
		c.judgeMove(mv, old, netcfg.TakeOver(oldHost, newHost, &netcfg.Options{Iface: c.m.iface, OldIface: c.m.oldIface}))
	}
	if c.m.new != nil {
		now, err := lookLive(ctx, c.m.new)
		if err != nil {
			return err
		}
		for _, a := range now.addrs {
			if slices.ContainsFunc(mv.Plan.Addresses, func(p netip.Prefix) bool { return p.Addr() == a.addr() }) {
				mv.Had = append(mv.Had, a.addr().String())
			}
		}
	}
	c.rec.Move = mv
	var err error
	mv.LastCopy, err = lastCopy(c.m.to)
	return err
}

// judgeMove holds the plan against what the old host has now.
func (c *cutover) judgeMove(mv *move, old *live, whole *netcfg.Plan) {
	moves := func(a netip.Addr) bool {
		return slices.ContainsFunc(mv.Plan.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	}
	if len(whole.Addresses) > 0 && whole.Addresses[0].Addr() == old.here {
		c.p.block(finding{Part: "address", Rule: "ADMIN-ADDRESS", Name: old.here.String(), Detail: "the connection to the old host goes to the address that moves: the host could not be reached afterwards",
			Advice: "give the old host a further address, such as with `ip address add`, and name that one in -from"})
	}
	for _, a := range old.addrs {
		switch {
		case moves(a.addr()):
			mv.Old = append(mv.Old, a)
		default:
			mv.Stay = append(mv.Stay, a)
		}
	}
	for _, p := range mv.Plan.Addresses {
		if !slices.ContainsFunc(mv.Old, func(h held) bool { return h.addr() == p.Addr() }) {
			c.p.note(finding{Part: "address", Rule: "NOT-LIVE", Severity: "warn", Name: p.Addr().String(), Detail: "the old host's files name this address, but no interface of it has it now"})
		}
	}
	dev := map[string]bool{}
	for _, a := range mv.Old {
		dev[a.Dev] = true
	}
	mv.Stay = slices.DeleteFunc(mv.Stay, func(h held) bool { return !dev[h.Dev] })
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
