package netcfg

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// campaign is how many generated files a judge gets to see: n, or what NETCFG_FILES says.
func campaign(n int) int {
	if v, err := strconv.Atoi(os.Getenv("NETCFG_FILES")); err == nil {
		return v
	}
	return n
}

var (
	ifHeaders = []string{"iface eth0 inet static", "iface eth0 inet static", "  iface eth0 inet static", "iface eth0 inet6 static", "iface eth1 inet static", "iface eth0 inet manual",
		"iface eth0 inet dhcp", "auto eth0", "allow-hotplug eth0 eth1", "iface eth0 inet", "iface eth0 inet bogus", "iface lo inet loopback", "mapping eth1", "rename a=b", "no-scripts eth1", "iface eth0 inet6 auto", "iface eth0:1 inet static"}
	ifAddresses = []string{"address 192.0.2.%d/24", "address 192.0.2.%d/24", "address 192.0.2.%d", "address 10.1.2.%d", "address 172.16.0.%d/12", "address 192.0.2.%d/255.255.255.0", "address 192.0.2.%d/33", "address host"}
	ifSixes     = []string{"address 2001:db8::%d/64", "address 2001:db8::%d/64", "address 2001:db8::%d", "address 2001:db8::%d/129"}
	ifOptions   = []string{"netmask 255.255.255.0", "netmask 255.255.255.%d", "netmask 255.255.0.0", "netmask 24", "gateway 192.0.2.1", "gateway 192.0.2.254", "broadcast 192.0.2.255", "network 192.0.2.0", "dns-nameservers 192.0.2.53 192.0.2.54",
		"dns-nameservers 192.0.2.5%d", "dns-search example.org", "up ip route add 198.51.100.0/24 via 192.0.2.7", "post-up true", "pre-down false", "mtu 1400", "metric 5", "hwaddress ether 02:00:00:00:00:01"}
	ifWrong  = []string{"address 192.0.2.%d", "netmask 33", "nonsense", "address", "gateway x", "script x"}
	ifBlanks = []string{"\n", "\n", "\n", "\n", "\n", "\r\n", " \n", "\t\n", "\n\n", "\n# c\n", "\n  # c \\\n", " \\\n ", "\\\n", " # c\n"}
)

func randomInterfaces(r *rand.Rand) []byte {
	var b strings.Builder
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	for range 1 + r.IntN(3) {
		header := ifHeaders[0]
		if r.IntN(3) == 0 {
			header = pick(ifHeaders)
		}
		b.WriteString(header + pick(ifBlanks))
		list := ifAddresses
		if strings.Contains(header, "inet6") {
			list = ifSixes
		}
		for range 1 + r.IntN(4) {
			option := pick(list)
			if strings.Contains(option, "%d") {
				option = fmt.Sprintf(option, r.IntN(9))
			}
			b.WriteString([]string{"", "\t", "    "}[r.IntN(3)] + option + pick(ifBlanks))
			switch {
			case r.IntN(20) == 0:
				list = ifWrong
			case strings.Contains(header, "inet6"):
				list = []string{"netmask 64", "netmask 48", "gateway fe80::1", "up true"}
			default:
				list = ifOptions
			}
		}
	}
	return []byte(b.String())
}

// ifqueryAddresses asks ifupdown for what it makes of an interface.
func ifqueryAddresses(t *testing.T, ifquery, file, iface string) (addrs []netip.Prefix, gateways []string, err error) {
	out, err := exec.Command(ifquery, "--interfaces", file, iface).Output()
	if err != nil {
		return nil, nil, err
	}
	var texts, masks []string
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "address":
			texts = append(texts, value)
		case "netmask":
			masks = append(masks, value)
		case "gateway":
			gateways = append(gateways, value)
		}
	}
	require.Len(t, masks, len(texts), "%s", out)
	for i := range texts {
		a, err := netip.ParseAddr(texts[i])
		require.NoError(t, err)
		addrs = append(addrs, netip.PrefixFrom(a, maskBits(masks[i], a)))
	}
	return addrs, gateways, nil
}

// TestIfqueryDecides compares what we read of random files with what ifupdown reads, and which files it refuses.
func TestIfqueryDecides(t *testing.T) {
	ifquery := oracle.Need(t, "ifquery")
	r := rand.New(rand.NewPCG(7, 5))
	file := filepath.Join(inMemory(t), "interfaces")
	decided, refused := 0, 0
	n := campaign(300)
	for range n {
		src := randomInterfaces(r)
		require.NoError(t, os.WriteFile(file, src, 0o600))
		f := parseInterfaces(interfacesPath, src)
		if len(f.errs) > 0 {
			if !errors.Is(f.errs[0], ErrOpaque) {
				require.Error(t, exec.Command(ifquery, "--interfaces", file, "--list").Run(), "%v in %q", f.errs[0], src)
				refused++
			}
			continue
		}
		h := hostOf("", interfacesPath, string(src))
		s, found := h.interfacesSettings("eth0")
		other := slices.ContainsFunc(f.of("eth0", ""), func(s stanza) bool { return s.method != "static" }) // ifquery shows options that they ignore
		if s.path == "" || other || (&Plan{Findings: found}).Blockers() != nil {
			continue
		}
		h.Files[interfacesPath] = []byte(strings.ReplaceAll(string(src), "eth0:1", "eth7:1")) // ifquery takes an alias for another interface
		s, _ = h.interfacesSettings("eth0")
		addrs, gateways, err := ifqueryAddresses(t, ifquery, file, "eth0")
		require.NoError(t, err, "%q", src)
		var v4, v6 []netip.Prefix
		for _, p := range addrs {
			if p.Addr().Is6() {
				v6 = append(v6, p)
			} else {
				v4 = append(v4, p)
			}
		}
		require.Equal(t, v4, s.addrs, "%q", src)
		require.Equal(t, v6, s.addrs6, "%q", src)
		if s.gateway.IsValid() {
			require.Contains(t, gateways, s.gateway.String(), "%q", src)
		}
		decided++
	}
	t.Logf("%d files, %d decided, %d refused", n, decided, refused)
	require.Greater(t, decided, n/10)
	require.Greater(t, refused, n/20)
}
