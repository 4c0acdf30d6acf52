package mx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// world is a network of its own that only has a loopback interface: all addresses of a test live there, on their real
// ports, and no packet leaves it. It goes with the last descriptor and process in it.
type world struct {
	t  testing.TB
	ns *os.File
}

// newWorld makes a network in which the addresses are there.
func newWorld(t testing.TB, addrs ...string) *world {
	t.Helper()
	oracle.Root(t)
	oracle.Need(t, "ip")
	w := &world{t: t}
	var err error
	locked(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if w.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return
		}
		lines := []string{"link set lo up"}
		for _, a := range addrs {
			lines = append(lines, "addr add "+a+" dev lo nodad")
		}
		c := exec.Command("ip", "-batch", "-")
		c.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		var out []byte
		if out, err = c.CombinedOutput(); err != nil {
			err = &exec.Error{Name: string(out), Err: err}
		}
	})
	if err != nil && os.Getenv("REQUIRE_ORACLES") != "1" {
		t.Skip("no network namespace: ", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { w.ns.Close() })
	return w
}

// locked runs f on a thread that ends with it, so that what f does to the thread's namespaces stays there.
func locked(f func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		f()
	})
	wg.Wait()
}

// in runs f on a thread in the network. Sockets and processes that f makes stay there.
func (w *world) in(f func()) {
	w.t.Helper()
	var err error
	locked(func() {
		if err = unix.Setns(int(w.ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	require.NoError(w.t, err)
}

func (w *world) listen(network, address string) (l net.Listener, err error) {
	w.in(func() { l, err = net.Listen(network, address) })
	return l, err
}

// dial is a Dial from the address given, "" for any.
func (w *world) dialFrom(from string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (c net.Conn, err error) {
		d := &net.Dialer{}
		if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
			if network == "udp" {
				d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
			}
		}
		w.in(func() { c, err = d.DialContext(ctx, network, address) })
		return c, err
	}
}

// names answers DNS in the network at the address, port 53.
func (w *world) names(address string, s *dnsServer) {
	w.t.Helper()
	var pc net.PacketConn
	var l net.Listener
	var err error
	w.in(func() {
		if pc, err = net.ListenPacket("udp", net.JoinHostPort(address, "53")); err == nil {
			l, err = net.Listen("tcp", net.JoinHostPort(address, "53"))
		}
	})
	require.NoError(w.t, err)
	s.listen(w.t, pc, l)
}

// machine is a host in the network: processes with a tree of their own at /etc and /var, and this host's programs.
type machine struct {
	w   *world
	dir string   // etc and var are here
	env []string // of its programs
	cmd *exec.Cmd
}

// newMachine prepares /etc with what programs need to look up users and names, and nothing else of this host.
func (w *world) newMachine(server string) *machine {
	w.t.Helper()
	// Not t.TempDir: daemons that give up root must get through.
	dir, err := os.MkdirTemp("", "mx-")
	require.NoError(w.t, err)
	m := &machine{w: w, dir: dir}
	w.t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(w.t, os.Chmod(dir, 0o755))
	for _, d := range []string{"etc", "var/spool", "var/lib", "var/log", "var/tmp", "var/mail", "var/run"} {
		require.NoError(w.t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	require.NoError(w.t, os.Chmod(filepath.Join(dir, "var/tmp"), 0o1777))
	for _, name := range []string{"passwd", "group", "services", "protocols", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"} {
		if out, err := exec.Command("cp", "-a", "/etc/"+name, filepath.Join(dir, "etc")).CombinedOutput(); err != nil {
			w.t.Logf("without /etc/%s: %s", name, out)
		}
	}
	m.write("etc/resolv.conf", "nameserver "+server+"\noptions timeout:2 attempts:2\n")
	m.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
	m.write("etc/hosts", "127.0.0.1 localhost\n")
	return m
}

// write makes a file that is old enough for Postfix, which waits for files that were just written.
func (m *machine) write(name, text string) {
	m.w.t.Helper()
	file := filepath.Join(m.dir, name)
	require.NoError(m.w.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(m.w.t, os.WriteFile(file, []byte(text), 0o644))
	past := time.Now().Add(-time.Hour)
	require.NoError(m.w.t, os.Chtimes(file, past, past))
}

// boot runs script as the first process of the machine; everything in it ends with the test.
func (m *machine) boot(script string) {
	m.w.t.Helper()
	m.cmd = exec.Command("/bin/sh", "-ec", "mount --make-rprivate /\nmount --bind "+m.dir+"/etc /etc\nmount --bind "+m.dir+"/var /var\nmount -t proc proc /proc\n"+script)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS}
	console, err := os.Create(filepath.Join(m.dir, "console"))
	require.NoError(m.w.t, err)
	defer console.Close()
	m.cmd.Stdout, m.cmd.Stderr = console, console
	m.cmd.Env = append(os.Environ(), m.env...)
	m.cmd.Dir = "/"
	m.w.in(func() { err = m.cmd.Start() })
	require.NoError(m.w.t, err)
	m.w.t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		if m.w.t.Failed() {
			m.w.t.Logf("%s", m.console())
			_ = filepath.Walk(filepath.Join(m.dir, "var/log"), func(path string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().IsRegular() {
					text, _ := os.ReadFile(path)
					m.w.t.Logf("%s:\n%s", path, text)
				}
				return nil
			})
		}
	})
}

// console is what the first process and its children have said.
func (m *machine) console() string {
	m.w.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "console"))
	require.NoError(m.w.t, err)
	return string(text)
}

// run runs a program in the machine.
func (m *machine) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	all := append([]string{"-t", itoa(m.cmd.Process.Pid), "-m", "-n", "-p", "-u", "--", "env", name}, args...)
	c := exec.CommandContext(ctx, "nsenter", all...)
	c.Dir = "/"
	c.Env = append(os.Environ(), m.env...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, &errs)
	}
	return out.Bytes(), err
}

// answers waits until a connection to the address gets a greeting.
func (w *world) answers(address string) {
	w.t.Helper()
	dial := w.dialFrom("")
	require.Eventually(w.t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c, err := dial(ctx, "tcp", address)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		first := make([]byte, 3)
		_, err = io.ReadFull(c, first)
		return err == nil && string(first) == "220"
	}, 30*time.Second, 50*time.Millisecond, "no SMTP at %s", address)
}
