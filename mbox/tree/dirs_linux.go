package tree

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// dir opens the target's side of d, or builds it in staging and renames it into place. It stays 0700 and ours until all
// below it is done: nobody sees it half filled.
func (s *syncer) dir(_ context.Context, d *dir, to string) (bool, error) {
	if d.pair.second {
		return s.reopen(d, to), nil
	}
	if err := s.openDir(d, to); err != nil {
		s.p.fail(d.path, "make directory", err)
		return false, nil
	}
	return true, nil
}

// reopen opens a directory for the second walk; the first one left it there.
func (s *syncer) reopen(d *dir, to string) bool {
	t, err := statAt(d.up.dst, to)
	if err == nil {
		d.dst, err = openSame(d.up.dst, to, &t, openDir)
	}
	if err != nil {
		s.p.fail(d.path, "open", err)
		return false
	}
	d.dstMnt = t
	s.known(d, &t)
	return true
}

func (s *syncer) openDir(d *dir, to string) (err error) {
	up := d.up
	if !up.fresh {
		t, err := statAt(up.dst, to)
		if err == nil && t.dir() {
			return s.openOld(d, to, &t)
		}
		if err == nil {
			return s.makeDir(d, to, &t)
		}
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return s.makeDir(d, to, nil)
}

func (s *syncer) openOld(d *dir, to string, t *stat) (err error) {
	if !d.up.frame && !t.sameMount(&d.up.dstMnt) {
		return errors.New("is a mount point at the target; not crossed")
	}
	if d.dst, err = openSame(d.up.dst, to, t, openDir); err != nil {
		return err
	}
	d.dstMnt = *t
	s.known(d, t)
	return nil
}

// known holds a directory that is at the target already, as t, against what was recorded of it.
func (s *syncer) known(d *dir, t *stat) {
	if d.rec == nil {
		return
	}
	d.kept = s.p.state.mine(dirName(d), &d.rec.dst, t)
	d.drift = !d.kept
}

// makeDir puts a new directory at the target, in the place of t where there is something else.
func (s *syncer) makeDir(d *dir, to string, t *stat) error {
	st, err := s.stageFor(d.pair)
	if err != nil {
		return err
	}
	stage, tmp := st.next(0)
	if err := unix.Mkdirat(stage, tmp, 0o700); err != nil {
		return err
	}
	fd, err := openDir(stage, tmp)
	if err == nil {
		err = privatize(fd)
	}
	if err == nil {
		d.dst = fd
		d.dstMnt, err = statFd(fd)
	}
	d.fresh = true
	if err == nil && t == nil && d.messages && s.quick(d) {
		d.touched.Store(true)
		d.hidden = &hiding{stage: stage, tmp: tmp, to: to}
		d.hidden.direct.Store(1)
		return nil
	}
	if err == nil {
		err = s.placeDir(d, stage, tmp, to, t)
	}
	if err != nil {
		_ = unix.Unlinkat(stage, tmp, unix.AT_REMOVEDIR) // else with the staging directory
		closeFd(fd)
		d.dst, d.fresh = -1, false
		return err
	}
	d.touched.Store(true)
	return nil
}

func (s *syncer) placeDir(d *dir, stage int, tmp, to string, t *stat) error {
	key := d.up.key.name(to)
	if t != nil {
		if e := d.up.book.get(to); e != nil && !s.p.state.mine(key, &e.dst, t) {
			return errDrift
		}
	}
	if err := s.touch(d.up); err != nil {
		return err
	}
	if s.p.state.saved() {
		if err := s.p.state.journal.intend(key, &d.dstMnt); err != nil {
			return err
		}
	}
	if t == nil {
		return renameNew(stage, tmp, d.up.dst, to)
	}
	// A file stands where the directory goes: the two change places at once.
	if err := unix.Renameat2(stage, tmp, d.up.dst, to, unix.RENAME_EXCHANGE); err == nil {
		return unix.Unlinkat(stage, tmp, 0)
	}
	if err := unix.Unlinkat(d.up.dst, to, 0); err != nil {
		return err
	}
	return renameNew(stage, tmp, d.up.dst, to)
}

// quick tells whether the files of d can be copied without a look at the target and at what is known: nothing can be
// there.
func (s *syncer) quick(d *dir) bool {
	return d.fresh && !d.frame && !(s.p.state.known && d.pair.known) && !d.below && !d.mail
}

// hiddenFiles bounds the work that a kill can undo: a larger directory gets its place early.
const hiddenFiles = 16 << 10

// directDone says that one batch of files of a hidden directory is finished; the last one gives it its place.
func (s *syncer) directDone(d *dir, worker int) {
	h := d.hidden
	if h == nil || h.direct.Add(-1) > 0 {
		return
	}
	if s.ctx.Err() != nil || d.pair.stopped.Load() {
		return // it goes with the staging directory
	}
	if err := s.show(d); err != nil {
		d.book.fail()
		d.up.book.fail()
		s.p.fail(d.path, "make directory", err)
		return
	}
	if len(h.later) == 0 {
		return
	}
	buf := make([]byte, 256<<10)
	for _, it := range h.later {
		v := &verdict{op: OpCreate, key: d.key.name(it.to)}
		if s.courier != nil {
			s.courier.further(true, d, it, v)
		} else {
			s.copyFile(s.ctx, worker, it, v, buf)
		}
	}
}

// show gives a hidden directory its place, with all that is in it so far.
func (s *syncer) show(d *dir) error {
	if d.hidden.shown.Load() {
		return nil
	}
	if s.p.state.saved() {
		if err := s.p.state.journal.intendAll(d.key, d.book); err != nil {
			return err
		}
	}
	h := d.hidden
	if err := s.placeDir(d, h.stage, h.tmp, h.to, nil); err != nil {
		return err
	}
	h.shown.Store(true)
	return nil
}

// showEarly is called between two batches.
func (s *syncer) showEarly(d *dir) error {
	if h := d.hidden; h == nil || h.given < hiddenFiles || h.shown.Load() {
		return nil
	}
	s.wait()
	return s.show(d)
}

// renameNew renames to a name that must not exist, also on file systems that cannot promise it.
func renameNew(fromDir int, from string, toDir int, to string) error {
	err := unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := statAt(toDir, to); !errors.Is(err, unix.ENOENT) {
		return errors.Join(err, unix.EEXIST)
	}
	return unix.Renameat(fromDir, from, toDir, to)
}

// done gives a directory its metadata when nothing more is put into it, the time last.
func (s *syncer) done(d *dir) {
	if d.next == nil || s.ctx.Err() != nil {
		return
	}
	if d.pair.second && !d.pair.later[d.path] {
		if d.up == nil && !d.frame {
			s.settleRoot(d)
		}
		return
	}
	if d.frame {
		d.close(s.p.state)
		return
	}
	if d.dst < 0 || d.hidden != nil && !d.hidden.shown.Load() {
		return
	}
	if err := s.finishDir(d); err != nil {
		s.p.fail(d.path, "set metadata", err)
	}
}

// settleRoot gives a root its time back after the staging directory of the second walk was in it.
func (s *syncer) settleRoot(d *dir) {
	if t, err := statFd(d.dst); err != nil || d.drift || t.mtime == d.st.mtime {
		return
	}
	s.resettle(d.path, d.dst, &d.st)
}

// resettle gives a finished directory the times that it had before something of ours was in it.
func (s *syncer) resettle(path string, fd int, times *stat) {
	err := target{fd: fd}.setTimes(times.mtime, times.atime)
	k := keyOf(path)
	if rec := s.p.state.dir(k); rec != nil && err == nil {
		var t stat
		if t, err = statFd(fd); err == nil {
			rec.dst = t.tuple()
			s.p.state.put(bucketDirs, string(k[:]), rec.encode(), false)
		}
	}
	if err != nil {
		s.p.fail(path, "set times", err)
	}
}

func (s *syncer) finishDir(d *dir) error {
	if d.trusted && !d.touched.Load() && !d.book.isDirty() && !(d.up == nil && d.pair.staged) {
		return nil
	}
	st, err := d.src.stat()
	if err != nil {
		return err
	}
	if r, far := d.src.(*remoteDir); far {
		st = r.last()
	}
	t, err := statFd(d.dst)
	if err != nil {
		return err
	}
	w := s.p.want(&st)
	attrs, err := d.src.attrs()
	unknown := errors.Is(err, errNoAttrs)
	if err != nil && !unknown {
		return err
	}
	attrs = s.p.mapAttrs(attrs)
	if d.drift && w.mtime != t.mtime {
		// Somebody put or took something. With the source's time the directory would look unchanged to Dovecot.
		d.close(s.p.state)
		return errDrift
	}
	has, err := attrsOf(d.dst, false)
	if err != nil {
		return err
	}
	attrs = s.p.carried(attrs, has, !unknown)
	if !s.p.metaEqual(&w, &t) || !attrsEqual(attrs, has) {
		if err := s.touch(d); err != nil {
			return err
		}
		if err := s.p.apply(target{fd: d.dst}, &w, attrs, &t); err != nil {
			return err
		}
		if t, err = statFd(d.dst); err != nil {
			return err
		}
	}
	s.recordDir(d, &st, &t)
	return nil
}

// recordDir saves what is now known of a directory. It was listed at some time after it was opened: what came since makes
// it one to be listed again.
func (s *syncer) recordDir(d *dir, st, t *stat) {
	if !s.p.state.saved() {
		return
	}
	d.close(s.p.state)
	r := d.next
	r.src, r.dst = d.st.tuple(), t.tuple()
	r.racy = r.racy || !st.still(&d.st) || racy(&d.st, s.p.seen)
	old := d.rec
	hard := r.hard || old == nil || old.dst.ino != t.ino || old.dst.mtime != t.mtime || old.racy && !r.racy
	if old == nil || r.differs(old) {
		s.p.state.put(bucketDirs, string(d.key[:]), r.encode(), !hard)
	}
	for i := r.segments; old != nil && i < old.segments; i++ {
		s.p.state.putList(d.key, i, nil, false)
	}
}
