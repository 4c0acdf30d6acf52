package hostcmd

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is what an unprivileged process may have (pipe(7)).
const pipeSize = 1 << 20

// widen has a pipe hold more than the usual 64 KiB, so that who writes into it and who reads from it wake each other less often.
func widen(pipe io.Reader) {
	f, ok := pipe.(*os.File)
	if !ok {
		return
	}
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }) // what is no pipe stays as it is
	}
}
