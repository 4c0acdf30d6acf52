package mx

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Name servers and mail servers are reached over IPv6 as over IPv4.
func TestOverIPv6(t *testing.T) {
	pc, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on the loopback: ", err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	require.NoError(t, err)
	s := serve(t, "@ MX 10 mx1\n@ MX 20 mx2\nmx1 AAAA 2001:db8:1::1\nmx2 AAAA 2001:db8:2::1\nns AAAA 2001:db8:3::53")
	s.listen(t, pc, l)
	six := pc.LocalAddr().String()
	primary := greeting("220 mx1", "SIZE").start(t)
	backup := healthy().secured(certificate(t, "mx2.example.test")).start(t)
	r, err := Check(t.Context(), "example.test", &Options{
		Server: six, Authority: true, Rcpt: "alice@example.test", Random: func() string { return "0123456789abcdef" },
		Dial: dialTo(map[string]string{
			six: six, "192.0.2.53:53": s.addr, "[2001:db8:3::53]:53": six,
			"[2001:db8:1::1]:25": primary.addr, "[2001:db8:2::1]:25": backup.addr,
		}),
	})
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Equal(t, []netip.Addr{ip("2001:db8:2::1")}, r.MX[1].Addrs)
	require.Contains(t, backup.log(), "RCPT TO:<alice@example.test>")

	f, err := Flush(t.Context(), "2001:db8:2::1", "example.test", &FlushOptions{Dial: dialTo(map[string]string{"[2001:db8:2::1]:25": backup.addr})})
	require.NoError(t, err)
	require.Equal(t, 250, f.Code)
}
