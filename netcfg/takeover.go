package netcfg

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Options of a take-over. Only Iface is needed.
type Options struct {
	Iface         string       // the interface on the new host, without an alias suffix
	OldIface      string       // on the old host; "" = the same as Iface
	Backend       Backend      // the kind of file to write on the new host; Auto = the one that is there. Interfaces and netplan, when named, need not be
	KeepTemporary bool         // the new host keeps its own IPv4 addresses as further ones
	Stay          []netip.Addr // addresses that stay with the old host; nil = all come along
}

// TakeOver plans how the new host takes over the addresses, gateway, name servers, search domains, routes and rules of
// an interface of the old host. It is pure: the same hosts give the same plan. What stands against it is a finding of
// severity Fail. No address comes into a file that was not in the old host's files or in that file before.
//
// The new host's file keeps all keys but those of the addresses, above all the ones that name the card or the
// connection: DEVICE, HWADDR, MACADDR, UUID, NAME, TYPE and the keys of bonds, bridges and VLANs; of a keyfile id, uuid,
// interface-name and mac-address. BOOTPROTO becomes none and ONBOOT yes; NETWORK and BROADCAST go, because a stale
// NETWORK costs the default route (ifup-eth). Of interfaces and netplan the stanza or definition of the interface is written
// anew, with its options that are not about addresses; every other byte of the file stays.
//
// Rules: IFACE, BACKEND, BACKEND-FILE, IFCFG-UNREAD, AMBIGUOUS, OLD-NO-FILE, OLD-DHCP, OLD-NO-ADDRESS, SUBNET,
// SUBNET-UNKNOWN, TOPOLOGY, TEMP-DHCP, TEMP-UNKNOWN, IRREGULAR, OPAQUE, STAYS, ALIAS, ROUTES, NOT-CARRIED, GATEWAYDEV,
// GATEWAY-SUBNET, STALE-NETWORK, SOURCE, HOSTNAME, SELF-ALIAS, HOSTS-CONFLICT, CLOUD-INIT, RESOLV, PROBE, ANNOUNCE, and those of
// Hosts.Check, Ifcfg.Findings and Ifcfg.Addresses. Those of Ifcfg.Findings are of severity Fail where the one who reads
// the file, by the plugin and NM_CONTROLLED, would not get a value as it was written.
func TakeOver(old, new *Host, opt *Options) *Plan {
	t := &takeover{old: old, new: new, opt: Options{}}
	if opt != nil {
		t.opt = *opt
	}
	if t.opt.OldIface == "" {
		t.opt.OldIface = t.opt.Iface
	}
	t.plan = &Plan{Version: 1, Iface: t.opt.Iface, Addresses: []netip.Prefix{}, Files: []FileChange{}, Findings: []Finding{}, Commands: []string{}}
	t.run()
	return t.plan
}

type takeover struct {
	old, new *Host
	opt      Options
	plan     *Plan
	from, to settings
	temps    []netip.Prefix // the new host's own IPv4 addresses
	gone     []netip.Addr   // all addresses, of both families, that the new host gives up
}

func (t *takeover) find(fs ...Finding) {
	for _, f := range fs {
		if !slices.Contains(t.plan.Findings, f) {
			t.plan.Findings = append(t.plan.Findings, f)
		}
	}
}

func (t *takeover) run() {
	for _, iface := range []string{t.opt.Iface, t.opt.OldIface} {
		if !ifaceName(iface) {
			t.find(Finding{"IFACE", Fail, fmt.Sprintf("interface %q: want the name of a network interface", iface), ""})
			return
		}
		if iface == "lo" {
			t.find(Finding{"IFACE", Fail, "lo is the loopback, whose addresses each host has for itself", "name the interface that clients reach: `ip address` shows them"})
			return
		}
	}
	backend, fs := t.new.choose(t.opt.Iface, t.opt.Backend)
	t.plan.Backend = backend
	t.find(fs...)
	t.irregular()
	t.readOld()
	if t.blocked() {
		return
	}
	t.readNew()
	t.ownAddresses()
	t.topology()
	t.card()
	t.plan.Addresses = slices.Concat(t.from.addrs, t.from.addrs6)
	t.hosts()
	t.renameRules()
	t.routes()
	t.writeInterface()
	t.surroundings()
	t.commands()
}

func (t *takeover) blocked() bool {
	return slices.ContainsFunc(t.plan.Findings, func(f Finding) bool { return f.Severity == Fail })
}

// ifaceName accepts what the kernel does (dev_valid_name), without the characters that mean something to a shell.
func ifaceName(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool {
		return r >= 0x80 || !nameByte(byte(r), false) && !strings.ContainsRune(".-@", r)
	}) < 0
}

// irregular reports what stands in the place of files; only the new host's etc/hosts is missed for sure.
func (t *takeover) irregular() {
	for i, h := range []*Host{t.old, t.new} {
		for _, p := range slices.Sorted(maps.Keys(h.Irregular)) {
			f := Finding{"IRREGULAR", Info, fmt.Sprintf("%s on the %s host is %s and was not read", p, []string{"old", "new"}[i], h.Irregular[p]), ""}
			switch {
			case p == "etc/os-release": // a link to usr/lib/os-release everywhere
				continue
			case p == hostsPath && h == t.new:
				f.Severity, f.Advice = Fail, "put a regular file there"
			case p == hostsPath || strings.HasPrefix(p, scriptsDir) || strings.HasPrefix(p, keyfileDir):
				f.Severity, f.Advice = Warn, "put a regular file there"
			}
			t.find(f)
		}
	}
}

// readOld collects what the old host has.
func (t *takeover) readOld() {
	var fs []Finding
	for _, b := range readable {
		if t.from, fs = t.old.settings(b, t.opt.OldIface); t.from.path != "" {
			break
		}
	}
	t.find(fs...)
	if t.from.path == "" {
		t.find(Finding{"OLD-NO-FILE", Fail, fmt.Sprintf("no file of the old host that can be read configures %s%s", t.opt.OldIface, t.old.instead(t.old.backends(t.opt.OldIface))), "name the old host's interface"})
		return
	}
	if t.from.dynamic != "" {
		t.find(Finding{"OLD-DHCP", Fail, fmt.Sprintf("%s: the old host gets its address by %s", t.from.path, t.from.dynamic), "move the reservation to the new host's hardware address, or make the old host static"})
	}
	t.aliases()
	t.searchDomains()
	t.gateway6()
	t.from.addrs = t.without(t.from.addrs)
	t.from.addrs6 = t.without(t.from.addrs6)
	if len(t.from.addrs)+len(t.from.addrs6) == 0 {
		t.find(Finding{"OLD-NO-ADDRESS", Fail, t.from.path + ": no address to take over", ""})
	} else if len(t.from.addrs) == 0 {
		t.find(Finding{"OLD-NO-ADDRESS", Fail, t.from.path + ": no IPv4 address to take over", "add the IPv6 addresses by hand"})
	}
}

// without drops the addresses that stay, and repetitions.
func (t *takeover) without(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if slices.Contains(t.opt.Stay, p.Addr()) {
			t.find(Finding{"STAYS", Info, fmt.Sprintf("%v stays with the old host", p.Addr()), ""})
		} else if !holds(out, p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == a })
}

// gateway6 binds a gateway that counts on one link only, or was bound to the old interface, to the new one.
func (t *takeover) gateway6() {
	gw := t.from.gateway6
	switch zone := gw.Zone(); {
	case zone == t.opt.OldIface || zone == "" && gw.IsLinkLocalUnicast():
		t.from.gateway6 = gw.WithZone(t.opt.Iface)
	case zone != "":
		t.find(Finding{"GATEWAYDEV", Warn, fmt.Sprintf("%s: the IPv6 default route of the old host goes through %s and is not taken over", t.from.path, zone), ""})
		t.from.gateway6 = netip.Addr{}
	}
}

// aliases tells that the addresses of eth0:0 and the like lose their label: the new file has them as further addresses.
func (t *takeover) aliases() {
	_, aliases := t.old.ifcfg(t.opt.OldIface)
	for _, f := range aliases {
		addrs, _ := f.Addresses()
		for _, a := range addrs {
			if !slices.Contains(t.opt.Stay, a.Prefix.Addr()) {
				t.find(Finding{"ALIAS", Warn, fmt.Sprintf("%s: %v comes along as a further address of %s, without the label", f.name, a.Prefix.Addr(), t.opt.Iface), "switch the old host off, or say that this address stays"})
			}
		}
	}
	for p := range t.old.Files {
		if strings.HasPrefix(p, scriptsDir+"ifcfg-"+t.opt.OldIface+"-range") {
			t.find(Finding{"NOT-CARRIED", Warn, p + ": address ranges are not taken over", "write the addresses as IPADDRn"})
		}
	}
}

// readNew collects what the new host has; what cannot be read of it is replaced anyway.
func (t *takeover) readNew() {
	var fs []Finding
	if t.to, fs = t.new.settings(t.plan.Backend, t.opt.Iface); t.to.path == "" {
		t.to = settings{path: freshPath(t.plan.Backend, t.opt.Iface), kind: t.from.kind}
	}
	for _, f := range fs {
		if f.Severity == Fail && !slices.Contains([]string{"AMBIGUOUS", "OPAQUE", "TOPOLOGY"}, f.Rule) {
			f.Severity = Warn
		}
		t.find(f)
	}
	for _, p := range t.to.addrs {
		if !holds(t.from.addrs, p.Addr()) {
			t.temps = append(t.temps, p)
		}
	}
	if dev := t.new.network().plain("GATEWAYDEV"); dev != "" && dev != t.opt.Iface && t.from.gateway.IsValid() {
		t.find(Finding{"GATEWAYDEV", Warn, fmt.Sprintf("%s on the new host sends the default route through %s", networkPath, dev), "remove GATEWAYDEV there"})
	}
	if t.to.dynamic != "" && t.opt.KeepTemporary {
		t.find(Finding{"TEMP-DHCP", Warn, fmt.Sprintf("%s: the new host's own address comes by %s and cannot be kept", t.to.path, t.to.dynamic), "have another way to the console"})
	}
}

func (t *takeover) taken() bool { return holds(t.to.addrs, t.from.addrs[0].Addr()) }

// topology compares networks and kinds of interface.
func (t *takeover) topology() {
	service := t.from.addrs[0]
	same := slices.ContainsFunc(t.to.addrs, func(p netip.Prefix) bool { return service.Contains(p.Addr()) })
	switch {
	case same:
	case len(t.temps) == 0:
		t.find(Finding{"SUBNET-UNKNOWN", Warn, fmt.Sprintf("%s has no address: whether %s is in the network %v cannot be told", t.to.path, t.opt.Iface, service.Masked()), "look with `ip address`"})
	default:
		t.find(Finding{"SUBNET", Fail, fmt.Sprintf("the new host is in %v, the address to take over in %v", t.temps[0].Masked(), service.Masked()), "an address moves within one network only; route it, or change DNS"})
	}
	if t.to.kind == "port" {
		t.find(Finding{"TOPOLOGY", Fail, fmt.Sprintf("%s is a port of a bond, bridge or team and has no address of its own", t.to.path), "name the bond or bridge"})
	} else if t.from.kind != t.to.kind {
		t.find(Finding{"TOPOLOGY", Warn, fmt.Sprintf("%s is of the kind %s, %s of the kind %s", t.from.path, t.from.kind, t.to.path, t.to.kind), "make sure that both reach the same network"})
	}
}

// card reports what the old host's file says of the link itself: it belongs to the old host's card and network.
func (t *takeover) card() {
	for _, x := range []struct{ key, from, to string }{{"MTU", t.from.mtu, t.to.mtu}, {"ZONE", t.from.zone, t.to.zone}} {
		if x.from != "" && x.from != x.to {
			t.find(Finding{"NOT-CARRIED", Warn, fmt.Sprintf("%s: %s is %q on the old host and %q on the new one, which stays", t.from.path, x.key, x.from, x.to), "set it by hand if the new host needs it"})
		}
	}
}

// writeInterface edits the new host's file; it comes last of all files, because it makes the take-over count.
func (t *takeover) writeInterface() {
	var kept []netip.Prefix
	if t.opt.KeepTemporary {
		kept = t.temps
	}
	before := t.new.Files[t.to.path]
	after, err := t.render(before, kept)
	if err != nil {
		t.find(Finding{"OPAQUE", Fail, err.Error(), "write plain KEY=value lines"})
		return
	}
	t.change(t.to.path, before, after)
}

// change adds a file to the plan; before is nil when there was none.
func (t *takeover) change(path string, before, after []byte) {
	if before == nil || !bytes.Equal(before, after) {
		if after == nil {
			after = []byte{} // an empty file, not the removal of one
		}
		t.plan.Files = append(t.plan.Files, FileChange{Path: path, Diff: unified(path, before, after), Before: before, After: after})
	}
}

// surroundings reports what could undo or outlive the take-over.
func (t *takeover) surroundings() {
	for _, p := range t.new.paths("etc/cloud/") {
		for line := range strings.Lines(string(t.new.Files[p])) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if value = strings.ToLower(strings.TrimSpace(value)); key == "manage_etc_hosts" && value != "false" {
				t.find(Finding{"CLOUD-INIT", Warn, p + ": cloud-init rewrites etc/hosts at boot", "set manage_etc_hosts: false"})
			}
		}
	}
	if src := t.new.Files[t.to.path]; bytes.Contains(src, []byte("cloud-init")) && !t.cloudNetworkOff() {
		t.find(Finding{"CLOUD-INIT", Warn, t.to.path + " was made by cloud-init, which may make it anew", "write `network: {config: disabled}` to /etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"})
	}
	o, n := nameservers(t.old.Files["etc/resolv.conf"]), nameservers(t.new.Files["etc/resolv.conf"])
	if len(o) > 0 && len(n) > 0 && !slices.Equal(o, n) {
		t.find(Finding{"RESOLV", Info, fmt.Sprintf("the old host asks %s for names, the new one %s", strings.Join(o, ", "), strings.Join(n, ", ")), ""})
	}
}

// cloudNetworkOff tells whether cloud-init is told to leave the network alone.
func (t *takeover) cloudNetworkOff() bool {
	return slices.ContainsFunc(t.new.paths("etc/cloud/"), func(p string) bool {
		text := strings.Join(strings.Fields(string(t.new.Files[p])), "")
		return strings.Contains(text, "network:{config:disabled}") || strings.Contains(text, "network:config:disabled")
	})
}

func nameservers(src []byte) (out []string) {
	for line := range strings.Lines(string(src)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			out = append(out, f[1])
		}
	}
	return out
}
