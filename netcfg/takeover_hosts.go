package netcfg

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// hosts plans the new host's etc/hosts: its own lines move from the temporary to the taken address, aliases by which the
// new host knew the old one go, the old host's own lines come along where nothing contradicts them.
func (t *takeover) hosts() {
	if t.new.Irregular[hostsPath] != "" {
		return
	}
	src := t.new.Files[hostsPath]
	h := ParseHosts(hostsPath, src)
	if !t.taken() {
		t.selfAliases(h)
	}
	t.moveLines(h)
	if !t.taken() || len(t.gone) > 0 { // otherwise all of that was done before
		t.mergeHosts(h)
	}
	var own []netip.Addr
	for _, p := range slices.Concat(t.from.addrs, t.from.addrs6, t.to.addrs6) {
		if !slices.Contains(t.gone, p.Addr()) {
			own = append(own, p.Addr())
		}
	}
	if t.opt.KeepTemporary {
		for _, p := range t.temps {
			own = append(own, p.Addr())
		}
	}
	t.find(h.Check(t.new.Hostname, own)...)
	if o, n := t.old.Hostname, t.new.Hostname; o != "" && n != "" && !foldEqual(o, n) {
		t.find(Finding{"HOSTNAME", Warn, fmt.Sprintf("the old host's name is %s, the new host's %s", o, n), "if mail shall go on under the old name, set it: hostnamectl set-hostname " + o})
	}
	if after := h.Bytes(); !bytes.Equal(src, after) {
		t.change(hostsPath, src, after)
	}
}

// selfAliases removes names that point to the taken address on the new host only, such as "oldmail": after the
// take-over they would name the new host itself, and a copy from there would copy a host onto itself.
func (t *takeover) selfAliases(h *Hosts) {
	oldHosts := ParseHosts(hostsPath, t.old.Files[hostsPath])
	known := func(name string, addr netip.Addr) bool {
		short, _, _ := strings.Cut(t.old.Hostname, ".")
		newShort, _, _ := strings.Cut(t.new.Hostname, ".")
		return slices.Contains(oldHosts.Addrs(name), addr) || slices.ContainsFunc([]string{t.old.Hostname, short, t.new.Hostname, newShort}, func(n string) bool { return foldEqual(n, name) })
	}
	entries := h.Entries()
	for _, e := range slices.Backward(entries) {
		if !holds(t.from.addrs, e.Addr) && !holds(t.from.addrs6, e.Addr) {
			continue
		}
		for _, name := range e.Names {
			if known(name, e.Addr) {
				continue
			}
			t.find(Finding{"SELF-ALIAS", Warn, fmt.Sprintf("%s%s is %v, which becomes this host: the name is taken out", at(hostsPath, e.Line), name, e.Addr), "if it is still needed for the old host, give it an address that the old host keeps"})
			if err := h.RemoveName(e.Line, name); err != nil {
				t.find(Finding{"SELF-ALIAS", Fail, err.Error(), "remove it by hand"})
			}
		}
	}
}

// ownAddresses collects the addresses that the new host gives up, which no line of etc/hosts may keep: those of its
// interface file, also where they do not work, and, where that file has none because the address comes from elsewhere,
// those of the service network by which either host's etc/hosts knows the new host. Where that fails too, a line of the
// service network may be meant for the new host without our knowing.
func (t *takeover) ownAddresses() {
	for _, a := range t.to.own {
		t.giveUp(a)
	}
	told := func(is4 bool) bool {
		return (!is4 || t.to.dynamic == "") && slices.ContainsFunc(t.to.own, func(a netip.Addr) bool { return a.Is4() == is4 })
	}
	told4, told6 := told(true), told(false)
	doubt := ""
	for i, x := range []*Host{t.new, t.old} {
		for _, e := range ParseHosts(hostsPath, x.Files[hostsPath]).Entries() {
			unknown := !told4 && t.from.addrs[0].Contains(e.Addr) || !told6 && len(t.from.addrs6) > 0 && t.from.addrs6[0].Contains(e.Addr)
			if !unknown || holds(t.from.addrs, e.Addr) || holds(t.from.addrs6, e.Addr) {
				continue
			}
			place := fmt.Sprintf("%sof the %s host", at(hostsPath, e.Line), []string{"new", "old"}[i])
			if t.names(e, i == 1) {
				t.giveUp(e.Addr)
				t.find(Finding{"TEMP-UNKNOWN", Warn, fmt.Sprintf("%s does not say which address %s has; by %s it is %v", t.to.path, t.opt.Iface, place, e.Addr), "look with `ip address`"})
			} else if e.Addr.Is4() && doubt == "" {
				doubt = fmt.Sprintf("%v in %s may be it", e.Addr, place)
			}
		}
	}
	if !told4 && doubt != "" && !slices.ContainsFunc(t.gone, netip.Addr.Is4) {
		t.find(Finding{"TEMP-UNKNOWN", Fail, fmt.Sprintf("%s does not say which address %s has, nor does a line with the new host's name in etc/hosts; %s", t.to.path, t.opt.Iface, doubt),
			"add the address and the name to the new host's etc/hosts, then plan again"})
	}
}

func (t *takeover) giveUp(a netip.Addr) {
	kept := t.opt.KeepTemporary && holds(t.temps, a) || a.Is6() && len(t.from.addrs6) == 0
	if !kept && !keepLine(a) && !holds(t.from.addrs, a) && !holds(t.from.addrs6, a) && !slices.Contains(t.gone, a) {
		t.gone = append(t.gone, a)
	}
}

// names tells whether a line is that of the new host. In the old host's file, a name that both hosts have is the old one's.
func (t *takeover) names(e Entry, inOld bool) bool {
	if t.new.Hostname == "" || inOld && sameHost(t.old.Hostname, t.new.Hostname) {
		return false
	}
	return slices.ContainsFunc(e.Names, func(n string) bool { return sameHost(n, t.new.Hostname) })
}

// sameHost compares two names of hosts, either of which may lack the domain.
func sameHost(a, b string) bool {
	as, _, adot := strings.Cut(a, ".")
	bs, _, bdot := strings.Cut(b, ".")
	return foldEqual(a, b) || !(adot && bdot) && foldEqual(as, bs)
}

// moveLines gives the lines of the temporary addresses the taken one, and puts the full name first on the host's own.
// While the temporary IPv4 address is kept only the host's own line of it moves.
func (t *takeover) moveLines(h *Hosts) {
	name := t.new.Hostname
	short, _, _ := strings.Cut(name, ".")
	for _, e := range h.Entries() {
		own := name != "" && (e.has(name) || e.has(short))
		var taken netip.Addr
		switch {
		case e.Addr.Is4() && (slices.Contains(t.gone, e.Addr) || own && holds(t.temps, e.Addr)):
			taken = t.from.addrs[0].Addr()
		case slices.Contains(t.gone, e.Addr):
			taken = t.from.addrs6[0].Addr()
		default:
			continue
		}
		err := h.SetAddr(e.Line, taken)
		if full := fullName(e.Names, name); err == nil && own && full != "" {
			err = h.Canonical(e.Line, full)
		}
		if err != nil {
			t.find(Finding{"STALE-ADDRESS", Fail, err.Error(), "edit the line by hand"})
		}
	}
}

// mergeHosts appends the old host's lines that the new host lacks. A name that the new host has under another address
// of the same family stays as it is there.
func (t *takeover) mergeHosts(h *Hosts) {
	old := ParseHosts(hostsPath, t.old.Files[hostsPath])
	for _, e := range old.Entries() {
		if keepLine(e.Addr) || slices.Contains(t.gone, e.Addr) {
			continue
		}
		var missing []string
		for _, name := range e.Names {
			have := h.Addrs(name)
			other := slices.IndexFunc(have, func(a netip.Addr) bool { return a.Is4() == e.Addr.Is4() })
			switch {
			case slices.Contains(have, e.Addr) || slices.Contains(missing, name):
			case other >= 0:
				t.find(Finding{"HOSTS-CONFLICT", Warn, fmt.Sprintf("%s%s is %v on the old host and %v on the new one, which stays", at(hostsPath, e.Line), name, e.Addr, have[other]), "decide which is right"})
			default:
				missing = append(missing, name)
			}
		}
		switch {
		case len(missing) == len(e.Names):
			h.append(old.lines[e.Line-1].text)
		case len(missing) > 0:
			if err := h.Add(e.Addr, missing...); err != nil {
				t.find(Finding{"HOSTS-CONFLICT", Warn, err.Error(), "add the line by hand"})
			}
		}
	}
}
