//go:build !linux

package dovecotconf

import "os/exec"

func asNobody(*exec.Cmd) {}
