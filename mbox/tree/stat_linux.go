package tree

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stamp is a time as the kernel keeps it: years past 2262 fit, which a count of nanoseconds would not.
type stamp struct {
	sec int64
	ns  uint32
}

// String is the time in UTC, down to the nanosecond: two that look alike are alike.
func (a stamp) String() string {
	return time.Unix(a.sec, int64(a.ns)).UTC().Format("2006-01-02T15:04:05.999999999Z")
}

func (a stamp) timespec() unix.Timespec {
	t, _ := unix.TimeToTimespec(time.Unix(a.sec, int64(a.ns))) // zero where 32 bits are too few
	return t
}

// stat is what identifies and describes one object.
type stat struct {
	dev, ino, mnt         uint64 // mnt 0: the kernel does not tell
	mode, uid, gid, nlink uint32 // mode with the type bits
	size, blocks          int64
	rdev                  uint64
	flags                 uint64 // STATX_ATTR_*; 0 where the kernel does not tell
	mtime, atime, ctime   stamp
}

func (s *stat) typ() uint32   { return s.mode & unix.S_IFMT }
func (s *stat) perm() uint32  { return s.mode & 0o7777 }
func (s *stat) regular() bool { return s.typ() == unix.S_IFREG }
func (s *stat) dir() bool     { return s.typ() == unix.S_IFDIR }
func (s *stat) device() bool  { return s.typ() == unix.S_IFBLK || s.typ() == unix.S_IFCHR }

// same tells whether both describe one object of one type.
func (s *stat) same(o *stat) bool { return s.dev == o.dev && s.ino == o.ino && s.typ() == o.typ() }

// still tells whether nothing happened to the object between the two looks.
func (s *stat) still(o *stat) bool {
	return s.same(o) && s.size == o.size && s.mtime == o.mtime && s.ctime == o.ctime
}

// sameMount compares the mount where the kernel tells it (Linux 5.8), else the device.
func (s *stat) sameMount(o *stat) bool {
	if s.mnt != 0 && o.mnt != 0 || s.mnt == elsewhere {
		return s.mnt == o.mnt
	}
	return s.dev == o.dev
}

func statAt(dir int, name string) (stat, error) { return statx(dir, name, 0) }

func statFd(fd int) (stat, error) { return statx(fd, "", unix.AT_EMPTY_PATH) }

func statx(dir int, name string, flags int) (s stat, err error) {
	var x unix.Statx_t
	err = unix.Statx(dir, name, flags|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT,
		unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &x)
	if errors.Is(err, unix.ENOSYS) {
		return oldStat(dir, name)
	}
	if err != nil {
		return s, err
	}
	s = stat{
		dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino,
		mode: uint32(x.Mode), uid: x.Uid, gid: x.Gid, nlink: x.Nlink,
		size: int64(x.Size), blocks: int64(x.Blocks), rdev: unix.Mkdev(x.Rdev_major, x.Rdev_minor),
		mtime: stamp{x.Mtime.Sec, x.Mtime.Nsec}, atime: stamp{x.Atime.Sec, x.Atime.Nsec},
		ctime: stamp{x.Ctime.Sec, x.Ctime.Nsec}, flags: x.Attributes & x.Attributes_mask,
	}
	if x.Mask&unix.STATX_MNT_ID != 0 {
		s.mnt = x.Mnt_id
	}
	return s, nil
}

// oldStat serves kernels before 4.11.
func oldStat(dir int, name string) (s stat, err error) {
	var st unix.Stat_t
	if name == "" {
		err = unix.Fstat(dir, &st)
	} else {
		err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return s, err
	}
	//nolint:unconvert // narrower on other processors
	at := func(t unix.Timespec) stamp { return stamp{int64(t.Sec), uint32(t.Nsec)} }
	//nolint:unconvert // likewise
	return stat{
		dev: uint64(st.Dev), ino: st.Ino, mode: st.Mode, uid: st.Uid, gid: st.Gid, nlink: uint32(st.Nlink),
		size: st.Size, blocks: st.Blocks, rdev: uint64(st.Rdev),
		mtime: at(st.Mtim), atime: at(st.Atim), ctime: at(st.Ctim),
	}, nil
}

// Every name is opened as one component below a descriptor and with O_NOFOLLOW. That gives what openat2 with
// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS gives, on every kernel. O_NONBLOCK keeps a FIFO that was put in the place of
// a file from blocking us; the caller looks at what it got before reading it.
const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

func openDir(dir int, name string) (int, error) { return openRead(dir, name, unix.O_DIRECTORY) }

func openFile(dir int, name string) (int, error) { return openRead(dir, name, 0) }

// openRead leaves the access time alone where we may: O_NOATIME is for the owner and root only.
func openRead(dir int, name string, extra int) (int, error) {
	for flags := openFlags | extra | unix.O_NOATIME; ; {
		fd, err := unix.Openat(dir, name, flags, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EPERM) && flags&unix.O_NOATIME != 0:
			flags &^= unix.O_NOATIME
		default:
			return fd, err
		}
	}
}

// openPath gives a descriptor that only names the object: nothing happens to a FIFO or device.
func openPath(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// openTop opens a root; it alone may be a symbolic link.
func openTop(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func closeFd(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// dent is one directory entry; to is its name at the target.
type dent struct {
	name, to string
	typ      uint8 // DT_*; DT_UNKNOWN on file systems that do not tell
}

// readDents reads the next batch of entries of dir into ents; none left gives an empty list.
func readDents(dir int, buf []byte) ([]dent, error) {
	var ents []dent
	for len(ents) == 0 {
		n, err := unix.Getdents(dir, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return nil, err
		}
		ents = parseDents(buf[:n])
	}
	return ents, nil
}

// parseDents reads struct linux_dirent64 (getdents(2)): ino 8, off 8, reclen 2, type 1, name up to a NUL.
func parseDents(b []byte) (ents []dent) {
	const head = 19
	for len(b) >= head {
		n := int(binary.NativeEndian.Uint16(b[16:]))
		if n < head || n > len(b) {
			return ents
		}
		name, _, _ := strings.Cut(string(b[head:n]), "\x00")
		if name != "." && name != ".." && name != "" {
			ents = append(ents, dent{name: name, to: name, typ: b[18]})
		}
		b = b[n:]
	}
	return ents
}

// pathErr keeps file system errors in the shape that the standard library gives them.
func pathErr(op, path string, err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return &fs.PathError{Op: op, Path: path, Err: no}
	}
	return err
}
