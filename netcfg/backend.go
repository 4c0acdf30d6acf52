package netcfg

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Backend is the kind of file that configures an interface.
type Backend string

// Auto looks at the new host. A take-over can write BackendIfcfg and BackendKeyfile; the others are recognised and refused with advice.
const (
	Auto              Backend = ""
	BackendIfcfg      Backend = "ifcfg"
	BackendKeyfile    Backend = "keyfile"
	BackendInterfaces Backend = "interfaces"
	BackendNetplan    Backend = "netplan"
	BackendNetworkd   Backend = "networkd"
	BackendWicked     Backend = "wicked"
)

// backends lists what configures an interface on a host, most telling first.
func (h *Host) backends(iface string) []Backend {
	var out []Backend
	if main, _ := h.ifcfg(iface); len(main) > 0 {
		out = append(out, BackendIfcfg)
	}
	if len(h.keyfiles(iface)) > 0 {
		out = append(out, BackendKeyfile)
	}
	if len(h.paths("etc/netplan/")) > 0 {
		out = append(out, BackendNetplan)
	}
	for _, p := range h.paths("etc/network/interfaces") {
		if mentions(h.Files[p], "iface", iface) {
			out = append(out, BackendInterfaces)
			break
		}
	}
	for _, p := range h.paths("etc/systemd/network/") {
		if mentions(h.Files[p], "Name="+iface) {
			out = append(out, BackendNetworkd)
			break
		}
	}
	if _, ok := h.Files["etc/sysconfig/network/ifcfg-"+iface]; ok {
		out = append(out, BackendWicked)
	}
	return out
}

// mentions tells whether a line begins with these two words.
func mentions(src []byte, words ...string) bool {
	for line := range strings.Lines(string(src)) {
		if f := strings.Fields(line); len(f) >= len(words) && slices.Equal(f[:len(words)], words) {
			return true
		}
	}
	return false
}

// ifcfgUnread gives the release whose NetworkManager does not read ifcfg files, "" where something reads them: the
// plugin is gone from RHEL 10 and Fedora 41 on, and nothing but the plugin is left there since the network scripts went.
func (h *Host) ifcfgUnread() string {
	if h.IfcfgPlugin {
		return ""
	}
	src := h.Files["etc/os-release"]
	if src == nil {
		src = h.Files["usr/lib/os-release"]
	}
	rel := ParseIfcfg("os-release", src)
	major, _, _ := strings.Cut(rel.plain("VERSION_ID"), ".")
	version, err := strconv.Atoi(major)
	if err != nil {
		return ""
	}
	family := append(strings.Fields(rel.plain("ID_LIKE")), rel.plain("ID"))
	fedora := rel.plain("ID") == "fedora"
	if fedora && version >= 41 || !fedora && slices.Contains(family, "rhel") && version >= 10 {
		return rel.plain("ID") + " " + rel.plain("VERSION_ID")
	}
	return ""
}

// choose settles the new host's backend, or says why there is none to write.
func (h *Host) choose(iface string, want Backend) (Backend, []Finding) {
	have := h.backends(iface)
	unread := h.ifcfgUnread()
	var found []Finding
	if slices.Contains(have, BackendIfcfg) && unread != "" {
		f := Finding{"IFCFG-UNREAD", Fail, fmt.Sprintf("nothing on %s reads %sifcfg-%s", unread, scriptsDir, iface), "make a connection for " + iface + " with nmcli, then plan again"}
		if slices.Contains(have, BackendKeyfile) && want != BackendIfcfg {
			f.Severity, f.Advice = Warn, "remove the file; the keyfile counts"
			have = slices.DeleteFunc(have, func(b Backend) bool { return b == BackendIfcfg })
		}
		found = append(found, f)
	}
	b := want
	if want == Auto && len(have) > 0 {
		b = have[0]
	}
	if b == BackendIfcfg || b == BackendKeyfile {
		if slices.Contains(have, b) {
			return b, found
		}
		return b, append(found, Finding{"BACKEND-FILE", Fail, fmt.Sprintf("the new host has no %s file for %s%s", b, iface, h.instead(have)), "make one with the new host's own address, then plan again"})
	}
	if b == Auto {
		return b, append(found, Finding{"BACKEND", Fail, fmt.Sprintf("no file of the new host configures %s%s", iface, h.instead(nil)), "configure its own address first, and check the interface's name with `ip link`"})
	}
	return b, append(found, Finding{"BACKEND", Fail, fmt.Sprintf("%s on the new host is configured by %s, which is not written here; an ifcfg file would be read by nobody", iface, backendWords[b]), backendAdvice[b]})
}

// instead says what is there in place of what was looked for.
func (h *Host) instead(have []Backend) string {
	if len(have) > 0 {
		return fmt.Sprintf(", but it is configured by %s", have[0])
	}
	var names []string
	for _, p := range slices.Sorted(maps.Keys(h.Files)) {
		if rest, ok := strings.CutPrefix(p, scriptsDir+"ifcfg-"); ok && rest != "lo" && !h.dormant(ParseIfcfg(p, h.Files[p])) {
			names = append(names, rest)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; there are ifcfg files for " + strings.Join(names, ", ")
}

var backendWords = map[Backend]string{BackendInterfaces: "etc/network/interfaces", BackendNetplan: "netplan", BackendNetworkd: "systemd-networkd", BackendWicked: "wicked"}

var backendAdvice = map[Backend]string{
	BackendInterfaces: "edit the interface's stanza by hand: address, gateway, dns-nameservers; then ifdown and ifup in one detached command",
	BackendNetplan:    "edit etc/netplan by hand: addresses, routes, nameservers; then `netplan try`",
	BackendNetworkd:   "edit the .network file by hand: Address=, Gateway=, DNS=; then `networkctl reload`",
	BackendWicked:     "edit etc/sysconfig/network/ifcfg by hand: IPADDR, and ifroute for the gateway; then `wicked ifreload`",
}
