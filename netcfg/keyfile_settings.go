package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// keyfiles finds the profiles that name an interface.
func (h *Host) keyfiles(iface string) (out []*Keyfile) {
	for _, p := range h.paths(keyfileDir) {
		if f := ParseKeyfile(p, h.Files[p]); f.Get("connection", "interface-name") == iface {
			out = append(out, f)
		}
	}
	return out
}

// numbered lists the keys NAME, NAME0, NAME1, ... of a section in the order in which NetworkManager reads them; both
// spellings of a name count.
func (f *Keyfile) numbered(section string, names ...string) []string {
	type numberedKey struct {
		n   int
		key string
	}
	var found []numberedKey
	for _, k := range f.Keys(section) {
		for _, name := range names {
			rest, ok := strings.CutPrefix(k, name)
			n, err := strconv.Atoi(rest)
			if ok && (rest == "" || err == nil && n >= 0 && strconv.Itoa(n) == rest) {
				if rest == "" {
					n = -1
				}
				found = append(found, numberedKey{n, k})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b numberedKey) int { return a.n - b.n })
	out := make([]string, len(found))
	for i, x := range found {
		out[i] = x.key
	}
	return out
}

func (f *Keyfile) line(section, key string) string { return at(f.name, f.find(section, key)+1) }

// keyfileSettings reads the interface's profile.
func (h *Host) keyfileSettings(iface string) (settings, []Finding) {
	s := settings{extra: map[string]string{}}
	files := h.keyfiles(iface)
	if len(files) == 0 {
		return s, nil
	}
	f := files[0]
	s.path, s.kind = f.name, keyfileKind(f)
	var found []Finding
	if len(files) > 1 {
		found = append(found, Finding{"AMBIGUOUS", Fail, fmt.Sprintf("%s and %s both configure %s", f.name, files[1].name, iface), "keep one of them"})
	}
	for _, p := range f.Problems() {
		found = append(found, Finding{"OPAQUE", Fail, p.Error(), "remove the line"})
	}
	v4, gw4, fs4 := f.addresses("ipv4", 24)
	v6, gw6, fs6 := f.addresses("ipv6", 64)
	s.addrs, s.gateway, s.addrs6, s.gateway6 = v4, gw4, v6, gw6
	found = slices.Concat(found, fs4, fs6)
	s.own = slices.Concat(f.named("ipv4"), f.named("ipv6"))
	s.mtu, s.zone = f.Get("ethernet", "mtu")+f.Get("802-3-ethernet", "mtu"), f.Get("connection", "zone")
	if m := f.Get("ipv4", "method"); m != "manual" && m != "disabled" {
		s.dynamic = m
		if m == "" {
			s.dynamic = "auto"
		}
	}
	for _, section := range []string{"ipv4", "ipv6"} {
		for _, d := range splitList(f.Get(section, "dns")) {
			a, err := netip.ParseAddr(d)
			if err != nil {
				found = append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%sdns %q is no address", f.line(section, "dns"), d), ""})
				continue
			}
			s.dns = append(s.dns, a)
		}
		for _, d := range splitList(f.Get(section, "dns-search")) {
			if !slices.Contains(s.search, d) {
				s.search = append(s.search, d)
			}
		}
	}
	found = append(found, s.readRoutes(f, iface)...)
	if m := f.Get("ipv4", "route-metric"); number(m) {
		s.extra["METRIC"] = m
	}
	return s, found
}

func keyfileKind(f *Keyfile) string {
	switch t := f.Get("connection", "type"); {
	case f.Get("connection", "master") != "" || f.Get("connection", "controller") != "":
		return "port"
	case t == "vlan" || t == "bond" || t == "bridge" || t == "team":
		return t
	}
	return "ethernet"
}

// splitList cuts a list of GKeyFile, in which every element may end with a semicolon.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ';' })
}

// addresses reads the addresses of a section, each as IP/LENGTH[,GATEWAY] or in the old form IP;LENGTH;GATEWAY;. The key
// gateway beats the one behind an address. Rules: KEYFILE-ADDRESS (fail), KEYFILE-MASK (a dotted mask behind the slash is
// read as a gateway), NO-PREFIX.
func (f *Keyfile) addresses(section string, defaultLength int) (out []netip.Prefix, gateway netip.Addr, found []Finding) {
	for _, key := range f.numbered(section, "address", "addresses") {
		value := f.Get(section, key)
		if strings.Trim(value, ";,/") == "" {
			continue
		}
		p, gw, rule, why := parseKeyfileAddress(value, section == "ipv4", defaultLength)
		if why != "" {
			severity := Fail
			if rule == "NO-PREFIX" {
				severity = Warn
			}
			found = append(found, Finding{rule, severity, fmt.Sprintf("%s%s %q: %s", f.line(section, key), key, value, why), "write it as IP/LENGTH or IP/LENGTH,GATEWAY"})
		}
		if p.IsValid() {
			out = append(out, p)
		}
		if !gateway.IsValid() && gw.IsValid() && !gw.IsUnspecified() {
			gateway = gw
		}
	}
	if f.find(section, "gateway") >= 0 {
		g := f.Get(section, "gateway")
		a, err := netip.ParseAddr(g)
		if err != nil || a.Is4() != (section == "ipv4") || a.Zone() != "" {
			return out, gateway, append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%sgateway %q is no %s address", f.line(section, "gateway"), g, section), ""})
		}
		gateway = a
	}
	return out, gateway, found
}

// named gives all that a section has in the place of addresses, whatever comes of it.
func (f *Keyfile) named(section string) (out []netip.Addr) {
	for _, key := range f.numbered(section, "address", "addresses") {
		text, _, _ := strings.Cut(strings.NewReplacer("/", ";", ",", ";", " ", ";").Replace(f.Get(section, key)), ";")
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// parseKeyfileAddress reads one address; the prefix is invalid where NetworkManager drops the address or reads it as
// something that nobody means.
func parseKeyfileAddress(value string, v4 bool, length int) (p netip.Prefix, gateway netip.Addr, rule, why string) {
	if strings.TrimRight(value, keyfileBlank) != value {
		return p, gateway, "KEYFILE-ADDRESS", "NetworkManager drops an address that ends with a blank"
	}
	parts := strings.Split(strings.NewReplacer("/", ";", ",", ";").Replace(value), ";")
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	a, err := netip.ParseAddr(parts[0])
	if err != nil || a.Zone() != "" || a.Is4() != v4 || len(parts) > 3 {
		return p, gateway, "KEYFILE-ADDRESS", "no address of this section"
	}
	if len(parts) == 1 {
		return netip.PrefixFrom(a, length), gateway, "NO-PREFIX", fmt.Sprintf("no prefix length, /%d is used", length)
	}
	if strings.ContainsAny(parts[1], ".:") {
		return p, gateway, "KEYFILE-MASK", fmt.Sprintf("NetworkManager reads %s as the gateway, and the length as /%d", parts[1], length)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 0 || n > a.BitLen() || strconv.Itoa(n) != parts[1] {
		return p, gateway, "KEYFILE-ADDRESS", fmt.Sprintf("prefix length %q", parts[1])
	}
	if len(parts) == 3 {
		if gateway, err = netip.ParseAddr(parts[2]); err != nil || gateway.Is4() != v4 || gateway.Zone() != "" {
			return p, netip.Addr{}, "KEYFILE-ADDRESS", fmt.Sprintf("gateway %q", parts[2])
		}
	}
	return netip.PrefixFrom(a, n), gateway, "", ""
}

// writeKeyfile puts the addresses of s into a profile in place of those it has; kept ones follow as further addresses.
func (s *settings) writeKeyfile(f *Keyfile, kept []netip.Prefix, was settings) error {
	e := keyfileEdit{f: f}
	e.addresses("ipv4", slices.Concat(s.addrs, kept), s.gateway)
	if len(s.addrs6) > 0 {
		e.addresses("ipv6", s.addrs6, s.gateway6.WithZone("")) // the interface is that of the profile
	}
	if len(s.dns) > 0 {
		var v4, v6 []string
		for _, a := range s.dns {
			if a.Is4() {
				v4 = append(v4, a.String())
			} else {
				v6 = append(v6, a.String())
			}
		}
		e.list("ipv4", "dns", v4)
		e.list("ipv6", "dns", v6)
	}
	if len(s.search) > 0 {
		e.list("ipv4", "dns-search", s.search)
	}
	s.writeRoutes(&e, was)
	return e.err
}

// keyfileEdit keeps the first error of a series of edits.
type keyfileEdit struct {
	f   *Keyfile
	err error
}

func (e *keyfileEdit) set(section, key, value string) {
	if e.err == nil && e.f.Get(section, key) != value {
		e.err = e.f.Set(section, key, value)
	}
}

func (e *keyfileEdit) remove(section, key string) {
	if e.err == nil {
		e.err = e.f.Remove(section, key)
	}
}

func (e *keyfileEdit) list(section, key string, values []string) {
	if len(values) == 0 {
		e.remove(section, key)
		return
	}
	e.set(section, key, strings.Join(values, ";")+";")
}

// addresses makes a section static. The gateway stays where the file has it: a key of its own, or behind the first
// address, which is also where a file without one gets it.
func (e *keyfileEdit) addresses(section string, addrs []netip.Prefix, gateway netip.Addr) {
	own := e.f.find(section, "gateway") >= 0
	var keys []string
	for i, p := range addrs {
		value := p.String()
		if i == 0 && gateway.IsValid() && !own {
			value += "," + gateway.String()
		}
		keys = append(keys, fmt.Sprint("address", i+1))
		e.set(section, keys[i], value)
	}
	for _, k := range e.f.numbered(section, "address", "addresses") {
		if !slices.Contains(keys, k) {
			e.remove(section, k)
		}
	}
	switch {
	case own && gateway.IsValid():
		e.set(section, "gateway", gateway.String())
	case own:
		e.remove(section, "gateway")
	}
	if gateway.IsValid() {
		e.remove(section, "never-default")
	}
	e.set(section, "method", "manual")
}
