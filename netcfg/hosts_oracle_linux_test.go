package netcfg

import (
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

var (
	hostsAddrs  = []string{"192.0.2.1", "192.0.2.2", "198.51.100.9", "2001:db8::10", "fe80::1"}
	hostsNames  = []string{"a", "mail", "mail.example.org", "dot.example.", "xn--bcher-kva.example"}
	hostsPieces = slices.Concat(hostsAddrs, hostsNames, []string{"\n", "\n", "\n", "\r\n", " ", " ", "\t", "\v", "\f", "#", " # c", "MAIL", "2001:DB8::0:10", "192.0.2.010", "fe80::1%lo", "::ffff:192.0.2.9", "192.0.2", "text", "\ufeff", "\x00", "name#c"})
)

func randomHosts(r *rand.Rand) []byte {
	var b strings.Builder
	for range 1 + r.IntN(5) {
		if r.IntN(4) > 0 {
			b.WriteString(hostsAddrs[r.IntN(len(hostsAddrs))] + " " + hostsNames[r.IntN(len(hostsNames))])
		}
		for range r.IntN(5) {
			b.WriteString(hostsPieces[r.IntN(len(hostsPieces))])
		}
		b.WriteString([]string{"\n", "\r\n", ""}[r.IntN(3)])
	}
	return []byte(b.String())
}

// TestGetentDecides puts files in the place of /etc/hosts, in a mount namespace of their own, and asks glibc.
func TestGetentDecides(t *testing.T) {
	oracle.Root(t)
	oracle.Need(t, "getent")
	unshare, sh := oracle.Need(t, "unshare"), oracle.Need(t, "sh")
	dir := t.TempDir()
	files := [][]byte{}
	for _, src := range hostsTexts {
		files = append(files, []byte(src))
	}
	r := rand.New(rand.NewPCG(27, 36))
	for range campaign(60) {
		files = append(files, randomHosts(r))
	}
	for i, src := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), src, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hosts"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nsswitch"), []byte("hosts: files\n"), 0o644))
	const script = `set -e
mount --make-rprivate /
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/nsswitch" /etc/nsswitch.conf
i=0
while [ $i -lt "$2" ]; do
  cat "$1/$i" >/etc/hosts
  for a in $3; do echo "R $i $a $(getent hosts "$a" | head -n 1)"; done
  for n in $4; do echo "N $i $n $(getent ahostsv4 "$n" | cut -d' ' -f1 | sort -u | tr '\n' ' ')"; done
  i=$((i+1))
done`
	cmd := exec.Command(unshare, "-m", sh, "-c", script, "sh", dir, fmt.Sprint(len(files)), strings.Join(hostsAddrs, " "), strings.Join(hostsNames, " "))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/bin:/bin:/sbin:/usr/sbin"}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil && !strings.Contains(string(out), "R 0 ") {
		t.Skipf("no mount namespace here: %v", err)
	}
	require.NoError(t, err)
	answers := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		var i int
		_, err := fmt.Sscan(f[1], &i)
		require.NoError(t, err)
		h := ParseHosts("hosts", files[i])
		var want []string
		if f[0] == "R" {
			if names := h.Names(netip.MustParseAddr(f[2])); names != nil { // of an address alone getent prints the address
				want = append([]string{f[2]}, names...)
			}
		} else {
			for _, a := range h.Addrs(f[2]) {
				if s := a.String(); a.Is4() && !slices.Contains(want, s) {
					want = append(want, s)
				}
			}
			slices.Sort(want)
		}
		answers += len(want)
		require.Equal(t, strings.Join(want, " "), strings.Join(f[3:], " "), "%s %s in %q", f[0], f[2], files[i])
	}
	require.Greater(t, answers, 80)
}
