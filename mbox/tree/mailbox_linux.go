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

// defaultLockWait bounds the wait for one mailbox.
const defaultLockWait = 10 * time.Second

// touchEvery keeps others from taking over our dotlock while a large mailbox is copied.
const touchEvery = 30 * time.Second

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
	in, err := openSourceFile(d.src, it.name, &it.st)
	if err != nil {
		return false
	}
	defer in.close()
	fd, local := in.(localFile)
	b := make([]byte, 5)
	return local && readFull(int(fd), b, 0) == nil && string(b) == "From "
}

// copyMailbox copies an mbox while no mail program writes to it. No lock is ever waited for while another is held.
func (s *syncer) copyMailbox(ctx context.Context, it *item, v *verdict) error {
	wait := s.p.opt.LockWait
	if wait == 0 {
		wait = defaultLockWait
	}
	for until := time.Now().Add(wait); ; {
		err := s.copyLocked(ctx, it, v)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().Before(until) && (errors.Is(err, lockfile.ErrLocked) || errors.Is(err, lockfile.ErrReplaced) || errors.Is(err, errSwapped)):
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
	src := int(it.d.src.(localDir)) // another host locks its mailboxes itself
	st, err := statAt(src, it.name)
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
	fd, err := openSame(src, it.name, &st, openFile)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), it.name)
	defer f.Close()
	dir := os.NewFile(uintptr(dup(src)), it.d.path)
	defer dir.Close()
	if err := s.p.state.journal.intendLock(joinPath(it.d.from, it.name)); err != nil {
		return err
	}
	l, err := lockfile.Mailbox(dir, it.name, f, false)
	if err != nil {
		return err
	}
	if l.DotlockSkipped != nil {
		s.p.skip(it.path(), "dotlock", "copied under the kernel's locks alone: "+l.DotlockSkipped.Error())
	}
	stop := keepLock(l)
	if st, err = statFd(fd); err == nil {
		v.box = true
		err = s.copyOpen(ctx, 0, localFile(fd), &st, it, v, s.buf)
	}
	return errors.Join(err, stop(), l.Unlock())
}

// keepLock renews the dotlock until stop is called, whose error says that somebody took it away.
func keepLock(l *lockfile.MailboxLock) (stop func() error) {
	done, result := make(chan struct{}), make(chan error, 1)
	go func() {
		t := time.NewTicker(touchEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				result <- nil
				return
			case <-t.C:
				if err := l.Touch(); err != nil {
					result <- err
					return
				}
			}
		}
	}()
	return func() error {
		close(done)
		return <-result
	}
}

// sweepLocks removes the dotlocks that a dead pass left in the source.
func (s *syncer) sweepLocks() {
	if r, far := s.p.src.(*remote); far && !r.plain && s.p.state.journal != nil && len(s.p.state.journal.lock) > 0 {
		if _, err := r.unlock(s.ctx, sortedKeys(s.p.state.journal.lock)); err != nil {
			s.p.fail(".", "remove locks", err)
		}
		return
	}
	src, local := s.p.src.(localSource)
	if s.p.state.journal == nil || !local {
		return
	}
	for _, path := range sortedKeys(s.p.state.journal.lock) {
		fd, name, err := openBelow(int(src), path)
		if err != nil {
			continue
		}
		dir := os.NewFile(uintptr(fd), path)
		if err := lockfile.RemoveLeft(dir, name, s.p.state.journal.lock[path]); err != nil && !errors.Is(err, lockfile.ErrLocked) {
			s.p.fail(path, "remove lock", err)
		}
		dir.Close()
	}
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
	if r, far := it.d.src.(*remoteDir); far && ok && !r.s.plain && (it.d.mail || it.d.below) {
		free, err := r.s.unlock(s.ctx, []string{joinPath(r.path, box)})
		return err == nil && len(free) == 1
	}
	src, local := it.d.src.(localDir)
	if !ok || !local || !it.d.mail && !it.d.below {
		return false
	}
	fd := dup(int(src))
	if fd < 0 {
		return false
	}
	dir := os.NewFile(uintptr(fd), it.d.from)
	defer dir.Close()
	return lockfile.RemoveStale(dir, box) == nil
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
	return s.deleteDir(d.dst, name, d.join(name), t)
}
