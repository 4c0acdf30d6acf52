package tree

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// stageName is what our private directories are called: a fixed prefix, so that the next run finds what a dead one
// left, and 64 random bits.
var stageName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.mailmove-[0-9a-f]{16}$`) })

// stage is a directory on the mount of the target, outside of every mail folder, in which objects are built before
// they get their name. It is 0700 and locked with flock while its run lives. Each worker has a subdirectory: they
// would otherwise queue at the lock of one directory.
type stage struct {
	parent  int // descriptor of the directory it is in; not ours
	name    string
	fd      int
	workers []int
	seq     []atomic.Int64
}

func newStage(parent, workers int) (*stage, error) {
	b := make([]byte, 8)
	rand.Read(b)
	s := &stage{parent: parent, name: ".mailmove-" + hex.EncodeToString(b), fd: -1, seq: make([]atomic.Int64, workers)}
	if err := unix.Mkdirat(parent, s.name, 0o700); err != nil {
		return nil, pathErr("mkdir", s.name, err)
	}
	fd, err := openDir(parent, s.name)
	if err == nil {
		s.fd = fd
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = privatize(fd)
	}
	for i := 0; err == nil && i < workers; i++ {
		sub := "w" + strconv.Itoa(i)
		if err = unix.Mkdirat(fd, sub, 0o700); err == nil {
			var w int
			if w, err = openDir(fd, sub); err == nil {
				s.workers = append(s.workers, w)
			}
		}
	}
	if err != nil {
		_ = s.remove()
		return nil, pathErr("stage", s.name, err)
	}
	return s, nil
}

// privatize undoes what the parent passes on to its children: default ACLs, and the group of a set-gid directory.
func privatize(fd int) error {
	for _, a := range []string{aclAccess, aclDefault} {
		if err := unix.Fremovexattr(fd, a); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	if err := unix.Fchown(fd, unix.Geteuid(), unix.Getegid()); err != nil {
		return err
	}
	return unix.Fchmod(fd, 0o700)
}

// next gives a fresh name in the subdirectory of a worker. Names are short: a name of 255 bytes could not be extended.
func (s *stage) next(worker int) (dir int, name string) {
	return s.workers[worker], strconv.FormatInt(s.seq[worker].Add(1), 10)
}

func (s *stage) remove() error {
	for _, fd := range s.workers {
		closeFd(fd)
	}
	err := removeAll(s.parent, s.name)
	closeFd(s.fd)
	return err
}

// sweep removes the staging directories that dead runs left in dir: named like ours, a directory, ours, private, and
// not locked by a living run.
func sweep(dir int) error {
	fd, err := openDir(dir, ".")
	if err != nil {
		return err
	}
	defer closeFd(fd)
	var names []string
	buf := make([]byte, 32<<10)
	for {
		ents, err := readDents(fd, buf)
		if err != nil {
			return err
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			if stageName().MatchString(e.name) {
				names = append(names, e.name)
			}
		}
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, sweepOne(dir, n))
	}
	return errors.Join(errs...)
}

func sweepOne(dir int, name string) error {
	fd, err := openDir(dir, name)
	if err != nil {
		return nil
	}
	defer closeFd(fd)
	st, err := statFd(fd)
	if err != nil || st.uid != uint32(unix.Geteuid()) || st.perm() != 0o700 {
		return nil
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	return removeAll(dir, name)
}

// removeAll removes a tree that only we can write to, one descriptor a level, crossing no mount.
func removeAll(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	fd, err := openDir(dir, name)
	if errors.Is(err, unix.ENOTDIR) { // a file with flags that forbid it
		if fd, err = openFile(dir, name); err == nil {
			err = errors.Join(unlockFd(fd), unix.Unlinkat(dir, name, 0))
			closeFd(fd)
		}
		return err
	}
	if err != nil {
		return err
	}
	defer closeFd(fd)
	st, err := statFd(fd)
	if err != nil {
		return err
	}
	if up, err := statFd(dir); err != nil || !st.sameMount(&up) {
		return unix.EXDEV
	}
	buf := make([]byte, 8<<10)
	for {
		ents, err := readDents(fd, buf)
		if err != nil {
			return err
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			if err := removeAll(fd, e.name); err != nil {
				return err
			}
		}
		if _, err := unix.Seek(fd, 0, 0); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}
