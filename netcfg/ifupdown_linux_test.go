package netcfg

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestIfupdownCarriesOut lets ifupdown bring up the new host as it was, and then run the plan's own command: the interface
// has the taken addresses, the gateway and the route then, and not its temporary one.
func TestIfupdownCarriesOut(t *testing.T) {
	oracle.Need(t, "ifup")
	if !inNamespace(t) {
		return
	}
	_, old := wire(t)
	ipCommands(t, old, "link set eth0 down\n")
	ipCommands(t, nil, "link set eth0 down\naddress flush dev eth0\n")
	h := hostOf("new", interfacesPath, "auto eth0\niface eth0 inet static\n\taddress 192.0.2.20/24\n\tgateway 192.0.2.254\n")
	p := TakeOver(fullOld()["ifcfg"], h, &Options{Iface: "eth0", Stay: []netip.Addr{service6}}) // ifup waits long for IPv6
	require.Empty(t, p.Blockers())
	dir := t.TempDir()
	file := filepath.Join(dir, "interfaces")
	flags := " --no-scripts --state-dir=" + dir + " -i " + file + " "
	sh := func(text string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", text)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.WriteFile(file, h.Files[interfacesPath], 0o600))
	sh("ifup" + flags + "eth0")
	require.NoError(t, os.WriteFile(file, []byte(p.after(interfacesPath)), 0o600))
	_, command, _ := strings.Cut(p.Commands[0], "'")
	command, _, _ = strings.Cut(command, "'")
	sh(strings.NewReplacer("ifup ", "ifup"+flags, "ifdown ", "ifdown"+flags).Replace(command))
	l, err := openLink("eth0", service4)
	require.NoError(t, err)
	defer l.close()
	for _, a := range []string{"192.0.2.10/24", "192.0.2.11/24"} {
		require.Contains(t, l.addrs, netip.MustParsePrefix(a))
	}
	require.False(t, holds(l.addrs, netip.MustParseAddr("192.0.2.20")))
	out, err := exec.Command("ip", "-j", "address", "show").Output()
	require.NoError(t, err)
	live, err := p.VerifyLive(out)
	require.NoError(t, err)
	require.Empty(t, live)
	out, err = exec.Command("ip", "route").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "default via 192.0.2.1 dev eth0")
	require.Contains(t, string(out), "198.51.100.0/24 via 192.0.2.7 dev eth0 metric 5")
	require.NotContains(t, string(out), "192.0.2.254")
}
