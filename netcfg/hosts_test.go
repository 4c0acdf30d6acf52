package netcfg

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var hostsTexts = []string{
	"",
	"127.0.0.1   localhost localhost.localdomain localhost4\n::1         localhost ip6-localhost\n10.99.0.10  mail.example.test mail\n",
	"192.0.2.20\tmail.example.org\tmail # x\n",
	"192.0.2.20\tmail.example.org\tmail # x",
	"192.0.2.20 mail mail.example.org\r\n\t 192.0.2.3\tb\t\tc \r\n\r\n# end",
	"192.0.2.55 a.example#c\n192.0.2.56\nfe80::1%eth0 x\n2001:DB8::0:10 Six\n010.0.0.8 octal\ntext here\n::ffff:192.0.2.9 mapped\n",
	"\ufeff127.0.0.1 lost\n127.0.0.1 found\n",
	"192.0.2.1\va\fb\n192.0.2.2 dot.example.\n192.0.2.3 nul\x00 b\n",
	"127.0.1.1 new.example.org new\nff02::1 ip6-allnodes\n",
}

func TestHostsSetAddr(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"only the address changes", "192.0.2.20\tmail.example.org\tmail # x\n", "192.0.2.10\tmail.example.org\tmail # x\n"},
		{"no final newline", " 192.0.2.20  mail", " 192.0.2.10  mail"},
		{"CRLF", "192.0.2.20\tmail\r\n", "192.0.2.10\tmail\r\n"},
		{"an IPv6 address", "2001:DB8::0:20 mail\n", "192.0.2.10 mail\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := ParseHosts("etc/hosts", []byte(tt.src))
			require.NoError(t, h.SetAddr(1, netip.MustParseAddr("192.0.2.10")))
			require.Equal(t, tt.want, string(h.Bytes()))
		})
	}
	h := ParseHosts("etc/hosts", []byte("# c\n192.0.2.1 a\n"))
	require.ErrorContains(t, h.SetAddr(1, netip.MustParseAddr("192.0.2.2")), "etc/hosts:1: want a line with an address")
	require.ErrorContains(t, h.SetAddr(3, netip.MustParseAddr("192.0.2.2")), "etc/hosts:3:")
	require.ErrorContains(t, h.SetAddr(2, netip.MustParseAddr("fe80::1%lo")), "without a zone")
}

func TestHostsEntries(t *testing.T) {
	h := ParseHosts("etc/hosts", []byte(hostsTexts[5]))
	require.Equal(t, []Entry{
		{1, netip.MustParseAddr("192.0.2.55"), []string{"a.example"}},
		{4, netip.MustParseAddr("2001:db8::10"), []string{"Six"}},
		{7, netip.MustParseAddr("::ffff:192.0.2.9"), []string{"mapped"}},
	}, h.Entries())
	var lines []string
	for _, p := range h.Problems() {
		lines = append(lines, p.Error())
	}
	require.Equal(t, []string{
		"etc/hosts:2: an address without a name, the line is ignored",
		`etc/hosts:3: "fe80::1%eth0" has a zone, the line is ignored`,
		`etc/hosts:5: "010.0.0.8" is no address, the line is ignored`,
		`etc/hosts:6: "text" is no address, the line is ignored`,
	}, lines)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("2001:db8::10")}, h.Addrs("SIX"))
	require.Equal(t, []string{"Six"}, h.Names(netip.MustParseAddr("2001:db8::10")))
	require.Empty(t, h.Names(netip.MustParseAddr("192.0.2.56")))
}

func TestHostsCanonical(t *testing.T) {
	tests := []struct{ src, name, want string }{
		{"192.0.2.1 mail mail.example.org\n", "mail.example.org", "192.0.2.1 mail.example.org mail\n"},
		{"192.0.2.1\ta  bb\tccc # a\r\n", "CCC", "192.0.2.1\tccc  a\tbb # a\r\n"},
		{"192.0.2.1 a b", "a", "192.0.2.1 a b"},
	}
	for _, tt := range tests {
		h := ParseHosts("etc/hosts", []byte(tt.src))
		require.NoError(t, h.Canonical(1, tt.name))
		require.Equal(t, tt.want, string(h.Bytes()))
	}
	require.ErrorContains(t, ParseHosts("etc/hosts", []byte("192.0.2.1 a\n")).Canonical(1, "b"), `with the name "b"`)
}

func TestHostsAddAndRemove(t *testing.T) {
	h := ParseHosts("etc/hosts", []byte("127.0.0.1 localhost mail\r\n192.0.2.1 a\tb c # x\r\n192.0.2.2 d"))
	require.NoError(t, h.Add(netip.MustParseAddr("192.0.2.3"), "e.example", "e"))
	require.NoError(t, h.RemoveName(2, "b"))
	require.NoError(t, h.RemoveName(2, "A"))
	require.NoError(t, h.RemoveName(3, "d"))
	require.Equal(t, "127.0.0.1 localhost mail\r\n192.0.2.1 c # x\r\n192.0.2.3\te.example e\r\n", string(h.Bytes()))
	require.ErrorContains(t, h.RemoveName(1, "mail"), "stays as it is")
	require.ErrorContains(t, h.RemoveName(2, "zz"), `with the name "zz"`)
	require.Error(t, h.Add(netip.MustParseAddr("192.0.2.3"), "a b"))
	require.Error(t, h.Add(netip.MustParseAddr("192.0.2.3")))
	require.Error(t, h.Add(netip.Addr{}, "a"))
}

func rules(fs []Finding) []string {
	out := []string{}
	for _, f := range fs {
		out = append(out, string(f.Severity)+" "+f.Rule)
	}
	return out
}

func TestHostsCheck(t *testing.T) {
	tests := []struct {
		name, hostname, src string
		want                []string
	}{
		{"good", "mail.example.org", "192.0.2.10 mail.example.org mail\n", []string{}},
		{"short hostname", "mail", "192.0.2.10 mail.example.org mail\n", []string{}},
		{"alias first", "mail.example.org", "192.0.2.10 mail mail.example.org\n", []string{"warn CANON"}},
		{"on loopback", "mail.example.org", "127.0.0.1 localhost mail.example.org\n192.0.2.10 mail.example.org\n", []string{"fail NAME-LOOPBACK"}},
		{"on ::1", "mail.example.org", "192.0.2.10 mail.example.org\n::1 mail\n", []string{"fail NAME-LOOPBACK"}},
		{"Debian", "mail.example.org", "127.0.1.1 mail.example.org mail\n", []string{"warn NAME-127.0.1.1"}},
		{"stale", "mail.example.org", "192.0.2.99 mail.example.org\n192.0.2.10 mail.example.org\n", []string{"warn STALE-ADDRESS"}},
		{"missing", "mail.example.org", "127.0.0.1 localhost\n", []string{"warn NAME-MISSING"}},
		{"no hostname", "", "127.0.0.1 localhost\n", []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseHosts("etc/hosts", []byte(tt.src)).Check(tt.hostname, []netip.Addr{netip.MustParseAddr("192.0.2.10")})
			require.Equal(t, tt.want, rules(got))
		})
	}
}
