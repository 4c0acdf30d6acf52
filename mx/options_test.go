package mx

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	empty := &Mock{}
	for name, c := range map[string]struct {
		domain string
		opt    Options
	}{
		"empty domain":          {"", Options{}},
		"root":                  {".", Options{}},
		"address":               {"192.0.2.1", Options{}},
		"IPv6 address":          {"2001:db8::1", Options{}},
		"address in brackets":   {"[192.0.2.1]", Options{}},
		"IDN not in ASCII":      {"münchen.test", Options{}},
		"kelvin sign":           {"\u212aelvin.test", Options{}},
		"mail address":          {"a@example.test", Options{}},
		"blank":                 {"example .test", Options{}},
		"line break":            {"example.test\r\nX", Options{}},
		"NUL":                   {"example\x00.test", Options{}},
		"empty label":           {"example..test", Options{}},
		"leading dot":           {".example.test", Options{}},
		"long label":            {strings.Repeat("a", 64) + ".test", Options{}},
		"long name":             {strings.Repeat("a.", 127) + "test", Options{}},
		"hyphen":                {"-example.test", Options{}},
		"backup not a name":     {"example.test", Options{Backup: "mx2 example.test"}},
		"backup is an address":  {"example.test", Options{Backup: "192.0.2.1"}},
		"backup is the domain":  {"example.test", Options{Backup: "Example.Test."}},
		"server without a port": {"example.test", Options{Server: "127.0.0.1"}},
		"server's port":         {"example.test", Options{Server: "127.0.0.1:domain"}},
		"server without a host": {"example.test", Options{Server: ":53"}},
		"negative timeout":      {"example.test", Options{Timeout: -1}},
		"negative downtime":     {"example.test", Options{Downtime: -time.Hour}},
		"negative lifetime":     {"example.test", Options{Lifetime: -time.Hour}},
		"too many tries":        {"example.test", Options{Tries: 11}},
		"too many hosts":        {"example.test", Options{MaxHosts: 101}},
		"negative hosts":        {"example.test", Options{MaxHosts: -1}},
		"port":                  {"example.test", Options{SMTPPort: 65536}},
		"zone of an address":    {"example.test", Options{Old: netip.MustParseAddr("fe80::1%eth0")}},
		"recipient elsewhere":   {"example.test", Options{Rcpt: "alice@example.org"}},
		"recipient's commands":  {"example.test", Options{Rcpt: "alice>\r\nDATA@example.test"}},
		"recipient without @":   {"example.test", Options{Rcpt: "alice"}},
		"EHLO name":             {"example.test", Options{Helo: "a\r\nDATA"}},
		"comment in a table":    {"example.test", Options{Recipients: []string{"#alice"}}},
		"line in a table":       {"example.test", Options{Recipients: []string{"alice x\nbob"}}},
		"dots":                  {"example.test", Options{Recipients: []string{"a..b"}}},
		"long local part":       {"example.test", Options{Recipients: []string{strings.Repeat("a", 65)}}},
		"planned not ASCII":     {"example.test", Options{Planned: []Host{{Host: "mx\n"}}}},
		"planned without name":  {"example.test", Options{Planned: []Host{{Pref: 10}}}},
		"planned too many":      {"example.test", Options{Planned: make([]Host, 101)}},
	} {
		c.opt.Resolver = empty
		r, err := Check(t.Context(), c.domain, &c.opt)
		require.Error(t, err, name)
		require.Nil(t, r, name)
		require.NotContains(t, err.Error(), "\n", name)
	}
	for _, domain := range []string{"example.test", "Example.Test.", "xn--mnchen-3ya.test", "a_b.test", "x.test", "1.2.3.4.example", "test"} {
		_, err := Check(t.Context(), domain, &Options{Resolver: empty})
		require.NoError(t, err, domain)
	}
}

// The caller's Options stay as they are, also when shared between checks.
func TestOptionsUntouched(t *testing.T) {
	opt := Options{Resolver: &Mock{}, Backup: "MX2.example.test", Recipients: []string{"b", "a"}, Planned: []Host{{Host: "B.test"}, {Host: "a.test"}}}
	_, err := Check(t.Context(), "example.test", &opt)
	require.NoError(t, err)
	require.Equal(t, "MX2.example.test", opt.Backup)
	require.Equal(t, []string{"b", "a"}, opt.Recipients)
	require.Equal(t, "B.test", opt.Planned[0].Host)
	require.Zero(t, opt.Timeout)
	_, err = Check(t.Context(), "example.test", &Options{Resolver: &Mock{}})
	require.NoError(t, err)
}
