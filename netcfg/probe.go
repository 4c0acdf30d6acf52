package netcfg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// State is what a probe found out about an address.
type State string

// Free: nobody answered for the address, though a neighbour did answer for its own before and after. Used: somebody has
// it. Unknown: nobody answered at all, which proves nothing: the cable, the VLAN or the filter may be to blame.
const (
	Free    State = "free"
	Used    State = "used"
	Unknown State = "unknown"
)

// Answer is the result of a probe. MAC is that of the host that has the address, "" unless State is Used.
type Answer struct {
	State State  `json:"state"`
	MAC   string `json:"mac"`
}

// pace holds the times of a probe.
type pace struct {
	tries    int           // that the control gets before it counts as silent
	probes   int           // PROBE_NUM
	interval time.Duration // PROBE_MIN, also between the tries of the control
	last     time.Duration // ANNOUNCE_WAIT: how long the last probe may be answered
}

// the constants of RFC 5227, 1.1
var rfc5227 = pace{tries: 3, probes: 3, interval: time.Second, last: 2 * time.Second}

// Schedule says when to announce an address, counted from the first time: twice within two seconds (RFC 5227, 2.3), and
// again later for those who missed it or heard the old host after it.
func Schedule() []time.Duration {
	return []time.Duration{0, 2 * time.Second, 5 * time.Second, 30 * time.Second, 60 * time.Second}
}

// Probe asks the network behind an interface whether somebody has an address: three probes, a second apart (RFC 5227, 2.1.1;
// for IPv6 RFC 4862, 5.4), which change nobody's tables. control is the address of a neighbour that is surely there, such as
// the gateway: it has to answer before the probes and after them, otherwise the answer is Unknown. An address that this
// interface itself has is Used, by the interface's own MAC, unless another host has it too. Free takes some four seconds.
//
// It needs Linux (otherwise the error wraps errors.ErrUnsupported), an Ethernet interface that is up, and CAP_NET_RAW
// (otherwise it wraps os.ErrPermission).
func Probe(ctx context.Context, iface string, ip, control netip.Addr) (Answer, error) {
	return rfc5227.probe(ctx, iface, ip, control)
}

// Announce tells all neighbours that this interface has an address now: for IPv4 with an ARP request and a reply (RFC 5227,
// 2.3; some listen to one only), for IPv6 with an unsolicited neighbour advertisement (RFC 4861, 7.2.6). The delays say when,
// counted from the start and in ascending order; none means once, at once. It gives the number of times. Whether the interface
// has the address is not looked at: a wrong announcement cuts another host off. Conditions and errors are those of Probe.
func Announce(ctx context.Context, iface string, ip netip.Addr, delays ...time.Duration) (int, error) {
	l, err := openLink(iface, ip)
	if err != nil {
		return 0, err
	}
	defer l.close()
	if len(delays) == 0 {
		delays = []time.Duration{0}
	}
	start := time.Now()
	for n, d := range delays {
		if err := wait(ctx, time.Until(start.Add(d))); err != nil {
			return n, err
		}
		for _, frame := range l.announcement(ip) {
			if err := l.send(frame); err != nil {
				return n, err
			}
		}
	}
	return len(delays), nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// link is a raw socket on one interface. Only Linux has one.
type link struct {
	name  string
	mac   net.HardwareAddr
	addrs []netip.Prefix // of the interface
	file  *os.File
}

func (l *link) close() { _ = l.file.Close() } // nothing that was written is pending

func (l *link) send(frame []byte) error {
	_, err := l.file.Write(frame)
	return err
}

// openLink refuses what cannot be probed or announced, and opens a socket for the frames about ip.
func openLink(iface string, ip netip.Addr) (*link, error) {
	if !ip.IsValid() || ip.Is4In6() || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return nil, fmt.Errorf("address %q: want that of one host, without a zone", ip)
	}
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", iface, err)
	}
	if len(i.HardwareAddr) != 6 || i.Flags&net.FlagBroadcast == 0 {
		return nil, fmt.Errorf("interface %s is no Ethernet: %w", iface, errors.ErrUnsupported)
	}
	if i.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %s is down", iface)
	}
	l := &link{name: iface, mac: i.HardwareAddr}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", iface, err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			l.addrs = append(l.addrs, p)
		}
	}
	kind := uint16(etherARP)
	if ip.Is6() {
		kind = etherIPv6
	}
	l.file, err = rawSocket(i.Index, kind)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("interface %s: raw packets need root or CAP_NET_RAW: %w", iface, err)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", iface, err)
	}
	return l, nil
}

func (l *link) announcement(ip netip.Addr) [][]byte {
	if ip.Is6() {
		return [][]byte{ndFrame(neighborAdvert, l.mac, ip, allNodes, ip)}
	}
	return [][]byte{arpFrame(arpRequest, l.mac, ip, make(net.HardwareAddr, 6), ip), arpFrame(arpReply, l.mac, ip, broadcastMAC, ip)}
}

// question asks who has an address, in the name of from: the unspecified address for a probe.
func (l *link) question(from, ip netip.Addr) []byte {
	if ip.Is6() {
		return ndFrame(neighborSolicit, l.mac, from, solicitedNode(ip), ip)
	}
	return arpFrame(arpRequest, l.mac, from, make(net.HardwareAddr, 6), ip)
}

// speaker is the address in whose name the control is asked: one of its network; for want of one nobody's, which Linux and
// whoever follows RFC 5227 answer too.
func (l *link) speaker(control netip.Addr) netip.Addr {
	from := unspecified(control)
	for _, p := range l.addrs {
		a := p.Addr()
		if a.Is4() == control.Is4() && (p.Contains(control) || from.IsUnspecified() && a.IsLinkLocalUnicast() && a.Is6()) {
			from = a
		}
	}
	return from
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// listen waits for another host's claim of a kind, and gives that host's MAC.
func (l *link) listen(ctx context.Context, d time.Duration, wanted func(claim) bool) (net.HardwareAddr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.file.SetReadDeadline(time.Now().Add(d)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 2048)
	for {
		n, err := l.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", l.name, err)
		}
		if c, ok := readFrame(buf[:n]); ok && !slices.Equal(c.mac, l.mac) && wanted(c) {
			return c.mac, nil
		}
	}
}

// answers tells whether the control is there.
func (p pace) answers(ctx context.Context, l *link, control netip.Addr) (bool, error) {
	from := l.speaker(control)
	for range p.tries {
		if err := l.send(l.question(from, control)); err != nil {
			return false, err
		}
		if mac, err := l.listen(ctx, p.interval, func(c claim) bool { return c.addr == control }); mac != nil || err != nil {
			return mac != nil, err
		}
	}
	return false, nil
}

func (p pace) probe(ctx context.Context, iface string, ip, control netip.Addr) (Answer, error) {
	if !control.IsValid() || control.Is4() != ip.Is4() || control == ip {
		return Answer{}, fmt.Errorf("control %q: want another address of the family of %v", control, ip)
	}
	if ip.Is4In6() || control.Is4In6() || control.Zone() != "" {
		return Answer{}, fmt.Errorf("control %q: want an address without a zone", control)
	}
	l, err := openLink(iface, ip)
	if err != nil {
		return Answer{}, err
	}
	defer l.close()
	if holds(l.addrs, control) {
		return Answer{}, fmt.Errorf("control %v is an address of %s itself: want a neighbour", control, iface)
	}
	before, err := p.answers(ctx, l, control)
	if err != nil {
		return Answer{}, err
	}
	// also a host that asks at the same time whether it may have the address wants it
	taken := func(c claim) bool { return c.addr == ip || c.addr.IsUnspecified() && c.target == ip }
	for i := range p.probes {
		if err := l.send(l.question(unspecified(ip), ip)); err != nil {
			return Answer{}, err
		}
		d := p.interval
		if i == p.probes-1 {
			d = p.last
		}
		if mac, err := l.listen(ctx, d, taken); mac != nil || err != nil {
			return Answer{Used, mac.String()}, err
		}
	}
	if holds(l.addrs, ip) {
		return Answer{Used, l.mac.String()}, nil
	}
	if !before {
		return Answer{State: Unknown}, nil
	}
	after, err := p.answers(ctx, l, control)
	if err != nil || !after {
		return Answer{State: Unknown}, err
	}
	return Answer{State: Free}, nil
}
