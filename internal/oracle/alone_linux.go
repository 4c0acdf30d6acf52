package oracle

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// aloneEnv is set to the name of the test in the second run.
const aloneEnv = "MAILMOVE_TEST_ALONE"

// Alone runs the test that calls it once more as root of namespaces of its own - processes, mounts, network - with an empty
// /run, and tells whether this is that second run. The first one has nothing more to do.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		return true
	}
	unshare := Need(t, "unshare")
	for _, tool := range []string{"nsenter", "ip", "mount", "find"} {
		Need(t, tool)
	}
	args := []string{"-m", "-p", "-n", "-u", "-f", "--kill-child", "--mount-proc"}
	if os.Geteuid() != 0 {
		args = append([]string{"-U", "-r"}, args...)
	}
	if out, err := exec.Command(unshare, append(args, "true")...).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no namespaces: %v: %s", err, out))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(unshare, append(args, "sh", "-c", `mount -t tmpfs none /run && ip link set lo up && "$@"`, "sh", self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=20m")...)
	c.Env = append(os.Environ(), aloneEnv+"="+t.Name())
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// Cell is one of the hosts of a test that is Alone: the same files, and processes, mounts, /run and a network of its own.
type Cell struct {
	Enter []string // put before a command to run it there
	pid   string
}

// Cells starts cells side by side. eth0 of each is a cable to the same switch and has the addresses given.
func Cells(t *testing.T, addresses ...[]string) (hosts []*Cell) {
	t.Helper()
	do := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	do("ip", "link", "add", "switch", "type", "bridge")
	do("ip", "link", "set", "switch", "up")
	for i, addrs := range addresses {
		h := newCell(t)
		hosts = append(hosts, h)
		cable := fmt.Sprintf("port%d", i)
		do("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", h.pid)
		do("ip", "link", "set", cable, "master", "switch", "up")
		do(append(h.Enter, "ip", "link", "set", "lo", "up")...)
		for _, a := range addrs {
			do(append(h.Enter, "ip", "addr", "add", a, "brd", "+", "dev", "eth0")...)
		}
		do(append(h.Enter, "ip", "link", "set", "eth0", "up")...)
	}
	return hosts
}

func newCell(t *testing.T) *Cell {
	t.Helper()
	// The shell stays: it reaps what daemons leave behind.
	c := exec.Command("unshare", "-m", "-p", "-n", "-u", "-f", "--kill-child", "--mount-proc", "sh", "-c", "mount -t tmpfs none /run && echo up && while :; do sleep 1000; done")
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "up\n" {
		t.Fatalf("a host of the test: %q: %v", line, err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(children))
	return &Cell{pid: pid, Enter: []string{"nsenter", "-t", pid, "-m", "-p", "-n", "-u", "--"}}
}
