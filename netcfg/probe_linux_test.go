package netcfg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

const netVar = "NETCFG_TEST_NET"

// inNamespace runs the calling test again, in a network namespace of its own in which it is root, and tells whether this is
// that run. An ordinary user can make one where the kernel lets him; root can in any case.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(netVar) == t.Name() {
		return true
	}
	unshare := oracle.Need(t, "unshare")
	oracle.Need(t, "ip")
	for _, how := range []string{"-Urn", "-n"} {
		if exec.Command(unshare, how, "true").Run() != nil {
			continue
		}
		cmd := exec.Command(unshare, how, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), netVar+"="+t.Name())
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		require.NoError(t, err)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return false
	}
	if os.Getenv("REQUIRE_ORACLES") == "1" {
		t.Fatal("no network namespace can be made, and REQUIRE_ORACLES=1 is set")
	}
	t.Skip("no network namespace can be made")
	return false
}

// box is a host on the wire, in a namespace of its own that lasts as long as its process.
type box struct {
	pid int
	mac string
}

func ipCommands(t *testing.T, b *box, text string) {
	t.Helper()
	args := []string{"-batch", "-"}
	name := "ip"
	if b != nil {
		name, args = "nsenter", append([]string{"-t", fmt.Sprint(b.pid), "-n", "ip"}, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s%s", text, out)
}

// newBox starts a namespace with an eth0 of the given MAC that is plugged into port of the switch (nil: this namespace).
func newBox(t *testing.T, sw *box, port, mac, addrs string) *box {
	t.Helper()
	cmd := exec.Command("unshare", "-n", "sh", "-c", "echo; exec cat")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	_, err = out.Read(make([]byte, 1)) // it is in its namespace now
	require.NoError(t, err)
	b := &box{cmd.Process.Pid, mac}
	ipCommands(t, b, "link set lo up\n")
	if sw != nil {
		ipCommands(t, sw, fmt.Sprintf("link add %s type veth peer name eth0 address %s netns %d\nlink set %s master br0 up\n", port, mac, b.pid, port))
		ipCommands(t, b, "link set eth0 up\n"+addrs)
	}
	return b
}

// within runs f in the namespace of a box; sockets that it opens stay there.
func (b *box) within(t *testing.T, f func()) {
	t.Helper()
	if b == nil {
		f()
		return
	}
	done := make(chan error)
	go func() { // the thread is not unlocked and ends with the goroutine
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", b.pid))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

// neighbour gives the MAC by which a box knows an address.
func (b *box) neighbour(t *testing.T, dev, ip string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "-t", fmt.Sprint(b.pid), "-n", "ip", "neigh", "show", ip, "dev", dev).Output()
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(out), "lladdr ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac
}

// wire is a switch that is also the gateway, the old host, and this namespace as the new one.
func wire(t *testing.T) (gw, old *box) {
	gw = newBox(t, nil, "", "", "")
	ipCommands(t, gw, "link add br0 address 02:00:00:00:00:01 type bridge\nlink set br0 up\naddress add 192.0.2.1/24 dev br0\naddress add 2001:db8::1/64 dev br0 nodad\n")
	old = newBox(t, gw, "old", "02:00:00:00:00:10", "address add 192.0.2.10/24 dev eth0\naddress add 2001:db8::10/64 dev eth0 nodad\n")
	ipCommands(t, gw, fmt.Sprintf("link add new type veth peer name eth0 address 02:00:00:00:00:20 netns %d\nlink set new master br0 up\n", os.Getpid()))
	ipCommands(t, nil, "link set lo up\nlink set eth0 up\naddress add 192.0.2.20/24 dev eth0\naddress add 2001:db8::20/64 dev eth0 nodad\n")
	return gw, old
}

var (
	gate4, gate6       = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	service4, service6 = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
)

// quick is a probe on a wire that has no delay.
var quick = pace{tries: 3, probes: 3, interval: 100 * time.Millisecond, last: 200 * time.Millisecond}

func TestProbe(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	gw, old := wire(t)
	families := []struct{ ip, control netip.Addr }{{service4, gate4}, {service6, gate6}}
	require.Eventually(t, func() bool { // the bridge lets frames through only when its ports are ready
		a, err := quick.probe(t.Context(), "eth0", service6, gate6)
		return err == nil && a.State == Used
	}, 20*time.Second, time.Millisecond)
	ask := func(want Answer, ip, control netip.Addr) {
		t.Helper()
		got, err := quick.probe(t.Context(), "eth0", ip, control)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, f := range families {
		ask(Answer{Used, old.mac}, f.ip, f.control)
		ask(Answer{Free, ""}, f.ip.Next(), f.control)
		ask(Answer{Unknown, ""}, f.ip.Next(), f.ip.Prev()) // nobody is there for the control
		ask(Answer{Used, old.mac}, f.ip, f.ip.Prev())      // an answer is one, with or without control
	}
	ask(Answer{Used, "02:00:00:00:00:20"}, netip.MustParseAddr("192.0.2.20"), gate4)

	begin := time.Now()
	got, err := Probe(t.Context(), "eth0", service4.Next(), gate4)
	require.NoError(t, err)
	require.Equal(t, Answer{Free, ""}, got)
	require.Greater(t, time.Since(begin), 3900*time.Millisecond, "late answers count")

	// a gateway that falls silent during the probe proves nothing
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		old.within(t, func() { // sees the first probe, and cuts the new host off
			l, err := openLink("eth0", service4)
			if err != nil {
				return
			}
			defer l.close()
			probe := func(c claim) bool { return c.target == service4.Next() }
			_, _ = l.listen(t.Context(), 10*time.Second, probe)
		})
		ipCommands(t, gw, "link set new down\n")
	}()
	ask(Answer{Unknown, ""}, service4.Next(), gate4)
	<-ctx.Done()
	for _, f := range families { // no carrier
		ask(Answer{Unknown, ""}, f.ip, f.control)
	}
}

func TestProbeRefuses(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	wire(t)
	ipCommands(t, nil, "link add off type veth peer name off2\n")
	tests := []struct{ iface, ip, control, want string }{
		{"eth9", "192.0.2.10", "192.0.2.1", `interface "eth9": `},
		{"off", "192.0.2.10", "192.0.2.1", "interface off is down"},
		{"lo", "192.0.2.10", "192.0.2.1", "interface lo is no Ethernet"},
		{"eth0", "192.0.2.10", "192.0.2.10", "want another address"},
		{"eth0", "192.0.2.10", "2001:db8::1", "want another address of the family"},
		{"eth0", "192.0.2.10", "192.0.2.20", "is an address of eth0 itself"},
		{"eth0", "::ffff:192.0.2.10", "2001:db8::1", "without a zone"},
		{"eth0", "fe80::1%eth0", "2001:db8::1", "without a zone"},
		{"eth0", "224.0.0.1", "192.0.2.1", "want that of one host"},
	}
	for _, tt := range tests {
		_, err := Probe(t.Context(), tt.iface, netip.MustParseAddr(tt.ip), netip.MustParseAddr(tt.control))
		require.ErrorContains(t, err, tt.want)
	}
	_, err := Announce(t.Context(), "eth0", netip.Addr{})
	require.ErrorContains(t, err, "want that of one host")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Probe(ctx, "eth0", service4, gate4)
	require.ErrorIs(t, err, context.Canceled)
	_, err = Announce(ctx, "eth0", service4)
	require.ErrorIs(t, err, context.Canceled)

	(&box{os.Getpid(), ""}).within(t, func() { // capabilities are those of a thread
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err = unix.Capget(&header, &data[0])
		data[0].Effective &^= 1 << unix.CAP_NET_RAW
		err = errors.Join(err, unix.Capset(&header, &data[0]))
		_, probeErr := Probe(t.Context(), "eth0", service4, gate4)
		_, announceErr := Announce(t.Context(), "eth0", service4)
		require.NoError(t, err)
		for _, err := range []error{probeErr, announceErr} {
			require.ErrorIs(t, err, os.ErrPermission)
			require.ErrorContains(t, err, "raw packets need root or CAP_NET_RAW")
		}
	})
}

// echo answers datagrams in a box, with the name of the box.
func echo(t *testing.T, b *box, ip netip.Addr, name string) {
	t.Helper()
	var c net.PacketConn
	var err error
	b.within(t, func() { c, err = net.ListenPacket("udp", netip.AddrPortFrom(ip, 7).String()) })
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(name), from)
		}
	}()
}

// client asks an address every 10 ms and tells who answered within the time, "" for nobody.
type client struct {
	conn net.Conn
}

func (c *client) ask(within time.Duration, until string) (who string, took time.Duration) {
	begin := time.Now()
	buf := make([]byte, 64)
	for time.Since(begin) < within {
		_, _ = c.conn.Write([]byte("?"))
		_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := c.conn.Read(buf)
		if err == nil && (until == "" || string(buf[:n]) == until) {
			return string(buf[:n]), time.Since(begin)
		}
	}
	return "", time.Since(begin)
}

// TestAnnounce moves an address to the new host while a client keeps asking. Without an announcement the client goes on
// sending to the old card - for 15 to 45 seconds, of which the test looks at two; with it the gap is not noticed.
func TestAnnounce(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	gw, old := wire(t)
	for _, ip := range []netip.Addr{service4, service6} {
		length, flags := "/24", ""
		if ip.Is6() {
			length, flags = "/64", " nodad"
		}
		address := ip.String() + length + " dev eth0"
		echo(t, old, ip, "old")
		c := &client{}
		gw.within(t, func() {
			var err error
			c.conn, err = net.Dial("udp", netip.AddrPortFrom(ip, 7).String())
			require.NoError(t, err)
		})
		t.Cleanup(func() { c.conn.Close() })
		who, _ := c.ask(20*time.Second, "")
		require.Equal(t, "old", who)
		require.Equal(t, old.mac, gw.neighbour(t, "br0", ip.String()))

		ipCommands(t, old, "address del "+address+"\n")
		ipCommands(t, nil, "address add "+address+flags+"\n")
		echo(t, nil, ip, "new")
		who, _ = c.ask(2*time.Second, "")
		require.Empty(t, who, "the client still sends to the old card")
		require.Equal(t, old.mac, gw.neighbour(t, "br0", ip.String()))

		n, err := Announce(t.Context(), "eth0", ip)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		who, took := c.ask(500*time.Millisecond, "")
		require.Equal(t, "new", who)
		require.Equal(t, "02:00:00:00:00:20", gw.neighbour(t, "br0", ip.String()))
		t.Logf("%v: nothing for 2 s without announcement, %v after it", ip, took)

		// back to the old host, which announces itself at once
		ipCommands(t, nil, "address del "+address+"\n")
		ipCommands(t, old, "address add "+address+flags+"\n")
		old.within(t, func() { _, err = Announce(t.Context(), "eth0", ip) })
		require.NoError(t, err)
		who, took = c.ask(500*time.Millisecond, "old")
		require.Equal(t, "old", who)
		t.Logf("%v: a gap of %v when it is announced", ip, took)
	}
}

// TestAnnounceSchedule listens to what an announcement sends, and when.
func TestAnnounceSchedule(t *testing.T) {
	require.Equal(t, []time.Duration{0, 2 * time.Second, 5 * time.Second, 30 * time.Second, time.Minute}, Schedule())
	if !inNamespace(t) {
		return
	}
	gw, _ := wire(t)
	require.Eventually(t, func() bool {
		a, err := quick.probe(t.Context(), "eth0", service4, gate4)
		return err == nil && a.State == Used
	}, 20*time.Second, time.Millisecond)
	ip := netip.MustParseAddr("192.0.2.20")
	var l *link
	gw.within(t, func() {
		var err error
		l, err = openLink("br0", ip)
		require.NoError(t, err)
	})
	defer l.close()
	sent := make(chan error)
	begin := time.Now()
	go func() {
		n, err := Announce(t.Context(), "eth0", ip, 0, 100*time.Millisecond, 300*time.Millisecond)
		if n != 3 {
			err = fmt.Errorf("%d announcements", n)
		}
		sent <- err
	}()
	buf := make([]byte, 2048)
	for _, at := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond} {
		for op := byte(arpRequest); op <= arpReply; op++ {
			require.NoError(t, l.file.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, err := l.file.Read(buf)
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(begin), at)
			require.Equal(t, op, buf[21])
			require.Equal(t, []byte{2, 0, 0, 0, 0, 0x20, 192, 0, 2, 20}, buf[22:32])
			require.Equal(t, []byte{192, 0, 2, 20}, buf[38:42])
			require.True(t, bytes.HasPrefix(buf[:n], broadcastMAC))
		}
	}
	require.NoError(t, <-sent)
}
