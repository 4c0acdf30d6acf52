package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/netcfg"
)

// wire is what is asked of the network instead of a host's files.
type wire struct {
	iface                    *string
	probe, control, announce string
	repeat                   bool
}

func newWire(f *flag.FlagSet, iface *string) *wire {
	w := &wire{iface: iface}
	f.StringVar(&w.probe, "probe", "", "tell whether an `address` is free, by the silence of a network that answers otherwise")
	f.StringVar(&w.control, "control", "", "`address` of a neighbour, such as the gateway, that must answer -probe")
	f.StringVar(&w.announce, "announce", "", "tell all neighbours at once that an `address` is here")
	f.BoolVar(&w.repeat, "repeat", false, "announce again after 2, 5, 30 and 60 seconds")
	return w
}

func (w *wire) run(ctx context.Context, c *cli.Call) error {
	switch {
	case w.probe != "" && w.announce != "":
		return c.Misused("-probe and -announce exclude each other")
	case *w.iface == "":
		return c.Misused("-probe and -announce need -iface")
	case w.probe != "" && w.control == "":
		return c.Misused("-probe needs -control, the address of a neighbour that is surely there, such as the gateway")
	case w.probe != "":
		return hinted(w.ask(ctx, c))
	}
	return hinted(w.tell(ctx, c))
}

func hinted(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &cli.Hinted{Err: err, Hint: "run it as root, or setcap cap_net_raw+ep on the program"}
	}
	return err
}

func (w *wire) ask(ctx context.Context, c *cli.Call) error {
	ip, err := netip.ParseAddr(w.probe)
	if err != nil {
		return c.Misused("-probe %s: want an address", w.probe)
	}
	control, err := netip.ParseAddr(w.control)
	if err != nil {
		return c.Misused("-control %s: want an address", w.control)
	}
	a, err := netcfg.Probe(ctx, *w.iface, ip, control)
	if err != nil {
		return err
	}
	text := map[netcfg.State]string{
		netcfg.Free:    fmt.Sprintf("%v is free: nobody answered for it, while %v did", ip, control),
		netcfg.Used:    fmt.Sprintf("%v is used by %s", ip, a.MAC),
		netcfg.Unknown: fmt.Sprintf("%v is unknown: nobody answered for it, but %v did not answer either", ip, control),
	}[a.State]
	if err := c.Report(a, words(text)); err != nil || a.State == netcfg.Free {
		return err
	}
	return cli.ErrFinding
}

// announced is the report of -announce.
type announced struct {
	IP    string `json:"ip"`
	Iface string `json:"iface"`
	Times int    `json:"times"`
}

func (a announced) String() string {
	return fmt.Sprintf("announced %s on %s, times: %d", a.IP, a.Iface, a.Times)
}

func (w *wire) tell(ctx context.Context, c *cli.Call) error {
	ip, err := netip.ParseAddr(w.announce)
	if err != nil {
		return c.Misused("-announce %s: want an address", w.announce)
	}
	if !here(*w.iface, ip) {
		c.Warn("%v is no address of %s yet: neighbours will send to it in vain", ip, *w.iface)
	}
	var delays []time.Duration
	if w.repeat {
		delays = netcfg.Schedule()
	}
	n, err := netcfg.Announce(ctx, *w.iface, ip, delays...)
	if err != nil {
		return err
	}
	a := announced{ip.String(), *w.iface, n}
	return c.Report(a, a)
}

func here(iface string, ip netip.Addr) bool {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return true // Announce says what is wrong
	}
	addrs, _ := i.Addrs()
	for _, a := range addrs {
		if strings.HasPrefix(a.String(), ip.String()+"/") {
			return true
		}
	}
	return false
}

type words string

func (w words) String() string { return string(w) }
