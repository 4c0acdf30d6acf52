package mx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Bounds on what the network can make us do. The number of exchangers is bounded by Options.MaxHosts.
const (
	maxChain     = 16 // CNAME records behind each other
	maxAddrs     = 32 // addresses of one name
	maxServers   = 13 // name servers of one zone
	maxParallel  = 8  // questions under way
	maxZoneSteps = 10 // labels cut off in search of a zone
	maxZones     = 4  // zones of further exchangers
)

// state is what DNS says of a name and type.
type state int

const (
	unanswered state = iota // not asked, or no usable answer: nothing is known
	found
	nodata   // the name exists, without this type
	nxdomain // the name does not exist
	looping  // the chain of CNAME records does not end
)

// lookup is the outcome of one question.
type lookup struct {
	state     state
	values    []Record
	chain     []string // names behind the one asked for, through CNAME
	why       string   // of unanswered
	exact     bool     // the TTL is the zone's own and not what is left of it in a cache
	truncated bool
	limited   bool    // the server refuses such questions, rather than having trouble
	validated bool    // DNSSEC
	bogus     bool    // DNSSEC is broken
	soa       *Record // of the authority section
}

// host is an exchanger or a name server with its addresses.
type host struct {
	name   string
	pref   uint16
	ttl    uint32
	state  state
	addrs  []netip.Addr
	chain  []string
	why    string // why addresses, or some of them, are unknown
	number int    // how many addresses there were, when they are too many
	beyond bool   // behind Options.MaxHosts: not looked up
	bogus  bool   // DNSSEC of the addresses is broken
	tlsa   lookup // of port 25, where the MX set is validated
}

// zone is the zone that a name lies in.
type zone struct {
	state   state
	name    string
	why     string
	limited bool
	servers []host
	refresh uint32 // seconds between a secondary's looks at the primary; 0 unknown
}

// reply is what one authoritative server says of the MX set.
type reply struct {
	server string // "ns.example.org 192.0.2.53"
	lookup lookup
	serial string
	set    string // the MX set as text, for comparison
	fault  string // why it counts as no answer
}

// facts are all that the rules are judged by.
type facts struct {
	domain  string
	mx      lookup
	hosts   []host // as published
	planned []host
	extra   []host // the named backup while it is in no set
	own     host   // the domain's own addresses: the implicit MX
	zone    zone
	zones   []zone // of exchangers outside of zone
	replies []reply
	doubles []string // names with two preferences
	sts     stsFacts
}

// judged is the set that the rules speak of.
func (f *facts) judged() []host {
	if f.planned != nil {
		return f.planned
	}
	return f.hosts
}

type checker struct {
	domain   string
	opt      Options
	resolver Resolver
}

// gather asks all questions. It stops early where nothing can follow.
func (c *checker) gather(ctx context.Context) *facts {
	f := &facts{domain: c.domain}
	f.mx = c.ask(ctx, "", c.domain, "MX")
	if f.mx.state == unanswered || f.mx.state == nxdomain {
		return f
	}
	f.hosts, f.doubles = exchangers(f.mx.values)
	f.hosts = c.bounded(f.hosts)
	f.planned = c.bounded(plannedHosts(c.opt.Planned))
	f.own = host{name: c.domain}
	named := func(h host) bool { return h.name == c.opt.Backup }
	if c.opt.Backup != "" && !slices.ContainsFunc(f.judged(), named) {
		f.extra = []host{{name: c.opt.Backup}}
	}

	jobs := []func(){
		func() { c.addresses(ctx, &f.own) },
		func() { f.zone = c.findZone(ctx, c.domain) },
		func() { f.sts = c.findPolicy(ctx) },
	}
	for _, set := range [][]host{f.hosts, f.extra, f.planned} {
		for i := range set {
			jobs = append(jobs, func() { c.addresses(ctx, &set[i]) })
			if f.mx.validated && !set[i].beyond && set[i].name != "." {
				jobs = append(jobs, func() { set[i].tlsa = c.ask(ctx, "", "_25._tcp."+set[i].name, "TLSA") })
			}
		}
	}
	parallel(jobs)

	if f.zone.state == found {
		f.zones = c.otherZones(ctx, f)
	}
	if c.opt.Authority && f.zone.state == found {
		c.askServers(ctx, f)
	}
	return f
}

// parallel runs the jobs, at most maxParallel at a time.
func parallel(jobs []func()) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for _, job := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			job()
		})
	}
	wg.Wait()
}

// ask puts a question and follows CNAME records, also those that the server did not follow.
func (c *checker) ask(ctx context.Context, server, name, typ string) lookup {
	var l lookup
	asked := name
	for {
		a, err := c.resolver.Lookup(ctx, server, asked, typ)
		if err != nil {
			l.why = "no answer: " + clean(err.Error())
			return l
		}
		l.truncated = l.truncated || a.Truncated
		if a.Code != "NOERROR" && a.Code != "NXDOMAIN" {
			l.why, l.limited, l.bogus = "answer "+clean(a.Code), a.Code == "REFUSED" || a.Code == "NOTIMP", a.Bogus
			return l
		}
		next, values, loop := follow(a.Answers, asked, typ, &l.chain)
		for _, r := range a.Authority {
			if r.Type == "SOA" {
				l.soa = &r
			}
		}
		l.exact, l.validated = a.Authoritative, a.Validated
		switch {
		case loop:
			l.state = looping
		case len(values) > 0:
			l.state, l.values = found, values
		case a.Code == "NXDOMAIN":
			l.state = nxdomain
		case next != asked && server == "" && l.soa == nil:
			asked = next // the target of the chain lies outside of what the server answered
			continue
		case len(a.Answers) == 0 && l.soa == nil && !a.Authoritative && !a.Recursive && isReferral(a):
			l.why = "lame: the server only refers to others"
		default:
			l.state = nodata
		}
		return l
	}
}

func isReferral(a *Answer) bool {
	return slices.ContainsFunc(a.Authority, func(r Record) bool { return r.Type == "NS" })
}

// follow walks from name along CNAME records and picks the wanted records of the last name. Records of any other name
// are not taken.
func follow(records []Record, name, typ string, chain *[]string) (last string, values []Record, loop bool) {
	for {
		values = nil
		target := ""
		for _, r := range records {
			if absolute(r.Name) != name {
				continue
			}
			switch r.Type {
			case typ:
				values = append(values, r)
			case "CNAME":
				target = absolute(r.Value)
			}
		}
		if len(values) > 0 || target == "" {
			return name, values, false
		}
		if len(*chain) >= maxChain || target == name || slices.Contains(*chain, target) {
			return name, nil, true
		}
		*chain = append(*chain, target)
		name = target
	}
}

// bounded marks the hosts that are not looked up: those behind the first MaxHosts, but not the named backup. Their names
// and preferences count all the same.
func (c *checker) bounded(hosts []host) []host {
	for i := range hosts {
		hosts[i].beyond = i >= c.opt.MaxHosts && hosts[i].name != c.opt.Backup
	}
	return hosts
}

// exchangers reads MX records into hosts by preference and name. A name that comes twice is held once, with its better
// preference.
func exchangers(records []Record) (hosts []host, doubles []string) {
	for _, r := range records {
		number, name, ok := strings.Cut(r.Value, " ")
		pref, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil || name == "" {
			continue
		}
		hosts = append(hosts, host{name: absolute(name), pref: uint16(pref), ttl: r.TTL})
	}
	return distinct(hosts)
}

func distinct(hosts []host) (out []host, doubles []string) {
	slices.SortFunc(hosts, func(a, b host) int {
		if a.pref != b.pref {
			return int(a.pref) - int(b.pref)
		}
		return strings.Compare(a.name, b.name)
	})
	prefs := map[string]uint16{}
	for _, h := range hosts {
		pref, seen := prefs[h.name]
		if !seen {
			prefs[h.name] = h.pref
			out = append(out, h)
		} else if pref != h.pref && !slices.Contains(doubles, h.name) {
			doubles = append(doubles, h.name)
		}
	}
	return out, doubles
}

func plannedHosts(planned []Host) []host {
	if len(planned) == 0 {
		return nil
	}
	hosts := []host{}
	for _, h := range planned {
		hosts = append(hosts, host{name: absolute(h.Host), pref: h.Pref, ttl: h.TTL})
	}
	hosts, _ = distinct(hosts)
	return hosts
}

// addresses fills in the addresses of h, unless its name is none that could have any.
func (c *checker) addresses(ctx context.Context, h *host) {
	if _, ok := literal(h.name); ok || h.name == "." || h.beyond {
		return
	}
	var l [2]lookup
	parallel([]func(){
		func() { l[0] = c.ask(ctx, "", h.name, "A") },
		func() { l[1] = c.ask(ctx, "", h.name, "AAAA") },
	})
	for i, typ := range []string{"A", "AAAA"} {
		for _, r := range l[i].values {
			if a, err := netip.ParseAddr(r.Value); err == nil && a.Zone() == "" {
				h.addrs = append(h.addrs, a.Unmap())
			}
		}
		if l[i].state == unanswered {
			h.why = join(h.why, typ+": "+l[i].why)
			h.bogus = h.bogus || l[i].bogus
		}
		if len(l[i].chain) > len(h.chain) {
			h.chain = l[i].chain
		}
	}
	slices.SortFunc(h.addrs, netip.Addr.Compare)
	h.addrs = slices.Compact(h.addrs)
	if len(h.addrs) > maxAddrs {
		h.number = len(h.addrs)
		h.addrs = h.addrs[:maxAddrs]
	}
	switch {
	case len(h.addrs) > 0:
		h.state = found
	case l[0].state == unanswered || l[1].state == unanswered:
		h.state = unanswered
	case l[0].state == looping || l[1].state == looping:
		h.state = looping
	case l[0].state == nxdomain && l[1].state == nxdomain:
		h.state = nxdomain
	default:
		h.state = nodata
	}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// target is the address of the DNS port of a.
func target(a netip.Addr) string { return net.JoinHostPort(a.String(), "53") }

// clean makes text of the network fit to print: one line, printable ASCII, at most 200 bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = fmt.Sprintf("%s...", s[:200])
	}
	return s
}
