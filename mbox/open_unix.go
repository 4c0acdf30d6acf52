//go:build unix

package mbox

import "syscall"

const openNonblock = syscall.O_NONBLOCK
