package netcfg

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// route is a static route as ip-route(8) takes it. Of an interface other than its own it has no word.
type route struct {
	dst    netip.Prefix // of length 0 for the default route
	via    netip.Addr   // invalid: the network is on the link
	src    netip.Addr   // invalid: not given
	metric string       // a number, "" when not given
	table  string       // a number, "" for the main one
	onlink bool
}

// rule is a line of ip-rule(8) in pairs of its words: from, to, iif, oif, fwmark, tos, table, priority.
type rule struct {
	is6   bool
	pairs [][2]string
}

func (r route) is6() bool { return r.dst.Addr().Is6() }

// isDefault tells the default route of the main table.
func (r route) isDefault() bool { return r.dst.Bits() == 0 && r.table == "" }

// words gives what ip-route(8) has behind "add".
func (r route) words(iface string) string {
	out := r.dst.String()
	if r.dst.Bits() == 0 {
		out = "default"
	}
	for _, x := range []struct {
		key   string
		value fmt.Stringer
		ok    bool
	}{{"via", r.via, r.via.IsValid()}, {"src", r.src, r.src.IsValid()}} {
		if x.ok {
			out += " " + x.key + " " + x.value.String()
		}
	}
	out += " dev " + iface
	if r.metric != "" {
		out += " metric " + r.metric
	}
	if r.table != "" {
		out += " table " + r.table
	}
	if r.onlink {
		out += " onlink"
	}
	return out
}

// words gives what ip-rule(8) has behind "add"; an interface is the one that is named there.
func (r rule) words() string {
	var out []string
	for _, p := range r.pairs {
		out = append(out, p[0], p[1])
	}
	return strings.Join(out, " ")
}

func (r rule) get(key string) string {
	for _, p := range r.pairs {
		if p[0] == key {
			return p[1]
		}
	}
	return ""
}

func (r rule) equal(o rule) bool { return r.is6 == o.is6 && slices.Equal(r.pairs, o.pairs) }

func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// parseRoute reads the words behind "ip route add". is6 says of which family "default" is. It refuses what it does not know.
func parseRoute(words []string, iface string, is6 bool) (r route, ok bool) {
	if len(words) == 0 {
		return r, false
	}
	def := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if is6 {
		def = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if r.dst, ok = destination(words[0], def); !ok || r.dst.Addr().Is6() != is6 {
		return r, false
	}
	for i := 1; i < len(words); i++ {
		if words[i] == "onlink" {
			r.onlink = true
			continue
		}
		if i++; i >= len(words) || !r.set(words[i-1], words[i], iface) {
			return r, false
		}
	}
	return r, r.via.IsValid() || r.dst.Bits() > 0
}

// destination reads a network, an address, or "default".
func destination(s string, def netip.Prefix) (netip.Prefix, bool) {
	if s == "default" {
		return def, true
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err == nil && a.Zone() == ""
}

func (r *route) set(key, value, iface string) bool {
	address := func(to *netip.Addr) bool {
		a, err := netip.ParseAddr(value)
		*to = a
		return err == nil && a.Is6() == r.is6() && a.Zone() == ""
	}
	switch key {
	case "via":
		return address(&r.via)
	case "src":
		return address(&r.src)
	case "dev":
		return value == iface
	case "proto":
		return value == "static" || value == "boot"
	case "metric", "priority", "preference":
		r.metric = value
		return number(value)
	case "table":
		if r.table = value; value == "main" || value == "254" {
			r.table = ""
		}
		return r.table == "" || number(value)
	}
	return false
}

var ruleWords = map[string]string{"from": "from", "to": "to", "table": "table", "lookup": "table", "priority": "priority", "preference": "priority",
	"pref": "priority", "prio": "priority", "order": "priority", "iif": "iif", "dev": "iif", "oif": "oif", "fwmark": "fwmark", "tos": "tos", "dsfield": "tos"}

// parseRule reads the words behind "ip rule add", with the interface renamed.
func parseRule(words []string, is6 bool, from, to string) (rule, bool) {
	r := rule{is6: is6}
	if len(words) == 0 || len(words)%2 != 0 {
		return r, false
	}
	for i := 0; i < len(words); i += 2 {
		key, value := ruleWords[words[i]], words[i+1]
		ok := key != "" && r.get(key) == ""
		switch key {
		case "from", "to":
			p, isNet := destination(value, netip.Prefix{})
			ok = ok && (value == "all" || isNet && p.IsValid() && p.Addr().Is6() == is6)
		case "iif", "oif":
			if value == from {
				value = to
			}
			ok = ok && ifaceName(value)
		case "table":
			ok = ok && (number(value) || value == "main" || value == "default" || value == "local")
		default:
			_, err := strconv.ParseUint(value, 0, 32)
			ok = ok && err == nil
		}
		if !ok {
			return r, false
		}
		r.pairs = append(r.pairs, [2]string{key, value})
	}
	return r, r.get("table") != ""
}

// routeFiles reads the files of static routes and rules that belong to an ifcfg file: route- in the words of ip(8) or as
// ADDRESSn=, NETMASKn=, GATEWAYn= (ifup-routes), route6-, rule- and rule6- in the words of ip(8).
func (s *settings) routeFiles(h *Host, iface string) (found []Finding) {
	for _, kind := range []string{"route-", "route6-", "rule-", "rule6-"} {
		name := scriptsDir + kind + iface
		src, is6 := h.Files[name], strings.Contains(kind, "6")
		if kind == "route-" && hasAssignedRoutes(src) {
			found = append(found, s.assignedRoutes(ParseIfcfg(name, src))...)
			continue
		}
		n := 0
		for line := range strings.Lines(string(src)) {
			n++
			words := strings.Fields(line)
			if len(words) == 0 || words[0][0] == '#' {
				continue
			}
			var ok bool
			if strings.HasPrefix(kind, "rule") {
				var r rule
				if r, ok = parseRule(words, is6, iface, iface); ok {
					s.rules = append(s.rules, r)
				}
			} else {
				var r route
				if r, ok = parseRoute(words, iface, is6); ok {
					s.routes = append(s.routes, r)
				}
			}
			if !ok {
				found = append(found, notRoute(at(name, n)+strings.TrimSpace(line)))
			}
		}
	}
	return found
}

func notRoute(detail string) Finding {
	return Finding{"ROUTES", Warn, detail + ": not understood as a static route or rule, and not taken over", "add it by hand"}
}

func hasAssignedRoutes(src []byte) bool {
	for line := range strings.Lines(string(src)) {
		rest, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "ADDRESS")
		digits, _, eq := strings.Cut(rest, "=")
		if ok && eq && number(digits) {
			return true
		}
	}
	return false
}

// assignedRoutes reads ADDRESS0, NETMASK0, GATEWAY0 and so on, up to the first gap.
func (s *settings) assignedRoutes(f *Ifcfg) (found []Finding) {
	for n := 0; f.plain(fmt.Sprint("ADDRESS", n)) != ""; n++ {
		v := f.read(fmt.Sprint("ADDRESS", n))
		bits := maskLength(f.plain(fmt.Sprint("NETMASK", n)))
		words := []string{fmt.Sprintf("%s/%d", v.Bash, bits)}
		if gw := f.plain(fmt.Sprint("GATEWAY", n)); gw != "" {
			words = append(words, "via", gw)
		}
		if m := f.plain(fmt.Sprint("METRIC", n)); m != "" {
			words = append(words, "metric", m)
		}
		r, ok := parseRoute(words, "", false)
		if !ok || bits < 0 || f.opaque() != nil {
			found = append(found, notRoute(at(f.name, v.Line)+v.Key))
			continue
		}
		s.routes = append(s.routes, r)
	}
	return found
}

// routes takes static routes and rules along. From one ifcfg file to another their files go as they are, with the interface
// renamed; otherwise what was understood of them is written in the words of the new host's file.
func (t *takeover) routes() {
	if t.plan.Backend != BackendIfcfg {
		t.defaultRoutes()
		return
	}
	if t.old.isIfcfg(t.from.path) {
		t.routeFiles(func(name string) []byte { return renameDevice(t.old.Files[name], t.opt.OldIface, t.opt.Iface) })
		return
	}
	t.defaultRoutes()
	texts := map[string][]byte{}
	add := func(kind string, is6 bool, words string) {
		if is6 {
			kind += "6"
		}
		name := scriptsDir + kind + "-" + t.opt.OldIface
		texts[name] = append(texts[name], words+"\n"...)
	}
	for _, r := range t.from.routes {
		add("route", r.is6(), r.words(t.opt.Iface))
	}
	for _, r := range t.from.rules {
		add("rule", r.is6, r.words())
	}
	t.routeFiles(func(name string) []byte { return texts[name] })
}

func (h *Host) isIfcfg(path string) bool { return strings.HasPrefix(path, scriptsDir) }

func (t *takeover) routeFiles(text func(name string) []byte) {
	for _, kind := range []string{"route-", "route6-", "rule-", "rule6-"} {
		from, to := scriptsDir+kind+t.opt.OldIface, scriptsDir+kind+t.opt.Iface
		after := text(from)
		before, exists := t.new.Files[to]
		switch {
		case after == nil || string(before) == string(after):
		case exists:
			t.find(Finding{"ROUTES", Warn, fmt.Sprintf("the old host's routes or rules are not merged into the new host's %s", to), "merge them by hand"})
		default:
			t.change(to, nil, after)
		}
	}
}

// defaultRoutes takes the default routes out of the static ones: where the file names no gateway, they are it.
func (t *takeover) defaultRoutes() {
	t.from.routes = slices.DeleteFunc(t.from.routes, func(r route) bool {
		gw := &t.from.gateway
		if r.is6() {
			gw = &t.from.gateway6
		}
		if r.isDefault() && !gw.IsValid() {
			*gw = r.via
			if r.via.Is6() && r.via.IsLinkLocalUnicast() {
				*gw = r.via.WithZone(t.opt.Iface)
			}
		}
		return r.isDefault()
	})
}

// renameDevice replaces the interface behind dev, iif and oif, and leaves every other byte.
func renameDevice(src []byte, from, to string) []byte {
	if from == to {
		return slices.Clone(src)
	}
	var out []byte
	prev := ""
	for len(src) > 0 {
		n := bytes.IndexAny(src, " \t\r\n")
		if n < 0 {
			n = len(src)
		}
		word := string(src[:n])
		if word == from && (prev == "dev" || prev == "iif" || prev == "oif") {
			out = append(out, to...)
		} else {
			out = append(out, word...)
		}
		if n > 0 {
			prev = word
		}
		if n < len(src) {
			out = append(out, src[n])
			n++
		}
		src = src[n:]
	}
	return out
}

// renameRules gives the rules that name the old host's interface the new one's.
func (t *takeover) renameRules() {
	for i, r := range t.from.rules {
		t.from.rules[i], _ = parseRule(strings.Fields(r.words()), r.is6, t.opt.OldIface, t.opt.Iface)
	}
}
