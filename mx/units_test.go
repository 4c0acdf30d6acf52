package mx

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	_, err := systemServers(file)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for text, want := range map[string][]string{
		"nameserver 192.0.2.1\nnameserver 2001:db8::1 \n# nameserver 192.0.2.9\n": {"192.0.2.1:53", "[2001:db8::1]:53"},
		"nameserver fe80::1%eth0\n": {"[fe80::1%eth0]:53"},
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n": {"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"},
		"search example.test\n": nil,
		"":                      nil,
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		got, err := systemServers(file)
		require.Equal(t, want, got)
		require.Equal(t, want == nil, err != nil, text)
	}
}

func TestRandom(t *testing.T) {
	require.Regexp(t, "^[0-9a-f]{16}$", random())
	require.NotEqual(t, random(), random())
}

func TestAddressLiteral(t *testing.T) {
	require.Equal(t, "[192.0.2.1]", addressLiteral(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}))
	require.Equal(t, "[IPv6:2001:db8::1]", addressLiteral(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 9}))
	require.Equal(t, "[IPv6:fe80::1]", addressLiteral(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 9}))
	require.Equal(t, "localhost", addressLiteral(&net.UnixAddr{Name: "@"}))
}

func TestLiterals(t *testing.T) {
	for name, want := range map[string]string{
		"192.0.2.1.": "192.0.2.1", "[192.0.2.1].": "192.0.2.1", "2001:db8::1.": "2001:db8::1", "[ipv6:2001:db8::1].": "2001:db8::1",
		`[192\.0\.2\.1].`: "192.0.2.1", "192.0.2.": "", "1.2.3.4.5.": "", "fe80::1%eth0.": "", "mx.": "", "010.0.0.1.": "", "[].": "", ".": "", "": "",
	} {
		a, ok := literal(name)
		require.Equal(t, want != "", ok, name)
		if ok {
			require.Equal(t, want, a.String())
		}
	}
	_, rest, ok := relativeLiteral("192.0.2.1.example.test.")
	require.True(t, ok)
	require.Equal(t, "example.test.", rest)
	for _, name := range []string{"192.0.2.1.", "1.2.3.example.test.", "256.0.2.1.example.test.", "a.192.0.2.1.example.test."} {
		_, _, ok = relativeLiteral(name)
		require.False(t, ok, name)
	}
}

func TestReserved(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "", "8.8.8.8": "", "2001:db8::1": "", "10.0.0.1": "private", "172.31.0.1": "private", "172.32.0.1": "", "fd12::1": "private",
		"127.5.5.5": "loopback", "::1": "loopback", "0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"169.254.1.1": "link-local", "224.0.0.1": "multicast or broadcast", "255.255.255.255": "multicast or broadcast", "100.127.0.1": "private", "100.128.0.1": "",
	} {
		require.Equal(t, want, reserved(netip.MustParseAddr(text)), text)
	}
	require.Empty(t, reserved(netip.Addr{}))
}
