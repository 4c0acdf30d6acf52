package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Root24 names the environment variable with the root directory of a running host that has Dovecot 2.4, such as
// /proc/PID/root of one in namespaces. /tmp there is written to, /proc and /dev must be those of a running system.
const Root24 = "DOVECOT24_ROOT"

// Host is the machine whose programs judge: this one, or another one's file tree, in which they run.
type Host struct {
	root string // "" is this machine
	t    testing.TB
}

// Here is this machine.
func Here(t testing.TB) *Host { return &Host{t: t} }

// With24 is the host that DOVECOT24_ROOT names. Without that the test is skipped.
func With24(t testing.TB) *Host {
	t.Helper()
	root := os.Getenv(Root24)
	if root == "" {
		t.Skip(Root24 + " names no host with Dovecot 2.4")
	}
	Root(t)
	return &Host{root: root, t: t}
}

// Temp makes a directory that every user of the host may enter, and removes it with the test. here is its path for us,
// there the one for the programs of the host.
func (h *Host) Temp() (here, there string) {
	h.t.Helper()
	base := ""
	if h.root != "" {
		base = filepath.Join(h.root, "tmp")
	}
	// Not t.TempDir: other users could not enter it.
	here, err := os.MkdirTemp(base, "dovecot-")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { os.RemoveAll(here) })
	if err := os.Chmod(here, 0o755); err != nil {
		h.t.Fatal(err)
	}
	return here, strings.TrimPrefix(here, h.root)
}

// Command prepares a program of the host; on another one its path must be absolute.
func (h *Host) Command(program string, args ...string) *exec.Cmd {
	h.t.Helper()
	if h.root == "" {
		return exec.Command(Need(h.t, program), args...)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	enter(h.t, cmd, h.root)
	return cmd
}
