package mx

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// targetRules are MX10 to MX13 and MX19, for every exchanger.
func targetRules(f *facts, o *Options, fs *findings) {
	for _, h := range slices.Concat(f.judged(), f.extra) {
		if isNull(h) || h.beyond {
			continue
		}
		if a, ok := literal(h.name); ok {
			fs.add("MX12", Fail, "give the host a name with an A or AAAA record and point the MX there (RFC 5321 section 5.1)",
				"%sthe exchanger is the address %s instead of a name", planText(f), a)
			continue
		}
		name := planText(f) + show(h.name)
		if !relativeRule(f, h, fs) {
			resolveRule(h, name, fs)
		}
		if len(h.chain) > 0 && h.state != looping {
			fs.add("MX11", Warn, "point the MX at the name that has the address (RFC 2181 section 10.3)",
				"%s is a CNAME for %s", name, show(h.chain[len(h.chain)-1]))
		}
		reservedRule(h, name, o, fs)
		if fault := hostnameFault(h.name); fault != "" {
			fs.add("MX19", Warn, "rename the host: some senders refuse such a name", "%s is no host name: it %s", clean(name), fault)
		}
		if h.number > 0 {
			fs.add("MX20", Warn, "publish fewer", "%s has %d addresses, of which %d were examined", name, h.number, len(h.addrs))
		}
	}
}

// relativeRule is MX12 for an address that a zone file has made a name by adding its origin. Names of that shape which
// resolve in a zone of their own are let through.
func relativeRule(f *facts, h host, fs *findings) bool {
	a, rest, ok := relativeLiteral(h.name)
	if !ok || h.state == found && !below(f.domain, rest) {
		return false
	}
	fs.add("MX12", Fail, "give the host a name with an A record and point the MX there, with a final dot",
		"%sthe exchanger %s is the address %s with the zone's name added", planText(f), show(h.name), a)
	return true
}

// resolveRule is MX10.
func resolveRule(h host, name string, fs *findings) {
	advice := "add an A or AAAA record for it, or remove the MX record"
	switch h.state {
	case nxdomain:
		fs.add("MX10", Fail, advice, "%s does not exist (NXDOMAIN)", name)
	case nodata:
		fs.add("MX10", Fail, advice, "%s has neither an A nor an AAAA record", name)
	case looping:
		fs.add("MX10", Fail, advice, "%s: its chain of CNAME records loops or is longer than %d", name, maxChain)
	}
	if h.why != "" {
		fs.add("MX10", Unknown, "ask again; what is known was judged", "not all addresses of %s are known: %s", name, h.why)
	}
}

// reservedRule is MX13. Where the old or the new host was given with an address of the same kind, the network is meant
// to be a closed one, and the finding only informs.
func reservedRule(h host, name string, o *Options, fs *findings) {
	advice := "publish an address that senders can reach"
	plain := show(h.name)
	if plain == "localhost" || strings.HasSuffix(plain, ".localhost") || strings.HasPrefix(plain, "localhost.") {
		fs.add("MX13", Fail, advice, "%s names every sender's own machine", name)
		return
	}
	for _, a := range h.addrs {
		kind := reserved(a)
		if kind == "" {
			continue
		}
		severity := Fail
		if kind == reserved(o.Old) || kind == reserved(o.New) {
			severity = Info
		}
		fs.add("MX13", severity, advice, "%s has the %s address %s", name, kind, a)
	}
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// reserved names the kind of an address that no stranger can reach, "" for others. The documentation networks pass.
func reserved(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate(), sharedSpace.Contains(a):
		return "private"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast or broadcast"
	case a.Is4() && a.As4()[0] == 0:
		return "unspecified"
	}
	return ""
}

// shareRules are MX14 and MX15: a backup that is the primary's machine, or close to it, goes down with it.
func shareRules(f *facts, o *Options, fs *findings) {
	s := f.sides(o)
	home := allAddrs(s.primary)
	apart := false // another host behind the primary stands on its own
	var shared, beside []Finding
	for _, h := range s.rest {
		name := planText(f) + show(h.name)
		a, same := common(h.addrs, home)
		switch {
		case same:
			shared = append(shared, Finding{Detail: fmt.Sprintf("%s has the primary's address %s", name, a)})
			continue
		case o.Old.IsValid() && contains(h.addrs, o.Old):
			shared = append(shared, Finding{Detail: fmt.Sprintf("%s has the old host's address %s", name, o.Old)})
			continue
		case o.New.IsValid() && contains(h.addrs, o.New):
			shared = append(shared, Finding{Detail: fmt.Sprintf("%s has the new host's address %s", name, o.New)})
			continue
		}
		apart = apart || h.state == found && h.why == "" && h.pref > s.pref
		if p, ok := near(h.addrs, home); ok {
			beside = append(beside, Finding{Detail: fmt.Sprintf("%s is in the primary's network %s", name, p)})
		}
	}
	severity := Fail
	if apart {
		severity = Warn
	}
	for _, x := range shared {
		fs.add("MX14", severity, "point the backup at another machine: this one is down when the primary is", "%s", x.Detail)
	}
	for _, x := range beside {
		fs.add("MX15", Warn, "have the backup at another site, or make sure that it does not share power, switch and hypervisor", "%s", x.Detail)
	}
}

func contains(addrs []netip.Addr, a netip.Addr) bool {
	_, ok := common(addrs, []netip.Addr{a})
	return ok
}
