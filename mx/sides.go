package mx

import (
	"net/netip"
	"slices"
)

// split is the MX set seen as the primary and the rest that could stand in for it.
type split struct {
	primary []host
	rest    []host
	others  []host // neither: exchangers beside a backup that is named
	pref    uint16 // the primary's preference, its best one
}

// sides tells the primary from the rest. The backup is the host named so; without a name it is every host that is not
// the primary. The primary is where the old address is, or failing that the new one; without both it is the best
// preference: all hosts that have it when the backup is named, else the first of them, so that equals are compared.
func sides(hosts []host, o *Options) split {
	var s split
	var pool []host
	for _, h := range usable(hosts) {
		if o.Backup != "" && h.name == o.Backup {
			s.rest = append(s.rest, h)
		} else {
			pool = append(pool, h)
		}
	}
	at := func(a netip.Addr) func(host) bool {
		return func(h host) bool { return a.IsValid() && slices.Contains(h.addrs, a) }
	}
	var isPrimary func(host) bool
	switch {
	case slices.ContainsFunc(pool, at(o.Old)):
		isPrimary = at(o.Old)
	case slices.ContainsFunc(pool, at(o.New)):
		isPrimary = at(o.New)
	case o.Backup != "":
		isPrimary = func(h host) bool { return h.pref == pool[0].pref }
	default:
		isPrimary = func(h host) bool { return h.name == pool[0].name }
	}
	for _, h := range pool {
		switch {
		case isPrimary(h):
			s.primary = append(s.primary, h)
		case o.Backup == "":
			s.rest = append(s.rest, h)
		default:
			s.others = append(s.others, h)
		}
	}
	if len(s.primary) > 0 {
		s.pref = s.primary[0].pref
	}
	return s
}

// sides is the judged set, with the domain itself as the primary where the MX is implicit, and with the named backup also
// while it is not published.
func (f *facts) sides(o *Options) split {
	s := sides(f.judged(), o)
	if len(f.judged()) == 0 && f.own.state == found {
		s.primary = []host{f.own}
	}
	s.rest = append(s.rest, f.extra...)
	return s
}

// usable leaves out what names no host: the null MX and address literals.
func usable(hosts []host) []host {
	var out []host
	for _, h := range hosts {
		if _, ok := literal(h.name); !ok && h.name != "." {
			out = append(out, h)
		}
	}
	return out
}

// doubt says why more addresses of h may exist than are known.
func (h host) doubt() string {
	if h.beyond {
		return show(h.name) + " was not looked up"
	}
	return h.why
}

func isNull(h host) bool { return h.name == "." }

// common is the first address that a and b share.
func common(a, b []netip.Addr) (netip.Addr, bool) {
	for _, x := range a {
		if slices.Contains(b, x) {
			return x, true
		}
	}
	return netip.Addr{}, false
}

// near is the first pair of one network: the /24 of IPv4, the /48 of IPv6.
func near(a, b []netip.Addr) (netip.Prefix, bool) {
	for _, x := range a {
		bits := 24
		if x.Is6() {
			bits = 48
		}
		p, err := x.Prefix(bits)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(b, p.Contains) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// allAddrs are the addresses of all hosts.
func allAddrs(hosts []host) []netip.Addr {
	var out []netip.Addr
	for _, h := range hosts {
		out = append(out, h.addrs...)
	}
	return out
}
