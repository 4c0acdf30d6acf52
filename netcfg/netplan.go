package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const netplanDir = "etc/netplan/"

// netplanSections are the kinds of definitions that bear addresses.
var netplanSections = map[string]string{"ethernets": "ethernet", "wifis": "wifi", "bonds": "bond", "bridges": "bridge", "vlans": "vlan"}

// netplanDef is what one file has for one interface (netplan-yaml(5)).
type netplanDef struct {
	name       string // of the file
	src        []byte
	kind       string
	id         string
	flow       bool       // in { }, where no lines can be replaced
	key, value *yaml.Node // the value is a mapping
}

// pairsOf gives the keys and values of a mapping, nothing for any other node.
func pairsOf(n *yaml.Node) (out [][2]*yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, [2]*yaml.Node{n.Content[i], n.Content[i+1]})
	}
	return out
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	for _, p := range pairsOf(n) {
		if p[0].Value == key {
			return p[1]
		}
	}
	return nil
}

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// parseNetplan reads the one document of a file; nil where it is empty.
func parseNetplan(name string, src []byte) (*yaml.Node, error) {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(src))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document", name)
	}
	var plain any // finds the keys that stand twice
	if err := doc.Decode(&plain); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return doc.Content[0], nil
}

// netplan gives the definitions of an interface: by their id, or by the name that match or set-name give it.
func (h *Host) netplan(iface string) (defs []netplanDef, found []Finding) {
	for _, p := range h.paths(netplanDir) {
		root, err := parseNetplan(p, h.Files[p])
		if err != nil {
			found = append(found, Finding{"OPAQUE", Fail, strings.ReplaceAll(err.Error(), "\n", " "), "correct the file: netplan reads none of them otherwise"})
			continue
		}
		network := valueOf(root, "network")
		for _, section := range pairsOf(network) {
			for _, d := range pairsOf(section[1]) {
				id, kind := d[0].Value, netplanSections[section[0].Value]
				name := id
				if m := valueOf(d[1], "match"); m != nil {
					name = scalar(valueOf(m, "name"))
				}
				if n := scalar(valueOf(d[1], "set-name")); n != "" {
					name = n
				}
				if kind == "" || name != iface {
					continue
				}
				flow := (root.Style | network.Style | section[1].Style | d[1].Style) & yaml.FlowStyle
				defs = append(defs, netplanDef{p, h.Files[p], kind, id, flow != 0 || d[1].Kind != yaml.MappingNode, d[0], d[1]})
			}
			found = append(found, netplanPort(p, section, iface)...)
		}
	}
	return defs, found
}

// netplanPort tells that an interface belongs to a bond or a bridge.
func netplanPort(name string, section [2]*yaml.Node, iface string) (found []Finding) {
	for _, d := range pairsOf(section[1]) {
		if list := valueOf(d[1], "interfaces"); list != nil {
			for _, x := range list.Content {
				if x.Value == iface {
					found = append(found, Finding{"TOPOLOGY", Fail, fmt.Sprintf("%s%s is a port of %s", at(name, x.Line), iface, d[0].Value), "name the bond or bridge"})
				}
			}
		}
	}
	return found
}

// netplanSettings reads the definition of an interface.
func (h *Host) netplanSettings(iface string) (settings, []Finding) {
	s := settings{extra: map[string]string{}}
	defs, found := h.netplan(iface)
	if len(defs) == 0 {
		return s, nil
	}
	d := defs[0]
	s.path, s.kind = d.name, d.kind
	if len(defs) > 1 {
		found = append(found, Finding{"AMBIGUOUS", Fail, fmt.Sprintf("%s and %s both define %s", d.name, defs[1].name, iface), "keep one definition"})
	}
	r := netplanReader{s: &s, d: d, iface: iface}
	r.read()
	return s, append(found, r.found...)
}

type netplanReader struct {
	s     *settings
	d     netplanDef
	iface string
	found []Finding
}

func (r *netplanReader) fail(rule string, n *yaml.Node, format string, a ...any) {
	r.found = append(r.found, Finding{rule, Fail, at(r.d.name, n.Line) + fmt.Sprintf(format, a...), ""})
}

func (r *netplanReader) read() {
	for _, p := range pairsOf(r.d.value) {
		key, v := p[0].Value, p[1]
		switch key {
		case "addresses":
			r.addresses(v)
		case "gateway4":
			r.s.gateway = r.address(v, v.Value)
		case "gateway6":
			r.s.gateway6 = r.address(v, v.Value)
		case "dhcp4":
			if yes(v) {
				r.s.dynamic = "dhcp"
			}
		case "nameservers":
			r.resolver(v)
		case "routes":
			for _, x := range v.Content {
				r.route(x)
			}
		case "routing-policy":
			for _, x := range v.Content {
				r.rule(x)
			}
		case "mtu":
			r.s.mtu = v.Value
		}
	}
	ast := func(n *yaml.Node) bool { return n.Kind == yaml.AliasNode || n.Anchor != "" || n.Tag == "!!merge" }
	if n := findNode(r.d.value, ast); n != nil {
		r.fail("OPAQUE", n, "%s has an anchor, an alias or a merge", r.d.id)
	}
}

func findNode(n *yaml.Node, is func(*yaml.Node) bool) *yaml.Node {
	if is(n) {
		return n
	}
	for _, c := range n.Content {
		if hit := findNode(c, is); hit != nil {
			return hit
		}
	}
	return nil
}

func yes(n *yaml.Node) bool {
	return slices.Contains([]string{"true", "on", "yes", "y"}, strings.ToLower(n.Value))
}

func (r *netplanReader) address(n *yaml.Node, text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		r.fail("BAD-ADDRESS", n, "%q is no address", text)
		return netip.Addr{}
	}
	return a
}

func (r *netplanReader) addresses(list *yaml.Node) {
	for _, x := range list.Content {
		if p := pairsOf(x); len(p) == 1 { // with a label or a lifetime
			r.found = append(r.found, Finding{"NOT-CARRIED", Warn, fmt.Sprintf("%sthe options of the address %s", at(r.d.name, x.Line), p[0][0].Value), "set them by hand"})
			x = p[0][0]
		}
		p, err := netip.ParsePrefix(x.Value)
		if err != nil {
			r.fail("BAD-ADDRESS", x, "%q is no address with a length", x.Value)
			continue
		}
		r.s.own = append(r.s.own, p.Addr())
		if p.Addr().Is6() {
			r.s.addrs6 = append(r.s.addrs6, p)
		} else {
			r.s.addrs = append(r.s.addrs, p)
		}
	}
}

func (r *netplanReader) resolver(n *yaml.Node) {
	for _, p := range pairsOf(n) {
		for _, x := range p[1].Content {
			switch p[0].Value {
			case "addresses":
				if a := r.address(x, x.Value); a.IsValid() {
					r.s.dns = append(r.s.dns, a)
				}
			case "search":
				r.s.search = append(r.s.search, x.Value)
			}
		}
	}
}

// netplanRoute translates one entry of routes, and tells whether all of it was understood.
func netplanRoute(n *yaml.Node, iface string) (route, bool) {
	to, via := scalar(valueOf(n, "to")), scalar(valueOf(n, "via"))
	words := []string{to}
	for _, p := range pairsOf(n) {
		switch key, v := p[0].Value, p[1].Value; {
		case key == "to":
		case key == "on-link" && yes(p[1]):
			words = append(words, "onlink")
		case key == "on-link" || key == "scope" && v == "link":
		case key == "from":
			words = append(words, "src", v)
		case key == "via" || key == "metric" || key == "table":
			words = append(words, key, v)
		default:
			return route{}, false
		}
	}
	return parseRoute(words, iface, strings.Contains(to+via, ":"))
}

func (r *netplanReader) route(n *yaml.Node) {
	x, ok := netplanRoute(n, r.iface)
	gw := &r.s.gateway
	if x.is6() {
		gw = &r.s.gateway6
	}
	switch {
	case !ok:
		r.found = append(r.found, notRoute(at(r.d.name, n.Line)+"an entry of routes"))
	case x.isDefault() && !gw.IsValid():
		*gw = x.via
		if x.metric != "" && !x.is6() {
			r.s.extra["METRIC"] = x.metric
		}
	default:
		r.s.routes = append(r.s.routes, x)
	}
}

var netplanRuleWords = map[string]string{"from": "from", "to": "to", "table": "table", "priority": "priority", "mark": "fwmark", "type-of-service": "tos"}

func (r *netplanReader) rule(n *yaml.Node) {
	x, ok := netplanRule(n, r.iface)
	if !ok {
		r.found = append(r.found, notRoute(at(r.d.name, n.Line)+"an entry of routing-policy"))
		return
	}
	r.s.rules = append(r.s.rules, x)
}

func netplanRule(n *yaml.Node, iface string) (rule, bool) {
	var words []string
	for _, p := range pairsOf(n) {
		words = append(words, netplanRuleWords[p[0].Value], p[1].Value)
	}
	return parseRule(words, strings.Contains(scalar(valueOf(n, "from"))+scalar(valueOf(n, "to")), ":"), iface, iface)
}

// others gives a file without one definition, to see that an edit of it changed nothing else.
func others(root *yaml.Node, kind, id string) (any, bool) {
	var all map[string]any
	if root == nil || root.Decode(&all) != nil {
		return nil, false
	}
	network, _ := all["network"].(map[string]any)
	for section, k := range netplanSections {
		if defs, ok := network[section].(map[string]any); ok && k == kind {
			if _, ok := defs[id]; ok {
				delete(defs, id)
				return all, true
			}
		}
	}
	return nil, false
}

// sameOthers holds that two texts differ in one definition only.
func (d netplanDef) sameOthers(after []byte) bool {
	a, err1 := parseNetplan(d.name, d.src)
	b, err2 := parseNetplan(d.name, after)
	x, ok1 := others(a, d.kind, d.id)
	y, ok2 := others(b, d.kind, d.id)
	return err1 == nil && err2 == nil && ok1 && ok2 && reflect.DeepEqual(x, y)
}
