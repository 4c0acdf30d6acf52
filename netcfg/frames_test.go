package netcfg

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var testMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x20}

func TestFrames(t *testing.T) {
	ip, ip6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	none, none6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	tests := []struct {
		name  string
		frame []byte
		want  claim
	}{
		{"probe", arpFrame(arpRequest, testMAC, none, make(net.HardwareAddr, 6), ip), claim{none, ip, testMAC}},
		{"announcement", arpFrame(arpReply, testMAC, ip, broadcastMAC, ip), claim{ip, ip, testMAC}},
		{"solicitation", ndFrame(neighborSolicit, testMAC, ip6.Next(), solicitedNode(ip6), ip6), claim{ip6.Next(), ip6, testMAC}},
		{"detection", ndFrame(neighborSolicit, testMAC, none6, solicitedNode(ip6), ip6), claim{none6, ip6, testMAC}},
		{"advertisement", ndFrame(neighborAdvert, testMAC, ip6, allNodes, ip6), claim{ip6, netip.Addr{}, testMAC}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := readFrame(tt.frame)
			require.True(t, ok)
			require.Equal(t, tt.want, got)
			for n := range tt.frame { // cut short, it is none, or one without its option
				if c, ok := readFrame(tt.frame[:n]); ok {
					require.Equal(t, testMAC, c.mac)
				}
			}
		})
	}
	require.Len(t, arpFrame(arpRequest, testMAC, ip, testMAC, ip), 42)
	require.Equal(t, "ff02::1:ff00:10", solicitedNode(ip6).String())
	require.Equal(t, "33:33:ff:00:00:10", net.HardwareAddr(tests[3].frame[:6]).String())

	routed := ndFrame(neighborAdvert, testMAC, ip6, allNodes, ip6)
	routed[ethernetHeader+7] = 254
	_, ok := readFrame(routed)
	require.False(t, ok, "what came through a router says nothing of this network")
}

func FuzzFrame(f *testing.F) {
	ip, ip6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	f.Add(arpFrame(arpReply, testMAC, ip, broadcastMAC, ip))
	f.Add(ndFrame(neighborAdvert, testMAC, ip6, allNodes, ip6))
	f.Add(ndFrame(neighborSolicit, testMAC, netip.IPv6Unspecified(), solicitedNode(ip6), ip6))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, ok := readFrame(frame); ok {
			require.Len(t, c.mac, 6)
			require.True(t, c.addr.IsValid())
		}
	})
}
