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

// Auto looks at the new host. A take-over edits the file of BackendIfcfg and BackendKeyfile, and writes the interface's stanza
// of BackendInterfaces and its definition of BackendNetplan anew; BackendNetworkd and BackendWicked are recognised and refused
// with advice.
const (
	Auto              Backend = ""
	BackendIfcfg      Backend = "ifcfg"
	BackendKeyfile    Backend = "keyfile"
	BackendInterfaces Backend = "interfaces"
	BackendNetplan    Backend = "netplan"
	BackendNetworkd   Backend = "networkd"
	BackendWicked     Backend = "wicked"
)

// backends lists what configures an interface on a host, most telling first: NetworkManager leaves alone what ifupdown has.
func (h *Host) backends(iface string) []Backend {
	var out []Backend
	if main, _ := h.ifcfg(iface); len(main) > 0 {
		out = append(out, BackendIfcfg)
	}
	if h.interfacesHave(iface) {
		out = append(out, BackendInterfaces)
	}
	if len(h.keyfiles(iface)) > 0 {
		out = append(out, BackendKeyfile)
	}
	if defs, _ := h.netplan(iface); len(defs) > 0 {
		out = append(out, BackendNetplan)
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
		if len(have) > 1 {
			found = append(found, Finding{"AMBIGUOUS", Warn, fmt.Sprintf("the new host's %s is configured by %s and by %s; the first is written", iface, have[0], have[1]), "remove what does not count"})
		}
	}
	if slices.Contains(readable, b) {
		if slices.Contains(have, b) || freshPath(b, iface) != "" {
			return b, found
		}
		return b, append(found, Finding{"BACKEND-FILE", Fail, fmt.Sprintf("the new host has no %s file for %s%s", b, iface, h.instead(have)), "make one with the new host's own address, then plan again"})
	}
	if b == Auto {
		_, unread := h.netplan(iface)
		files, _ := h.interfaces()
		for _, f := range files {
			for _, e := range f.errs {
				unread = append(unread, Finding{"OPAQUE", Fail, e.Error(), "correct the line"})
			}
		}
		found = append(found, unread...)
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

// readable are the kinds of files that are read and written, most telling first.
var readable = []Backend{BackendIfcfg, BackendInterfaces, BackendKeyfile, BackendNetplan}

// settings reads what a host's files of one kind say of an interface.
func (h *Host) settings(b Backend, iface string) (settings, []Finding) {
	switch b {
	case BackendKeyfile:
		return h.keyfileSettings(iface)
	case BackendNetplan:
		return h.netplanSettings(iface)
	case BackendInterfaces:
		return h.interfacesSettings(iface)
	}
	return h.ifcfgSettings(iface)
}

// freshPath is the file that a take-over makes where none configures the interface yet, "" for kinds that are only edited.
func freshPath(b Backend, iface string) string {
	switch b {
	case BackendNetplan:
		return netplanDir + "90-" + iface + ".yaml"
	case BackendInterfaces:
		return interfacesPath
	}
	return ""
}

var backendWords = map[Backend]string{BackendNetworkd: "systemd-networkd", BackendWicked: "wicked"}

var backendAdvice = map[Backend]string{
	BackendNetworkd: "edit the .network file by hand: Address=, Gateway=, DNS=; then `networkctl reload`",
	BackendWicked:   "edit etc/sysconfig/network/ifcfg by hand: IPADDR, and ifroute for the gateway; then `wicked ifreload`",
}
