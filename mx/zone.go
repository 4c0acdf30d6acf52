package mx

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// findZone finds the zone that name lies in, with its name servers and their addresses.
func (c *checker) findZone(ctx context.Context, name string) zone {
	z := zone{name: name}
	var ns lookup
	for range maxZoneSteps {
		ns = c.ask(ctx, "", z.name, "NS")
		if ns.state == found && len(ns.chain) == 0 || ns.state == unanswered {
			break
		}
		next := parent(z.name)
		if ns.soa != nil && len(ns.chain) == 0 {
			if apex := absolute(ns.soa.Name); apex != z.name && below(z.name, apex) {
				next = apex
			}
		}
		if next == "" || next == "." {
			return zone{state: nodata, name: name}
		}
		z.name = next
	}
	z.state, z.why, z.limited = ns.state, ns.why, ns.limited
	if ns.state != found {
		return z
	}
	for _, r := range ns.values[:min(len(ns.values), maxServers)] {
		z.servers = append(z.servers, host{name: absolute(r.Value)})
	}
	slices.SortFunc(z.servers, func(a, b host) int { return strings.Compare(a.name, b.name) })
	var soa lookup
	jobs := []func(){func() { soa = c.ask(ctx, "", z.name, "SOA") }}
	for i := range z.servers {
		jobs = append(jobs, func() { c.addresses(ctx, &z.servers[i]) })
	}
	parallel(jobs)
	switch {
	case len(soa.values) > 0:
		z.refresh = soaNumber(soa.values[0], soaRefresh)
	case soa.soa != nil:
		z.refresh = soaNumber(*soa.soa, soaRefresh)
	}
	return z
}

// Places of the numbers in an SOA record, from its end: names before them may hold escaped blanks.
const (
	soaMinimum = 1
	soaRefresh = 4
	soaSerial  = 5
)

func soaNumber(r Record, place int) uint32 {
	f := strings.Fields(r.Value)
	if len(f) < 7 {
		return 0
	}
	n, err := strconv.ParseUint(f[len(f)-place], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// negativeTTL is how long "no such record" is kept by resolvers: RFC 2308 section 5.
func negativeTTL(l lookup) uint32 {
	if l.soa == nil {
		return 0
	}
	return min(l.soa.TTL, soaNumber(*l.soa, soaMinimum))
}

// otherZones finds the zones of the exchangers behind the primary that lie outside of the domain's own zone: their
// names must stay resolvable too. A host below the domain's zone is taken to be in it.
func (c *checker) otherZones(ctx context.Context, f *facts) []zone {
	var names []string
	for _, h := range f.sides(&c.opt).rest {
		if !below(h.name, f.zone.name) && parent(h.name) != "" && !slices.Contains(names, h.name) && len(names) < maxZones {
			names = append(names, h.name)
		}
	}
	zones := make([]zone, len(names))
	var jobs []func()
	for i := range names {
		jobs = append(jobs, func() { zones[i] = c.findZone(ctx, names[i]) })
	}
	parallel(jobs)
	return zones
}

// askServers asks every name server of the zone for the MX set and the serial, at one IPv4 and one IPv6 address each,
// and takes the TTLs from those that answer.
func (c *checker) askServers(ctx context.Context, f *facts) {
	var jobs []func()
	var addrs []netip.Addr
	for _, s := range f.zone.servers {
		var v4, v6 bool
		for _, a := range s.addrs {
			if a.Is4() && !v4 || a.Is6() && !v6 {
				v4, v6 = v4 || a.Is4(), v6 || a.Is6()
				f.replies = append(f.replies, reply{server: fmt.Sprintf("%s (%s)", show(s.name), a)})
				addrs = append(addrs, a)
			}
		}
	}
	for i := range f.replies {
		jobs = append(jobs, func() { c.askServer(ctx, &f.replies[i], addrs[i], f) })
	}
	parallel(jobs)
	adoptTTLs(f)
}

func (c *checker) askServer(ctx context.Context, r *reply, a netip.Addr, f *facts) {
	r.lookup = c.ask(ctx, target(a), f.domain, "MX")
	switch l := r.lookup; {
	case l.state == unanswered:
		r.fault = l.why
		return
	case !l.exact:
		r.fault = "lame: does not answer with authority"
		return
	case len(l.chain) > 0:
		r.set = "CNAME " + strings.Join(l.chain, " ")
	case l.state != found:
		r.set = map[state]string{nodata: "no MX", nxdomain: "no such domain", looping: "a CNAME loop"}[l.state]
	default:
		hosts, _ := exchangers(l.values)
		var set []string
		for _, h := range hosts {
			set = append(set, fmt.Sprintf("%d %s", h.pref, show(h.name)))
		}
		r.set = strings.Join(set, ", ")
	}
	soa := c.ask(ctx, target(a), f.zone.name, "SOA")
	if len(soa.values) > 0 {
		r.serial = strconv.FormatUint(uint64(soaNumber(soa.values[0], soaSerial)), 10)
	}
}

// adoptTTLs replaces what a cache had left of a TTL by the zone's own, the longest where servers differ.
func adoptTTLs(f *facts) {
	longest := map[string]uint32{}
	for _, r := range f.replies {
		if r.fault != "" || len(r.lookup.chain) > 0 {
			continue
		}
		hosts, _ := exchangers(r.lookup.values)
		for _, h := range hosts {
			longest[h.name] = max(longest[h.name], h.ttl)
		}
		if r.lookup.state == nodata && f.mx.state == nodata && negativeTTL(r.lookup) > negativeTTL(f.mx) {
			f.mx.soa = r.lookup.soa
		}
		f.mx.exact = true
	}
	for i := range f.hosts {
		if ttl, ok := longest[f.hosts[i].name]; ok {
			f.hosts[i].ttl = ttl
		}
	}
}
