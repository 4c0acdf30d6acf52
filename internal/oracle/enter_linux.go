package oracle

import (
	"os/exec"
	"syscall"
	"testing"
)

// enter makes a program start with another root directory.
func enter(_ testing.TB, cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
}
