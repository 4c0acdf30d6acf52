package mx

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ip = netip.MustParseAddr

// good is an MX set without a fault; its lines are varied below.
const good = `
@ MX 10 mx1
@ MX 20 mx2
mx1 A 192.0.2.1
mx2 A 198.51.100.2
`

type ruleCase struct {
	name    string
	records string
	opt     Options
	want    string // "RULE severity" of all findings, comma-separated
	status  Status
}

var ruleCases = []ruleCase{
	{"primary and backup", good, Options{}, "", OK},
	{"the same with both named", good, Options{Backup: "MX2.example.test.", Old: ip("192.0.2.1"), New: ip("192.0.2.99")}, "", OK},
	{"IPv6 only", "@ MX 10 mx1\n@ MX 20 mx2\nmx1 AAAA 2001:db8:1::1\nmx2 AAAA 2001:db8:2::1", Options{}, "", OK},
	{"three exchangers", good + "@ MX 30 mx3\nmx3 A 203.0.113.3", Options{}, "", OK},
	{"case of names", "@ MX 10 MX1\n@ MX 20 mX2\nmx1 A 192.0.2.1\nMx2 A 198.51.100.2", Options{}, "", OK},
	{"deliberately in a closed network", strings.NewReplacer("192.0.2.1", "10.1.0.1", "198.51.100", "10.2.0").Replace(good),
		Options{Old: ip("10.1.0.1")}, "MX13 info,MX13 info", OK},

	{"no MX, an address", "@ A 192.0.2.1", Options{}, "MX03 fail", Fail},
	{"no MX, IPv6 address", "@ AAAA 2001:db8::1", Options{}, "MX03 fail", Fail},
	{"no MX, no address", "", Options{}, "MX03 fail", Fail},
	{"planned backup alone ends the implicit MX", "@ A 192.0.2.1\nmx2 A 198.51.100.2",
		Options{Backup: "mx2.example.test", Planned: []Host{{Host: "mx2.example.test", Pref: 20}}}, "MX04 fail,MX06 fail,MX09 fail", Fail},
	{"planned with the domain itself", "@ A 192.0.2.1\nmx2 A 198.51.100.2",
		Options{Backup: "mx2.example.test", Planned: []Host{{Host: "example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}}, "", OK},
	{"planned with another name of the same address", "@ A 192.0.2.1\nmx1 A 192.0.2.1\nmx2 A 198.51.100.2",
		Options{Planned: []Host{{Host: "mx1.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}}, "", OK},
	{"the backup is the only MX and the domain has an address", "@ A 192.0.2.1\n@ MX 20 mx2\nmx2 A 198.51.100.2",
		Options{Backup: "mx2.example.test"}, "MX04 fail,MX06 fail,MX09 fail", Fail},

	{"null MX", "@ MX 0 .", Options{}, "MX05 fail", Fail},
	{"null MX with a preference", "@ MX 10 .", Options{}, "MX05 fail", Fail},
	{"null MX among others", good + "@ MX 0 .", Options{}, "MX05 fail", Fail},

	{"one exchanger", "@ MX 10 mx1\nmx1 A 192.0.2.1", Options{}, "MX06 fail", Fail},
	{"one exchanger twice", "@ MX 10 mx1\n@ MX 20 MX1\nmx1 A 192.0.2.1", Options{}, "MX06 fail,MX20 warn", Fail},
	{"the named backup is not published", good + "mx3 A 203.0.113.3", Options{Backup: "mx3.example.test"}, "MX06 fail", Fail},
	{"nor does it exist", good, Options{Backup: "mx3.example.test"}, "MX06 fail,MX10 fail", Fail},

	{"equal preference", strings.Replace(good, "20", "10", 1), Options{}, "MX07 fail", Fail},
	{"equal, backup named", strings.Replace(good, "20", "10", 1), Options{Backup: "mx1.example.test"}, "MX07 fail", Fail},
	{"equal in front of a real backup", good + "@ MX 10 mx3\nmx3 A 203.0.113.3", Options{}, "MX07 warn", Warn},
	{"backup before the primary", good, Options{Backup: "mx1.example.test"}, "MX08 fail", Fail},
	{"old host behind all others", good, Options{Old: ip("198.51.100.2")}, "MX08 fail", Fail},
	{"a filter before the old host, a backup behind", good + "@ MX 5 mx3\nmx3 A 203.0.113.3", Options{Old: ip("192.0.2.1")}, "MX08 warn", Warn},

	{"the old host is in no MX", good, Options{Old: ip("203.0.113.77")}, "MX09 warn", Warn},
	{"primary removed", good + "mx3 A 203.0.113.3",
		Options{Planned: []Host{{Host: "mx3.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}, Backup: "mx2.example.test"}, "MX09 fail", Fail},
	{"primary renamed, same machine", good + "mail A 192.0.2.1",
		Options{Planned: []Host{{Host: "mail.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}, Backup: "mx2.example.test"}, "", OK},
	{"primary renamed to the new host", good + "mail A 203.0.113.50",
		Options{New: ip("203.0.113.50"), Planned: []Host{{Host: "mail.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}}, "", OK},
	{"planned equal preference", good,
		Options{Planned: []Host{{Host: "mx1.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 10}}, Backup: "mx2.example.test"}, "MX07 fail", Fail},
	{"planned null among others", good,
		Options{Planned: []Host{{Host: ".", Pref: 0}, {Host: "mx2.example.test", Pref: 10}}}, "MX05 fail,MX06 fail,MX09 fail", Fail},
	{"planned nothing", good, Options{Planned: []Host{}}, "", OK},

	{"exchanger does not exist", strings.Replace(good, "mx2 A 198.51.100.2", "", 1), Options{}, "MX10 fail", Fail},
	{"exchanger without an address", strings.Replace(good, "mx2 A 198.51.100.2", "mx2 TXT x", 1), Options{}, "MX10 fail", Fail},
	{"exchanger is a CNAME", strings.Replace(good, "mx2 A", "mx2 CNAME b\nb A", 1), Options{}, "MX11 warn", Warn},
	{"CNAME to nothing", strings.Replace(good, "mx2 A 198.51.100.2", "mx2 CNAME b", 1), Options{}, "MX10 fail,MX11 warn", Fail},
	{"CNAME in a circle", strings.Replace(good, "mx2 A 198.51.100.2", "mx2 CNAME b\nb CNAME mx2", 1), Options{}, "MX10 fail", Fail},

	{"address literal", good + "@ MX 30 203.0.113.10.", Options{}, "MX12 fail", Fail},
	{"address literal alone", "@ MX 10 203.0.113.10.", Options{}, "MX06 fail,MX12 fail", Fail},
	{"IPv6 literal", good + "@ MX 30 2001:db8::1.", Options{}, "MX12 fail", Fail},
	{"literal in brackets", good + `@ MX 30 \[192\.0\.2\.1\].`, Options{}, "MX12 fail", Fail},
	{"relative literal", good + "@ MX 30 192.0.2.1", Options{}, "MX12 fail", Fail},
	{"relative literal under a wildcard's answer", good + "@ MX 30 192.0.2.1\n192.0.2.1 A 203.0.113.9", Options{}, "MX12 fail", Fail},
	{"name of that shape elsewhere", good + "@ MX 30 203.0.113.9.ip.test.\n203.0.113.9.ip.test. A 203.0.113.9", Options{}, "MX16 info", OK},

	{"private address", strings.Replace(good, "198.51.100.2", "192.168.1.2", 1), Options{}, "MX13 fail", Fail},
	{"loopback", strings.Replace(good, "198.51.100.2", "127.0.0.1", 1), Options{}, "MX13 fail", Fail},
	{"unique local IPv6", good + "mx2 AAAA fd00::1", Options{}, "MX13 fail", Fail},
	{"link-local IPv6", good + "mx2 AAAA fe80::1", Options{}, "MX13 fail", Fail},
	{"shared address space", strings.Replace(good, "198.51.100.2", "100.64.1.2", 1), Options{}, "MX13 fail", Fail},
	{"localhost", good + "@ MX 30 localhost.\nlocalhost. A 203.0.113.9", Options{}, "MX13 fail,MX16 info", Fail},
	{"zero address", strings.Replace(good, "198.51.100.2", "0.0.0.0", 1), Options{}, "MX13 fail", Fail},

	{"shared address", strings.Replace(good, "198.51.100.2", "192.0.2.1", 1), Options{}, "MX14 fail", Fail},
	{"shared IPv6 address", good + "mx1 AAAA 2001:db8::1\nmx2 AAAA 2001:db8::1", Options{}, "MX14 fail", Fail},
	{"shared IPv4 address mapped into IPv6", good + "mx2 AAAA ::ffff:192.0.2.1", Options{}, "MX14 fail", Fail},
	{"shared, and another backup", good + "@ MX 30 mx3\nmx3 A 192.0.2.1", Options{}, "MX14 warn", Warn},
	{"the backup is the old host", good, Options{Backup: "mx2.example.test", Old: ip("198.51.100.2")}, "MX14 fail", Fail},
	{"the backup is the new host", good, Options{Old: ip("192.0.2.1"), New: ip("198.51.100.2")}, "MX14 fail", Fail},
	{"unpublished backup on the old host", "@ MX 10 mx1\nmx1 A 192.0.2.1\nmx2 A 192.0.2.1", Options{Backup: "mx2.example.test"}, "MX06 fail,MX14 fail", Fail},
	{"same /24", strings.Replace(good, "198.51.100.2", "192.0.2.200", 1), Options{}, "MX15 warn", Warn},
	{"same /48", "@ MX 10 mx1\n@ MX 20 mx2\nmx1 AAAA 2001:db8:1:1::1\nmx2 AAAA 2001:db8:1:2::1", Options{}, "MX15 warn", Warn},

	{"name server on the old host", good, Options{Old: ip("192.0.2.53")}, "MX09 warn,MX16 fail", Fail},
	{"name server on the primary", good + "ns A 192.0.2.1", Options{}, "", OK},
	{"name server dies with the primary", strings.NewReplacer("192.0.2.1", "192.0.2.53").Replace(good), Options{}, "MX16 fail", Fail},
	{"a second name server survives", strings.NewReplacer("192.0.2.1", "192.0.2.53").Replace(good) + "@ NS ns2\nns2 A 203.0.113.53", Options{}, "", OK},
	{"the backup's zone dies", "@ MX 10 mx1\n@ MX 20 mx2.other.test.\nmx1 A 192.0.2.1\nmx2.other.test. A 198.51.100.2\nother.test. NS mx1\n",
		Options{}, "MX16 fail", Fail},
	{"the backup's zone cannot be seen", "@ MX 10 mx1\n@ MX 20 mx2.other.test.\nmx1 A 192.0.2.1\nmx2.other.test. A 198.51.100.2\n",
		Options{}, "MX16 info", OK},

	{"long TTL", "@ 86400 MX 10 mx1\n@ 86400 MX 20 mx2\nmx1 A 192.0.2.1\nmx2 A 198.51.100.2", Options{Cutover: day.Add(2 * time.Hour), Now: day}, "MX18 warn", Warn},
	{"TTL just short enough", good, Options{Cutover: day.Add(300 * time.Second), Now: day}, "", OK},
	{"cut-over is past", good, Options{Cutover: day.Add(-time.Hour), Now: day}, "", OK},
	{"negative TTL", "@ A 192.0.2.1", Options{Cutover: day.Add(59 * time.Second), Now: day}, "MX03 fail,MX18 warn", Fail},
	{"negative TTL is the SOA's minimum", "@ A 192.0.2.1", Options{Cutover: day.Add(61 * time.Second), Now: day}, "MX03 fail", Fail},

	{"underscore", good + "@ MX 30 mx_3\nmx_3 A 203.0.113.3", Options{}, "MX19 warn", Warn},
	{"non-ASCII", good + "@ MX 30 m\\228il\nm\\228il A 203.0.113.3", Options{}, "MX19 warn", Warn},
	{"blank and control characters", good + "@ MX 30 a\\032\\027b\na\\032\\027b A 203.0.113.3", Options{}, "MX19 warn", Warn},
	{"hyphen first", good + "@ MX 30 -mx3\n-mx3 A 203.0.113.3", Options{}, "MX19 warn", Warn},
	{"IDN in its ASCII form", good + "@ MX 30 xn--mil-ula\nxn--mil-ula A 203.0.113.3", Options{}, "", OK},
	{"two preferences", good + "@ MX 30 mx2", Options{}, "MX20 warn", Warn},

	{"budget kept", good, Options{Downtime: 4 * time.Hour}, "", OK},
	{"budget broken by four of five days", good, Options{Downtime: 96 * time.Hour, Lifetime: 120 * time.Hour}, "SM10 fail,SM10 fail", Fail},
	{"half a day without proof", good, Options{Downtime: 13 * time.Hour}, "SM10 warn", Warn},
	{"more than a day without proof", good, Options{Downtime: 25 * time.Hour}, "SM10 fail", Fail},
	{"short lifetime", good, Options{Downtime: 4 * time.Hour, Lifetime: 6 * time.Hour}, "SM10 fail", Fail},
}

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestRules(t *testing.T) {
	for _, c := range ruleCases {
		t.Run(c.name, func(t *testing.T) {
			r := check(t, serve(t, c.records), c.opt)
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			require.Equal(t, c.status, r.Status)
			for _, f := range r.Findings {
				require.NotEmpty(t, f.Advice, f.Rule)
			}
		})
	}
}

func TestDomainItself(t *testing.T) {
	s := serve(t, good+"alias CNAME example.test.\ndangling CNAME nowhere\nloop CNAME loop2\nloop2 CNAME loop")
	for domain, want := range map[string]string{
		"nothing.example.test":  "MX01 fail",
		"alias.example.test":    "MX21 info",
		"dangling.example.test": "MX01 fail,MX21 info",
		"loop.example.test":     "MX01 fail,MX21 info",
		"EXAMPLE.test.":         "",
	} {
		r, err := Check(t.Context(), domain, &Options{Server: s.addr})
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(rulesOf(r.Findings), ","), domain)
		if strings.Contains(want, "MX01") {
			require.Empty(t, r.MX)
			require.Empty(t, r.Plan)
		} else {
			require.Len(t, r.MX, 2)
		}
	}
}

func TestReportedSet(t *testing.T) {
	r := check(t, serve(t, "@ 600 MX 20 mx2\n@ 600 MX 10 MX1\nmx1 A 192.0.2.1\nmx1 AAAA 2001:db8::1\nmx2 A 198.51.100.2"), Options{})
	require.Equal(t, []Host{
		{Host: "mx1.example.test", Pref: 10, TTL: 600, Addrs: []netip.Addr{ip("192.0.2.1"), ip("2001:db8::1")}},
		{Host: "mx2.example.test", Pref: 20, TTL: 600, Addrs: []netip.Addr{ip("198.51.100.2")}},
	}, r.MX)

	r = check(t, serve(t, "@ MX 0 ."), Options{})
	require.Equal(t, []Host{{Host: ".", Pref: 0, TTL: 300, Addrs: []netip.Addr{}}}, r.MX)
	require.Empty(t, r.Plan)
}

func TestManyExchangers(t *testing.T) {
	var zone strings.Builder
	for i := range 60 {
		name := "a-rather-long-name-for-an-exchanger-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		zone.WriteString("@ MX " + string(rune('1'+i%9)) + "0 " + name + "\n" + name + " A 203.0.113.7\n")
	}
	s := serve(t, zone.String())
	r := check(t, s, Options{MaxHosts: 5})
	require.Len(t, r.MX, 5)
	require.Contains(t, rulesOf(r.Findings), "MX20 warn")
	require.LessOrEqual(t, s.asked(""), 2*5+12, "work is bounded by MaxHosts")
	require.Equal(t, 1, s.asked("tcp example.test. MX"), "the truncated answer is fetched over TCP")
	few := check(t, serve(t, strings.Replace(good, "20", "10", 1)+"@ MX 30 mx3\nmx3 A 203.0.113.3"), Options{MaxHosts: 1})
	require.Equal(t, []string{"MX07 warn"}, rulesOf(few.Findings), "preferences count beyond the bound")
	last := serve(t, good+"@ MX 30 mx3\nmx3 A 203.0.113.3")
	require.Empty(t, check(t, last, Options{MaxHosts: 1, Backup: "mx3.example.test"}).Findings, "the named backup is never cut off")
	require.Contains(t, detail(t, r, "MX20"), "60 exchangers, of which 5 were examined")
}
