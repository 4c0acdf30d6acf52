//go:build unix

package hostcmd

import (
	"os/exec"
	"syscall"
)

// apart gives the program a process group of its own: Ctrl-C at the terminal reaches this process alone, which then stops
// its programs in order, with all that they started.
func apart(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Cancel != nil { // made with a context
		c.Cancel = func() error { return kill(c) }
	}
}

func kill(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
