package mx

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// dnsServer is a name server on loopback, over UDP and TCP, with the records of a zone file.
type dnsServer struct {
	addr    string
	records map[string][]dns.RR
	names   map[string]bool // owners and the names above them
	// odd may answer in place of the zone; nil, false goes on to the zone, nil, true stays silent.
	odd func(m *dns.Msg, network string) (*dns.Msg, bool)

	mu   sync.Mutex
	seen []string // "udp example.test. MX"
}

const apex = `
$ORIGIN example.test.
$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
ns A 192.0.2.53
`

// serve starts a server with the records of apex and those given.
func serve(t testing.TB, records string) *dnsServer {
	t.Helper()
	s := &dnsServer{records: map[string][]dns.RR{}, names: map[string]bool{}}
	zp := dns.NewZoneParser(strings.NewReader(apex+records+"\n"), "", "zone")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		wire := make([]byte, 1024) // through the wire form, so that escapes are written as in questions
		end, err := dns.PackRR(rr, wire, 0, nil, false)
		require.NoError(t, err)
		rr, _, err = dns.UnpackRR(wire[:end], 0)
		require.NoError(t, err)
		name := strings.ToLower(rr.Header().Name)
		s.records[name] = append(s.records[name], rr)
		for ; name != "" && !s.names[name]; name = parent(name) {
			s.names[name] = true
		}
	}
	require.NoError(t, zp.Err())
	s.start(t)
	return s
}

// oddly sets odd.
func (s *dnsServer) oddly(odd func(m *dns.Msg, network string) (*dns.Msg, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.odd = odd
}

func (s *dnsServer) start(t testing.TB) {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	for try := 0; ; try++ { // one port that is free for both
		var err error
		pc, err = net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		pc.Close()
		require.Less(t, try, 20, err)
	}
	s.addr = pc.LocalAddr().String()
	s.listen(t, pc, l)
}

// listen answers on both.
func (s *dnsServer) listen(t testing.TB, pc net.PacketConn, l net.Listener) {
	t.Helper()
	for network, server := range map[string]*dns.Server{"udp": {PacketConn: pc}, "tcp": {Listener: l}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { s.answer(w, m, network) })
		go server.ActivateAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
}

func (s *dnsServer) answer(w dns.ResponseWriter, m *dns.Msg, network string) {
	q := m.Question[0]
	s.mu.Lock()
	s.seen = append(s.seen, fmt.Sprintf("%s %s %s", network, q.Name, dns.TypeToString[q.Qtype]))
	odd := s.odd
	s.mu.Unlock()
	if odd != nil {
		if r, ok := odd(m, network); ok {
			if r != nil {
				w.WriteMsg(r)
			}
			return
		}
	}
	r := s.lookup(m)
	if network == "udp" {
		size := 512
		if opt := m.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		r.Truncate(size)
	}
	w.WriteMsg(r)
}

func (s *dnsServer) lookup(m *dns.Msg) *dns.Msg {
	r := new(dns.Msg).SetReply(m)
	r.Authoritative, r.RecursionAvailable, r.Compress = true, true, true
	name := strings.ToLower(m.Question[0].Name)
	for range 40 {
		var cname *dns.CNAME
		for _, rr := range s.records[name] {
			if rr.Header().Rrtype == m.Question[0].Qtype {
				r.Answer = append(r.Answer, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				cname = c
			}
		}
		if cname == nil {
			break
		}
		r.Answer = append(r.Answer, cname)
		name = strings.ToLower(cname.Target)
	}
	if n := len(r.Answer); n == 0 || r.Answer[n-1].Header().Rrtype != m.Question[0].Qtype {
		if !s.names[name] {
			r.Rcode = dns.RcodeNameError
		}
		for _, rr := range s.records["example.test."] {
			if rr.Header().Rrtype == dns.TypeSOA {
				r.Ns = append(r.Ns, rr)
			}
		}
	}
	return r
}

// asked counts the questions whose text begins so.
func (s *dnsServer) asked(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, q := range s.seen {
		if strings.HasPrefix(q, prefix) {
			n++
		}
	}
	return n
}

// dialTo is a Dial that leads addresses to loopback: "192.0.2.53:53" -> "127.0.0.1:40000". All others are refused, so
// that no packet leaves this host.
func dialTo(routes map[string]string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := routes[address]
		if !ok {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errNoRoute}
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
}

var errNoRoute = fmt.Errorf("no route in this test")

// rulesOf is a report's findings as "MX07 fail", in order.
func rulesOf(fs []Finding) []string {
	out := []string{}
	for _, f := range fs {
		out = append(out, f.Rule+" "+string(f.Severity))
	}
	return out
}

// detail is the text of the first finding of a rule.
func detail(t testing.TB, r *Report, rule string) string {
	t.Helper()
	for _, f := range r.Findings {
		if f.Rule == rule {
			require.NotEmpty(t, f.Advice, rule)
			return f.Detail
		}
	}
	require.Failf(t, "no finding", "%s in %v", rule, r.Findings)
	return ""
}

func check(t testing.TB, s *dnsServer, opt Options) *Report {
	t.Helper()
	opt.Server = s.addr
	if opt.Timeout == 0 {
		opt.Timeout = 5 * time.Second
	}
	r, err := Check(t.Context(), "example.test", &opt)
	require.NoError(t, err)
	require.NotNil(t, r.MX)
	require.NotNil(t, r.Findings)
	require.NotNil(t, r.Plan)
	require.NotNil(t, r.Configs)
	return r
}
