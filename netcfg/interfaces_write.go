package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// what a fresh stanza has of its own, so that it is not kept of the one that it replaces
var ifAddressOptions = []string{"address", "netmask", "broadcast", "network", "gateway", "metric", "dns-nameservers", "dns-nameserver", "dns-search", "dns-domain",
	"pointopoint", "hostname", "leasehours", "leasetime", "vendor", "client"}

// writeInterfaces writes the stanzas of an interface anew, in the place of those that are there, and keeps of these the
// options and commands that are not about addresses. Every other byte of the file stays.
func (s *settings) writeInterfaces(f *interfacesFile, iface string, kept []netip.Prefix, was settings) []byte {
	var e edits
	families := []string{"inet"}
	if len(s.addrs6) > 0 {
		families = append(families, "inet6")
	}
	eol := lines.EOL(lines.Split(f.src))
	tail := ""
	for _, family := range families {
		block := ifBlock{family: family, iface: iface, eol: eol, indent: "    "}
		list := f.of(iface, family)
		for _, st := range list {
			block.keep(f, st)
		}
		text := block.render(s, kept, was)
		if len(list) == 0 {
			tail += eol + text
			continue
		}
		for i, st := range list {
			if i > 0 {
				text = ""
			} else if st.end == len(f.src) && !strings.HasSuffix(string(f.src), "\n") {
				text = strings.TrimSuffix(text, eol)
			}
			e = append(e, struct {
				start, end int
				text       string
			}{st.start, st.end, text})
		}
	}
	out := e.apply(f.src)
	if tail != "" && len(out) > 0 && out[len(out)-1] != '\n' {
		tail = eol + tail
	}
	return append(out, tail...)
}

// ifBlock is the fresh text of the stanzas of one family.
type ifBlock struct {
	family, iface, eol, indent string
	keeps                      []string // lines with their ends
	routes                     []route
	rules                      []rule
}

// keep notes what stays of an earlier stanza.
func (b *ifBlock) keep(f *interfacesFile, st stanza) {
	r := ifReader{s: &settings{}, iface: b.iface}
	for i, o := range st.options {
		line := string(f.src[o.start:o.end])
		if i == 0 && o.key != "" {
			b.indent = line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		}
		had := len(r.s.own)
		if o.key == "up" {
			r.command(f, o, b.family == "inet6")
		}
		if len(r.s.own) == had && !slices.Contains(ifAddressOptions, o.key) {
			if !strings.HasSuffix(line, "\n") {
				line += b.eol
			}
			b.keeps = append(b.keeps, line)
		}
	}
	b.routes, b.rules = append(b.routes, r.s.routes...), append(b.rules, r.s.rules...)
}

func (b *ifBlock) render(s *settings, kept []netip.Prefix, was settings) string {
	is6 := b.family == "inet6"
	addrs, gateway := slices.Concat(s.addrs, kept), s.gateway
	if is6 {
		addrs, gateway = s.addrs6, s.gateway6.WithZone("")
	}
	var out strings.Builder
	line := func(words ...string) {
		out.WriteString(b.indent + strings.Join(words, " ") + b.eol)
	}
	for i, p := range addrs {
		fmt.Fprintf(&out, "iface %s %s static%s", b.iface, b.family, b.eol)
		line("address", p.String())
		if i > 0 {
			continue
		}
		if gateway.IsValid() {
			line("gateway", gateway.String())
		}
		if m := s.extra["METRIC"]; m != "" && !is6 && number(m) {
			line("metric", m)
		}
		if !is6 {
			b.resolver(line, s, was)
		}
		for _, k := range b.keeps {
			out.WriteString(k)
		}
		ip := []string{"up", "ip"}
		if is6 {
			ip = append(ip, "-6")
		}
		for _, r := range s.routes {
			if r.is6() == is6 && !slices.Contains(b.routes, r) {
				line(append(ip, "route", "add", r.words(b.iface))...)
			}
		}
		for _, r := range s.rules {
			if r.is6 == is6 && !slices.ContainsFunc(b.rules, r.equal) {
				line(append(ip, "rule", "add", r.words())...)
			}
		}
	}
	return out.String()
}

// resolver writes name servers and search domains: the old host's, or for want of those the ones that were there.
func (b *ifBlock) resolver(line func(...string), s *settings, was settings) {
	dns, search := s.dns, s.search
	if len(dns) == 0 {
		dns = was.dns
	}
	if len(search) == 0 {
		search = was.search
	}
	if len(dns) > 0 {
		words := []string{"dns-nameservers"}
		for _, a := range dns {
			words = append(words, a.String())
		}
		line(words...)
	}
	if len(search) > 0 {
		line(append([]string{"dns-search"}, search...)...)
	}
}
