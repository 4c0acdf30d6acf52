//go:build unix

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const nonblock = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// setOwner spares the call when it would change nothing, for an ordinary user may not even ask for that everywhere.
func setOwner(f *os.File, uid, gid int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	u, g := ownerOf(info)
	if (uid == -1 || uid == u) && (gid == -1 || gid == g) {
		return nil
	}
	return f.Chown(uid, gid)
}

func tryLock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// busyLock tells that another process holds the lock; any other error means a file system without locks.
func busyLock(err error) bool { return errors.Is(err, unix.EWOULDBLOCK) }

// syncDir passes over file systems that cannot sync a directory.
func syncDir(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
