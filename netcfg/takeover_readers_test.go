package netcfg

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// edited gives a host one of whose files has each first text replaced by the second.
func edited(t *testing.T, h *Host, path string, pairs ...string) *Host {
	t.Helper()
	src := string(h.Files[path])
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, src, pairs[i])
		src = strings.Replace(src, pairs[i], pairs[i+1], 1)
	}
	h.Files[path] = []byte(src)
	return h
}

const (
	oldFile = scriptsDir + "ifcfg-eth0"
	newFile = scriptsDir + "ifcfg-ens192"
)

// TestTakeOverReachesTheReader holds that an edit which the one who reads the file does not see is refused, and that the
// same text is no obstacle where the other one reads it.
func TestTakeOverReachesTheReader(t *testing.T) {
	const address = "IPADDR=\"192.0.2.20\"\nPREFIX=\"24\"\n"
	tests := []struct {
		name, from, to string
		rule           string
		nm             bool // who does not see it
	}{
		{"export", address, "export IPADDR=192.0.2.20\nPREFIX=24\n", "DIV-EXPORT", true},
		{"two on a line", address, "IPADDR=192.0.2.20 PREFIX=24\n", "DIV-TWO", true},
		{"continued", "ONBOOT=\"no\"\n", "ONBOOT=yes \\\n DOMAIN=example.test\n", "DIV-TWO", true},
		{"an address within another value", "NAME=\"ens192\"", "NAME=\"a\nIPADDR1=192.0.2.77\n\"", "DIV-COMMAND", true},
		{"CRLF", address, "IPADDR=192.0.2.20\r\nPREFIX=24\r\n", "DIV-CR", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, nm := range []bool{false, true} {
				h := edited(t, newHost(), newFile, tt.from, tt.to)
				h.IfcfgPlugin = nm
				got := rules(TakeOver(oldHost(), h, onto).Blockers())
				if nm == tt.nm {
					require.Equal(t, []string{"fail " + tt.rule}, got)
				} else {
					require.Empty(t, got)
				}
			}
		})
	}
	h := edited(t, newHost(), newFile, address, "export IPADDR=192.0.2.20\nPREFIX=24\nNM_CONTROLLED=no\n")
	h.IfcfgPlugin = true
	require.Empty(t, TakeOver(oldHost(), h, onto).Blockers(), "NetworkManager is told to leave it alone")
}

// TestTakeOverUnknownTemporary holds that no line of etc/hosts keeps the address that the new host gives up, also where
// its interface file does not tell it.
func TestTakeOverUnknownTemporary(t *testing.T) {
	const known = "IPADDR=\"192.0.2.20\"\nPREFIX=\"24\"\n"
	tests := []struct {
		name  string
		ifcfg string
		keep  bool
		rules []string // among others
	}{
		{"known", known, false, nil},
		{"DHCP", "BOOTPROTO=dhcp\n", false, []string{"warn TEMP-UNKNOWN"}},
		{"DHCP and to be kept", "BOOTPROTO=dhcp\n", true, []string{"warn TEMP-UNKNOWN", "warn TEMP-DHCP"}},
		{"none", "", false, []string{"warn TEMP-UNKNOWN"}},
		{"no address", "IPADDR=192.0.2.20#x\n", false, []string{"warn TEMP-UNKNOWN"}},
		{"bad mask", "IPADDR=192.0.2.20\nNETMASK=255.0.255.0\n", false, []string{"warn BAD-NETMASK"}},
		{"bad mask and to be kept", "IPADDR=192.0.2.20\nNETMASK=255.0.255.0\n", true, []string{"warn BAD-NETMASK"}},
		{"behind a gap", "IPADDR=192.0.2.21\nPREFIX=24\nIPADDR4=192.0.2.20\nPREFIX4=24\n", false, []string{"warn ADDRESS-GAP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := oldHost()
			old.Files[hostsPath] = []byte(oldHostsText + "192.0.2.20 new.example.test newmail\n")
			h := edited(t, newHost(), newFile, known, tt.ifcfg)
			p := TakeOver(old, h, &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: tt.keep})
			require.Empty(t, p.Blockers())
			require.Subset(t, rules(p.Findings), tt.rules)
			require.NotContains(t, p.after(hostsPath), "192.0.2.20")
			require.Contains(t, p.after(hostsPath), "192.0.2.10\tnew.example.test\tnew # me\n")
			require.NotContains(t, p.after(newFile), "192.0.2.20")

			again := TakeOver(old, carryOut(h, p), onto)
			require.Equal(t, "unchanged", again.after(hostsPath))
		})
	}
	t.Run("loopback in the interface file", func(t *testing.T) {
		h := edited(t, newHost(), newFile, known, known+"IPADDR4=127.0.0.1\nPREFIX4=8\n")
		require.Contains(t, TakeOver(oldHost(), h, onto).after(hostsPath), "127.0.0.1 localhost\n")
	})
	t.Run("keyfile", func(t *testing.T) {
		for _, lines := range []string{"method=auto", "method=manual\naddress1=192.0.2.20/24 # x", "method=manual\naddress1=192.0.2.20/255.255.255.0"} {
			old := oldHost()
			old.Files[hostsPath] = []byte("192.0.2.20 new\n")
			h := hostOf("new.example.test", hostsPath, "192.0.2.20 new.example.test\n", keyfileDir+"w.nmconnection", "[connection]\ninterface-name=ens192\n[ipv4]\n"+lines+"\n")
			p := TakeOver(old, h, onto)
			require.Equal(t, "192.0.2.10 new.example.test\n", p.after(hostsPath), "%s", p)
		}
	})
	t.Run("IPv6 by router advertisement", func(t *testing.T) {
		old := edited(t, oldHost(), oldFile, "IPV6INIT=no", "IPV6ADDR=2001:db8::10/64")
		h := newHost()
		h.Files[hostsPath] = []byte("192.0.2.20 new.example.test\n2001:db8::aa new.example.test\n2001:db8:1::aa new.example.test\n")
		p := TakeOver(old, h, onto)
		require.Contains(t, rules(p.Findings), "warn TEMP-UNKNOWN")
		require.Contains(t, p.after(hostsPath), "192.0.2.10 new.example.test\n2001:db8::10 new.example.test\n2001:db8:1::aa new.example.test\n")
	})
	t.Run("nowhere", func(t *testing.T) {
		h := edited(t, newHost(), newFile, known, "BOOTPROTO=dhcp\n")
		h.Files[hostsPath] = []byte("127.0.0.1 localhost\n198.51.100.9 far\n")
		old := oldHost()
		old.Files[hostsPath] = []byte("192.0.2.10 mail.example.test\n198.51.100.9 far\n")
		require.Empty(t, TakeOver(old, h, onto).Blockers(), "no line can be that of the new host")
		old.Files[hostsPath] = []byte("192.0.2.10 mail.example.test\n192.0.2.20 spare\n")
		require.Equal(t, []string{"fail TEMP-UNKNOWN"}, rules(TakeOver(old, h, onto).Blockers()))
		h.Files[hostsPath] = []byte("127.0.0.1 localhost\n192.0.2.20 new.example.test\n")
		p := TakeOver(old, h, onto)
		require.Empty(t, p.Blockers(), "the advice helps")
		require.NotContains(t, p.after(hostsPath), "192.0.2.20")
	})
	t.Run("of another network", func(t *testing.T) {
		h := edited(t, newHost(), newFile, known, "")
		h.Files[hostsPath] = []byte("198.51.100.20 new.example.test\n")
		p := TakeOver(oldHost(), h, onto)
		require.Contains(t, p.after(hostsPath), "198.51.100.20 new.example.test\n", "another interface may have it")
		require.Contains(t, rules(p.Findings), "warn STALE-ADDRESS")
	})
	t.Run("two hosts of one name", func(t *testing.T) {
		old, h := oldHost(), edited(t, newHost(), newFile, known, "")
		h.Hostname = old.Hostname
		old.Files[hostsPath] = []byte("192.0.2.10 mail.example.test\n192.0.2.31 mail.example.test\n")
		h.Files[hostsPath] = []byte("192.0.2.10 mail.example.test\n")
		require.Equal(t, []string{"fail TEMP-UNKNOWN"}, rules(TakeOver(old, h, onto).Blockers()), "192.0.2.31 may be the old host's")
	})
}

// TestTakeOverDropsTemporaryLater plans twice: once with the temporary address kept, once without.
func TestTakeOverDropsTemporaryLater(t *testing.T) {
	h := newHost()
	h.Files[hostsPath] = append(h.Files[hostsPath], "192.0.2.20 temp\n"...)
	h = carryOut(h, TakeOver(oldHost(), h, &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: true}))
	require.Contains(t, string(h.Files[hostsPath]), "192.0.2.20 temp\n")
	p := TakeOver(oldHost(), h, onto)
	require.NotContains(t, p.after(hostsPath), "192.0.2.20")
	require.NotContains(t, p.after(newFile), "192.0.2.20")
}

func TestTakeOverLinkSettings(t *testing.T) {
	old := oldHost()
	old.Files[oldFile] = append(old.Files[oldFile], "MTU=9000\nZONE=trusted\n"...)
	var details []string
	for _, f := range TakeOver(old, newHost(), onto).Findings {
		if f.Rule == "NOT-CARRIED" {
			require.Equal(t, Warn, f.Severity)
			details = append(details, strings.TrimPrefix(f.Detail, oldFile+": "))
		}
	}
	require.Equal(t, []string{`MTU is "9000" on the old host and "" on the new one, which stays`, `ZONE is "trusted" on the old host and "public" on the new one, which stays`}, details)

	h := hostOf("new", keyfileDir+"w.nmconnection", newKeyfile+"\n[ethernet]\nmtu=9000\n[connection]\nzone=trusted\n")
	require.NotContains(t, rules(TakeOver(old, h, onto).Findings), "warn NOT-CARRIED", "both hosts have them")
}

func TestTakeOverGateway6(t *testing.T) {
	tests := []struct{ gateway, ifcfg, keyfile, rule string }{
		{"fe80::1%eth0", "fe80::1%ens192", "2001:db8::10/64,fe80::1", ""},
		{"fe80::1", "fe80::1%ens192", "2001:db8::10/64,fe80::1", ""},
		{"2001:db8::1", "2001:db8::1", "2001:db8::10/64,2001:db8::1", ""},
		{"2001:db8::1%eth0", "2001:db8::1%ens192", "2001:db8::10/64,2001:db8::1", ""},
		{"fe80::1%eth1", "", "2001:db8::10/64", "warn GATEWAYDEV"},
	}
	for _, tt := range tests {
		t.Run(tt.gateway, func(t *testing.T) {
			old := edited(t, oldHost(), oldFile, "IPV6INIT=no", "IPV6INIT=yes\nIPV6ADDR=2001:db8::10/64\nIPV6_DEFAULTGW="+tt.gateway)
			p := TakeOver(old, newHost(), onto)
			require.Empty(t, p.Blockers())
			require.Equal(t, tt.ifcfg, ParseIfcfg("", []byte(p.after(newFile))).Get("IPV6_DEFAULTGW"))
			if tt.rule != "" {
				require.Contains(t, rules(p.Findings), tt.rule)
			}
			name := keyfileDir + "w.nmconnection"
			p = TakeOver(old, hostOf("new", name, newKeyfile), onto)
			require.Equal(t, tt.keyfile, ParseKeyfile("", []byte(p.after(name))).Get("ipv6", "address1"))
		})
	}
}

func TestTakeOverRivals(t *testing.T) {
	const oldBox, newBox = true, false
	tests := []struct {
		suffix  string
		plugin  bool
		verdict string
	}{
		{".old", false, "warn AMBIGUOUS"},
		{".old", true, "fail AMBIGUOUS"},
		{".rpmsave", true, "fail AMBIGUOUS"},
		{".rej", false, "fail AMBIGUOUS"},
		{".rej", true, "warn AMBIGUOUS"},
		{".augnew", false, "fail AMBIGUOUS"},
		{";5f3c9a01", false, "fail AMBIGUOUS"},
		{";5f3c9a01", true, "warn AMBIGUOUS"},
		{".save", false, "fail AMBIGUOUS"},
		{".save", true, "fail AMBIGUOUS"},
	}
	for _, tt := range tests {
		for _, box := range []bool{oldBox, newBox} {
			old, h := oldHost(), newHost()
			if box == oldBox {
				old.IfcfgPlugin = tt.plugin
				old.Files[oldFile+tt.suffix] = []byte("DEVICE=eth0\nIPADDR=192.0.2.9\n")
				old.Files[oldFile] = []byte(strings.Replace(oldIfcfg, "NM_CONTROLLED=no\n", "", 1))
			} else {
				h.IfcfgPlugin = tt.plugin
				h.Files[newFile+tt.suffix] = []byte("DEVICE=ens192\nIPADDR=192.0.2.9\n")
			}
			p := TakeOver(old, h, onto)
			require.Contains(t, rules(p.Findings), tt.verdict, "%s %v", tt.suffix, tt.plugin)
			require.NotContains(t, p.after(newFile), "192.0.2.9")
		}
	}
	h := newHost()
	h.Files[scriptsDir+"ifcfg-a.old"] = h.Files[newFile]
	require.Equal(t, newFile, TakeOver(oldHost(), h, onto).Files[1].Path, "the file in use, though another one sorts before it")
	delete(h.Files, newFile)
	require.Equal(t, []string{"fail BACKEND"}, rules(TakeOver(oldHost(), h, onto).Blockers()), "a backup alone is no file")
	old := oldHost()
	old.Files[scriptsDir+"ifcfg-eth0:0.old"] = []byte("DEVICE=eth0:0\nIPADDR=192.0.2.9\nPREFIX=24\n")
	require.Len(t, TakeOver(old, newHost(), onto).Addresses, 1)
}

func TestTakeOverStaleNetwork(t *testing.T) {
	require.NotContains(t, rules(TakeOver(oldHost(), newHost(), onto).Findings), "info STALE-NETWORK")
	p := TakeOver(edited(t, oldHost(), oldFile, "NETWORK=192.0.2.0", "NETWORK=192.0.3.0"), newHost(), onto)
	require.Contains(t, rules(p.Findings), "info STALE-NETWORK")
	require.Empty(t, p.Blockers())
}

func TestCommands(t *testing.T) {
	h := newHost()
	h.IfcfgPlugin = true
	const uuid = "22222222-2222-2222-2222-222222222222"
	activate := " && nmcli -g ipv4.addresses connection show uuid " + uuid + " | grep -qwF 192.0.2.10/24 && nmcli connection up uuid " + uuid + "' >/dev/null 2>&1 </dev/null &"
	require.Equal(t, "nohup sh -c 'nmcli connection load /"+newFile+activate, TakeOver(oldHost(), h, onto).Commands[0])
	p := TakeOver(oldHost(), hostOf("new", keyfileDir+"a b.nmconnection", newKeyfile), onto)
	require.Equal(t, "nohup sh -c 'nmcli connection load /"+keyfileDir+"a\\ b.nmconnection"+activate, p.Commands[0])
	h = edited(t, h, newFile, uuid, "x; reboot")
	require.Equal(t, "nohup sh -c 'nmcli connection load /"+newFile+" && nmcli connection up ifname ens192' >/dev/null 2>&1 </dev/null &", TakeOver(oldHost(), h, onto).Commands[0])

	var advice []string
	for _, f := range p.Findings {
		if f.Rule == "PROBE" || f.Rule == "ANNOUNCE" {
			advice = append(advice, f.Advice)
		}
	}
	require.Len(t, advice, 2)
	require.Contains(t, advice[0], "`arping -c 3 -I ens192 192.0.2.1`")
	require.Contains(t, advice[0], "`arping -D -c 3 -w 3 -I ens192 192.0.2.10`")
	require.Contains(t, advice[1], "`arping -U -c 2 -I ens192 192.0.2.10` (ARP requests) and `arping -A -c 2 -I ens192 192.0.2.10` (replies)")
}

// TestNmcliLoadRefused runs the command with an nmcli of our own that, like the real one, exits with 0 when the file was
// refused: the profile that is still the old one is not activated.
func TestNmcliLoadRefused(t *testing.T) {
	sh := oracle.Need(t, "sh")
	oracle.Need(t, "grep")
	for address, want := range map[string]string{"192.0.2.20/24": "load show", "192.0.2.20/24, 192.0.2.10/24": "load show up", "192.0.2.10/245": "load show"} {
		dir := t.TempDir()
		stub := "#!" + sh + "\nfor w; do case $w in load|show|up) echo $w >>" + dir + "/log;; esac; done\ncase \"$*\" in *show*) echo '" + address + "';; esac\n"
		writeProgram(t, dir+"/nmcli", stub)
		tk := &takeover{new: hostOf("", keyfileDir+"w.nmconnection", newKeyfile), opt: *onto, plan: &Plan{Backend: BackendKeyfile}}
		tk.to.path = keyfileDir + "w.nmconnection"
		tk.from.addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}
		require.Equal(t, want, runScript(t, sh, dir, tk.activate()))
	}
}

// TestInitscriptsGrep lets the shell do what init.d/network does with a file.
func TestInitscriptsGrep(t *testing.T) {
	bash := oracle.Need(t, "bash")
	oracle.Need(t, "grep")
	for _, src := range []string{"DEVICE=eth0\n", "#DEVICE=eth9\nDEVICE=eth0\n", "DEVICE=eth0\n#DEVICE=eth9\n", "DEVICE=eth0 # DEVICE=x\nDEVICE=eth1\n", "MYDEVICE=x\nDEVICE=\"eth0\"\n", "x#DEVICE=a\nDEVICE=b\n"} {
		dir := t.TempDir()
		writeProgram(t, dir+"/f", src)
		got := runScript(t, bash, dir, "eval $(grep -F DEVICE= "+dir+"/f); echo \"$DEVICE\" >"+dir+"/log")
		require.Equal(t, got, ParseIfcfg("f", []byte(src)).grepped("DEVICE"), "%q", src)
	}
}
