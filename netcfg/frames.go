package netcfg

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// The frames of address resolution on Ethernet: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	arpRequest = 1
	arpReply   = 2

	icmpv6             = 58
	neighborSolicit    = 135
	neighborAdvert     = 136
	optionSourceLink   = 1
	optionTargetLink   = 2
	flagSolicited      = 0x40
	flagOverride       = 0x20
	ndHopLimit         = 255 // whatever came through a router has less
	ethernetHeader     = 14
	ipv6Header         = 40
	ndMessage          = 24
	linkOption         = 8
	shortestARPPayload = 28
)

var (
	broadcastMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes     = netip.MustParseAddr("ff02::1")
)

// claim is what a frame says of who has an address.
type claim struct {
	addr   netip.Addr       // that the sender has; 0.0.0.0 or :: while it only asks
	target netip.Addr       // that the sender asks for
	mac    net.HardwareAddr // of the sender
}

func ethernet(dst, src net.HardwareAddr, kind uint16, payload []byte) []byte {
	out := append(append(make([]byte, 0, ethernetHeader+len(payload)), dst...), src...)
	return append(binary.BigEndian.AppendUint16(out, kind), payload...)
}

// arpFrame makes a broadcast: sender has mac and from (0.0.0.0: a probe), and asks for, or tells of, target.
func arpFrame(op uint16, mac net.HardwareAddr, from netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4} // Ethernet, IPv4 and the length of their addresses
	p = binary.BigEndian.AppendUint16(p, op)
	p = append(append(p, mac...), from.AsSlice()...)
	p = append(append(p, targetMAC...), target.AsSlice()...)
	return ethernet(broadcastMAC, mac, etherARP, p)
}

// ndFrame makes a solicitation or advertisement for target. A source of :: bears no link-layer option (RFC 4861, 4.3).
func ndFrame(kind byte, mac net.HardwareAddr, from, to, target netip.Addr) []byte {
	m := []byte{kind, 0, 0, 0, 0, 0, 0, 0}
	option := byte(optionSourceLink)
	if kind == neighborAdvert {
		m[4], option = flagOverride, optionTargetLink
	}
	m = append(m, target.AsSlice()...)
	if !from.IsUnspecified() {
		m = append(append(m, option, 1), mac...)
	}
	binary.BigEndian.PutUint16(m[2:], icmpv6Sum(from, to, m))
	p := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(m)))
	p = append(p, icmpv6, ndHopLimit)
	p = append(append(append(p, from.AsSlice()...), to.AsSlice()...), m...)
	b := to.As16()
	dst := net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]} // RFC 2464, 7
	return ethernet(dst, mac, etherIPv6, p)
}

// solicitedNode is the multicast address on which the owner of an address listens (RFC 4291, 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// icmpv6Sum is the checksum of RFC 8200, 8.1, over a message whose own checksum is zero.
func icmpv6Sum(from, to netip.Addr, m []byte) uint16 {
	p := append(append([]byte{}, from.AsSlice()...), to.AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(len(m)))
	p = append(append(p, 0, 0, 0, icmpv6), m...)
	var sum uint32
	for i := 0; i+1 < len(p); i += 2 { // all that we send is of even length
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// readFrame gives what a frame from the network claims; false when it is not about address resolution or broken.
func readFrame(b []byte) (claim, bool) {
	if len(b) < ethernetHeader {
		return claim{}, false
	}
	payload := b[ethernetHeader:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherARP:
		return readARP(payload)
	case etherIPv6:
		return readND(net.HardwareAddr(b[6:12]), payload)
	}
	return claim{}, false
}

func readARP(p []byte) (c claim, ok bool) {
	if len(p) < shortestARPPayload || !bytes.Equal(p[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return c, false
	}
	if op := binary.BigEndian.Uint16(p[6:]); op != arpRequest && op != arpReply {
		return c, false
	}
	c.mac = bytes.Clone(p[8:14])
	c.addr, _ = netip.AddrFromSlice(p[14:18])
	c.target, _ = netip.AddrFromSlice(p[24:28])
	return c, true
}

func readND(sender net.HardwareAddr, p []byte) (c claim, ok bool) {
	if len(p) < ipv6Header+ndMessage || p[6] != icmpv6 || p[7] != ndHopLimit {
		return c, false
	}
	m := p[ipv6Header:]
	c.mac = bytes.Clone(sender)
	switch m[0] {
	case neighborSolicit:
		c.addr, _ = netip.AddrFromSlice(p[8:24])
		c.target, _ = netip.AddrFromSlice(m[8:24])
	case neighborAdvert:
		c.addr, _ = netip.AddrFromSlice(m[8:24])
		if len(m) >= ndMessage+linkOption && m[ndMessage] == optionTargetLink && m[ndMessage+1] == 1 {
			c.mac = bytes.Clone(m[ndMessage+2 : ndMessage+linkOption])
		}
	default:
		return c, false
	}
	return c, true
}
