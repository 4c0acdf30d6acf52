package netcfg

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// render gives the new host's file with the addresses of the old one.
func (t *takeover) render(before []byte, kept []netip.Prefix) ([]byte, error) {
	path := t.to.path
	t.notCarried()
	switch t.plan.Backend {
	case BackendKeyfile:
		f := ParseKeyfile(path, before)
		err := t.from.writeKeyfile(f, kept, t.to)
		return f.Bytes(), err
	case BackendInterfaces, BackendNetplan:
		if t.from.satisfied(t.to, kept) {
			return before, nil
		}
		return t.fresh(before, kept)
	}
	f := ParseIfcfg(path, before)
	keys, err := t.from.writeIfcfg(f, kept)
	if err == nil {
		t.find(f.unseen(keys, t.new.nmReads(f))...)
	}
	return f.Bytes(), err
}

// fresh writes the stanza or definition anew.
func (t *takeover) fresh(before []byte, kept []netip.Prefix) ([]byte, error) {
	path, iface := t.to.path, t.opt.Iface
	if t.plan.Backend == BackendNetplan {
		defs, _ := t.new.netplan(iface)
		if len(defs) == 0 {
			return t.from.freshNetplan(iface)
		}
		return t.from.writeNetplan(defs[0], kept, t.to)
	}
	files, _ := t.new.interfaces()
	auto := slices.ContainsFunc(files, func(f *interfacesFile) bool { return f.auto(iface) })
	after := t.from.writeInterfaces(parseInterfaces(path, before), iface, kept, t.to)
	if !auto {
		at := parseInterfaces(path, after).of(iface, "")[0].start
		after = splice(after, at, at, "auto "+iface+"\n")
	}
	return after, nil
}

// notCarried reports what the old host's file has that the new one's kind has no word for.
func (t *takeover) notCarried() {
	b := t.plan.Backend
	if b == BackendIfcfg {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(t.from.extra)) {
		if v := t.from.extra[k]; k != "METRIC" || !number(v) {
			t.find(Finding{"NOT-CARRIED", Warn, fmt.Sprintf("%s: %s=%s has no counterpart that is written to a %s", t.from.path, k, v, b), "set it by hand"})
		}
	}
	for _, r := range t.from.routes {
		if value, _ := r.keyfile(); b == BackendKeyfile && value == "" {
			t.find(Finding{"ROUTES", Warn, fmt.Sprintf("the route %q has no form in a %s", r.words(t.opt.Iface), b), "add it by hand"})
		}
	}
	for _, r := range t.from.rules {
		if b == BackendKeyfile && r.keyfile() == "" || b == BackendNetplan && r.netplan() == nil {
			t.find(Finding{"ROUTES", Warn, fmt.Sprintf("the rule %q has no form in a %s", r.words(), b), "add it by hand"})
		}
	}
}

// satisfied tells that what the new host's file says is as it would be written.
func (s *settings) satisfied(to settings, kept []netip.Prefix) bool {
	same := slices.Equal(slices.Concat(s.addrs, kept), to.addrs) && s.gateway == to.gateway && to.dynamic == "" && s.extra["METRIC"] == to.extra["METRIC"]
	if len(s.addrs6) > 0 {
		same = same && slices.Equal(s.addrs6, to.addrs6) && s.gateway6.WithZone("") == to.gateway6
	}
	same = same && (len(s.dns) == 0 || slices.Equal(s.dns, to.dns)) && (len(s.search) == 0 || slices.Equal(s.search, to.search))
	for _, r := range s.routes {
		same = same && slices.Contains(to.routes, r)
	}
	for _, r := range s.rules {
		same = same && slices.ContainsFunc(to.rules, r.equal)
	}
	return same
}

// searchDomains drops search domains that are none: a file may have anything there, and not every kind of file could hold it.
func (t *takeover) searchDomains() {
	t.from.search = slices.DeleteFunc(t.from.search, func(d string) bool {
		bad := d == "" || strings.ContainsFunc(d, func(r rune) bool {
			return r >= 0x80 || !nameByte(byte(r), false) && r != '-' && r != '.' && r != '~'
		})
		if bad {
			t.find(Finding{"NOT-CARRIED", Warn, fmt.Sprintf("%s: search domain %q is no name", t.from.path, d), ""})
		}
		return bad
	})
}
