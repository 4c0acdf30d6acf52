package netcfg

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// interfacesSettings reads the stanzas of an interface and of its aliases (eth0:0).
func (h *Host) interfacesSettings(iface string) (settings, []Finding) {
	s := settings{extra: map[string]string{}}
	files, found := h.interfaces()
	r := ifReader{s: &s, iface: iface}
	var first *interfacesFile
	for _, f := range files {
		if len(f.of(iface, "")) == 0 {
			continue
		}
		if first != nil {
			r.found = append(r.found, Finding{"AMBIGUOUS", Fail, fmt.Sprintf("%s and %s both configure %s", first.name, f.name, iface), "keep its stanzas in one file"})
			continue
		}
		first = f
	}
	if first == nil {
		return s, nil
	}
	s.path, s.kind = first.name, "ethernet"
	for _, f := range files {
		for _, e := range f.errs {
			r.found = append(r.found, Finding{"OPAQUE", Fail, e.Error(), "correct the line"})
		}
		for _, st := range f.stanzas {
			r.stanza(f, st)
		}
	}
	if strings.Contains(iface, ".") && s.kind == "ethernet" {
		s.kind = "vlan"
	}
	return s, append(found, r.found...)
}

// ifReader collects what stanzas say.
type ifReader struct {
	s     *settings
	iface string
	found []Finding
}

func (r *ifReader) fail(rule, format string, a ...any) {
	r.found = append(r.found, Finding{rule, Fail, fmt.Sprintf(format, a...), ""})
}

func (r *ifReader) stanza(f *interfacesFile, s stanza) {
	pos := at(f.name, s.line)
	switch {
	case s.kind == "mapping":
		for _, w := range s.words {
			if ok, err := path.Match(w, r.iface); ok || err != nil {
				r.fail("OPAQUE", "%sa mapping decides which stanza %s gets", pos, r.iface)
			}
		}
		return
	case s.kind != "iface" || s.words[0] == "":
		return
	case s.words[0] != r.iface && !strings.HasPrefix(s.words[0], r.iface+":"):
		for _, o := range s.get("bridge_ports", "bridge-ports", "bond-slaves", "slaves") {
			if slices.Contains(strings.Fields(o.value), r.iface) {
				r.s.kind = "port"
			}
		}
		return
	case s.inherits:
		r.fail("OPAQUE", "%s%s inherits the options of another stanza", pos, s.words[0])
		return
	}
	for kind, keys := range map[string][]string{"vlan": {"vlan-raw-device", "vlan_raw_device"}, "bridge": {"bridge_ports", "bridge-ports"},
		"bond": {"bond-slaves", "bond-mode", "slaves"}, "port": {"bond-master"}} {
		if len(s.get(keys...)) > 0 {
			r.s.kind = kind
		}
	}
	switch s.method {
	case "static":
		r.address(f, s)
		r.resolver(f, s)
	case "manual", "loopback":
	default:
		if s.family == "inet" {
			r.s.dynamic = s.method
		}
	}
	for _, o := range s.get("up", "pre-up") {
		r.command(f, o, s.family == "inet6")
	}
}

// one gives the value of an option that counts only once; ifupdown joins repeated ones to a nonsense.
func (r *ifReader) one(f *interfacesFile, s stanza, key string) string {
	list := s.get(key)
	if len(list) == 0 {
		return ""
	}
	if len(list) > 1 {
		r.fail("BAD-ADDRESS", "%s%s is given twice", at(f.name, list[1].line), key)
	}
	return list[0].value
}

func (r *ifReader) address(f *interfacesFile, s stanza) {
	pos := at(f.name, s.line)
	is6 := s.family == "inet6"
	text, length, slashed := strings.Cut(r.one(f, s, "address"), "/")
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is6() != is6 {
		r.fail("BAD-ADDRESS", "%saddress %q is no %s address", pos, text, s.family)
		return
	}
	r.s.own = append(r.s.own, a)
	mask := r.one(f, s, "netmask")
	switch {
	case mask != "" && slashed && maskBits(mask, a) != maskBits(length, a):
		r.found = append(r.found, Finding{"PREFIX-NETMASK", Warn, fmt.Sprintf("%saddress %s/%s and netmask %s differ; the netmask counts", pos, text, length, mask), "remove the one that is wrong"})
	case mask == "" && slashed:
		mask = length
	case mask == "" && !is6:
		mask = strconv.Itoa(classLength(a))
		r.found = append(r.found, Finding{"CLASSFUL", Warn, fmt.Sprintf("%sneither a length nor a netmask: %v gets the mask of its class, /%s", pos, a, mask), "write address " + text + "/LENGTH"})
	}
	n := maskBits(mask, a)
	if n < 0 {
		r.fail("BAD-NETMASK", "%snetmask %q of %v: want a length or a mask", pos, mask, a)
		return
	}
	r.add(netip.PrefixFrom(a, n))
	if gw := r.one(f, s, "gateway"); gw != "" {
		r.gateway(f, s, gw)
	}
	if m := r.one(f, s, "metric"); m != "" && !is6 {
		r.s.extra["METRIC"] = m
	}
	if m := r.one(f, s, "mtu"); m != "" {
		r.s.mtu = m
	}
}

func (r *ifReader) add(p netip.Prefix) {
	if p.Addr().Is6() {
		r.s.addrs6 = append(r.s.addrs6, p)
	} else {
		r.s.addrs = append(r.s.addrs, p)
	}
}

// maskBits reads a length, or for IPv4 a dotted mask; -1 when it is neither.
func maskBits(s string, a netip.Addr) int {
	if a.Is4() && strings.Contains(s, ".") {
		return maskLength(s)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > a.BitLen() || strconv.Itoa(n) != s {
		return -1
	}
	return n
}

func (r *ifReader) gateway(f *interfacesFile, s stanza, text string) {
	if strings.EqualFold(text, "none") {
		return
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is6() != (s.family == "inet6") {
		r.fail("BAD-ADDRESS", "%sgateway %q is no %s address", at(f.name, s.line), text, s.family)
		return
	}
	gw := &r.s.gateway
	if a.Is6() {
		gw = &r.s.gateway6
	}
	if !gw.IsValid() && s.words[0] == r.iface {
		*gw = a
	}
}

func (r *ifReader) resolver(f *interfacesFile, s stanza) {
	for _, o := range s.get("dns-nameservers", "dns-nameserver") {
		for _, w := range strings.Fields(o.value) {
			a, err := netip.ParseAddr(w)
			if err != nil {
				r.fail("BAD-ADDRESS", "%s%s %q is no address", at(f.name, o.line), o.key, w)
			} else if !slices.Contains(r.s.dns, a) {
				r.s.dns = append(r.s.dns, a)
			}
		}
	}
	for _, o := range s.get("dns-search", "dns-domain") {
		for _, w := range strings.Fields(o.value) {
			if !slices.Contains(r.s.search, w) {
				r.s.search = append(r.s.search, w)
			}
		}
	}
}

// command understands what is usual behind up: ip(8) adding an address, a route or a rule, and route(8) adding a route.
func (r *ifReader) command(f *interfacesFile, o ifOption, is6 bool) {
	text := strings.NewReplacer("$IFACE", r.iface, "${IFACE}", r.iface).Replace(o.value)
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "|| true"))
	words := strings.Fields(text)
	ok := !strings.ContainsAny(text, "|&;<>()$`\\\"'*?[]#~{}")
	if ok && len(words) > 0 {
		switch path.Base(words[0]) {
		case "ip":
			ok = r.ipCommand(words[1:], is6)
		case "route":
			ok = r.routeCommand(words[1:])
		default:
			ok = false
		}
	}
	if !ok {
		r.found = append(r.found, Finding{"NOT-CARRIED", Warn, fmt.Sprintf("%s%s %s: the command is not taken over", at(f.name, o.line), o.key, o.value), "run it on the new host if it needs it"})
	}
}

func (r *ifReader) ipCommand(words []string, is6 bool) bool {
	for len(words) > 0 && (words[0] == "-4" || words[0] == "-6") {
		is6, words = words[0] == "-6", words[1:]
	}
	if len(words) < 3 || words[1] != "add" && words[1] != "a" && words[1] != "replace" {
		return false
	}
	object, words := words[0], words[2:]
	if len(words) > 0 && strings.Contains(words[0], ":") {
		is6 = true
	}
	switch {
	case strings.HasPrefix("route", object):
		x, ok := parseRoute(words, r.iface, is6)
		if ok {
			r.s.routes = append(r.s.routes, x)
		}
		return ok
	case len(object) > 1 && strings.HasPrefix("rule", object):
		x, ok := parseRule(words, is6, r.iface, r.iface)
		if ok {
			r.s.rules = append(r.s.rules, x)
		}
		return ok
	case strings.HasPrefix("address", object):
		p, err := netip.ParsePrefix(words[0])
		for i := 1; i < len(words); i += 2 { // broadcast and label go with the address
			known := i+1 < len(words) && (words[i] == "dev" && words[i+1] == r.iface || slices.Contains([]string{"label", "brd", "broadcast"}, words[i]))
			if !known {
				return false
			}
		}
		if err != nil {
			return false
		}
		r.s.own = append(r.s.own, p.Addr())
		r.add(p)
		return true
	}
	return false
}

// routeCommand reads route add {-net|-host} A [netmask M] gw G [metric N] [dev I].
func (r *ifReader) routeCommand(words []string) bool {
	if len(words) < 3 || words[0] != "add" {
		return false
	}
	words = words[1:]
	if words[0] == "-net" || words[0] == "-host" {
		words = words[1:]
	}
	if len(words) == 0 {
		return false
	}
	out := words[:1:1]
	for i := 1; i+1 < len(words); i += 2 {
		switch key, value := words[i], words[i+1]; key {
		case "netmask":
			n := maskLength(value)
			if n < 0 || strings.Contains(out[0], "/") {
				return false
			}
			out[0] += "/" + strconv.Itoa(n)
		case "gw", "metric", "dev":
			out = append(out, map[string]string{"gw": "via"}[key]+strings.TrimPrefix(key, "gw"), value)
		default:
			return false
		}
	}
	x, ok := parseRoute(out, r.iface, false)
	if ok && len(words)%2 == 1 {
		r.s.routes = append(r.s.routes, x)
	}
	return ok && len(words)%2 == 1
}
