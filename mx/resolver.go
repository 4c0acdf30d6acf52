package mx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Resolver answers one DNS question. It must be usable from several goroutines at once.
//
// server is "" for the resolver that answers for the whole of DNS, or "address:53" of a name server whose own answer is
// wanted (asked without recursion). name is absolute, in lower case, with a final dot; typ is MX, A, AAAA, NS, SOA, TXT or
// TLSA.
// The error means that there was no answer at all: a timeout, a refused connection. SERVFAIL is an Answer.
type Resolver interface {
	Lookup(ctx context.Context, server, name, typ string) (*Answer, error)
}

// Answer is what a DNS server said.
type Answer struct {
	Code          string   // NOERROR, NXDOMAIN, SERVFAIL, REFUSED ... as RFC 1035 section 4.1.1 and its successors name them
	Answers       []Record // the answer section, CNAME records of the chain included
	Authority     []Record // the authority section: the SOA of a negative answer, or the NS of a referral
	Authoritative bool     // the AA bit
	Recursive     bool     // the RA bit
	Truncated     bool     // did not fit into UDP and was fetched over TCP
	Validated     bool     // the AD bit: the resolver has checked the DNSSEC signatures
	Bogus         bool     // SERVFAIL, while the resolver has an answer for those who do not want signatures checked (CD)
}

// Record is a resource record of class IN.
type Record struct {
	Name  string // owner, absolute
	Type  string // MX, A, CNAME ...
	TTL   uint32 // seconds
	Value string // as in a zone file, names absolute: "10 mx1.example.org."; the strings of TXT are joined
}

const (
	udpSize        = 1232 // EDNS buffer that crosses every path unfragmented, by the advice of DNS flag day 2020
	defaultTimeout = 3 * time.Second
	defaultTries   = 2
)

// client is the Resolver over the network.
type client struct {
	servers []string
	timeout time.Duration
	tries   int
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// newClient reads the system's servers when none is given.
func newClient(o *Options) (*client, error) {
	c := &client{timeout: o.Timeout, tries: o.Tries, dial: o.Dial}
	if o.Server != "" {
		c.servers = []string{o.Server}
		return c, nil
	}
	var err error
	c.servers, err = systemServers("/etc/resolv.conf")
	return c, err
}

// systemServers are the name servers of a resolv.conf, at most three.
func systemServers(file string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("no DNS server given and the system's are not known: %w", err)
	}
	var servers []string
	for _, s := range conf.Servers[:min(3, len(conf.Servers))] {
		servers = append(servers, net.JoinHostPort(s, conf.Port))
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no DNS server given and %s names none", file)
	}
	return servers, nil
}

// Lookup asks the servers in turn until one gives a usable answer. When none does, the last unusable answer is
// returned, else the last error.
func (c *client) Lookup(ctx context.Context, server, name, typ string) (*Answer, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.StringToType[typ])
	m.AuthenticatedData = true // "tell me": RFC 6840 section 5.7
	servers := c.servers
	if server != "" {
		servers, m.RecursionDesired = []string{server}, false
	}
	var last *dns.Msg
	var truncated bool
	err := errors.New("not asked")
	for range c.tries {
		for _, s := range servers {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			r, tc, e := c.ask(ctx, s, m)
			switch {
			case e != nil:
				err = fmt.Errorf("%s: %w", s, e)
			case r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError:
				return toAnswer(r, tc), nil
			default:
				last, truncated = r, tc
			}
		}
	}
	if last == nil {
		return nil, err
	}
	a := toAnswer(last, truncated)
	a.Bogus = server == "" && last.Rcode == dns.RcodeServerFailure && c.unsigned(ctx, m)
	return a, nil
}

// unsigned asks again with the CD bit (RFC 4035 section 3.2.2) and reports whether there is an answer then.
func (c *client) unsigned(ctx context.Context, question *dns.Msg) bool {
	m := question.Copy()
	m.CheckingDisabled = true
	for _, s := range c.servers {
		r, _, err := c.ask(ctx, s, m)
		if err == nil && (r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError) {
			return true
		}
	}
	return false
}

// ask puts the question to one server: over UDP with EDNS, without EDNS where the server does not know it, and over
// TCP where the answer was truncated or garbled.
func (c *client) ask(ctx context.Context, server string, question *dns.Msg) (r *dns.Msg, tc bool, err error) {
	m := question.Copy()
	m.SetEdns0(udpSize, false)
	r, err = c.exchange(ctx, "udp", server, m)
	if err == nil && (r.Rcode == dns.RcodeFormatError || r.Rcode == dns.RcodeNotImplemented || r.Rcode == dns.RcodeBadVers) {
		m = question.Copy()
		r, err = c.exchange(ctx, "udp", server, m)
	}
	var netErr net.Error
	switch {
	case err != nil && (ctx.Err() != nil || errors.As(err, &netErr)):
		return nil, false, err
	case err != nil || r.Truncated:
		tc = err == nil
		r, err = c.exchange(ctx, "tcp", server, m)
	}
	if err == nil && r.Truncated {
		err = errors.New("answer truncated over TCP")
	}
	return r, tc, err
}

// exchange sends m once and takes the answer that belongs to it.
func (c *client) exchange(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	m.Id = dns.Id()
	conn, err := c.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	dc := dns.Client{Net: network, UDPSize: udpSize, Timeout: c.timeout}
	r, _, err := dc.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn})
	if err != nil {
		return nil, err
	}
	q := m.Question[0]
	if !r.Response || len(r.Question) > 1 || len(r.Question) == 1 &&
		(!strings.EqualFold(r.Question[0].Name, q.Name) || r.Question[0].Qtype != q.Qtype) {
		return nil, errors.New("answer to another question")
	}
	return r, nil
}

func toAnswer(m *dns.Msg, truncated bool) *Answer {
	code := dns.RcodeToString[m.Rcode]
	if code == "" {
		code = fmt.Sprintf("RCODE%d", m.Rcode)
	}
	return &Answer{
		Code: code, Answers: toRecords(m.Answer), Authority: toRecords(m.Ns),
		Authoritative: m.Authoritative, Recursive: m.RecursionAvailable, Truncated: truncated, Validated: m.AuthenticatedData,
	}
}

// toRecords keeps the types that the rules know; whatever else a server adds is of no use here.
func toRecords(rrs []dns.RR) []Record {
	var out []Record
	for _, rr := range rrs {
		h := rr.Header()
		switch h.Rrtype {
		case dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeTXT, dns.TypeTLSA:
		default:
			continue
		}
		if h.Class != dns.ClassINET {
			continue
		}
		value := strings.TrimSpace(strings.TrimPrefix(rr.String(), h.String()))
		if txt, ok := rr.(*dns.TXT); ok {
			value = strings.Join(txt.Txt, "")
		}
		out = append(out, Record{Name: strings.ToLower(h.Name), Type: dns.TypeToString[h.Rrtype], TTL: h.Ttl, Value: value})
	}
	return out
}
