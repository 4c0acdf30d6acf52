package tree

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

// lockTries and the pauses between them bound the wait for one mailbox to about three seconds.
const lockTries = 20

// mailbox tells whether it is an mbox file: any file directly in a directory named mail, and further below one whatever
// begins with a From_ line. Index directories and Maildirs hold none.
func (p *pass) mailbox(it *item) bool {
	d := it.d
	if d.index || d.messages || !d.mail && !d.below {
		return false
	}
	if d.mail {
		return true
	}
	fd, err := openSame(d.src, it.name, &it.st, openFile)
	if err != nil {
		return false
	}
	defer closeFd(fd)
	b := make([]byte, 5)
	return readFull(fd, b, 0) == nil && string(b) == "From "
}

// copyMailbox copies an mbox while no mail program writes to it. No lock is ever waited for while another is held.
func (s *syncer) copyMailbox(ctx context.Context, it *item, v *verdict) error {
	for try := 1; ; try++ {
		err := s.copyLocked(ctx, it, v)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case try < lockTries && (errors.Is(err, lockfile.ErrLocked) || errors.Is(err, lockfile.ErrReplaced) || errors.Is(err, errSwapped)):
			if err := pause(ctx); err != nil {
				return err
			}
		default:
			s.failed(it, "copy mailbox", err)
			return nil
		}
	}
}

func (s *syncer) copyLocked(ctx context.Context, it *item, v *verdict) error {
	st, err := statAt(it.d.src, it.name)
	if err != nil {
		return err
	}
	if !st.regular() {
		return errSwapped
	}
	it.st = st
	if err := s.p.planted(it); err != nil {
		return err
	}
	fd, err := openSame(it.d.src, it.name, &st, openFile)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), it.name)
	defer f.Close()
	dir := os.NewFile(uintptr(dup(it.d.src)), it.d.path)
	defer dir.Close()
	l, err := lockfile.Mailbox(dir, it.name, f, false)
	if err != nil {
		return err
	}
	err = s.copyOpen(ctx, 0, fd, &job{it: it, v: *v}, s.buf)
	return errors.Join(err, l.Unlock())
}

// pause waits between two tries: 50 to 250 ms, uneven so that two programs do not keep meeting.
func pause(ctx context.Context) error {
	t := time.NewTimer(50*time.Millisecond + rand.N(200*time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

var (
	errLeftovers = errors.New("holds what no pass wrote; left there")
	errKeepDir   = errors.New("the target has a directory there; it goes only with Delete and a saved state")
)

// clearLock removes a dotlock whose process is dead, as any mail program may that comes across it: one that was killed here
// would keep the mailbox of the old host locked. True: it is gone.
func (s *syncer) clearLock(it *item) bool {
	box, ok := strings.CutSuffix(it.name, ".lock")
	if !ok || !it.d.mail && !it.d.below {
		return false
	}
	fd := dup(it.d.src)
	if fd < 0 {
		return false
	}
	dir := os.NewFile(uintptr(fd), it.d.from)
	defer dir.Close()
	return lockfile.RemoveStale(dir, box) == nil
}

// deleteVanished removes what the source no longer has, after all else. A name is removed only when it still is what an
// earlier pass put there.
func (s *syncer) deleteVanished(ctx context.Context) {
	for _, c := range s.p.change {
		if ctx.Err() != nil {
			return
		}
		if s.p.state.get(c.key) == nil {
			continue // renamed
		}
		if _, err := s.p.statBelow(s.p.src, c.from); !isAbsent(err) || !s.p.opt.Delete {
			continue
		}
		dir, name, err := openBelow(s.p.dst, c.path)
		if err == nil {
			err = s.deleteKeeping(dir, name, c.path, c.key)
			closeFd(dir)
		}
		if err != nil && !isAbsent(err) {
			s.p.fail(c.path, "delete", err)
		}
	}
}

// deleteKeeping removes one name and leaves the time of its directory, which is the source's, as it was.
func (s *syncer) deleteKeeping(dir int, name, path, key string) error {
	before, err := statFd(dir)
	if err != nil {
		return err
	}
	k, _ := splitKey(key)
	if err := s.intendDir(k, &before); err != nil {
		return err
	}
	if err := s.deleteName(dir, name, path, key); err != nil {
		return err
	}
	now, err := statFd(dir)
	if err != nil || now.mtime == before.mtime {
		return err
	}
	return target{fd: dir}.setTimes(before.mtime, before.atime)
}

// intendDir notes that a directory, known by the key of what is in it, may be found with another time.
func (s *syncer) intendDir(k dirKey, st *stat) error {
	path, ok := s.p.state.path(k)
	if !ok {
		return nil
	}
	up, base := splitPath(path)
	return s.p.state.journal.intend(keyOf(up).name(base), st)
}

func (s *syncer) deleteName(dir int, name, path, key string) error {
	t, err := statAt(dir, name)
	if errors.Is(err, unix.ENOENT) {
		s.p.state.drop(key)
		return nil
	}
	if err != nil {
		return err
	}
	rec := s.p.state.get(key)
	if t.dir() {
		return s.deleteDir(dir, name, path, key, &t)
	}
	if rec == nil || !s.p.state.mine(key, rec, &t) {
		return errDrift
	}
	if err := s.p.state.journal.intend(key, nil); err != nil {
		return err
	}
	k, _ := splitKey(key)
	if st, err := statFd(dir); err == nil {
		if err := s.intendDir(k, &st); err != nil {
			return err
		}
	}
	s.wrote.Store(true)
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return err
	}
	s.p.state.drop(key)
	s.p.count(OpDelete, path, func(r *Report) { r.Deleted++ })
	return nil
}

// deleteDir removes what we wrote below a directory, and the directory when nothing else is in it.
func (s *syncer) deleteDir(dir int, name, path, key string, t *stat) error {
	rec := s.p.state.get(key)
	if rec == nil || rec.dst.ino != t.ino && !s.p.state.mine(key, rec, t) {
		return errDrift
	}
	fd, err := openSame(dir, name, t, openDir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	k := keyOf(path)
	s.p.state.children(k, func(child string) {
		ckey := k.name(child)
		if s.p.state.get(ckey) == nil {
			return
		}
		if err := s.deleteName(fd, child, joinPath(path, child), ckey); err != nil {
			s.p.fail(joinPath(path, child), "delete", err)
		}
	})
	if err := s.p.state.journal.intend(key, nil); err != nil {
		return err
	}
	err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return errLeftovers
	}
	if err != nil {
		return err
	}
	s.wrote.Store(true)
	s.p.state.drop(key)
	s.p.count(OpDelete, path, func(r *Report) { r.Deleted++ })
	return nil
}

// clearDir makes room where the source has something else than the directory that the target has.
func (s *syncer) clearDir(d *dir, name string, t *stat) error {
	if err := s.touch(d); err != nil {
		return err
	}
	if unix.Unlinkat(d.dst, name, unix.AT_REMOVEDIR) == nil {
		return nil
	}
	if !s.p.opt.Delete || !s.p.state.known {
		return errKeepDir
	}
	return s.deleteDir(d.dst, name, d.join(name), d.key.name(name), t)
}
