package mx

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// MX23, with a policy server over HTTPS.
func TestPolicy(t *testing.T) {
	const announced = good + "_mta-sts TXT \"v=STSv1; id=7;\"\nmta-sts A 192.0.2.80\n"
	const all = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.test\r\nmx: mx2.example.test\r\nmax_age: 604800\r\n"
	const half = "version: STSv1\nmode: enforce\nmx: MX1.example.test\nmax_age: 604800\nfuture: x"
	for _, c := range []struct {
		name    string
		records string
		status  int
		policy  string
		want    string
		text    string
	}{
		{"names both", announced, 200, all, "", ""},
		{"names by a wildcard", announced, 200, strings.ReplaceAll(all, "mx1.", "*."), "", ""},
		{"lacks the backup", announced, 200, half, "MX23 fail", "mx2.example.test"},
		{"lacks the backup while testing", announced, 200, strings.Replace(half, "enforce", "testing", 1), "MX23 warn", "mode testing"},
		{"is off", announced, 200, strings.Replace(half, "enforce", "none", 1), "", ""},
		{"is not there", announced, 404, "", "MX23 unknown", "answers 404"},
		{"moved", announced, 301, all, "MX23 unknown", "answers 301"},
		{"is no policy", announced, 200, "<html>", "MX23 unknown", "version"},
		{"has no mode", announced, 200, "version: STSv1\n", "MX23 unknown", "mode"},
		{"has an odd age", announced, 200, all + "max_age: x\n", "MX23 unknown", "max_age"},
		{"is endless", announced, 200, strings.Repeat("x", 70000), "MX23 unknown", "more than"},
		{"without an address", strings.Replace(announced, "mta-sts A", "other A", 1), 200, all, "MX23 unknown", "no address"},
		{"is not announced", good + "_mta-sts TXT other", 200, half, "", ""},
		{"is announced twice", announced + "_mta-sts TXT v=STSv1;id=8", 200, half, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "mta-sts.example.test" || r.URL.Path != "/.well-known/mta-sts.txt" {
					c.status = 400
				}
				w.Header().Set("Location", "https://mta-sts.example.test/other")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.policy)
			}))
			web.TLS = certificate(t, "mta-sts.example.test")
			web.StartTLS()
			defer web.Close()
			roots := x509.NewCertPool()
			leaf, err := x509.ParseCertificate(web.TLS.Certificates[0].Certificate[0])
			require.NoError(t, err)
			roots.AddCert(leaf)
			s := serve(t, c.records)
			dial := dialTo(map[string]string{s.addr: s.addr, "192.0.2.80:443": web.Listener.Addr().String()})
			r := check(t, s, Options{Dial: dial, Roots: roots})
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			if c.want != "" {
				require.Contains(t, detail(t, r, "MX23"), c.text)
			}
			if c.name == "names both" {
				r = check(t, s, Options{Dial: dial})
				require.Equal(t, []string{"MX23 unknown"}, rulesOf(r.Findings), "a certificate that nobody vouches for")
			}
		})
	}
	s := serve(t, announced)
	s.oddly(rcode("_mta-sts.example.test. TXT", dns.RcodeServerFailure))
	require.Equal(t, []string{"MX23 unknown"}, rulesOf(check(t, s, Options{}).Findings))
	s.oddly(rcode("_mta-sts.example.test. TXT", dns.RcodeRefused))
	require.Equal(t, []string{"MX23 info"}, rulesOf(check(t, s, Options{}).Findings))
}

// validated answers as a resolver that has checked the signatures, but those of bad names.
func validated(s *dnsServer, bad ...string) func(*dns.Msg, string) (*dns.Msg, bool) {
	return func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		for _, b := range bad {
			if question(m, b) && !m.CheckingDisabled {
				return new(dns.Msg).SetRcode(m, dns.RcodeServerFailure), true
			}
		}
		r := s.lookup(m)
		r.AuthenticatedData = true
		return r, true
	}
}

// MX22: broken signatures are told from other trouble, and a backup must not stay behind the primary's DANE.
func TestDNSSEC(t *testing.T) {
	const tlsa = "TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000"
	for _, c := range []struct {
		name    string
		records string
		bad     []string
		signed  bool
		want    string
	}{
		{"signed", good, nil, true, ""},
		{"the set is bogus", good, []string{"MX"}, true, "MX02 unknown,MX22 warn"},
		{"the backup's address is bogus", good, []string{"mx2.example.test. A"}, true, "MX10 unknown,MX22 warn"},
		{"DANE at both", good + "_25._tcp.mx1 " + tlsa + "\n_25._tcp.mx2 " + tlsa, nil, true, ""},
		{"DANE at the primary only", good + "_25._tcp.mx1 " + tlsa, nil, true, "MX22 warn"},
		{"DANE at the backup only", good + "_25._tcp.mx2 " + tlsa, nil, true, ""},
		{"the backup's TLSA is bogus", good + "_25._tcp.mx1 " + tlsa, []string{"_25._tcp.mx2.example.test. TLSA"}, true, "MX22 info"},
		{"TLSA without signatures", good + "_25._tcp.mx1 " + tlsa, nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.records)
			if c.signed {
				s.oddly(validated(s, c.bad...))
			}
			r := check(t, s, Options{})
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
		})
	}
	s := serve(t, good)
	s.oddly(rcode("MX", dns.RcodeServerFailure))
	require.Equal(t, []string{"MX02 unknown"}, rulesOf(check(t, s, Options{}).Findings), "SERVFAIL also without signatures")
}

// The certificate is held to the TLSA records.
func TestDANECertificate(t *testing.T) {
	config := certificate(t, "mx2.example.test")
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	require.NoError(t, err)
	fit := &dns.TLSA{}
	require.NoError(t, fit.Sign(3, 1, 1, leaf))
	zone := *mailZone
	zone.Validated = true
	for value, want := range map[string]string{
		"3 1 1 " + fit.Certificate:                                        "",
		"3 1 1 " + strings.Repeat("00", 32):                               "SM08 warn",
		"1 1 1 " + strings.Repeat("00", 32):                               "", // usages 0 and 1 do not count in SMTP
		"2 1 1 " + fit.Certificate:                                        "",
		"3 1 1 " + strings.Repeat("00", 32) + "|3 1 1 " + fit.Certificate: "",
	} {
		zone.TLSA = map[string][]string{"_25._tcp.mx2.example.test": strings.Split(value, "|")}
		primary, backup := greeting("220 mx1", "SIZE"), healthy().secured(config)
		r, err := Check(t.Context(), "example.test", &Options{
			Resolver: &zone, Rcpt: "alice@example.test", Random: func() string { return "0123456789abcdef" },
			Dial: MockMail{"192.0.2.1:25": primary.mock(), "198.51.100.2:25": backup.mock()}.Dial,
		})
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(rulesOf(r.Findings), ","), "%s: %v", value, r.Findings)
	}
}
