//go:build !unix

package hostcmd

import "os/exec"

func apart(*exec.Cmd) {}

func kill(c *exec.Cmd) error { return c.Process.Kill() }
