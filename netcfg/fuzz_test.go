package netcfg

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// requireLocal holds that two texts differ in at most one run of bytes, which lies within the named lines.
func requireLocal(t *testing.T, before, after []byte, from, to int) {
	t.Helper()
	require.True(t, bytes.HasPrefix(after, before[:from]), "before the place: %q -> %q", before, after)
	require.True(t, bytes.HasSuffix(after, before[to:]), "behind the place: %q -> %q", before, after)
}

func FuzzIfcfg(f *testing.F) {
	for _, src := range ifcfgTexts {
		f.Add([]byte(src), "IPADDR", "192.0.2.10")
	}
	f.Add([]byte("A='1'\n"), "A", "it's $x")
	f.Fuzz(func(t *testing.T, src []byte, key, value string) {
		x := ParseIfcfg("f", src)
		require.Equal(t, string(src), string(x.Bytes()), "identity")
		x.Findings()
		x.Addresses()
		x.Problems()
		others := map[string]Var{}
		for _, k := range x.Keys() {
			others[k] = x.Var(k)
		}
		a := x.last(key)
		if err := x.Set(key, value); err != nil {
			require.Equal(t, string(src), string(x.Bytes()), "a refused edit changes nothing")
			return
		}
		require.Equal(t, value, x.plain(key), "put-get")
		if a != nil {
			requireLocal(t, src, x.Bytes(), a.start, a.end)
		}
		for k, v := range others {
			if got := x.Var(k); k != key {
				// the last line of a file with CRLF may get its line end
				want, is := strings.TrimSuffix(v.Bash, "\r"), strings.TrimSuffix(got.Bash, "\r")
				require.Equal(t, []any{want, v.Set, v.Opaque}, []any{is, got.Set, got.Opaque}, "%s of %q", k, src)
			}
		}
		once := x.Bytes()
		require.NoError(t, x.Set(key, value))
		require.Equal(t, string(once), string(x.Bytes()), "no-op")
		if x.Remove(key) == nil {
			require.False(t, x.Var(key).Set)
		}
	})
}

func FuzzHosts(f *testing.F) {
	for _, src := range hostsTexts {
		f.Add([]byte(src), 1)
	}
	f.Fuzz(func(t *testing.T, src []byte, pick int) {
		h := ParseHosts("f", src)
		require.Equal(t, string(src), string(h.Bytes()), "identity")
		h.Problems()
		h.Check("mail.example.org", []netip.Addr{netip.MustParseAddr("192.0.2.1")})
		entries := h.Entries()
		if len(entries) == 0 {
			return
		}
		e := entries[uint(pick)%uint(len(entries))]
		addr := netip.MustParseAddr("198.51.100.77")
		require.NoError(t, h.SetAddr(e.Line, addr))
		want := slices.Clone(entries)
		i := slices.IndexFunc(want, func(x Entry) bool { return x.Line == e.Line })
		want[i].Addr = addr
		require.Equal(t, want, h.Entries(), "put-get")
		before, after := bytes.SplitAfter(src, []byte("\n")), bytes.SplitAfter(h.Bytes(), []byte("\n"))
		require.Len(t, after, len(before))
		for n := range before {
			if n != e.Line-1 {
				require.Equal(t, before[n], after[n], "locality")
			}
		}
		once := h.Bytes()
		require.NoError(t, h.SetAddr(e.Line, addr))
		require.Equal(t, string(once), string(h.Bytes()), "no-op")
		last := e.Names[len(e.Names)-1]
		require.NoError(t, h.Canonical(e.Line, last))
		require.True(t, foldEqual(last, h.Entries()[i].Names[0]))
		if h.RemoveName(e.Line, last) == nil && len(e.Names) == 1 {
			require.Len(t, h.Entries(), len(entries)-1)
		}
	})
}

func FuzzKeyfile(f *testing.F) {
	for _, src := range keyfileTexts {
		f.Add([]byte(src), "ipv4", "address1", "192.0.2.10/24")
	}
	f.Fuzz(func(t *testing.T, src []byte, section, key, value string) {
		x := ParseKeyfile("f", src)
		require.Equal(t, string(src), string(x.Bytes()), "identity")
		x.addresses(section, 24)
		i := x.find(section, key)
		if err := x.Set(section, key, value); err != nil {
			require.Equal(t, string(src), string(x.Bytes()), "a refused edit changes nothing")
			return
		}
		require.Equal(t, value, x.Get(section, key), "put-get")
		require.Empty(t, x.Problems())
		before, after := bytes.SplitAfter(src, []byte("\n")), bytes.SplitAfter(x.Bytes(), []byte("\n"))
		for n := range before {
			if i >= 0 && n != i {
				require.Equal(t, before[n], after[n], "locality")
			}
		}
		once := x.Bytes()
		require.NoError(t, x.Set(section, key, value))
		require.Equal(t, string(once), string(x.Bytes()), "no-op")
		require.NoError(t, x.Remove(section, key))
		require.Empty(t, x.Get(section, key))
	})
}

var identityKeys = []string{"DEVICE", "HWADDR", "MACADDR", "UUID", "NAME", "TYPE", "MASTER", "BRIDGE", "VLAN", "NM_CONTROLLED"}

var addressText = regexp.MustCompile(`[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]+`)

// addressesIn finds all addresses in a text, however they are written.
func addressesIn(text string) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, word := range addressText.FindAllString(text, -1) {
		for i := range word {
			for j := i + 1; j <= len(word) && j-i < 46; j++ {
				if a, err := netip.ParseAddr(word[i:j]); err == nil {
					out[a] = true
				}
			}
		}
	}
	return out
}

// FuzzTakeOver holds the law that no address gets into a file that was not in the old host's files or in that file.
func FuzzTakeOver(f *testing.F) {
	// short, because the fuzzer minimises every input that it finds interesting
	f.Add([]byte("IPADDR=1.0.0.1\nPREFIX=8\n"), []byte("IPADDR=1.0.0.2\nPREFIX=8\nGATEWAY=1.0.0.9\n"), []byte("1.0.0.1 a\n"), []byte("1.0.0.2 b\n"), []byte("GATEWAY=1.0.0.3\n"), true)
	f.Add([]byte("IPADDR=1.0.0.1\nDNS1=1.0.0.5\n"), []byte("IPADDR0=1.0.0.2\nNETMASK0=255.0.0.0\n"), []byte("1.0.0.2 new\n"), []byte("1.0.0.1 b\n"), []byte(""), false)
	f.Add([]byte("IPADDR=1.0.0.1\nIPADDR1=1.0.0.4\nIPV6ADDR=a::1/64\nIPV6_DEFAULTGW=fe80::1%eth0\n"), []byte("IPADDR=1.0.0.2\r\nDNS3=1.1.1.1\r\n"), []byte(""), []byte("1.0.0.2 new"), []byte(""), true)
	f.Add([]byte("IPADDR=1.0.0.1\n"), []byte("[connection]\ninterface-name=ens192\n[ipv4]\naddress1=1.0.0.2/8,1.0.0.9\n"), []byte(""), []byte("1.0.0.2 new\n"), []byte("GATEWAY=1.0.0.3\n"), false)
	f.Fuzz(func(t *testing.T, oldFile, newFile, oldHosts, newHosts, network []byte, keep bool) {
		old := hostOf("mail.example.test", scriptsDir+"ifcfg-eth0", string(oldFile), hostsPath, string(oldHosts), networkPath, string(network))
		for _, name := range []string{scriptsDir + "ifcfg-ens192", keyfileDir + "a.nmconnection"} {
			new := hostOf("new.example.test", name, string(newFile), hostsPath, string(newHosts))
			new.IfcfgPlugin = keep // no rule follows from that, but it lets CRLF through
			opt := &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: keep}
			p := TakeOver(old, new, opt)
			require.Equal(t, p, TakeOver(old, new, opt), "deterministic")
			require.NotEmpty(t, p.String())
			if len(p.Blockers()) > 0 {
				continue
			}
			read := addressesIn(string(oldHosts) + "\n" + values(oldFile) + values(network))
			for _, a := range p.Addresses {
				require.True(t, read[a.Addr()], "%v", a)
			}
			for _, c := range p.Files {
				requireKnown(t, c, read)
			}
			if name != keyfileDir+"a.nmconnection" {
				before, after := ParseIfcfg("", newFile), ParseIfcfg("", carryOut(new, p).Files[name])
				for _, k := range identityKeys {
					require.Equal(t, before.Var(k).Bash, after.Var(k).Bash, k)
				}
			}
		}
	})
}

// values gives what an ifcfg file assigns, without its quotes.
func values(src []byte) string {
	f := ParseIfcfg("", src)
	var b strings.Builder
	for _, k := range f.Keys() {
		b.WriteString(f.Get(k) + "\n")
	}
	return b.String()
}

func requireKnown(t *testing.T, c FileChange, read map[netip.Addr]bool) {
	before := addressesIn(string(c.Before))
	for a := range addressesIn(values(c.Before)) {
		before[a] = true
	}
	f := ParseIfcfg("", c.After)
	for a := range addressesIn(string(c.After)) {
		known := read[a] || before[a] || slices.ContainsFunc(f.Keys(), func(k string) bool {
			return strings.HasPrefix(k, "NETMASK") && strings.Contains(f.plain(k), a.String())
		})
		require.True(t, known, "%v in %q", a, c.After)
	}
}

// kindPaths has a path of each kind of file that is read and written.
var kindPaths = []string{scriptsDir + "ifcfg-eth0", keyfileDir + "a.nmconnection", interfacesPath, netplanDir + "a.yaml"}

// FuzzFormats holds the same law from any kind of file to any other, and that a second time changes nothing.
func FuzzFormats(f *testing.F) {
	seeds := []string{"IPADDR=1.0.0.1\nPREFIX=8\nGATEWAY=1.0.0.9\n", "[connection]\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=1.0.0.2/8,1.0.0.9\nroute1=2.0.0.0/8,1.0.0.8\n[ipv6]\naddress1=a::1/64\n",
		"iface eth0 inet static\n address 1.0.0.3/8\n up ip route add 2.0.0.0/8 via 1.0.0.7\n up ip addr add 1.0.0.6/8 dev eth0\n", "network:\n  ethernets:\n    eth0:\n      addresses: [1.0.0.4/8]\n      routes:\n      - {to: default, via: 1.0.0.9}\n"}
	for i, a := range seeds {
		for j, b := range seeds {
			f.Add(byte(i), byte(j), []byte(a), []byte(b), i == j)
		}
	}
	f.Fuzz(func(t *testing.T, from, to byte, oldFile, newFile []byte, keep bool) {
		oldPath, newPath := kindPaths[int(from)%len(kindPaths)], kindPaths[int(to)%len(kindPaths)]
		old, h := hostOf("mail", oldPath, string(oldFile)), hostOf("new", newPath, string(newFile), hostsPath, "127.0.0.1 localhost\n")
		opt := &Options{Iface: "eth0", KeepTemporary: keep}
		p := TakeOver(old, h, opt)
		if len(p.Blockers()) > 0 {
			return
		}
		read := addressesIn(string(oldFile) + "\n" + values(oldFile) + scalars(oldFile))
		for a := range addressesIn(scalars(newFile)) {
			read[a] = true
		}
		read[netip.IPv4Unspecified()], read[netip.IPv6Unspecified()] = true, true // of a default route
		for _, a := range p.Addresses {
			require.True(t, read[a.Addr()], "%v", a)
		}
		for _, c := range p.Files {
			requireKnown(t, c, read)
		}
		next := carryOut(h, p)
		again := TakeOver(old, next, opt)
		for _, c := range again.Files {
			require.NotEqual(t, newPath, c.Path, "a second time: %s", c.Diff)
		}
	})
}

// scalars gives all words of a YAML file, without their quotes and escapes.
func scalars(src []byte) string {
	root, err := parseNetplan("f", src)
	if err != nil || root == nil {
		return ""
	}
	var b strings.Builder
	findNode(root, func(n *yaml.Node) bool { b.WriteString(n.Value + "\n"); return false })
	return b.String()
}

func FuzzInterfaces(f *testing.F) {
	f.Add([]byte("auto eth0\niface eth0 inet static\n address 192.0.2.10/24\n# c\n up ip addr add 192.0.2.11/24 dev eth0\niface eth0 inet6 static\n"))
	f.Add([]byte("source interfaces.d/*\r\niface eth0 inet dhcp\r\n\\\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		x := parseInterfaces("f", src)
		end := 0
		for _, s := range x.stanzas {
			require.LessOrEqual(t, end, s.start)
			require.Less(t, s.start, s.end)
			end = s.end
		}
		require.LessOrEqual(t, end, len(src))
		hostOf("", interfacesPath, string(src)).interfacesSettings("eth0")
		s := settings{addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}}
		after := s.writeInterfaces(x, "eth0", nil, settings{})
		if len(x.errs) > 0 {
			return
		}
		y := parseInterfaces("f", after)
		require.Empty(t, y.errs, "%q", after)
		require.Len(t, y.of("eth0", "inet"), 1)
		require.Equal(t, len(x.of("eth0", "inet6")), len(y.of("eth0", "inet6")))
		require.Equal(t, len(x.stanzas)-len(x.of("eth0", "inet")), len(y.stanzas)-1, "%q", after)
	})
}
