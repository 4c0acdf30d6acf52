package netcfg

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

const (
	oldIfcfg = `# Virtual Ethernet
DEVICE=eth0
HWADDR=52:54:00:AA:BB:01
UUID=11111111-1111-1111-1111-111111111111
NAME="old card"
TYPE=Ethernet
ONBOOT=yes
NM_CONTROLLED=no
BOOTPROTO=none
IPADDR=192.0.2.10
NETMASK=255.255.255.0
NETWORK=192.0.2.0
BROADCAST=192.0.2.255
DNS1=192.0.2.53
DOMAIN="example.test"
IPV6INIT=no
USERCTL=no
`
	newIfcfg = `# made by the installer
TYPE="Ethernet"
NAME="ens192"
UUID="22222222-2222-2222-2222-222222222222"
DEVICE="ens192"
HWADDR=52:54:00:CC:DD:02
ONBOOT="no"
BOOTPROTO="static"   # for the time being
IPADDR="192.0.2.20"
PREFIX="24"
NETWORK=192.0.2.0
GATEWAY="192.0.2.254"
DNS1="192.0.2.1"
DNS2="192.0.2.2"
ZONE=public
`
	oldHostsText = "127.0.0.1   localhost localhost.localdomain\n::1 localhost\n192.0.2.10  mail.example.test mail\n192.0.2.30  backup.example.test backup # spare\n"
	newHostsText = "127.0.0.1 localhost\n192.0.2.20\tnew\tnew.example.test # me\n192.0.2.10 oldmail mail.example.test\n"
	newKeyfile   = "[connection]\nid=wired\nuuid=22222222-2222-2222-2222-222222222222\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\nmethod=manual\naddress1 = 192.0.2.20/24,192.0.2.254\ndns=192.0.2.1;\n\n[ipv6]\nmethod=auto\n"
)

// hostOf makes a host of path, content pairs.
func hostOf(hostname string, pairs ...string) *Host {
	h := &Host{Hostname: hostname, Files: map[string][]byte{}, Irregular: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		h.Files[pairs[i]] = []byte(pairs[i+1])
	}
	return h
}

func oldHost() *Host {
	return hostOf("mail.example.test", hostsPath, oldHostsText, scriptsDir+"ifcfg-eth0", oldIfcfg,
		networkPath, "NETWORKING=yes\nHOSTNAME=mail.example.test\nGATEWAY=192.0.2.1\n")
}

func newHost() *Host {
	return hostOf("new.example.test", hostsPath, newHostsText, scriptsDir+"ifcfg-ens192", newIfcfg)
}

func (p *Plan) after(path string) string {
	for _, f := range p.Files {
		if f.Path == path {
			return string(f.After)
		}
	}
	return "unchanged"
}

var onto = &Options{Iface: "ens192", OldIface: "eth0"}

func TestTakeOverIfcfg(t *testing.T) {
	p := TakeOver(oldHost(), newHost(), onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, BackendIfcfg, p.Backend)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}, p.Addresses)
	require.Equal(t, `# made by the installer
TYPE="Ethernet"
NAME="ens192"
UUID="22222222-2222-2222-2222-222222222222"
DEVICE="ens192"
HWADDR=52:54:00:CC:DD:02
ONBOOT="yes"
BOOTPROTO="none"   # for the time being
IPADDR="192.0.2.10"
PREFIX="24"
GATEWAY="192.0.2.1"
DNS1="192.0.2.53"
ZONE=public
DOMAIN=example.test
`, p.after(scriptsDir+"ifcfg-ens192"))
	require.Equal(t, "127.0.0.1 localhost\n192.0.2.10\tnew.example.test\tnew # me\n192.0.2.10 mail.example.test\n192.0.2.10\tmail\n192.0.2.30  backup.example.test backup # spare\n", p.after(hostsPath))
	require.Equal(t, []string{"warn SELF-ALIAS", "warn HOSTNAME", "info PROBE", "info ANNOUNCE"}, rules(p.Findings))
	require.Equal(t, []string{
		"nohup sh -c 'ifdown ens192; ifup ens192' >/dev/null 2>&1 </dev/null &",
		"ping -c 3 -I 192.0.2.10 192.0.2.1", "ip address show dev ens192", "hostname -f",
	}, p.Commands)
	require.Equal(t, scriptsDir+"ifcfg-ens192", p.Files[len(p.Files)-1].Path, "the interface comes last")
}

// carryOut gives the new host as it is after the plan.
func carryOut(h *Host, p *Plan) *Host {
	next := *h
	next.Files = maps.Clone(h.Files)
	for _, f := range p.Files {
		next.Files[f.Path] = f.After
	}
	return &next
}

func TestTakeOverTwice(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for _, h := range []*Host{newHost(), hostOf("new", hostsPath, newHostsText, keyfileDir+"wired.nmconnection", newKeyfile)} {
			opt := &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: keep}
			p := TakeOver(oldHost(), h, opt)
			require.Empty(t, p.Blockers())
			require.NotEmpty(t, p.Files)
			again := TakeOver(oldHost(), carryOut(h, p), opt)
			require.Empty(t, again.Files, "%s", again)
			require.Empty(t, again.Blockers())
		}
	}
}

func TestTakeOverKeepsTemporary(t *testing.T) {
	p := TakeOver(oldHost(), newHost(), &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: true})
	require.Empty(t, p.Blockers())
	f := ParseIfcfg("", []byte(p.after(scriptsDir+"ifcfg-ens192")))
	addrs, found := f.Addresses()
	require.Empty(t, found)
	require.Equal(t, []Address{{"IPADDR", netip.MustParsePrefix("192.0.2.10/24")}, {"IPADDR1", netip.MustParsePrefix("192.0.2.20/24")}}, addrs)
	require.NotContains(t, rules(p.Findings), "warn STALE-ADDRESS")
}

func TestTakeOverKeyfile(t *testing.T) {
	p := TakeOver(oldHost(), hostOf("new", keyfileDir+"wired.nmconnection", newKeyfile), onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, BackendKeyfile, p.Backend)
	require.Equal(t, "[connection]\nid=wired\nuuid=22222222-2222-2222-2222-222222222222\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\nmethod=manual\naddress1 = 192.0.2.10/24,192.0.2.1\ndns=192.0.2.53;\ndns-search=example.test;\n\n[ipv6]\nmethod=auto\n",
		p.after(keyfileDir+"wired.nmconnection"))
	require.Contains(t, p.Commands[0], "nmcli connection load /"+keyfileDir+"wired.nmconnection")
}

func TestTakeOverFromKeyfile(t *testing.T) {
	old := hostOf("mail", keyfileDir+"a.nmconnection", "[connection]\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddresses=192.0.2.10;24;192.0.2.1;\ndns=192.0.2.53;2001:db8::53\n[ipv6]\nmethod=manual\naddress1=2001:db8::10/64\naddress2=2001:db8::11/64\ngateway=2001:db8::1\n")
	p := TakeOver(old, newHost(), onto)
	require.Empty(t, p.Blockers())
	f := ParseIfcfg("", []byte(p.after(scriptsDir+"ifcfg-ens192")))
	for key, want := range map[string]string{"IPADDR": "192.0.2.10", "PREFIX": "24", "GATEWAY": "192.0.2.1", "DNS1": "192.0.2.53", "DNS2": "2001:db8::53",
		"IPV6INIT": "yes", "IPV6ADDR": "2001:db8::10/64", "IPV6ADDR_SECONDARIES": "2001:db8::11/64", "IPV6_DEFAULTGW": "2001:db8::1", "DEVICE": "ens192"} {
		require.Equal(t, want, f.Get(key), key)
	}
}

func TestTakeOverAliasesAndRoutes(t *testing.T) {
	old, new := oldHost(), newHost()
	old.Files[scriptsDir+"ifcfg-eth0:0"] = []byte("DEVICE=eth0:0\nIPADDR=192.0.2.11\nNETMASK=255.255.255.0\n")
	old.Files[scriptsDir+"route-eth0"] = []byte("198.51.100.0/24 via 192.0.2.7 dev eth0\n# dev eth01\n")
	old.Files[scriptsDir+"rule-eth0"] = []byte("from 192.0.2.10 iif eth0 table 7")
	p := TakeOver(old, new, onto)
	require.Empty(t, p.Blockers())
	require.Contains(t, rules(p.Findings), "warn ALIAS")
	require.Contains(t, p.after(scriptsDir+"ifcfg-ens192"), "IPADDR1=192.0.2.11\nPREFIX1=24\n")
	require.Equal(t, "198.51.100.0/24 via 192.0.2.7 dev ens192\n# dev eth01\n", p.after(scriptsDir+"route-ens192"))
	require.Equal(t, "from 192.0.2.10 iif ens192 table 7", p.after(scriptsDir+"rule-ens192"))

	p = TakeOver(old, new, &Options{Iface: "ens192", OldIface: "eth0", Stay: []netip.Addr{netip.MustParseAddr("192.0.2.11")}})
	require.Empty(t, p.Blockers())
	require.NotContains(t, rules(p.Findings), "warn ALIAS")
	require.Contains(t, rules(p.Findings), "info STAYS")
	require.NotContains(t, p.after(scriptsDir+"ifcfg-ens192"), "192.0.2.11")

	new.Files[scriptsDir+"route-ens192"] = []byte("default via 192.0.2.254\n")
	p = TakeOver(old, new, onto)
	require.Contains(t, rules(p.Findings), "warn ROUTES")
	require.Equal(t, "unchanged", p.after(scriptsDir+"route-ens192"))
}

func TestTakeOverBlockers(t *testing.T) {
	with := func(h *Host, path, from, to string) *Host {
		src := string(h.Files[path])
		if !strings.Contains(src, from) {
			panic("no " + from)
		}
		h.Files[path] = []byte(strings.Replace(src, from, to, 1))
		return h
	}
	debian := hostOf("new", "etc/network/interfaces", "auto eth0\niface eth0 inet static\n    address 192.0.2.20/24\n", "etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n")
	networkd := hostOf("new", "etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.20/24\n")
	wicked := hostOf("new", "etc/sysconfig/network/ifcfg-eth0", "IPADDR=192.0.2.20/24\nSTARTMODE=auto\n")
	rhel10 := newHost()
	rhel10.Files["etc/os-release"] = []byte("ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"10.0\"\n")
	linked := newHost()
	delete(linked.Files, hostsPath)
	linked.Irregular[hostsPath] = "a symbolic link to /run/hosts"
	eth0 := &Options{Iface: "eth0"}
	oldFile, newFile := scriptsDir+"ifcfg-eth0", scriptsDir+"ifcfg-ens192"
	tests := []struct {
		name     string
		old, new *Host
		opt      *Options
		rule     string
		detail   string
	}{
		{"old on DHCP", with(oldHost(), oldFile, "BOOTPROTO=none", "BOOTPROTO=DHCP"), newHost(), onto, "OLD-DHCP", "ifcfg-eth0: the old host gets its address by dhcp"},
		{"other network", oldHost(), with(newHost(), newFile, "192.0.2.20", "198.51.100.20"), onto, "SUBNET", "198.51.100.0/24"},
		{"opaque old file", with(oldHost(), oldFile, "ONBOOT", "unset X\nONBOOT"), newHost(), onto, "OPAQUE", "ifcfg-eth0:7: the shell word unset"},
		{"opaque new file", oldHost(), with(newHost(), newFile, "ZONE", "[ -f x ] && A=1\nZONE"), onto, "OPAQUE", "ifcfg-ens192:15:"},
		{"expansion in the old file", with(oldHost(), oldFile, "IPADDR=192.0.2.10", "IPADDR=$IP"), newHost(), onto, "OPAQUE-KEY", "ifcfg-eth0:10: IPADDR"},
		{"networkd", oldHost(), networkd, eth0, "BACKEND", "systemd-networkd, which is not written here"},
		{"wicked", oldHost(), wicked, eth0, "BACKEND", "wicked, which is not written here"},
		{"ifcfg wished for on Debian", oldHost(), debian, &Options{Iface: "eth0", Backend: BackendIfcfg}, "BACKEND-FILE", "no ifcfg file for eth0, but it is configured by interfaces"},
		{"no file", oldHost(), newHost(), eth0, "BACKEND", "there are ifcfg files for ens192"},
		{"RHEL 10 reads no ifcfg", oldHost(), rhel10, onto, "IFCFG-UNREAD", "almalinux 10.0"},
		{"no old file", hostOf("x"), newHost(), onto, "OLD-NO-FILE", "eth0"},
		{"no address", with(oldHost(), oldFile, "IPADDR=192.0.2.10\n", ""), newHost(), onto, "OLD-NO-ADDRESS", ""},
		{"bad mask", with(oldHost(), oldFile, "255.255.255.0", "255.0.255.0"), newHost(), onto, "BAD-NETMASK", ""},
		{"hosts is a link", oldHost(), linked, onto, "IRREGULAR", "etc/hosts on the new host is a symbolic link to /run/hosts"},
		{"name on loopback", oldHost(), with(newHost(), hostsPath, "localhost", "localhost new"), onto, "NAME-LOOPBACK", ""},
		{"port", oldHost(), with(newHost(), newFile, "ZONE=public", "BRIDGE=br0"), onto, "TOPOLOGY", ""},
		{"no interface", oldHost(), newHost(), &Options{}, "IFACE", ""},
		{"bad interface", oldHost(), newHost(), &Options{Iface: "eth0;reboot"}, "IFACE", ""},
		{"nil options", oldHost(), newHost(), nil, "IFACE", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := TakeOver(tt.old, tt.new, tt.opt)
			i := slices.IndexFunc(p.Blockers(), func(f Finding) bool { return f.Rule == tt.rule })
			require.GreaterOrEqual(t, i, 0, "%s", p)
			require.Contains(t, p.Blockers()[i].Detail, tt.detail)
			_, err := p.Apply(t.Context(), t.TempDir())
			require.ErrorIs(t, err, ErrConflict)
			require.Contains(t, p.String(), "not applicable")
		})
	}
}

func TestTakeOverChoosesKeyfileOverUnreadIfcfg(t *testing.T) {
	h := newHost()
	h.Files["usr/lib/os-release"] = []byte("ID=fedora\nVERSION_ID=41\n")
	h.Files[keyfileDir+"wired.nmconnection"] = []byte(newKeyfile)
	p := TakeOver(oldHost(), h, onto)
	require.Empty(t, p.Blockers())
	require.Equal(t, BackendKeyfile, p.Backend)
	require.Contains(t, rules(p.Findings), "warn IFCFG-UNREAD")
	h.IfcfgPlugin = true
	require.Equal(t, BackendIfcfg, TakeOver(oldHost(), h, onto).Backend)
}

func TestTakeOverWarnings(t *testing.T) {
	old, new := oldHost(), newHost()
	old.Files[hostsPath] = append(old.Files[hostsPath], "192.0.2.40 relay\n192.0.2.20 new\n"...)
	new.Files[hostsPath] = append(new.Files[hostsPath], "192.0.2.41 relay\n"...)
	new.Files["etc/cloud/cloud.cfg"] = []byte("manage_etc_hosts: True\n")
	old.Files["etc/resolv.conf"], new.Files["etc/resolv.conf"] = []byte("nameserver 192.0.2.53\n"), []byte("nameserver 192.0.2.54\n")
	new.Files[scriptsDir+"ifcfg-ens192"] = []byte("DEVICE=ens192\nBOOTPROTO=dhcp\nVLAN=yes\n")
	p := TakeOver(old, new, &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: true})
	require.Empty(t, p.Blockers())
	for _, want := range []string{"warn HOSTS-CONFLICT", "warn CLOUD-INIT", "info RESOLV", "warn SUBNET-UNKNOWN", "warn TOPOLOGY", "warn TEMP-DHCP", "warn TEMP-UNKNOWN"} {
		require.Contains(t, rules(p.Findings), want)
	}
	require.Contains(t, p.after(hostsPath), "192.0.2.41 relay\n")
	require.NotContains(t, p.after(hostsPath), "192.0.2.40")
}

func TestPlanJSON(t *testing.T) {
	p := TakeOver(oldHost(), newHost(), onto)
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var back Plan
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, p, &back)

	text, err = json.Marshal(TakeOver(hostOf(""), hostOf(""), nil))
	require.NoError(t, err)
	require.NotContains(t, string(text), "null", "lists are never null")
}

func TestPlanString(t *testing.T) {
	s := TakeOver(oldHost(), newHost(), onto).String()
	for _, want := range []string{"ens192 takes over 192.0.2.10/24 (ifcfg)\n", "warn SELF-ALIAS: etc/hosts:3: oldmail is 192.0.2.10", "-IPADDR=\"192.0.2.20\"\n", "+IPADDR=\"192.0.2.10\"\n", "    hostname -f\n"} {
		require.Contains(t, s, want)
	}
}

func TestTakeOverIPv6(t *testing.T) {
	old, new := oldHost(), newHost()
	old.Files[scriptsDir+"ifcfg-eth0"] = []byte(strings.Replace(oldIfcfg, "IPV6INIT=no", "IPV6INIT=yes\nIPV6ADDR=2001:db8::10/64\nIPV6ADDR_SECONDARIES=\"2001:db8::11/64 2001:db8::12/128\"\nIPV6_DEFAULTGW=fe80::1%eth0", 1))
	new.Files[scriptsDir+"ifcfg-ens192"] = append(new.Files[scriptsDir+"ifcfg-ens192"], "IPV6ADDR=2001:db8::20/64\nDEFROUTE=no\nIPV6_DEFROUTE=no\n"...)
	new.Files[hostsPath] = append(new.Files[hostsPath], "2001:db8::20 new.example.test\n"...)
	new.Files[networkPath] = []byte("GATEWAYDEV=eth9\n")
	p := TakeOver(old, new, onto)
	require.Empty(t, p.Blockers())
	f := ParseIfcfg("", []byte(p.after(scriptsDir+"ifcfg-ens192")))
	for key, want := range map[string]string{"IPV6INIT": "yes", "IPV6ADDR": "2001:db8::10/64", "IPV6ADDR_SECONDARIES": "2001:db8::11/64 2001:db8::12/128",
		"IPV6_DEFAULTGW": "fe80::1%ens192", "DEFROUTE": "yes", "IPV6_DEFROUTE": "yes"} {
		require.Equal(t, want, f.Get(key), key)
	}
	require.Contains(t, p.after(hostsPath), "2001:db8::10 new.example.test\n")
	require.Contains(t, rules(p.Findings), "warn GATEWAYDEV")
	require.NotContains(t, rules(p.Findings), "warn STALE-ADDRESS")
}

func TestTakeOverOldReadings(t *testing.T) {
	tests := []struct{ name, src, network, rule, gateway string }{
		{"gateway of the interface", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=192.0.2.7\n", "GATEWAY=192.0.2.8\n", "", "192.0.2.7"},
		{"numbered gateway", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY1=192.0.2.7\n", "GATEWAY=192.0.2.8\n", "", "192.0.2.7"},
		{"gateway of the host", "IPADDR=192.0.2.10\nPREFIX=24\n", "GATEWAY=192.0.2.8\n", "", "192.0.2.8"},
		{"gateway elsewhere", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=192.0.2.7\n", "GATEWAYDEV=eth1\n", "warn GATEWAYDEV", ""},
		{"gateway outside", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=198.51.100.1\n", "", "warn GATEWAY-SUBNET", "198.51.100.1"},
		{"bad gateway", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=x\n", "", "fail BAD-ADDRESS", ""},
		{"opaque gateway", "IPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=$G\n", "", "fail OPAQUE-KEY", ""},
		{"opaque BOOTPROTO", "IPADDR=192.0.2.10\nPREFIX=24\nBOOTPROTO=$G\n", "", "fail OPAQUE-KEY", ""},
		{"opaque network file", "IPADDR=192.0.2.10\nPREFIX=24\n", "unset X\n", "fail OPAQUE", ""},
		{"bad name server", "IPADDR=192.0.2.10\nPREFIX=24\nDNS1=x\n", "", "fail BAD-ADDRESS", ""},
		{"bad IPv6", "IPADDR=192.0.2.10\nPREFIX=24\nIPV6ADDR=2001:db8::1/129\n", "", "fail BAD-ADDRESS", ""},
		{"IPv6 without length", "IPADDR=192.0.2.10\nPREFIX=24\nIPV6ADDR=2001:db8::1\n", "", "warn NO-PREFIX", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, found := hostOf("", scriptsDir+"ifcfg-eth0", tt.src, networkPath, tt.network).ifcfgSettings("eth0")
			if tt.rule == "" {
				require.Empty(t, found)
			} else {
				require.Contains(t, rules(found), tt.rule)
			}
			if tt.gateway != "" {
				require.Equal(t, tt.gateway, s.gateway.String())
			} else {
				require.False(t, s.gateway.IsValid())
			}
		})
	}
}

// TestTakeOverEmptiesNoFileAway holds that a file that loses its last line is written empty, not removed.
func TestTakeOverEmptiesNoFileAway(t *testing.T) {
	old := hostOf("mail", scriptsDir+"ifcfg-eth0", "IPADDR=192.0.2.10\nPREFIX=24\n")
	p := TakeOver(old, hostOf("", scriptsDir+"ifcfg-eth0", "IPADDR=192.0.2.20\nPREFIX=24\n", hostsPath, "192.0.2.10 oldmail\n"), &Options{Iface: "eth0"})
	require.Empty(t, p.Blockers())
	require.Equal(t, hostsPath, p.Files[0].Path)
	require.NotNil(t, p.Files[0].After)
	require.Empty(t, p.Files[0].After)
}

func TestShellPath(t *testing.T) {
	bash := oracle.Need(t, "bash")
	for _, name := range []string{"etc/a.nmconnection", "etc/Wired connection 1.nmconnection", "etc/it's $x `y` \"z\".nmconnection", "etc/é;.nmconnection"} {
		out, err := exec.Command(bash, "-c", "sh -c 'printf %s "+shellPath(name)+"'").Output()
		require.NoError(t, err)
		require.Equal(t, name, string(out))
	}
}
