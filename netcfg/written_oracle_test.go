package netcfg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// facts is what a host's files are generated from, and what the real program must read in the end.
type facts struct {
	addrs, addrs6       []string
	gateway, gateway6   string
	dns, search, routes []string // a route is "NETWORK GATEWAY METRIC", the last of which may be ""
}

func randomFacts(r *rand.Rand) (f facts) {
	hosts := r.Perm(200)
	for i := range 1 + r.IntN(3) {
		f.addrs = append(f.addrs, fmt.Sprintf("192.0.2.%d/24", 30+hosts[i]))
	}
	for i := range r.IntN(3) {
		f.addrs6 = append(f.addrs6, fmt.Sprintf("2001:db8::%x/64", 0x30+hosts[i]))
	}
	if r.IntN(4) > 0 {
		f.gateway = []string{"192.0.2.1", "192.0.2.254"}[r.IntN(2)]
	}
	if len(f.addrs6) > 0 && r.IntN(2) > 0 {
		f.gateway6 = []string{"2001:db8::1", "fe80::1"}[r.IntN(2)]
	}
	for i := range r.IntN(3) {
		f.dns = append(f.dns, fmt.Sprintf("192.0.2.%d", 2+i))
		f.search = append(f.search, []string{"example.test", "mail.example.test"}[i])
	}
	for i := range r.IntN(3) {
		f.routes = append(f.routes, fmt.Sprintf("198.51.%d.0/24 192.0.2.%d %s", 100+i, 5+i, []string{"", "7"}[r.IntN(2)]))
	}
	return f
}

// lines gives the facts in an order of no meaning, except for that of the addresses.
func (f facts) lines() []string {
	out := []string{strings.Join(f.addrs, " "), strings.Join(f.addrs6, " "), "gateway " + f.gateway, "gateway6 " + f.gateway6}
	for _, d := range f.dns {
		out = append(out, "dns "+d)
	}
	for _, d := range f.search {
		out = append(out, "search "+d)
	}
	for _, r := range f.routes {
		out = append(out, "route "+strings.TrimSpace(r))
	}
	slices.Sort(out[4:])
	return out
}

// old writes the facts down as an old host in one kind of files.
func (f facts) old(kind Backend) *Host {
	var b, routes strings.Builder
	add := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	path := scriptsDir + "ifcfg-eth0"
	switch kind {
	case BackendIfcfg:
		for i, a := range f.addrs {
			n := strings.TrimSuffix(fmt.Sprint(i), "0")
			add("IPADDR%s=%s\nNETMASK%s='255.255.255.0'", n, strings.TrimSuffix(a, "/24"), n)
		}
		if len(f.addrs6) > 0 {
			add("IPV6ADDR=%s\nIPV6ADDR_SECONDARIES=\"%s\"", f.addrs6[0], strings.Join(f.addrs6[1:], " "))
		}
		for key, v := range map[string]string{"GATEWAY": f.gateway, "IPV6_DEFAULTGW": f.gateway6} {
			if v != "" {
				add("%s=%s", key, v)
			}
		}
		for i, d := range f.dns {
			add("DNS%d=%s", i+1, d)
		}
		add("DOMAIN=\"%s\"", strings.Join(f.search, " "))
		for _, r := range f.routes {
			w := strings.Split(r, " ")
			fmt.Fprintf(&routes, "%s via %s dev eth0%s\n", w[0], w[1], map[bool]string{true: " metric " + w[2]}[w[2] != ""])
		}
		return hostOf("mail", path, b.String(), scriptsDir+"route-eth0", routes.String())
	case BackendKeyfile:
		path = keyfileDir + "x.nmconnection"
		add("[connection]\ninterface-name=eth0\n[ipv4]\nmethod=manual\ndns=%s\ndns-search=%s", strings.Join(f.dns, ";"), strings.Join(f.search, ";"))
		for i, a := range f.addrs {
			add("address%d=%s%s", i+1, a, map[bool]string{true: "," + f.gateway}[i == 0 && f.gateway != ""])
		}
		for i, r := range f.routes {
			add("route%d=%s", i+1, strings.TrimSuffix(strings.ReplaceAll(r, " ", ","), ","))
		}
		add("[ipv6]\nmethod=manual")
		for i, a := range f.addrs6 {
			add("address%d=%s", i+1, a)
		}
		if f.gateway6 != "" {
			add("gateway=%s", f.gateway6)
		}
	case BackendInterfaces:
		path = interfacesPath
		for i, a := range f.addrs {
			add("iface eth0 inet static\n address %s", a)
			if i == 0 && f.gateway != "" {
				add(" gateway %s", f.gateway)
			}
			if i == 0 && len(f.dns) > 0 {
				add(" dns-nameservers %s\n dns-search %s", strings.Join(f.dns, " "), strings.Join(f.search, " "))
			}
			for _, r := range f.routes[:len(f.routes)*(1-min(i, 1))] {
				w := strings.Split(r, " ")
				add(" up ip route add %s via %s%s", w[0], w[1], map[bool]string{true: " metric " + w[2]}[w[2] != ""])
			}
		}
		for i, a := range f.addrs6 {
			add("iface eth0 inet6 static\n address %s", a)
			if i == 0 && f.gateway6 != "" {
				add(" gateway %s", f.gateway6)
			}
		}
	case BackendNetplan:
		path = netplanDir + "x.yaml"
		add("network:\n  ethernets:\n    eth0:\n      addresses: ['%s']\n      nameservers: {addresses: [%s], search: [%s]}\n      routes:", strings.Join(slices.Concat(f.addrs, f.addrs6), "', '"), strings.Join(f.dns, ","), strings.Join(f.search, ","))
		for _, r := range f.routes {
			w := strings.Split(r, " ")
			add("      - to: %s\n        via: %s%s", w[0], w[1], map[bool]string{true: "\n        metric: " + w[2]}[w[2] != ""])
		}
		for _, g := range []string{f.gateway, f.gateway6} {
			if g != "" {
				add("      - to: default\n        via: '%s'", g)
			}
		}
	}
	return hostOf("mail", path, b.String())
}

// bareNewHost has an address only: a resolver of its own would stay where the old host has none.
func bareNewHost(kind Backend) *Host {
	switch kind {
	case BackendIfcfg:
		return hostOf("new", newFile, "DEVICE=ens192\nIPADDR=192.0.2.20\nPREFIX=24\n")
	case BackendKeyfile:
		return hostOf("new", keyfileDir+"w.nmconnection", "[connection]\nid=w\nuuid=22222222-2222-2222-2222-222222222222\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\nmethod=manual\naddress1=192.0.2.20/24\n\n[ipv6]\nmethod=ignore\n")
	case BackendInterfaces:
		return hostOf("new", interfacesPath, "auto ens192\niface ens192 inet static\n\taddress 192.0.2.20/24\n")
	}
	return hostOf("new", yamlPath, "network:\n  version: 2\n  ethernets:\n    ens192:\n      addresses: [192.0.2.20/24]\n")
}

// TestJudgesReadOurs generates old hosts, takes them over, and lets the program that reads the new host's files say what
// these are.
func TestJudgesReadOurs(t *testing.T) {
	kinds := []Backend{BackendIfcfg, BackendKeyfile, BackendInterfaces, BackendNetplan}
	judges := map[Backend]func(*testing.T, string, []byte) facts{BackendIfcfg: bashReads, BackendKeyfile: nmcliReads, BackendInterfaces: ifqueryReads, BackendNetplan: netplanReads}
	for k, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			dir := inMemory(t)
			r := rand.New(rand.NewPCG(uint64(k), 20))
			n := campaign(16)
			for i := range n {
				want := randomFacts(r)
				h := bareNewHost(kind)
				keep := r.IntN(2) > 0
				p := TakeOver(want.old(kinds[i%len(kinds)]), h, &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: keep})
				require.Empty(t, p.Blockers(), "%s", p)
				if keep {
					want.addrs = append(want.addrs, "192.0.2.20/24")
				}
				next := carryOut(h, p)
				got := judges[kind](t, dir, next.Files[p.Files[len(p.Files)-1].Path])
				if kind == BackendIfcfg { // the routes are in a file of their own, in the words of ip(8)
					for line := range strings.Lines(string(next.Files[scriptsDir+"route-ens192"])) {
						w := strings.Fields(line)
						require.Equal(t, []string{"via", "dev", "ens192"}, []string{w[1], w[3], w[4]})
						got.routes = append(got.routes, w[0]+" "+w[2]+" "+strings.Join(w[min(6, len(w)):], ""))
					}
				}
				require.Equal(t, want.lines(), got.lines(), "%s", p)
			}
			t.Logf("%d files", n)
		})
	}
}

func bashReads(t *testing.T, dir string, src []byte) (f facts) {
	file := filepath.Join(dir, "ifcfg")
	require.NoError(t, os.WriteFile(file, src, 0o600))
	cmd := exec.Command(oracle.Need(t, "bash"), "--noprofile", "--norc", "-c", `set -f; . "$1"; for K in IPADDR{,1,2,3} PREFIX{,1,2,3} GATEWAY IPV6ADDR IPV6ADDR_SECONDARIES IPV6_DEFAULTGW DNS{1,2} DOMAIN BOOTPROTO ONBOOT; do echo "$K=${!K}"; done`, "bash", file)
	cmd.Env = []string{}
	out, err := cmd.Output()
	require.NoError(t, err)
	v := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[key] = value
	}
	require.Equal(t, "none yes", v["BOOTPROTO"]+" "+v["ONBOOT"])
	for _, n := range []string{"", "1", "2", "3"} {
		if v["IPADDR"+n] != "" {
			f.addrs = append(f.addrs, v["IPADDR"+n]+"/"+v["PREFIX"+n])
		}
	}
	f.addrs6 = strings.Fields(v["IPV6ADDR"] + " " + v["IPV6ADDR_SECONDARIES"])
	f.gateway, f.gateway6 = v["GATEWAY"], strings.TrimSuffix(v["IPV6_DEFAULTGW"], "%ens192")
	f.dns, f.search = strings.Fields(v["DNS1"]+" "+v["DNS2"]), strings.Fields(v["DOMAIN"])
	return f
}

func nmcliReads(t *testing.T, _ string, src []byte) (f facts) {
	cmd := exec.Command(oracle.Need(t, "nmcli"), "--offline", "connection", "modify", "connection.autoconnect", "yes")
	cmd.Stdin = bytes.NewReader(src)
	out, err := cmd.Output()
	require.NoError(t, err, "%s", src)
	sec := ""
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		addrs, gw := &f.addrs, &f.gateway
		if sec == "[ipv6]" {
			addrs, gw = &f.addrs6, &f.gateway6
		}
		switch {
		case strings.HasPrefix(key, "["):
			sec = key
		case strings.HasPrefix(key, "address"):
			a, g, ok := strings.Cut(value, ",")
			*addrs = append(*addrs, a)
			if ok {
				*gw = g
			}
		case key == "gateway":
			*gw = value
		case key == "dns":
			f.dns = splitList(value)
		case key == "dns-search":
			f.search = splitList(value)
		case strings.HasPrefix(key, "route"):
			f.routes = append(f.routes, strings.ReplaceAll(value, ",", " "))
		case key == "method" && sec == "[ipv4]":
			require.Equal(t, "manual", value)
		}
	}
	return f
}

func ifqueryReads(t *testing.T, dir string, src []byte) (f facts) {
	file := filepath.Join(dir, "interfaces")
	require.NoError(t, os.WriteFile(file, src, 0o600))
	ifquery := oracle.Need(t, "ifquery")
	addrs, gateways, err := ifqueryAddresses(t, ifquery, file, "ens192")
	require.NoError(t, err, "%s", src)
	for _, p := range addrs {
		if p.Addr().Is6() {
			f.addrs6 = append(f.addrs6, p.String())
		} else {
			f.addrs = append(f.addrs, p.String())
		}
	}
	for _, g := range gateways {
		if netip.MustParseAddr(g).Is6() {
			f.gateway6 = g
		} else {
			f.gateway = g
		}
	}
	out, err := exec.Command(ifquery, "--interfaces", file, "ens192").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		switch w := strings.Fields(line); w[0] {
		case "dns-nameservers:":
			f.dns = append(f.dns, w[1:]...)
		case "dns-search:":
			f.search = append(f.search, w[1:]...)
		case "up:":
			require.Equal(t, []string{"ip", "route", "add", "via", "dev", "ens192"}, []string{w[1], w[2], w[3], w[5], w[7], w[8]})
			f.routes = append(f.routes, w[4]+" "+w[6]+" "+strings.Join(w[min(10, len(w)):], ""))
		}
	}
	return f
}

func netplanReads(t *testing.T, dir string, src []byte) (f facts) {
	root := filepath.Join(dir, "netplan")
	require.NoError(t, os.RemoveAll(root))
	require.NoError(t, os.MkdirAll(filepath.Join(root, netplanDir), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, netplanDir, "a.yaml"), src, 0o600))
	generate := "/usr/libexec/netplan/generate"
	if _, err := os.Stat(generate); err != nil {
		generate = oracle.Need(t, "netplan")
	}
	args := []string{"--root-dir", root}
	if filepath.Base(generate) == "netplan" {
		args = append([]string{"generate"}, args...)
	}
	out, err := exec.Command(generate, args...).CombinedOutput()
	require.NoError(t, err, "%s%s", src, out)
	require.NotContains(t, string(out), "WARNING", "%s", src)
	unit, err := os.ReadFile(filepath.Join(root, "run/systemd/network/10-netplan-ens192.network"))
	require.NoError(t, err)
	var to, via, metric string
	flush := func() {
		switch {
		case to == "0.0.0.0/0" || to == "" && strings.Contains(via, "."):
			f.gateway = via
		case to == "::/0" || to == "" && via != "":
			f.gateway6 = via
		case to != "":
			f.routes = append(f.routes, to+" "+via+" "+metric)
		}
		to, via, metric = "", "", ""
	}
	for line := range strings.Lines(string(unit)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Address":
			if strings.Contains(value, ":") {
				f.addrs6 = append(f.addrs6, value)
			} else {
				f.addrs = append(f.addrs, value)
			}
		case "DNS":
			f.dns = append(f.dns, value)
		case "Domains":
			f.search = append(f.search, strings.Fields(value)...)
		case "[Route]":
			flush()
		case "Destination":
			to = value
		case "Gateway":
			via = value
		case "Metric":
			metric = value
		case "DHCP":
			require.Equal(t, "no", value)
		}
	}
	flush()
	return f
}
