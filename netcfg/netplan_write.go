package netcfg

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// keys of a definition that are about addresses and are written anew
var netplanAddressKeys = []string{"addresses", "gateway4", "gateway6", "routes", "routing-policy", "nameservers", "dhcp4", "dhcp6", "accept-ra"}

// writeNetplan writes the definition of an interface anew, in the place of its lines, with the keys of it that are not about
// addresses. Every other line of the file stays. A file in another style than blocks is refused.
func (s *settings) writeNetplan(d netplanDef, kept []netip.Prefix, was settings) ([]byte, error) {
	refused := fmt.Errorf("%s:%d: %s is written in a style whose lines cannot be replaced: %w", d.name, d.key.Line, d.id, ErrOpaque)
	start, end := d.lines()
	if d.flow || start == end {
		return nil, refused
	}
	step := 2
	if len(d.value.Content) > 0 { // as far as the file indents its own
		step = max(1, d.value.Content[0].Column-d.key.Column)
	}
	text, err := encodeYAML(s.netplanDefinition(d.value, kept, was), step)
	if err != nil {
		return nil, err
	}
	indent := strings.Repeat(" ", d.key.Column-1+step)
	eol := "\n"
	if bytes.Contains(d.src, []byte("\r\n")) {
		eol = "\r\n"
	}
	var fresh strings.Builder
	for line := range strings.Lines(text) {
		fresh.WriteString(indent + strings.TrimSuffix(line, "\n") + eol)
	}
	body := fresh.String()
	if !bytes.HasSuffix(d.src[:end], []byte("\n")) {
		body = strings.TrimSuffix(body, eol)
	}
	after := splice(d.src, start, end, body)
	if !d.sameOthers(after) {
		return nil, refused
	}
	return after, nil
}

// lines gives the bytes below the line of the key that belong to the definition: whatever is indented more than the key.
func (d netplanDef) lines() (start, end int) {
	pos, n := 0, 0
	for line := range strings.Lines(string(d.src)) {
		n++
		pos += len(line)
		switch text := strings.TrimLeft(line, " "); {
		case n == d.key.Line:
			start, end = pos, pos
			if after := strings.TrimSpace(line[min(len(line), d.key.Column-1):]); n == d.value.Line || !strings.HasSuffix(strings.TrimSpace(strings.Split(after, "#")[0]), ":") {
				return 0, 0 // the value begins on the line of the key
			}
		case n < d.key.Line:
		case strings.TrimSpace(text) == "" || text[0] == '#':
		case len(line)-len(text) < d.key.Column:
			return start, end
		default:
			end = pos
		}
	}
	return start, end
}

func encodeYAML(n *yaml.Node, step int) (string, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(step)
	if err := e.Encode(n); err != nil {
		return "", err
	}
	return out.String(), e.Close()
}

func yamlWord(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func yamlPlain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func yamlList(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: items}
}

func yamlMap(pairs ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: pairs}
}

// netplanDefinition makes the fresh definition: what was kept of the earlier one follows.
func (s *settings) netplanDefinition(was *yaml.Node, kept []netip.Prefix, had settings) *yaml.Node {
	n := yamlMap()
	add := func(key string, v *yaml.Node) { n.Content = append(n.Content, yamlWord(key), v) }
	add("dhcp4", yamlPlain("false"))
	six, gateway6 := s.addrs6, s.gateway6.WithZone("")
	if len(six) == 0 { // the new host's own stay
		six, gateway6 = had.addrs6, had.gateway6
		for _, k := range []string{"dhcp6", "accept-ra"} {
			if v := valueOf(was, k); v != nil {
				add(k, v)
			}
		}
	}
	list := yamlList()
	for _, p := range slices.Concat(s.addrs, kept, six) {
		list.Content = append(list.Content, yamlWord(p.String()))
	}
	add("addresses", list)
	if routes := s.netplanRoutes(valueOf(was, "routes"), gateway6); len(routes.Content) > 0 {
		add("routes", routes)
	}
	if rules := s.netplanRules(valueOf(was, "routing-policy")); len(rules.Content) > 0 {
		add("routing-policy", rules)
	}
	if ns := s.netplanResolver(had); ns != nil {
		add("nameservers", ns)
	}
	for _, p := range pairsOf(was) {
		if !slices.Contains(netplanAddressKeys, p[0].Value) {
			n.Content = append(n.Content, p[0], p[1])
		}
	}
	return n
}

func (s *settings) netplanRoutes(was *yaml.Node, gateway6 netip.Addr) *yaml.Node {
	out := yamlList()
	if s.gateway.IsValid() {
		def := yamlMap(yamlWord("to"), yamlWord("default"), yamlWord("via"), yamlWord(s.gateway.String()))
		if m := s.extra["METRIC"]; m != "" && number(m) {
			def.Content = append(def.Content, yamlWord("metric"), yamlPlain(m))
		}
		out.Content = append(out.Content, def)
	}
	if gateway6.IsValid() {
		out.Content = append(out.Content, yamlMap(yamlWord("to"), yamlWord("default"), yamlWord("via"), yamlWord(gateway6.String())))
	}
	var have []route
	if was != nil {
		for _, x := range was.Content {
			r, ok := netplanRoute(x, "")
			if ok && r.isDefault() {
				continue
			}
			have, out.Content = append(have, r), append(out.Content, x)
		}
	}
	for _, r := range s.routes {
		if !slices.Contains(have, r) {
			out.Content = append(out.Content, r.netplan())
		}
	}
	return out
}

func (r route) netplan() *yaml.Node {
	to := r.dst.String()
	if r.dst.Bits() == 0 {
		to = "default"
	}
	n := yamlMap(yamlWord("to"), yamlWord(to))
	add := func(key string, v *yaml.Node, ok bool) {
		if ok {
			n.Content = append(n.Content, yamlWord(key), v)
		}
	}
	add("via", yamlWord(r.via.String()), r.via.IsValid())
	add("scope", yamlWord("link"), !r.via.IsValid())
	add("from", yamlWord(r.src.String()), r.src.IsValid())
	add("metric", yamlPlain(r.metric), r.metric != "")
	add("table", yamlPlain(r.table), r.table != "")
	add("on-link", yamlPlain("true"), r.onlink)
	return n
}

func (s *settings) netplanRules(was *yaml.Node) *yaml.Node {
	out := yamlList()
	var have []rule
	if was != nil {
		for _, x := range was.Content {
			r, _ := netplanRule(x, "")
			have, out.Content = append(have, r), append(out.Content, x)
		}
	}
	for _, r := range s.rules {
		if n := r.netplan(); n != nil && !slices.ContainsFunc(have, r.equal) {
			out.Content = append(out.Content, n)
		}
	}
	return out
}

// netplan gives nil for a rule that netplan has no words for.
func (r rule) netplan() *yaml.Node {
	n := yamlMap()
	for _, p := range r.pairs {
		key := ""
		for k, v := range netplanRuleWords {
			if v == p[0] {
				key = k
			}
		}
		switch {
		case (p[0] == "from" || p[0] == "to") && p[1] == "all":
			continue
		case key == "" || key != "from" && key != "to" && !number(p[1]):
			return nil
		case key == "from" || key == "to":
			n.Content = append(n.Content, yamlWord(key), yamlWord(p[1]))
		default:
			n.Content = append(n.Content, yamlWord(key), yamlPlain(p[1]))
		}
	}
	return n
}

func (s *settings) netplanResolver(had settings) *yaml.Node {
	dns, search := s.dns, s.search
	if len(dns) == 0 {
		dns = had.dns
	}
	if len(search) == 0 {
		search = had.search
	}
	if len(dns)+len(search) == 0 {
		return nil
	}
	n, d, w := yamlMap(), yamlList(), yamlList()
	for _, a := range dns {
		d.Content = append(d.Content, yamlWord(a.String()))
	}
	for _, x := range search {
		w.Content = append(w.Content, yamlWord(x))
	}
	if len(dns) > 0 {
		n.Content = append(n.Content, yamlWord("addresses"), d)
	}
	if len(search) > 0 {
		n.Content = append(n.Content, yamlWord("search"), w)
	}
	return n
}

// freshNetplan is a file for an interface that none has.
func (s *settings) freshNetplan(iface string) ([]byte, error) {
	def := s.netplanDefinition(yamlMap(), nil, settings{})
	root := yamlMap(yamlWord("network"), yamlMap(yamlWord("version"), yamlPlain("2"), yamlWord("ethernets"), yamlMap(yamlWord(iface), def)))
	text, err := encodeYAML(root, 2)
	return []byte(text), err
}
