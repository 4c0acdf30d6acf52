package netcfg

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	debianNew = `# made by the installer
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

# the wire
allow-hotplug ens192
iface ens192 inet static
	address 192.0.2.20
	netmask 255.255.255.0
	broadcast 192.0.2.255
	gateway 192.0.2.254
	# keep
	hwaddress ether 02:00:00:00:00:20
	up echo "up" | logger
	dns-nameservers 192.0.2.1

iface eth9 inet manual
`
	netplanNew = `# by the installer
network:
  version: 2
  renderer: networkd
  ethernets:
    lan: # the wire
      match:
        macaddress: "52:54:00:cc:dd:02"
      set-name: ens192
      addresses: [192.0.2.20/24]
      gateway4: 192.0.2.254
      nameservers:
        addresses:
        - 192.0.2.1
      mtu: 1450
    # another
    eth9:
      dhcp4: yes
`
	yamlPath = netplanDir + "50-installer.yaml"
)

// fullOld is an old host in each kind of files, with all that is taken over.
func fullOld() map[string]*Host {
	hosts := oldHostsText
	ifcfg := strings.Replace(oldIfcfg, "IPV6INIT=no", "IPV6INIT=yes\nIPV6ADDR=2001:db8::10/64\nIPV6_DEFAULTGW=2001:db8::1\nIPADDR1=192.0.2.11\nPREFIX1=24\nGATEWAY=192.0.2.1", 1)
	return map[string]*Host{
		"ifcfg": hostOf("mail.example.test", hostsPath, hosts, scriptsDir+"ifcfg-eth0", ifcfg,
			scriptsDir+"route-eth0", "198.51.100.0/24 via 192.0.2.7 dev eth0 metric 5\n", scriptsDir+"rule-eth0", "from 192.0.2.11 priority 9 table 7\n"),
		"keyfile": hostOf("mail.example.test", hostsPath, hosts, keyfileDir+"a.nmconnection", "[connection]\nid=a\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=192.0.2.10/24,192.0.2.1\naddress2=192.0.2.11/24\ndns=192.0.2.53;\ndns-search=example.test;\n"+
			"route1=198.51.100.0/24,192.0.2.7,5\nrouting-rule1=priority 9 from 192.0.2.11 table 7\n[ipv6]\nmethod=manual\naddress1=2001:db8::10/64,2001:db8::1\n"),
		"interfaces": hostOf("mail.example.test", hostsPath, hosts, interfacesPath, "auto eth0 eth0:1\niface eth0 inet static\n address 192.0.2.10\n netmask 255.255.255.0\n gateway 192.0.2.1\n dns-nameservers 192.0.2.53\n dns-search example.test\n"+
			" up ip route add 198.51.100.0/24 via 192.0.2.7 dev $IFACE metric 5 || true\n post-up /sbin/ip rule add from 192.0.2.11 priority 9 table 7\niface eth0 inet6 static\n address 2001:db8::10/64\n gateway 2001:db8::1\niface eth0:1 inet static\n address 192.0.2.11/24\n"),
		"netplan": hostOf("mail.example.test", hostsPath, hosts, netplanDir+"a.yaml", "network:\n  ethernets:\n    eth0:\n      addresses: [192.0.2.10/24, 192.0.2.11/24, '2001:db8::10/64']\n      nameservers: {addresses: [192.0.2.53], search: [example.test]}\n"+
			"      routes:\n      - {to: default, via: 192.0.2.1}\n      - {to: default, via: '2001:db8::1'}\n      - {to: 198.51.100.0/24, via: 192.0.2.7, metric: 5}\n      routing-policy:\n      - {from: 192.0.2.11, priority: 9, table: 7}\n"),
	}
}

func newHosts() map[Backend]*Host {
	return map[Backend]*Host{
		BackendIfcfg:      newHost(),
		BackendKeyfile:    hostOf("new.example.test", hostsPath, newHostsText, keyfileDir+"w.nmconnection", newKeyfile),
		BackendInterfaces: hostOf("new.example.test", hostsPath, newHostsText, interfacesPath, debianNew),
		BackendNetplan:    hostOf("new.example.test", hostsPath, newHostsText, yamlPath, netplanNew),
	}
}

// TestTakeOverAnyFormat holds that everything reaches every kind of file from every kind, and that a second time nothing is
// left to do.
func TestTakeOverAnyFormat(t *testing.T) {
	for from, old := range fullOld() {
		for to, h := range newHosts() {
			for _, keep := range []bool{false, true} {
				t.Run(from+" to "+string(to), func(t *testing.T) {
					opt := &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: keep}
					p := TakeOver(old, h, opt)
					require.Empty(t, p.Blockers(), "%s", p)
					require.Equal(t, to, p.Backend)
					next := carryOut(h, p)
					s, found := next.settings(to, "ens192")
					require.Empty(t, (&Plan{Findings: found}).Blockers())
					want := []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("192.0.2.11/24")}
					if keep {
						want = append(want, netip.MustParsePrefix("192.0.2.20/24"))
					}
					require.Equal(t, want, s.addrs)
					require.Equal(t, []netip.Prefix{netip.MustParsePrefix("2001:db8::10/64")}, s.addrs6)
					require.Equal(t, "192.0.2.1", s.gateway.String())
					require.Equal(t, "2001:db8::1", s.gateway6.String())
					require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.53")}, s.dns)
					require.Equal(t, []string{"example.test"}, s.search)
					require.Equal(t, []route{{dst: netip.MustParsePrefix("198.51.100.0/24"), via: netip.MustParseAddr("192.0.2.7"), metric: "5"}}, s.routes)
					require.Len(t, s.rules, 1)
					require.Equal(t, []string{"192.0.2.11", "7", "9"}, []string{s.rules[0].get("from"), s.rules[0].get("table"), s.rules[0].get("priority")})
					again := TakeOver(old, next, opt)
					require.Empty(t, again.Files, "%s", again)
				})
			}
		}
	}
}

func TestTakeOverInterfaces(t *testing.T) {
	h := newHosts()[BackendInterfaces]
	p := TakeOver(oldHost(), h, onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, strings.Replace(debianNew, `	address 192.0.2.20
	netmask 255.255.255.0
	broadcast 192.0.2.255
	gateway 192.0.2.254
	# keep
	hwaddress ether 02:00:00:00:00:20
	up echo "up" | logger
	dns-nameservers 192.0.2.1
`, `	address 192.0.2.10/24
	gateway 192.0.2.1
	dns-nameservers 192.0.2.53
	dns-search example.test
	# keep
	hwaddress ether 02:00:00:00:00:20
	up echo "up" | logger
`, 1), p.after(interfacesPath))
	require.Equal(t, "nohup sh -c 'ifdown --ignore-errors ens192; ifup ens192' >/dev/null 2>&1 </dev/null &", p.Commands[0])

	tests := []struct{ name, from, to, rule string }{
		{"in two files", "iface lo", "# x\niface lo", "fail AMBIGUOUS"},
		{"a line that ifupdown refuses", "auto lo", "what\nauto lo", "fail OPAQUE"},
		{"a mapping", "auto lo", "mapping ens*\n script /x\nauto lo", "fail OPAQUE"},
		{"inherited options", "inet static", "inet static inherits base", "fail OPAQUE"},
		{"of a bridge", "inet manual", "inet manual\n bridge_ports ens192", "fail TOPOLOGY"},
		{"sourced from elsewhere", "auto lo", "source /srv/net/*\nauto lo", "warn SOURCE"},
		{"by DHCP until now", "	address 192.0.2.20\n	netmask 255.255.255.0\n", "	vendor x\n", "warn TEMP-UNKNOWN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := edited(t, newHosts()[BackendInterfaces], interfacesPath, tt.from, tt.to)
			if tt.rule == "fail AMBIGUOUS" {
				h.Files[interfacesPath+".d/x"] = []byte("iface ens192 inet static\n address 192.0.2.21/24\n")
			}
			if tt.rule == "warn TEMP-UNKNOWN" {
				h = edited(t, h, interfacesPath, "ens192 inet static", "ens192 inet dhcp")
			}
			p := TakeOver(oldHost(), h, onto)
			require.Contains(t, rules(p.Findings), tt.rule)
			if !strings.HasPrefix(tt.rule, "fail") {
				require.Contains(t, p.after(interfacesPath), "iface ens192 inet static\n	address 192.0.2.10/24\n")
			}
		})
	}

	fresh := hostOf("new", hostsPath, "192.0.2.20 new\n", interfacesPath, "auto lo\niface lo inet loopback")
	p = TakeOver(oldHost(), fresh, &Options{Iface: "ens192", OldIface: "eth0", Backend: BackendInterfaces})
	require.Empty(t, p.Blockers())
	require.Equal(t, "auto lo\niface lo inet loopback\n\nauto ens192\niface ens192 inet static\n    address 192.0.2.10/24\n    gateway 192.0.2.1\n    dns-nameservers 192.0.2.53\n    dns-search example.test\n", p.after(interfacesPath))

	sourced := hostOf("new", hostsPath, "192.0.2.20 new\n", interfacesPath, "source interfaces.d/*\n", interfacesPath+".d/50-cloud-init", "# cloud-init\r\nauto ens192\r\niface ens192 inet dhcp\r\n")
	p = TakeOver(oldHost(), sourced, onto)
	require.Empty(t, p.Blockers())
	require.Contains(t, rules(p.Findings), "warn CLOUD-INIT")
	require.Equal(t, "# cloud-init\r\nauto ens192\r\niface ens192 inet static\r\n    address 192.0.2.10/24\r\n    gateway 192.0.2.1\r\n    dns-nameservers 192.0.2.53\r\n    dns-search example.test\r\n", p.after(interfacesPath+".d/50-cloud-init"))
}

func TestTakeOverFromInterfaces(t *testing.T) {
	tests := []struct{ name, src, rule, addrs string }{
		{"the classic form", "address 192.0.2.10\n netmask 255.255.255.0\n", "", "192.0.2.10/24"},
		{"a length beside a mask", "address 192.0.2.10/16\n netmask 24\n", "warn PREFIX-NETMASK", "192.0.2.10/24"},
		{"no mask", "address 10.0.0.10\n", "warn CLASSFUL", "10.0.0.10/8"},
		{"a second address by ip", "address 192.0.2.10/24\n up ip addr add 192.0.2.12/24 dev eth0 label eth0:2\n", "", "192.0.2.10/24 192.0.2.12/24"},
		{"a command of its own", "address 192.0.2.10/24\n up iptables -A INPUT\n", "warn NOT-CARRIED", "192.0.2.10/24"},
		{"a route by route", "address 192.0.2.10/24\n up route add -net 198.51.100.0 netmask 255.255.255.0 gw 192.0.2.7 eth0\n", "warn NOT-CARRIED", "192.0.2.10/24"},
		{"an address twice", "address 192.0.2.10/24\n address 192.0.2.11/24\n", "fail BAD-ADDRESS", "192.0.2.10/24"},
		{"no address", "netmask 255.255.255.0\n", "fail BAD-ADDRESS", ""},
		{"a name", "address mail.example.test\n", "fail BAD-ADDRESS", ""},
		{"a bad mask", "address 192.0.2.10\n netmask 255.0.255.0\n", "fail BAD-NETMASK", ""},
		{"a gateway of the other family", "address 192.0.2.10/24\n gateway fe80::1\n", "fail BAD-ADDRESS", "192.0.2.10/24"},
		{"a name server by name", "address 192.0.2.10/24\n dns-nameservers ns1\n", "fail BAD-ADDRESS", "192.0.2.10/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, found := hostOf("", interfacesPath, "iface eth0 inet static\n "+tt.src).interfacesSettings("eth0")
			var got []string
			for _, p := range s.addrs {
				got = append(got, p.String())
			}
			require.Equal(t, tt.addrs, strings.Join(got, " "))
			if tt.rule == "" {
				require.Empty(t, found)
			} else {
				require.Contains(t, rules(found), tt.rule)
			}
		})
	}
	p := TakeOver(hostOf("mail", interfacesPath, "iface eth0 inet dhcp\n"), newHost(), onto)
	require.Contains(t, rules(p.Blockers()), "fail OLD-DHCP")
	s, _ := hostOf("", interfacesPath, "iface eth0 inet static\n address 192.0.2.10/24\n up route add -net 198.51.100.0 netmask 255.255.255.0 gw 192.0.2.7 metric 3\n").interfacesSettings("eth0")
	require.Equal(t, "198.51.100.0/24 via 192.0.2.7 dev x metric 3", s.routes[0].words("x"))
}

func TestTakeOverNetplan(t *testing.T) {
	h := newHosts()[BackendNetplan]
	p := TakeOver(oldHost(), h, onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, `# by the installer
network:
  version: 2
  renderer: networkd
  ethernets:
    lan: # the wire
      dhcp4: false
      addresses:
        - 192.0.2.10/24
      routes:
        - to: default
          via: 192.0.2.1
      nameservers:
        addresses:
          - 192.0.2.53
        search:
          - example.test
      match:
        macaddress: "52:54:00:cc:dd:02"
      set-name: ens192
      mtu: 1450
    # another
    eth9:
      dhcp4: yes
`, p.after(yamlPath))
	require.Equal(t, "nohup sh -c 'netplan generate && netplan apply' >/dev/null 2>&1 </dev/null &", p.Commands[0])

	tests := []struct{ name, from, to, rule string }{
		{"braces", "  ethernets:\n    lan: # the wire\n", "  ethernets:\n    ens192: {dhcp4: yes}\n    lan: # the wire\n", "fail AMBIGUOUS"},
		{"an anchor", "    lan: # the wire\n", "    lan: &x\n", "fail OPAQUE"},
		{"a tab", "mtu: 1450", "\tmtu: 1450", "fail OPAQUE"},
		{"a key twice", "mtu: 1450", "set-name: ens192", "fail OPAQUE"},
		{"a port", "    # another\n", "  bridges:\n    br0:\n      interfaces: [ens192]\n", "fail TOPOLOGY"},
		{"DHCP", "addresses: [192.0.2.20/24]", "dhcp4: true", "warn TEMP-UNKNOWN"},
		{"a route of another kind", "mtu: 1450", "routes:\n      - {to: 203.0.113.0/24, type: blackhole}", "warn ROUTES"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := TakeOver(oldHost(), edited(t, newHosts()[BackendNetplan], yamlPath, tt.from, tt.to), onto)
			require.Contains(t, rules(p.Findings), tt.rule, "%s", p)
		})
	}
	flow := hostOf("new", yamlPath, "network: {ethernets: {ens192: {addresses: [192.0.2.20/24]}}}\n")
	require.Equal(t, []string{"fail OPAQUE"}, rules(TakeOver(oldHost(), flow, onto).Blockers()))

	fresh := hostOf("new", hostsPath, "192.0.2.20 new\n", netplanDir+"01.yaml", "network:\n  version: 2\n  renderer: networkd\n")
	p = TakeOver(oldHost(), fresh, &Options{Iface: "ens192", OldIface: "eth0", Backend: BackendNetplan})
	require.Empty(t, p.Blockers())
	require.Contains(t, p.after(netplanDir+"90-ens192.yaml"), "  ethernets:\n    ens192:\n      dhcp4: false\n      addresses:\n        - 192.0.2.10/24\n")
	root := tree(t, fresh)
	_, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	require.Equal(t, "-rw-------", shape(t, root)[netplanDir+"90-ens192.yaml"][:10])
}

// TestTakeOverTwoBackends has a host where the installer left a stanza and NetworkManager a profile.
func TestTakeOverTwoBackends(t *testing.T) {
	h := newHosts()[BackendInterfaces]
	h.Files[keyfileDir+"w.nmconnection"] = []byte(newKeyfile)
	p := TakeOver(oldHost(), h, onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, BackendInterfaces, p.Backend, "which NetworkManager leaves alone")
	require.Contains(t, rules(p.Findings), "warn AMBIGUOUS")
	p = TakeOver(oldHost(), h, &Options{Iface: "ens192", OldIface: "eth0", Backend: BackendKeyfile})
	require.NotContains(t, rules(p.Findings), "warn AMBIGUOUS")
	require.Equal(t, "unchanged", p.after(interfacesPath))
}

func TestParseRoute(t *testing.T) {
	tests := []struct{ text, want string }{
		{"198.51.100.0/24 via 192.0.2.7", "198.51.100.0/24 via 192.0.2.7 dev e"},
		{"198.51.100.7 via 192.0.2.7 dev e", "198.51.100.7/32 via 192.0.2.7 dev e"},
		{"default via 192.0.2.7 table 7 onlink", "default via 192.0.2.7 dev e table 7 onlink"},
		{"198.51.100.0/24 dev e src 192.0.2.7 metric 9 table main proto static", "198.51.100.0/24 src 192.0.2.7 dev e metric 9"},
		{"2001:db8:1::/48 via fe80::1", "2001:db8:1::/48 via fe80::1 dev e"},
		{"198.51.100.0/24 via 192.0.2.7 dev other", ""},
		{"198.51.100.0/24 via fe80::1", ""},
		{"198.51.100.0/33 via 192.0.2.7", ""},
		{"blackhole 198.51.100.0/24", ""},
		{"198.51.100.0/24 via", ""},
		{"198.51.100.0/24 nexthop via 192.0.2.7", ""},
		{"198.51.100.0/24 via 192.0.2.7 metric $M", ""},
		{"default", ""},
		{"", ""},
	}
	for _, tt := range tests {
		r, ok := parseRoute(strings.Fields(tt.text), "e", strings.Contains(tt.text, "::"))
		require.Equal(t, tt.want != "", ok, tt.text)
		if ok {
			require.Equal(t, tt.want, r.words("e"))
		}
	}
}

func TestRouteFiles(t *testing.T) {
	h := hostOf("", scriptsDir+"ifcfg-eth0", "IPADDR=192.0.2.10\nPREFIX=24\n", scriptsDir+"route-eth0", "# c\nADDRESS0=198.51.100.0\nNETMASK0=255.255.255.0\nGATEWAY0=192.0.2.7\nADDRESS1=203.0.113.0\nNETMASK1=255.0.255.0\nADDRESS3=198.51.101.0\n",
		scriptsDir+"route6-eth0", "2001:db8:1::/48 via 2001:db8::7\nthrow 2001:db8:2::/48\n", scriptsDir+"rule6-eth0", "from 2001:db8::10 table 7\nfrom all\n")
	s, found := h.ifcfgSettings("eth0")
	var got []string
	for _, r := range s.routes {
		got = append(got, r.words("x"))
	}
	require.Equal(t, []string{"198.51.100.0/24 via 192.0.2.7 dev x", "2001:db8:1::/48 via 2001:db8::7 dev x"}, got)
	require.Equal(t, "from 2001:db8::10 table 7", s.rules[0].words())
	require.Equal(t, []string{"warn ROUTES", "warn ROUTES", "warn ROUTES"}, rules(found))
	require.True(t, slices.ContainsFunc(found, func(f Finding) bool { return strings.HasPrefix(f.Detail, scriptsDir+"route6-eth0:2: throw") }))

	h.Files[scriptsDir+"route-eth0"] = []byte("default via 192.0.2.1 dev eth0\n")
	p := TakeOver(h, newHosts()[BackendKeyfile], onto)
	require.Contains(t, p.after(keyfileDir+"w.nmconnection"), "192.0.2.10/24,192.0.2.1\n", "the default route is the gateway")
}
