package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// settings is what a host's files say of the addresses of one interface, whatever their format.
type settings struct {
	path     string // of the main file
	addrs    []netip.Prefix
	gateway  netip.Addr
	addrs6   []netip.Prefix
	gateway6 netip.Addr
	dns      []netip.Addr
	search   []string
	dynamic  string // how the address is obtained when it is not static: dhcp, ...
	routes   []route
	rules    []rule
	mtu      string
	zone     string            // of the firewall
	own      []netip.Addr      // all that the file names as addresses, also those that its readers drop
	kind     string            // ethernet, vlan, bond, bridge, team, or port of one of them
	extra    map[string]string // further ifcfg keys that belong to the addresses
}

// addressKeys follow the addresses from one ifcfg file to another.
var addressKeys = []string{"DEFROUTE", "METRIC", "IPV4_ROUTE_METRIC", "IPV6_DEFROUTE", "IPV6_ROUTE_METRIC", "IPV6_AUTOCONF"}

// ifcfgSettings reads the interface's ifcfg files. The findings of severity Fail say what of it could not be read.
func (h *Host) ifcfgSettings(iface string) (settings, []Finding) {
	s := settings{extra: map[string]string{}}
	main, aliases := h.ifcfg(iface)
	if len(main) == 0 {
		return s, nil
	}
	f := main[0]
	found := h.rivals(main, iface)
	s.path, s.kind = f.name, kindOf(f, iface)
	for _, x := range append([]*Ifcfg{f}, aliases...) {
		if err := x.opaque(); err != nil {
			found = append(found, Finding{"OPAQUE", Fail, err.Error(), "write plain KEY=value lines"})
			continue
		}
		for _, d := range x.Findings() {
			if !slices.Contains(found, d) {
				found = append(found, d)
			}
		}
		addrs, fs := x.Addresses()
		found = append(found, fs...)
		s.own = append(s.own, x.named()...)
		for _, a := range addrs {
			s.addrs = append(s.addrs, a.Prefix)
		}
	}
	if f.opaque() != nil {
		return s, found
	}
	boot := f.read("BOOTPROTO")
	switch p := strings.ToLower(boot.Bash); {
	case boot.Opaque:
		found = append(found, Finding{"OPAQUE-KEY", Fail, at(f.name, boot.Line) + "BOOTPROTO is the result of a shell expansion", "write none or static"})
	case p != "" && p != "none" && p != "static":
		s.dynamic = p
	}
	found = append(found, s.gateways(h, f, iface)...)
	if v := f.read("NETWORK"); v.Bash != "" && len(s.addrs) > 0 && s.gateway.IsValid() && v.Bash != s.addrs[0].Masked().Addr().String() {
		found = append(found, Finding{"STALE-NETWORK", Info, fmt.Sprintf("%sNETWORK %q is not the network of %v: the network scripts set no default route with it", at(f.name, v.Line), v.Bash, s.addrs[0]), ""})
	}
	found = append(found, s.ipv6(f)...)
	found = append(found, s.resolver(f)...)
	for _, k := range addressKeys {
		if v := f.read(k); v.Set && !v.Opaque {
			s.extra[k] = v.Bash
		}
	}
	found = append(found, s.routeFiles(h, iface)...)
	s.mtu, s.zone = f.plain("MTU"), f.plain("ZONE")
	return s, found
}

// kindOf names the topology that the keys of an ifcfg file describe.
func kindOf(f *Ifcfg, iface string) string {
	set := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return f.plain(k) != "" })
	}
	kind := strings.ToLower(f.plain("TYPE"))
	switch {
	case set("MASTER", "BRIDGE", "TEAM_MASTER", "OVS_BRIDGE"):
		return "port"
	case strings.EqualFold(f.plain("VLAN"), "yes") || kind == "vlan" || strings.Contains(iface, "."):
		return "vlan"
	case kind == "bond" || set("BONDING_OPTS", "BONDING_MASTER"):
		return "bond"
	case kind == "bridge" || kind == "team":
		return kind
	}
	return "ethernet"
}

// gateways reads GATEWAY, else the first of GATEWAY0, 1, ..., else GATEWAY of etc/sysconfig/network, unless GATEWAYDEV
// there names another interface.
func (s *settings) gateways(h *Host, f *Ifcfg, iface string) []Finding {
	global := h.network()
	if err := global.opaque(); err != nil {
		return []Finding{{"OPAQUE", Fail, err.Error(), "write plain KEY=value lines"}}
	}
	type place struct {
		f   *Ifcfg
		key string
	}
	var places []place
	for _, suffix := range f.suffixes("GATEWAY") {
		places = append(places, place{f, "GATEWAY" + suffix})
	}
	places = append(places, place{global, "GATEWAY"})
	if dev := global.plain("GATEWAYDEV"); dev != "" && dev != iface {
		return []Finding{{"GATEWAYDEV", Warn, fmt.Sprintf("%s: the default route goes through %s; no gateway is taken over", networkPath, dev), "set the default route by hand"}}
	}
	for _, p := range places {
		v := p.f.read(p.key)
		if v.Opaque {
			return []Finding{{"OPAQUE-KEY", Fail, at(p.f.name, v.Line) + p.key + " is the result of a shell expansion", "write the address itself"}}
		}
		if v.Bash == "" {
			continue
		}
		a, err := netip.ParseAddr(v.Bash)
		if err != nil || !a.Is4() {
			return []Finding{{"BAD-ADDRESS", Fail, fmt.Sprintf("%s%s %q is no IPv4 address", at(p.f.name, v.Line), p.key, v.Bash), ""}}
		}
		s.gateway = a
		if len(s.addrs) > 0 && !slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return []Finding{{"GATEWAY-SUBNET", Warn, fmt.Sprintf("%s%s %v is in no network of the interface: the network scripts set no default route", at(p.f.name, v.Line), p.key, a), "check gateway and network mask"}}
		}
		return nil
	}
	return nil
}

func (s *settings) ipv6(f *Ifcfg) (found []Finding) {
	for _, key := range []string{"IPV6ADDR", "IPV6ADDR_SECONDARIES"} {
		v := f.read(key)
		if v.Opaque {
			found = append(found, Finding{"OPAQUE-KEY", Fail, at(f.name, v.Line) + key + " is the result of a shell expansion", "write the address itself"})
			continue
		}
		for _, word := range strings.Fields(v.Bash) {
			addr, length, ok := strings.Cut(word, "/")
			n, err := strconv.Atoi(length)
			if !ok {
				n, err = 64, nil
				found = append(found, Finding{"NO-PREFIX", Warn, fmt.Sprintf("%s%s %s has no prefix length, /64 is assumed", at(f.name, v.Line), key, word), "write it with its length"})
			}
			a, aerr := netip.ParseAddr(addr)
			if aerr != nil || !a.Is6() || a.Zone() != "" || err != nil || n < 0 || n > 128 {
				found = append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%s%s %q is no IPv6 address with a prefix length", at(f.name, v.Line), key, word), ""})
				continue
			}
			s.addrs6 = append(s.addrs6, netip.PrefixFrom(a, n))
		}
	}
	v := f.read("IPV6_DEFAULTGW")
	if v.Bash != "" || v.Opaque {
		a, err := netip.ParseAddr(v.Bash)
		if err != nil || !a.Is6() {
			return append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%sIPV6_DEFAULTGW %q is no IPv6 address", at(f.name, v.Line), v.Bash), ""})
		}
		s.gateway6 = a
	}
	return found
}

func (s *settings) resolver(f *Ifcfg) (found []Finding) {
	for _, suffix := range f.suffixes("DNS") {
		v := f.read("DNS" + suffix)
		if suffix == "" || v.Bash == "" && !v.Opaque {
			continue
		}
		a, err := netip.ParseAddr(v.Bash)
		if err != nil || v.Opaque {
			found = append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%sDNS%s %q is no address", at(f.name, v.Line), suffix, v.Bash), ""})
			continue
		}
		s.dns = append(s.dns, a)
	}
	for _, key := range []string{"SEARCH", "DOMAIN"} {
		for _, d := range strings.Fields(f.plain(key)) {
			if !slices.Contains(s.search, d) {
				s.search = append(s.search, d)
			}
		}
	}
	return found
}

// writeIfcfg puts the addresses of s into a file in place of those it has; kept ones follow as further addresses.
// Existing lines are edited, so that the order and the style of the file stay. It tells all keys that it settled.
func (s *settings) writeIfcfg(f *Ifcfg, kept []netip.Prefix) (keys []string, err error) {
	e := ifcfgEdit{f: f}
	addrs := slices.Concat(s.addrs, kept)
	start := slices.Contains(f.Keys(), "IPADDR0") && !slices.Contains(f.Keys(), "IPADDR")
	suffixes := make([]string, len(addrs))
	for i := range addrs {
		if i > 0 || start {
			suffixes[i] = strconv.Itoa(i)
		}
	}
	for _, key := range []string{"IPADDR", "PREFIX", "NETMASK", "NETWORK", "BROADCAST", "GATEWAY"} {
		for _, suffix := range f.suffixes(key) {
			if strings.HasPrefix(key, "N") && key != "NETMASK" || key == "BROADCAST" || !slices.Contains(suffixes, suffix) {
				e.remove(key + suffix)
			}
		}
	}
	for i, p := range addrs {
		e.set("IPADDR"+suffixes[i], p.Addr().String())
		if slices.Contains(f.Keys(), "NETMASK"+suffixes[i]) && !slices.Contains(f.Keys(), "PREFIX"+suffixes[i]) {
			e.set("NETMASK"+suffixes[i], dotted(p.Bits()))
			continue
		}
		e.remove("NETMASK" + suffixes[i])
		e.set("PREFIX"+suffixes[i], strconv.Itoa(p.Bits()))
	}
	for _, suffix := range f.suffixes("GATEWAY") {
		if suffix != "" || !s.gateway.IsValid() {
			e.remove("GATEWAY" + suffix)
		}
	}
	if s.gateway.IsValid() {
		e.set("GATEWAY", s.gateway.String())
		if strings.EqualFold(f.plain("DEFROUTE"), "no") {
			e.set("DEFROUTE", "yes")
		}
	}
	s.writeIPv6(&e)
	s.writeResolver(&e)
	for _, k := range addressKeys {
		if v, ok := s.extra[k]; ok {
			e.set(k, v)
		}
	}
	e.set("BOOTPROTO", "none")
	e.set("ONBOOT", "yes")
	return e.keys, e.err
}

func (s *settings) writeIPv6(e *ifcfgEdit) {
	if len(s.addrs6) == 0 {
		return
	}
	e.set("IPV6INIT", "yes")
	e.set("IPV6ADDR", s.addrs6[0].String())
	var more []string
	for _, p := range s.addrs6[1:] {
		more = append(more, p.String())
	}
	e.setOrRemove("IPV6ADDR_SECONDARIES", strings.Join(more, " "))
	if s.gateway6.IsValid() {
		e.set("IPV6_DEFAULTGW", s.gateway6.String())
		if strings.EqualFold(e.f.plain("IPV6_DEFROUTE"), "no") {
			e.set("IPV6_DEFROUTE", "yes")
		}
	} else {
		e.remove("IPV6_DEFAULTGW")
	}
}

// writeResolver replaces name servers and search domains where the old host has any in its files.
func (s *settings) writeResolver(e *ifcfgEdit) {
	if len(s.dns) > 0 {
		for _, suffix := range e.f.suffixes("DNS") {
			if n, err := strconv.Atoi(suffix); err != nil || n < 1 || n > len(s.dns) {
				e.remove("DNS" + suffix)
			}
		}
		for i, a := range s.dns {
			e.set(fmt.Sprint("DNS", i+1), a.String())
		}
	}
	if len(s.search) > 0 {
		key, other := "DOMAIN", "SEARCH"
		if e.f.plain("SEARCH") != "" && e.f.plain("DOMAIN") == "" {
			key, other = other, key
		}
		e.remove(other)
		e.set(key, strings.Join(s.search, " "))
	}
}

// ifcfgEdit keeps the first error of a series of edits.
type ifcfgEdit struct {
	f    *Ifcfg
	keys []string
	err  error
}

func (e *ifcfgEdit) set(key, value string) {
	e.keys = append(e.keys, key)
	if e.err == nil && (!e.f.Var(key).Set || e.f.plain(key) != value) {
		e.err = e.f.Set(key, value)
	}
}

func (e *ifcfgEdit) remove(key string) {
	e.keys = append(e.keys, key)
	if e.err == nil {
		e.err = e.f.Remove(key)
	}
}

func (e *ifcfgEdit) setOrRemove(key, value string) {
	if value == "" {
		e.remove(key)
		return
	}
	e.set(key, value)
}

func dotted(length int) string {
	v := ^uint32(0) << (32 - length)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}
