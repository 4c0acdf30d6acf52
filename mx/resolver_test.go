package mx

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// question picks the questions that a server answers oddly: "example.test. MX", or "MX" for all names.
func question(m *dns.Msg, what string) bool {
	q := m.Question[0]
	return what == dns.TypeToString[q.Qtype] || what == strings.ToLower(q.Name)+" "+dns.TypeToString[q.Qtype]
}

func rcode(what string, code int) func(*dns.Msg, string) (*dns.Msg, bool) {
	return func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		if !question(m, what) {
			return nil, false
		}
		r := new(dns.Msg).SetRcode(m, code)
		return r, true
	}
}

func silent(what string) func(*dns.Msg, string) (*dns.Msg, bool) {
	return func(m *dns.Msg, _ string) (*dns.Msg, bool) { return nil, question(m, what) }
}

// Trouble with a server is Unknown: neither a fault of the domain nor good.
func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		name string
		odd  func(*dns.Msg, string) (*dns.Msg, bool)
		opt  Options
		want string
		text string
	}{
		{"SERVFAIL for the set", rcode("MX", dns.RcodeServerFailure), Options{}, "MX02 unknown", "SERVFAIL"},
		{"REFUSED for the set", rcode("MX", dns.RcodeRefused), Options{}, "MX02 unknown", "REFUSED"},
		{"silence", silent("MX"), Options{}, "MX02 unknown", "no answer"},
		{"SERVFAIL for the backup", rcode("mx2.example.test. A", dns.RcodeServerFailure), Options{}, "MX10 unknown", "A: answer SERVFAIL"},
		{"silence for the backup's IPv6", silent("mx2.example.test. AAAA"), Options{}, "MX10 unknown", "AAAA: no answer"},
		{"SERVFAIL for the name servers", rcode("NS", dns.RcodeServerFailure), Options{}, "MX16 unknown", "SERVFAIL"},
		{"name servers are refused", rcode("NS", dns.RcodeRefused), Options{}, "MX16 info", "cannot be seen"},
		{"planned primary unknown", rcode("other.example.test. A", dns.RcodeServerFailure),
			Options{Planned: []Host{{Host: "other.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: 20}}, Backup: "mx2.example.test"},
			"MX09 unknown,MX10 unknown", "whether the planned set keeps the primary"},
		{"lame", func(m *dns.Msg, _ string) (*dns.Msg, bool) {
			if !question(m, "MX") {
				return nil, false
			}
			r := new(dns.Msg).SetReply(m)
			ns, _ := dns.NewRR("test. 60 NS a.test.")
			r.Ns = []dns.RR{ns}
			return r, true
		}, Options{}, "MX02 unknown", "lame"},
		{"an answer to another question", func(m *dns.Msg, _ string) (*dns.Msg, bool) {
			r := new(dns.Msg).SetReply(m)
			r.Question[0].Name = "other.test."
			return r, true
		}, Options{}, "MX02 unknown", "another question"},
		{"records of another name", func(m *dns.Msg, _ string) (*dns.Msg, bool) {
			r := new(dns.Msg).SetReply(m)
			rr, _ := dns.NewRR("other.test. 60 MX 10 mx.other.test.")
			r.Answer = []dns.RR{rr}
			return r, question(m, "MX")
		}, Options{}, "MX03 fail", "no MX record"},
		{"truncated over TCP too", func(m *dns.Msg, _ string) (*dns.Msg, bool) {
			r := new(dns.Msg).SetReply(m)
			r.Truncated = true
			return r, question(m, "MX")
		}, Options{}, "MX02 unknown", "truncated over TCP"},
		{"old host given, addresses unknown", rcode("mx1.example.test. A", dns.RcodeServerFailure), Options{Old: ip("192.0.2.1")}, "MX10 unknown", "SERVFAIL"},
		{"long downtime, set unknown", rcode("MX", dns.RcodeServerFailure), Options{Downtime: 1000 * time.Hour}, "MX02 unknown", "SERVFAIL"},
		{"unknown code", rcode("MX", 11), Options{}, "MX02 unknown", "unknown: answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, good+"other A 203.0.113.3\n@ A 203.0.113.9")
			s.oddly(c.odd)
			c.opt.Timeout = 500 * time.Millisecond
			r := check(t, s, c.opt)
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			require.Contains(t, detail(t, r, c.want[:4]), c.text)
			switch {
			case strings.Contains(c.want, "unknown"):
				require.Equal(t, Unknown, r.Status)
			case strings.Contains(c.want, "info"):
				require.Equal(t, OK, r.Status)
			}
			if strings.HasPrefix(c.want, "MX02") {
				require.Empty(t, r.MX)
				require.Empty(t, r.Plan)
			}
		})
	}
}

func TestTries(t *testing.T) {
	s := serve(t, good)
	s.oddly(silent("MX"))
	check(t, s, Options{Timeout: 20 * time.Millisecond, Tries: 3})
	require.Equal(t, 3, s.asked("udp example.test. MX"), "as many tries as allowed, and no more")
	require.Zero(t, s.asked("tcp"), "silence is not taken for truncation")
}

// The second try of a server that had trouble once gives the answer.
func TestRecovery(t *testing.T) {
	var n atomic.Int32
	s := serve(t, good)
	s.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		if question(m, "MX") && n.Add(1) == 1 {
			return new(dns.Msg).SetRcode(m, dns.RcodeServerFailure), true
		}
		return nil, false
	})
	require.Equal(t, OK, check(t, s, Options{}).Status)
}

func TestServersInTurn(t *testing.T) {
	lame, alive := serve(t, good), serve(t, good)
	lame.oddly(rcode("MX", dns.RcodeServerFailure))
	c := &client{servers: []string{lame.addr, alive.addr}, timeout: 5 * time.Second, tries: 1, dial: (&net.Dialer{}).DialContext}
	a, err := c.Lookup(t.Context(), "", "example.test.", "MX")
	require.NoError(t, err)
	require.Equal(t, "NOERROR", a.Code)
	require.Len(t, a.Answers, 2)
	require.Equal(t, 1, lame.asked("udp"))
}

func TestServerWithoutEDNS(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		s := serve(t, good)
		s.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
			if m.IsEdns0() == nil {
				return nil, false
			}
			return new(dns.Msg).SetRcode(m, code), true
		})
		require.Equal(t, OK, check(t, s, Options{Tries: 1}).Status)
	}
}

func TestTruncation(t *testing.T) {
	s := serve(t, good)
	s.oddly(func(m *dns.Msg, network string) (*dns.Msg, bool) {
		if network != "udp" || !question(m, "example.test. MX") {
			return nil, false
		}
		r := s.lookup(m) // half of the set, and the bit
		r.Answer, r.Truncated = r.Answer[:1], true
		return r, true
	})
	r := check(t, s, Options{})
	require.Equal(t, []string{"MX20 warn"}, rulesOf(r.Findings))
	require.Len(t, r.MX, 2, "the whole set, from TCP")
}

// A garbled UDP answer is fetched again over TCP.
func TestGarbage(t *testing.T) {
	s := serve(t, good)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			copy(buf[2:], "\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff") // 65535 records of each kind, none there
			pc.WriteTo(buf[:min(n, 14)], from)
		}
	}()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "udp" {
			address = pc.LocalAddr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	require.Equal(t, OK, check(t, s, Options{Dial: dial}).Status)
}

func TestCNAMEFollowedByUs(t *testing.T) {
	s := serve(t, strings.Replace(good, "mx2 A 198.51.100.2", "mx2 CNAME b.other.test.\nb.other.test. A 198.51.100.2", 1))
	s.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		if !strings.HasPrefix(m.Question[0].Name, "mx2.") {
			return nil, false
		}
		r := s.lookup(m)
		r.Answer, r.Ns = r.Answer[:1], nil // the alias only
		return r, true
	})
	r := check(t, s, Options{})
	require.Equal(t, []string{"MX11 warn"}, rulesOf(r.Findings))
	require.Equal(t, "198.51.100.2", r.MX[1].Addrs[0].String())
}

func TestCancelled(t *testing.T) {
	s := serve(t, good)
	ctx, cancel := context.WithCancel(t.Context())
	s.oddly(func(*dns.Msg, string) (*dns.Msg, bool) {
		cancel() // while the question is under way
		return nil, true
	})
	begin := time.Now()
	r, err := Check(ctx, "example.test", &Options{Server: s.addr, Timeout: time.Minute})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, r)
	require.Less(t, time.Since(begin), 30*time.Second, "the answer is not waited for")
}

// The zone's own name servers are compared, and their TTL is taken instead of what a cache has left.
func TestAuthority(t *testing.T) {
	const two = good + "@ NS ns2\nns2 A 192.0.2.54\n"
	cache := serve(t, two)
	cache.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		r := cache.lookup(m)
		r.Authoritative = false
		for i, rr := range r.Answer {
			r.Answer[i] = dns.Copy(rr)
			r.Answer[i].Header().Ttl = 7 // what a cache has left
		}
		return r, true
	})
	same := serve(t, two)
	for _, c := range []struct {
		name   string
		second *dnsServer // nil: silent
		want   string
		text   string
	}{
		{"agree", same, "", ""},
		{"an old set", serve(t, strings.Replace(two, "MX 20 mx2", "MX 30 mx2", 1)), "MX17 warn", "30 mx2.example.test at ns2.example.test (192.0.2.54)"},
		{"an old serial", olderSerial(t, two), "MX17 warn", "different serials"},
		{"no such zone", lameServer(t, two), "MX17 warn", "lame"},
		{"silent", nil, "MX17 warn", "no answer of its own: ns2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			routes := map[string]string{cache.addr: cache.addr, "192.0.2.53:53": same.addr}
			if c.second != nil {
				routes["192.0.2.54:53"] = c.second.addr
			}
			r := check(t, cache, Options{Authority: true, Dial: dialTo(routes)})
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			require.EqualValues(t, 300, r.MX[0].TTL, "the zone's own TTL")
			if c.want != "" {
				require.Contains(t, detail(t, r, "MX17"), c.text)
			}
		})
	}

	r := check(t, cache, Options{Authority: true, Dial: dialTo(map[string]string{cache.addr: cache.addr})})
	require.Equal(t, []string{"MX17 info"}, rulesOf(r.Findings), "no server can be asked: said, and no fault")
	require.EqualValues(t, 7, r.MX[0].TTL)
	do(t, r, "the TTL was seen in a cache")

	r = check(t, cache, Options{})
	require.Empty(t, r.Findings, "authoritative servers are asked on demand only")
}

func olderSerial(t *testing.T, records string) *dnsServer {
	s := serve(t, records)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rr := range s.records["example.test."] {
		if soa, ok := rr.(*dns.SOA); ok {
			soa.Serial--
		}
	}
	return s
}

func lameServer(t *testing.T, records string) *dnsServer {
	s := serve(t, records)
	s.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		r := s.lookup(m)
		r.Authoritative = false
		return r, true
	})
	return s
}
