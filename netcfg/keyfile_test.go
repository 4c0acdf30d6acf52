package netcfg

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

var keyfileTexts = []string{
	"",
	newKeyfile,
	"# c\r\n[connection]\r\nid = w\r\ninterface-name=eth0\r\n",
	"[ipv4]\naddress1=192.0.2.1/24 \n[ipv4]\naddress1=192.0.2.2/24,192.0.2.254",
	"[ipv4]\n; c\naddress1=192.0.2.1/24\n",
	"key=before\n[a b]\n\tx = y z \n[bad\n",
}

func TestKeyfileSet(t *testing.T) {
	tests := []struct{ name, src, section, key, value, want string }{
		{"blanks stay", "[ipv4]\naddress1 = 192.0.2.1/24,192.0.2.254\n# c\n", "ipv4", "address1", "192.0.2.10/24", "[ipv4]\naddress1 = 192.0.2.10/24\n# c\n"},
		{"CRLF", "[a]\r\nk=1\r\n", "a", "k", "2", "[a]\r\nk=2\r\n"},
		{"the last one counts", "[a]\nk=1\n[b]\nk=2\n[a]\nk=3\n", "a", "k", "4", "[a]\nk=1\n[b]\nk=2\n[a]\nk=4\n"},
		{"new key", "[a]\nk=1\n\n[b]\nk=2\n", "a", "l", "3", "[a]\nk=1\nl=3\n\n[b]\nk=2\n"},
		{"new key of an empty section", "[a]\n\n[b]", "b", "l", "3", "[a]\n\n[b]\nl=3"},
		{"new section", "[a]\nk=1\n", "b", "l", "3", "[a]\nk=1\n\n[b]\nl=3\n"},
		{"new section behind an empty line", "[a]\nk=1\n\n", "b", "l", "3", "[a]\nk=1\n\n[b]\nl=3\n"},
		{"no newline at the end", "[a]\nk=1", "b", "l", "3", "[a]\nk=1\n\n[b]\nl=3"},
		{"empty file", "", "b", "l", "3", "[b]\nl=3\n"},
		{"trailing blank goes", "[a]\nk=1 \n", "a", "k", "2", "[a]\nk=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := ParseKeyfile("f", []byte(tt.src))
			require.NoError(t, f.Set(tt.section, tt.key, tt.value))
			require.Equal(t, tt.want, string(f.Bytes()))
			require.Equal(t, tt.value, f.Get(tt.section, tt.key))
		})
	}
	f := ParseKeyfile("etc/f", []byte("[a]\n; c\nk=1\n"))
	require.EqualError(t, f.Set("a", "k", "2"), `etc/f:2: "; c" is neither section, key=value nor # comment: NetworkManager refuses the file`)
	require.Error(t, f.Remove("a", "k"))
	f = ParseKeyfile("etc/f", []byte("[a]\nk=1\n"))
	require.Error(t, f.Set("a", "k", "x\ny"))
	require.Error(t, f.Set("a", "k", " x"))
	for _, key := range []string{"", "k=l", "\n", " k", "#k", "[k]"} {
		require.Error(t, f.Set("a", key, "x"), "%q", key)
	}
	require.Error(t, f.Set("a]", "k", "x"))
	require.NoError(t, f.Remove("a", "k"))
	require.Equal(t, "[a]\n", string(f.Bytes()))
}

var keyfileAddresses = []struct {
	name, lines string
	want        string // addresses, then the gateway
	rules       []string
}{
	{"with gateway", "address1=192.0.2.1/24,192.0.2.254", "192.0.2.1/24 192.0.2.254", []string{}},
	{"old form", "addresses=192.0.2.1;24;192.0.2.254;", "192.0.2.1/24 192.0.2.254", []string{}},
	{"gateway key beats", "address1=192.0.2.1/24,192.0.2.254\ngateway=192.0.2.3", "192.0.2.1/24 192.0.2.3", []string{}},
	{"order", "address3=192.0.2.3/24\naddress1=192.0.2.1/24\naddress=192.0.2.9/24\naddresses1=192.0.2.7/24", "192.0.2.9/24 192.0.2.1/24 192.0.2.7/24 192.0.2.3/24 -", []string{}},
	{"no length", "address1=192.0.2.1", "192.0.2.1/24 -", []string{"warn NO-PREFIX"}},
	{"no gateway", "address1=192.0.2.1/24,0.0.0.0", "192.0.2.1/24 -", []string{}},
	{"trailing blank", "address1=192.0.2.1/24 ", "-", []string{"fail KEYFILE-ADDRESS"}},
	{"comment", "address1=192.0.2.1/24 # c", "-", []string{"fail KEYFILE-ADDRESS"}},
	{"mask", "address1=192.0.2.1/255.255.255.0", "-", []string{"fail KEYFILE-MASK"}},
	{"two in one", "address1=192.0.2.1/24;192.0.2.2/24", "-", []string{"fail KEYFILE-ADDRESS"}},
	{"IPv6 in ipv4", "address1=2001:db8::1/64", "-", []string{"fail KEYFILE-ADDRESS"}},
	{"leading zero in the number", "address01=192.0.2.1/24", "-", []string{}},
	{"too long", "address1=192.0.2.1/33", "-", []string{"fail KEYFILE-ADDRESS"}},
}

func profile(ipv4 string) []byte {
	return []byte("[connection]\nid=w\nuuid=22222222-2222-2222-2222-222222222222\ntype=ethernet\ninterface-name=ens192\n[ipv4]\nmethod=manual\n" + ipv4 + "\n[ipv6]\nmethod=auto\n")
}

func addressWords(f *Keyfile) (string, []Finding) {
	addrs, gw, found := f.addresses("ipv4", 24)
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	if gw.IsValid() {
		words = append(words, gw.String())
	} else {
		words = append(words, "-")
	}
	return strings.Join(words, " "), found
}

func TestKeyfileAddresses(t *testing.T) {
	for _, tt := range keyfileAddresses {
		t.Run(tt.name, func(t *testing.T) {
			got, found := addressWords(ParseKeyfile("f", profile(tt.lines)))
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.rules, rules(found))
		})
	}
}

// TestNmcliDecides lets NetworkManager read the same profiles and write them out again.
func TestNmcliDecides(t *testing.T) {
	nmcli := oracle.Need(t, "nmcli")
	pieces := []string{"192.0.2.1", "192.0.2.77", "/24", "/8", "/32", ",192.0.2.254", ";24;192.0.2.254;", " ", ";", ",", "\n", "\naddress1=", "\naddress=", "\naddresses2 = ", "\naddress1=192.0.2.4/24", "\ngateway=192.0.2.9", "\ngateway="}
	r := rand.New(rand.NewPCG(6, 6))
	texts := []string{}
	for _, tt := range keyfileAddresses {
		texts = append(texts, tt.lines)
	}
	for range campaign(300) {
		s := "address1="
		for range 1 + r.IntN(5) {
			s += pieces[r.IntN(len(pieces))]
		}
		texts = append(texts, s)
	}
	judged := 0
	for _, text := range texts {
		want, found := addressWords(ParseKeyfile("f", profile(text)))
		if !strings.Contains(want, "/") || len(ParseKeyfile("", profile(text)).Problems()) > 0 || strings.Contains(strings.Join(rules(found), " "), "fail") {
			continue // what NetworkManager drops is a finding to us
		}
		cmd := exec.Command(nmcli, "--offline", "connection", "modify", "ipv4.may-fail", "yes")
		cmd.Stdin = bytes.NewReader(profile(text))
		out, err := cmd.Output()
		require.NoError(t, err, "%q", text)
		got, _ := addressWords(ParseKeyfile("nmcli", out))
		require.Equal(t, got, want, "%q", text)
		judged++
	}
	require.Greater(t, judged, 15)
}

// TestNmcliReadsOurs lets NetworkManager read what a take-over writes.
func TestNmcliReadsOurs(t *testing.T) {
	nmcli := oracle.Need(t, "nmcli")
	old := oldHost()
	old.Files[scriptsDir+"ifcfg-eth0"] = append(old.Files[scriptsDir+"ifcfg-eth0"], "IPADDR1=192.0.2.11\nNETMASK1=255.255.255.128\nIPV6ADDR=2001:db8::10/64\nIPV6_DEFAULTGW=fe80::1%eth0\n"...)
	p := TakeOver(old, hostOf("new", keyfileDir+"w.nmconnection", newKeyfile), &Options{Iface: "ens192", OldIface: "eth0", KeepTemporary: true})
	require.Empty(t, p.Blockers())
	cmd := exec.Command(nmcli, "--offline", "connection", "modify", "ipv4.may-fail", "yes")
	cmd.Stdin = strings.NewReader(p.after(keyfileDir + "w.nmconnection"))
	out, err := cmd.Output()
	require.NoError(t, err)
	h := hostOf("", keyfileDir+"w.nmconnection", string(out))
	s, found := h.keyfileSettings("ens192")
	require.Empty(t, found)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("192.0.2.11/25"), netip.MustParsePrefix("192.0.2.20/24")}, s.addrs)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("2001:db8::10/64")}, s.addrs6)
	require.Equal(t, netip.MustParseAddr("192.0.2.1"), s.gateway)
	require.Equal(t, netip.MustParseAddr("fe80::1"), s.gateway6)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.53")}, s.dns)
	require.Equal(t, []string{"example.test"}, s.search)
	require.Equal(t, "22222222-2222-2222-2222-222222222222", ParseKeyfile("", out).Get("connection", "uuid"))
}
