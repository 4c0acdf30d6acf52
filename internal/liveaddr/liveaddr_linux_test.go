package liveaddr

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
)

func TestParse(t *testing.T) {
	h, err := parse(`1: lo    inet 127.0.0.1/8 scope host lo
1: lo    inet6 ::1/128 scope host \       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.10/24 brd 192.0.2.255 scope global eth0
2: eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global secondary eth0:0\       valid_lft forever preferred_lft forever
3: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0
4: eth1.5    inet6 2001:db8::10/64 scope global \       valid_lft forever preferred_lft forever
--
default via 192.0.2.1 dev eth0 
192.0.2.0/24 dev eth0  proto kernel  scope link  src 192.0.2.10 
--
192.0.2.11
eth0 0
eth1.5 1
`)
	require.NoError(t, err)
	require.Equal(t, []Addr{
		{"lo", "127.0.0.1/8", "scope host", false, ""},
		{"lo", "::1/128", "scope host", false, ""},
		{"eth0", "192.0.2.10/24", "brd 192.0.2.255 scope global", false, "0"},
		{"eth0", "192.0.2.11/24", "brd 192.0.2.255 scope global label eth0:0", true, "0"},
		{"eth1.5", "2001:db8::10/64", "scope global", false, "1"},
	}, h.Addrs)
	require.Len(t, h.Routes, 2)
	require.Equal(t, netip.MustParseAddr("192.0.2.11"), h.Here)
	for _, text := range []string{"", "ip: not found\n", "--\n"} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
	require.False(t, Addr{Prefix: "x"}.Addr().IsValid())
}

// TestMoves: the first address of an interface goes, comes again, and nothing else changes, with the kernel's own idea of it.
func TestMoves(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%q: %s", args, out)
		return string(out)
	}
	run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far")
	run("ip", "link", "set", "far", "up")
	for _, a := range []string{"192.0.2.10/24", "192.0.2.11/24", "198.51.100.1/24", "2001:db8::10/64"} {
		if a == "2001:db8::10/64" {
			run("ip", "addr", "add", a, "dev", "eth0", "nodad")
			continue
		}
		run("ip", "addr", "add", a, "brd", "+", "dev", "eth0")
	}
	run("ip", "link", "set", "eth0", "up")
	run("ip", "route", "add", "default", "via", "192.0.2.1")
	promote := "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"
	require.NoError(t, os.WriteFile(promote, []byte("0"), 0))

	h := &hostcmd.Host{}
	look := func() *Host {
		t.Helper()
		l, err := Look(t.Context(), h)
		require.NoError(t, err)
		require.False(t, l.Here.IsValid())
		return l
	}
	before := look()
	var leave, stay []Addr
	for _, a := range before.Addrs {
		switch {
		case a.Prefix == "192.0.2.10/24", a.Prefix == "2001:db8::10/64":
			leave = append(leave, a)
		case a.Dev == "eth0":
			stay = append(stay, a)
		}
	}
	for range 2 { // the second time there is nothing to do
		require.NoError(t, Release(t.Context(), h, leave, stay, before.Routes))
		var left []string
		for _, a := range look().Addrs {
			if a.Dev == "eth0" && !a.Addr().IsLinkLocalUnicast() {
				left = append(left, a.Prefix)
			}
		}
		require.ElementsMatch(t, []string{"192.0.2.11/24", "198.51.100.1/24"}, left)
		require.Contains(t, run("ip", "route"), "default via 192.0.2.1 dev eth0")
	}
	for range 2 {
		require.NoError(t, GiveBack(t.Context(), h, leave, stay, before.Routes))
		after := look()
		require.ElementsMatch(t, before.Addrs, after.Addrs)
		require.Contains(t, run("ip", "-4", "-o", "addr", "show", "dev", "eth0", "primary"), "192.0.2.10/24")
		require.Contains(t, run("ip", "route"), "default via 192.0.2.1 dev eth0")
		require.Contains(t, run("ip", "route"), "src 192.0.2.10")
	}
	kept, err := os.ReadFile(promote)
	require.NoError(t, err)
	require.Equal(t, "0\n", string(kept))

	more := []netip.Prefix{netip.MustParsePrefix("192.0.2.20/24"), netip.MustParsePrefix("2001:db8::20/64")}
	for range 2 {
		require.NoError(t, Take(t.Context(), h, "eth0", more))
		require.Contains(t, run("ip", "-o", "addr"), " 192.0.2.20/24 brd 192.0.2.255 ")
		require.Contains(t, run("ip", "-o", "addr"), " 2001:db8::20/64 ")
		require.NotContains(t, run("ip", "-o", "addr", "show", "dev", "eth0", "to", "2001:db8::20"), "tentative")
	}
	for range 2 {
		require.NoError(t, Drop(t.Context(), h, "eth0", more))
		require.NotContains(t, run("ip", "-o", "addr"), "::20/")
	}
	require.Error(t, Take(t.Context(), h, "eth7", more))
}
