package netcfg

import (
	"fmt"
	"slices"
	"strings"
)

// Static routes and rules of a profile (nm-settings-keyfile(5)): routeN=NETWORK[,GATEWAY[,METRIC]] with the attributes in
// routeN_options, and routing-ruleN in the words of ip-rule(8).

func section(is6 bool) string {
	if is6 {
		return "ipv6"
	}
	return "ipv4"
}

// readRoutes collects the routes and rules of both families.
func (s *settings) readRoutes(f *Keyfile, iface string) (found []Finding) {
	for _, is6 := range []bool{false, true} {
		sec := section(is6)
		for _, key := range f.numbered(sec, "route", "routes") {
			if r, ok := f.route(sec, key, iface); ok {
				s.routes = append(s.routes, r)
			} else {
				found = append(found, notRoute(f.line(sec, key)+key))
			}
		}
		for _, key := range f.numbered(sec, "routing-rule") {
			if r, ok := parseRule(strings.Fields(f.Get(sec, key)), is6, iface, iface); ok {
				s.rules = append(s.rules, r)
			} else {
				found = append(found, notRoute(f.line(sec, key)+key))
			}
		}
	}
	return found
}

func (f *Keyfile) route(sec, key, iface string) (route, bool) {
	parts := strings.FieldsFunc(f.Get(sec, key), func(r rune) bool { return r == ',' || r == ';' })
	if len(parts) == 0 || len(parts) > 3 {
		return route{}, false
	}
	words := parts[:1:1]
	for i, name := range []string{"via", "metric"} {
		if i+1 < len(parts) {
			words = append(words, name, parts[i+1])
		}
	}
	for _, attr := range strings.FieldsFunc(f.Get(sec, key+"_options"), func(r rune) bool { return r == ',' }) {
		name, value, _ := strings.Cut(attr, "=")
		switch {
		case name == "onlink" && value == "true":
			words = append(words, "onlink")
		case name == "onlink":
		case name == "table" || name == "src":
			words = append(words, name, value)
		default:
			return route{}, false
		}
	}
	return parseRoute(words, iface, sec == "ipv6")
}

// keyfile gives value and options; the value is "" for a route that has no form there.
func (r route) keyfile() (value, options string) {
	if !r.via.IsValid() && r.metric != "" {
		return "", ""
	}
	value = r.dst.String()
	if r.via.IsValid() {
		value += "," + r.via.String()
	}
	if r.metric != "" {
		value += "," + r.metric
	}
	var attrs []string
	if r.table != "" {
		attrs = append(attrs, "table="+r.table)
	}
	if r.src.IsValid() {
		attrs = append(attrs, "src="+r.src.String())
	}
	if r.onlink {
		attrs = append(attrs, "onlink=true")
	}
	return value, strings.Join(attrs, ",")
}

var ruleTables = map[string]string{"local": "255", "main": "254", "default": "253"}

// keyfile gives the value of a routing-rule, "" for a rule that has no form there: NetworkManager wants a priority and a
// source, and knows tables by number only.
func (r rule) keyfile() string {
	if r.get("priority") == "" || r.get("from") == "" || r.get("from") == "all" || r.get("to") == "all" || r.get("tos") != "" {
		return ""
	}
	words := []string{"priority", r.get("priority")}
	for _, p := range r.pairs {
		if t, ok := ruleTables[p[1]]; ok && p[0] == "table" {
			p[1] = t
		}
		if p[0] != "priority" {
			words = append(words, p[0], p[1])
		}
	}
	return strings.Join(words, " ")
}

// writeRoutes adds the routes and rules that the profile lacks, behind those that it has.
func (s *settings) writeRoutes(e *keyfileEdit, was settings) {
	add := func(is6 bool, name, value, options string) {
		n := 1
		for e.f.find(section(is6), fmt.Sprint(name, n)) >= 0 || e.f.find(section(is6), fmt.Sprint(name, "s", n)) >= 0 {
			n++
		}
		e.set(section(is6), fmt.Sprint(name, n), value)
		if options != "" {
			e.set(section(is6), fmt.Sprint(name, n, "_options"), options)
		}
	}
	for _, r := range s.routes {
		if value, options := r.keyfile(); value != "" && !slices.Contains(was.routes, r) {
			add(r.is6(), "route", value, options)
		}
	}
	for _, r := range s.rules {
		if value := r.keyfile(); value != "" && !slices.ContainsFunc(was.rules, func(o rule) bool { return o.keyfile() == value && o.is6 == r.is6 }) {
			add(r.is6, "routing-rule", value, "")
		}
	}
	if m := s.extra["METRIC"]; m != "" && number(m) {
		e.set("ipv4", "route-metric", m)
	}
}
