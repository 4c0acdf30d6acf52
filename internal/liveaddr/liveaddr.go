// Package liveaddr moves addresses between running hosts with ip(8), of 2010 as of today, here or through ssh.
//
// The promise: only the addresses named are taken away. The kernel deletes the further addresses of a network with the
// first one unless it is told otherwise; they, and routes that go with them, stay or are put back, for the connection to the
// host may go through one. A script that was begun on the other host ends there, whatever becomes of the connection. Each
// function can be called again: what is already so is left alone.
package liveaddr

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// Addr is one address of an interface, as `ip -o address show` tells of it.
type Addr struct {
	Dev    string `json:"dev"`
	Prefix string `json:"prefix"` // with its length
	Words  string `json:"words"`  // broadcast address, scope and label, as ip address add takes them
	Second bool   `json:"second"` // to another address of its network
	Keep   string `json:"keep"`   // net.ipv4.conf.Dev.promote_secondaries: whether the others of its network stay when it goes
}

// Addr is the address without its length; the zero value when Prefix is none.
func (a Addr) Addr() netip.Addr {
	p, err := netip.ParsePrefix(a.Prefix)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// Host is what a host says of its network now.
type Host struct {
	Addrs  []Addr
	Routes []string   // as ip route shows them
	Here   netip.Addr // that the ssh connection to the host goes to; the zero value for this host
}

// Look asks a host for its addresses and routes.
func Look(ctx context.Context, h *hostcmd.Host) (*Host, error) {
	out, err := h.Shell(ctx, nil, lookScript)
	if err != nil {
		return nil, err
	}
	return parse(string(out))
}

func parse(out string) (*Host, error) {
	parts := strings.SplitN(out, "--\n", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("addresses: %q: want those of a host, its routes and its connection", out)
	}
	l := &Host{Addrs: []Addr{}, Routes: []string{}}
	for line := range strings.Lines(parts[0]) {
		if a, ok := parseAddr(line); ok {
			l.Addrs = append(l.Addrs, a)
		}
	}
	if routes := strings.TrimSpace(parts[1]); routes != "" {
		l.Routes = strings.Split(routes, "\n")
	}
	here, keeps, _ := strings.Cut(parts[2], "\n")
	l.Here, _ = netip.ParseAddr(here) // "" on this host
	for line := range strings.Lines(keeps) {
		dev, keep, _ := strings.Cut(strings.TrimSpace(line), " ")
		for i := range l.Addrs {
			if l.Addrs[i].Dev == dev {
				l.Addrs[i].Keep = keep
			}
		}
	}
	return l, nil
}

// parseAddr reads "2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global secondary eth0:0\       valid_lft ...".
func parseAddr(line string) (Addr, bool) {
	line, _, _ = strings.Cut(line, `\`)
	w := strings.Fields(line)
	if len(w) < 4 || w[2] != "inet" && w[2] != "inet6" {
		return Addr{}, false
	}
	if _, err := netip.ParsePrefix(w[3]); err != nil {
		return Addr{}, false
	}
	h := Addr{Dev: w[1], Prefix: w[3]}
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

// Release takes addresses from a host; stay are the others of the same interfaces.
func Release(ctx context.Context, h *hostcmd.Host, leave, stay []Addr, routes []string) error {
	args := []string{}
	for _, a := range leave {
		args = append(args, a.Dev, a.Prefix)
	}
	args = append(args, "--")
	for _, a := range stay {
		args = append(args, a.Dev, a.Prefix, a.Words)
	}
	_, err := h.Shell(ctx, lines(routes), releaseScript, args...)
	return err
}

// ReleaseLine is the command for one address.
func ReleaseLine(a Addr) string {
	return fmt.Sprintf("echo 1 >/proc/sys/net/ipv4/conf/%s/promote_secondaries; ip addr del %s dev %s", a.Dev, a.Prefix, a.Dev)
}

// GiveBack undoes Release, the order of the addresses included: a host speaks by the first. Its neighbours are told.
func GiveBack(ctx context.Context, h *hostcmd.Host, left, stay []Addr, routes []string) error {
	args := []string{}
	for _, a := range left {
		args = append(args, a.Dev, a.Prefix, a.Words, a.Keep)
	}
	args = append(args, "--")
	for _, a := range stay {
		if slices.ContainsFunc(left, func(l Addr) bool { return l.leads(a) }) {
			args = append(args, a.Dev, a.Prefix, a.Words)
		}
	}
	_, err := h.Shell(ctx, lines(routes), giveBackScript, args...)
	return err
}

// leads tells whether b is second to a.
func (a Addr) leads(b Addr) bool {
	p, err := netip.ParsePrefix(a.Prefix)
	return err == nil && !a.Second && b.Second && a.Dev == b.Dev && p.Contains(b.Addr())
}

// GiveBackLine is the command for one address.
func GiveBackLine(a Addr) string {
	return fmt.Sprintf("ip addr add %s dev %s %s; arping -U -c 2 -I %s %s", a.Prefix, a.Dev, a.Words, a.Dev, a.Addr())
}

// Take gives addresses to a host.
func Take(ctx context.Context, h *hostcmd.Host, dev string, prefixes []netip.Prefix) error {
	_, err := h.Shell(ctx, nil, takeScript, pairs(dev, prefixes)...)
	return err
}

// TakeLine is the command for one address.
func TakeLine(dev string, p netip.Prefix) string {
	if p.Addr().Is6() {
		return fmt.Sprintf("ip addr add %s dev %s nodad", p, dev)
	}
	return fmt.Sprintf("ip addr add %s brd + dev %s", p, dev)
}

// Drop undoes Take.
func Drop(ctx context.Context, h *hostcmd.Host, dev string, prefixes []netip.Prefix) error {
	_, err := h.Shell(ctx, nil, dropScript, pairs(dev, prefixes)...)
	return err
}

// DropLine is the command for one address.
func DropLine(dev string, p netip.Prefix) string { return fmt.Sprintf("ip addr del %s dev %s", p, dev) }

func pairs(dev string, prefixes []netip.Prefix) (args []string) {
	for _, p := range prefixes {
		args = append(args, dev, p.String())
	}
	return args
}

func lines(list []string) *strings.Reader { return strings.NewReader(strings.Join(list, "\n") + "\n") }
