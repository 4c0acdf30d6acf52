package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flagsAttr stands for the file flags (chattr(1), FS_IOC_GETFLAGS of ioctl_iflags(2)) among the attributes of an object.
// No extended attribute can be called so, for theirs have a dot.
const flagsAttr = "chattr"

// flagsCarried are the flags that mean the same on every file system: s u S i a d A j t D T. Those for compression,
// copy-on-write and layout are the file system's own affair.
const flagsCarried = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x4000 | 0x8000 | 0x10000 | 0x20000

// flagsLocked are those that keep even root from changing an object: immutable and append-only.
const flagsLocked = 0x10 | 0x20

// locked tells whether an object must be unlocked before it can be changed, renamed or removed.
func (s *stat) locked() bool {
	return s.flags&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0
}

// flagsOf reads the flags of an open file or directory; a file system that has none gives 0.
func flagsOf(fd int) (uint32, error) {
	v, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return 0, nil
	}
	return 0, fmt.Errorf("flags: %w", err)
}

// setFlags changes the carried flags of fd to want and leaves the others.
func setFlags(fd int, want uint32) error {
	have, err := flagsOf(fd)
	if err != nil || have&flagsCarried == want {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(have&^flagsCarried|want))
}

// flagsIn takes the flags out of a list of attributes.
func flagsIn(as []attr) (rest []attr, flags uint32) {
	for i, a := range as {
		if a.name == flagsAttr {
			return append(as[:i:i], as[i+1:]...), binary.LittleEndian.Uint32(a.value)
		}
	}
	return as, 0
}

// clearFlags unlocks what stands at a name of the target and is about to be replaced or removed.
func (s *syncer) clearFlags(dir int, name string, t *stat) error {
	if !t.locked() || !t.regular() && !t.dir() {
		return nil
	}
	fd, err := openSame(dir, name, t, openFile)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	return unlockFd(fd)
}

func unlockFd(fd int) error {
	have, err := flagsOf(fd)
	if err != nil {
		return err
	}
	return setFlags(fd, have&flagsCarried&^flagsLocked)
}

// unlock makes a directory of the target changeable; it gets its flags again when it is finished.
func (s *syncer) unlock(d *dir) error {
	if !d.dstMnt.locked() || d.frame {
		return nil
	}
	return unlockFd(d.dst)
}

// overQuota asks the file system of fd about a user's quota (Q_GETQUOTA of quotactl(2)); root writes beyond it unhindered.
// The answer is "" where there is no quota, or no such system call (before Linux 5.14).
func overQuota(fd int, uid uint32) string {
	var q struct {
		blockHard, blockSoft, space, inodeHard, inodeSoft, inodes, blockTime, inodeTime uint64
		valid                                                                           uint32
	}
	const getQuota = 0x800007 << 8 // QCMD(Q_GETQUOTA, USRQUOTA)
	if _, _, no := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), getQuota, uintptr(uid), uintptr(unsafe.Pointer(&q)), 0, 0); no != 0 {
		return ""
	}
	const block = 1 << 10
	limit := func(hard, soft uint64) uint64 {
		if hard == 0 {
			return soft
		}
		return hard
	}
	if l := limit(q.blockHard, q.blockSoft) * block; l > 0 && q.space > l {
		return fmt.Sprintf("uid %d uses %s of a quota of %s", uid, size(int64(q.space)), size(int64(l)))
	}
	if l := limit(q.inodeHard, q.inodeSoft); l > 0 && q.inodes > l {
		return fmt.Sprintf("uid %d has %d files of a quota of %d", uid, q.inodes, l)
	}
	return ""
}

// checkQuotas tells of users who would be refused their next mail.
func (s *syncer) checkQuotas() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.devs {
		for uid := range s.p.uids {
			if why := overQuota(fd, uid); why != "" {
				s.p.fail(".", "quota", errors.New(why))
			}
		}
	}
}
