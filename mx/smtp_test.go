package mx

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mailServer is a MockServer on loopback.
type mailServer struct {
	addr string
	MockServer
}

// greeting is a server that only has a greeting and offers.
func greeting(text string, offers ...string) *mailServer {
	return &mailServer{MockServer: MockServer{Greeting: text, Offers: offers}}
}

// healthy answers as a good backup of example.test does.
func healthy() *mailServer {
	return &mailServer{MockServer: MockServer{
		Greeting: "220 mx2.example.test ESMTP",
		Offers:   []string{"PIPELINING", "SIZE 10240000", "ETRN", "STARTTLS", "ENHANCEDSTATUSCODES"},
		Replies: map[string]string{
			"RCPT":                                    "554 5.7.1 Relay access denied",
			"RCPT TO:<alice@example.test>":            "250 2.1.5 Ok",
			"RCPT TO:<postmaster@example.test>":       "250 2.1.5 Ok",
			"RCPT TO:<0123456789abcdef@example.test>": "550 5.1.1 User unknown in relay recipient table",
			"ETRN": "250 2.0.0 Queuing started",
		},
	}}
}

func (s *mailServer) with(changes ...string) *mailServer {
	for i := 0; i < len(changes); i += 2 {
		s.Replies[changes[i]] = changes[i+1]
	}
	return s
}

func (s *mailServer) start(t testing.TB) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.Serve(c)
		}
	}()
	return s
}

func (s *mailServer) log() string { return strings.Join(s.Commands(), "\n") }

func certificate(t testing.TB, name string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

var mailZone = &Mock{
	MX: map[string][]string{"example.test": {"10 mx1.example.test.", "20 mx2.example.test."}},
	A:  map[string][]string{"mx1.example.test": {"192.0.2.1"}, "mx2.example.test": {"198.51.100.2"}, "ns.example.test": {"192.0.2.53"}},
	NS: map[string][]string{"example.test": {"ns.example.test."}},
}

func TestSMTPRules(t *testing.T) {
	mine, foreign := certificate(t, "mx2.example.test"), certificate(t, "www.example.test")
	const random = "RCPT TO:<0123456789abcdef@example.test>"
	const sub = "RCPT TO:<0123456789abcdef@0123456789abcdef.example.test>"
	const open = "RCPT TO:<0123456789abcdef@relay-0123456789abcdef.example>"
	const known = "RCPT TO:<alice@example.test>"
	const etrn = "ETRN example.test"
	for _, c := range []struct {
		name   string
		backup *mailServer
		want   string
		text   string
	}{
		{"healthy", healthy(), "", ""},
		{"healthy with soft_bounce", healthy().with("RCPT", "454 4.7.1 Relay access denied", random, "450 4.1.1 User unknown"), "", ""},
		{"greeting 421", greeting("421 4.3.2 too busy"), "SM01 fail", "421 4.3.2 too busy"},
		{"greeting 554", greeting("554 5.7.1 go away"), "SM01 fail", "554"},
		{"not SMTP", greeting("SSH-2.0-OpenSSH"), "SM01 fail", "not an SMTP reply"},
		{"endless greeting line", greeting("220 " + strings.Repeat("x", 10000)), "SM01 fail", "longer than"},
		{"endless greeting", greeting(strings.TrimSuffix(strings.Repeat("220-x\r\n", 500), "\r\n")), "SM01 fail", "more than"},
		{"known refused", healthy().with(known, "554 5.7.1 Relay access denied"), "SM02 fail", "Relay access denied"},
		{"known deferred as foreign", healthy().with(known, "454 4.7.1 Relay access denied"), "SM02 fail", "454"},
		{"known unknown", healthy().with(known, "550 5.1.1 User unknown"), "SM02 fail", "550"},
		{"known greylisted, then taken", healthy().with(known, "450 4.2.0 Greylisted|250 Ok"), "", ""},
		{"known greylisted", healthy().with(known, "450 4.2.0 Greylisted"), "SM02 unknown", "twice"},
		{"known unverified", healthy().with(known, "450 4.1.1 Recipient address rejected: unverified address: connect to mx1 timed out"), "SM03 fail", "unverified"},
		{"known verified by a call", healthy().with(known, "450 4.1.1 Recipient address rejected: unverified address: Address verification in progress|250 Ok"), "SM03 warn", "verified"},
		{"null sender refused", healthy().with("MAIL", "550 5.7.1 no bounces"), "SM02 unknown,SM04 info,SM05 info,SM06 unknown,SM07 info", "no bounces"},
		{"connection lost", healthy().with(random, ""), "SM04 info,SM05 info,SM06 unknown,SM07 info", "EOF"},
		{"random accepted", healthy().with(random, "250 Ok"), "SM04 warn", "does not exist"},
		{"subdomain accepted", healthy().with(sub, "250 Ok"), "SM05 warn", "subdomain"},
		{"open relay", healthy().with(open, "250 Ok"), "SM06 fail", "foreign"},
		{"postmaster refused", healthy().with("RCPT TO:<postmaster@example.test>", "550 5.1.1 no such user"), "SM07 warn", "postmaster"},
		{"smaller SIZE", healthy().offering("SIZE 5000000,ETRN,STARTTLS"), "SM08 warn", "5000000 bytes, the primary mx1.example.test (192.0.2.1) takes 8000000"},
		{"SIZE without a limit", healthy().offering("SIZE 0,ETRN,STARTTLS"), "", ""},
		{"SIZE without a number", healthy().offering("SIZE,ETRN,STARTTLS"), "", ""},
		{"absurd SIZE", healthy().offering("SIZE 99999999999999999999999,ETRN,STARTTLS"), "", ""},
		{"no STARTTLS", healthy().offering("SIZE,ETRN"), "SM08 warn", "STARTTLS"},
		{"STARTTLS refused", healthy().with("STARTTLS", "454 4.7.0 TLS not available"), "SM08 warn", "454"},
		{"certificate of another name", healthy().secured(foreign), "SM08 warn", "www.example.test"},
		{"TLS demanded", healthy().with("MAIL", "530 5.7.0 Must issue a STARTTLS command first|250 Ok"), "", ""},
		{"ETRN taken", healthy().with(etrn, "250 2.0.0 Queuing started"), "", ""},
		{"ETRN refused", healthy().with(etrn, "554 5.7.1 Access denied"), "SM12 warn", "does not allow"},
		{"ETRN not flushed", healthy().with(etrn, "459 4.7.1 not allowed"), "SM12 warn", "fast_flush_domains"},
		{"ETRN later", healthy().with(etrn, "421 4.3.2 later"), "SM12 info", "closes"},
		{"ETRN unknown", healthy().with(etrn, "451 4.3.0 what"), "SM12 info", "451"},
		{"no ETRN", healthy().offering("SIZE,STARTTLS"), "SM12 warn", "ETRN"},
		{"no EHLO", healthy().with("EHLO", "502 what"), "SM02 unknown,SM04 info,SM05 info,SM06 unknown,SM07 info,SM08 warn,SM12 warn", "EHLO refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.backup.TLS == nil {
				c.backup.TLS = mine
			}
			primary := greeting("220 mx1", "SIZE 8000000").start(t)
			backup := c.backup.start(t)
			r := tryMail(t, map[string]string{"192.0.2.1:25": primary.addr, "198.51.100.2:25": backup.addr})
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			if c.want != "" {
				require.Contains(t, detail(t, r, c.want[:4]), c.text)
			}
			for _, s := range []*mailServer{primary, backup} {
				require.NotContains(t, s.log(), "DATA")
				require.NotContains(t, s.log(), "BDAT")
			}
			require.NotContains(t, primary.log(), "RCPT", "the primary is only greeted")
		})
	}
}

func (s *mailServer) offering(offers string) *mailServer {
	s.Offers = strings.Split(offers, ",")
	return s
}
func (s *mailServer) secured(config *tls.Config) *mailServer { s.TLS = config; return s }

func tryMail(t testing.TB, routes map[string]string) *Report {
	t.Helper()
	r, err := Check(t.Context(), "example.test", &Options{
		Resolver: mailZone, Backup: "mx2.example.test", Rcpt: "alice@example.test", Dial: dialTo(routes),
		SMTPWait: 10 * time.Second, AskETRN: true, Random: func() string { return "0123456789abcdef" },
	})
	require.NoError(t, err)
	return r
}

// Without an answer from anybody the fault may be on our side.
func TestUnreachable(t *testing.T) {
	primary := greeting("220 mx1", "SIZE").start(t)
	r := tryMail(t, map[string]string{"192.0.2.1:25": primary.addr})
	require.Equal(t, []string{"SM01 fail"}, rulesOf(r.Findings), "the primary can be reached, the backup cannot")

	r = tryMail(t, nil)
	require.Equal(t, []string{"SM01 unknown"}, rulesOf(r.Findings), "port 25 may be blocked here")
	require.Equal(t, Unknown, r.Status)

	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	zone := &Mock{
		MX: map[string][]string{"example.test": {"10 mx1.example.test.", "20 mx2.example.test."}},
		A:  map[string][]string{"mx2.example.test": {"198.51.100.2"}},
	}
	r, err := Check(t.Context(), "example.test", &Options{Resolver: zone, Rcpt: "alice@example.test", Dial: refuse})
	require.NoError(t, err)
	require.Contains(t, rulesOf(r.Findings), "SM01 fail", "refused by the backup itself, and no primary to compare with")
}

// A family without a route here is not the backup's fault.
func TestNoIPv6Here(t *testing.T) {
	zone := *mailZone
	zone.AAAA = map[string][]string{"mx2.example.test": {"2001:db8::2"}}
	primary := greeting("220 mx1", "SIZE").start(t)
	backup := healthy().secured(certificate(t, "mx2.example.test")).start(t)
	r, err := Check(t.Context(), "example.test", &Options{
		Resolver: &zone, Rcpt: "alice@example.test", Random: func() string { return "0123456789abcdef" },
		Dial: dialTo(map[string]string{"192.0.2.1:25": primary.addr, "198.51.100.2:25": backup.addr}),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"SM01 info"}, rulesOf(r.Findings), "%v", r.Findings)
	require.Equal(t, OK, r.Status)
}

func TestSilentMailServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	primary := greeting("220 mx1", "SIZE").start(t)
	r, err := Check(t.Context(), "example.test", &Options{
		Resolver: mailZone, Rcpt: "alice@example.test", SMTPWait: 50 * time.Millisecond,
		Dial: dialTo(map[string]string{"192.0.2.1:25": primary.addr, "198.51.100.2:25": l.Addr().String()}),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"SM01 fail"}, rulesOf(r.Findings))
}

// A proven backup stretches the budget: senders need not reach the primary.
func TestProvenBackup(t *testing.T) {
	primary := greeting("220 mx1", "SIZE").start(t)
	backup := healthy().secured(certificate(t, "mx2.example.test")).start(t)
	opt := Options{
		Resolver: mailZone, Rcpt: "alice@example.test", Downtime: 30 * time.Hour, Random: func() string { return "0123456789abcdef" },
		Dial: dialTo(map[string]string{"192.0.2.1:25": primary.addr, "198.51.100.2:25": backup.addr}),
	}
	r, err := Check(t.Context(), "example.test", &opt)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	refusing := healthy().secured(certificate(t, "mx2.example.test")).with("RCPT TO:<alice@example.test>", "550 no").start(t)
	opt.Dial = dialTo(map[string]string{"192.0.2.1:25": primary.addr, "198.51.100.2:25": refusing.addr})
	r, err = Check(t.Context(), "example.test", &opt)
	require.NoError(t, err)
	require.Equal(t, []string{"SM02 fail", "SM10 fail"}, rulesOf(r.Findings))
}
