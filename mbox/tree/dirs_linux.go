package tree

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// dir opens the target's side of d, or builds it in staging and renames it into place. It stays 0700 and ours until all
// below it is done: nobody sees it half filled.
func (s *syncer) dir(_ context.Context, d *dir, to string) (bool, error) {
	if err := s.openDir(d, to); err != nil {
		s.p.fail(d.path, "make directory", err)
		return false, nil
	}
	s.p.state.putDir(d.key, d.path)
	return true, nil
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
	s.known(d)
	return nil
}

// known looks up what was recorded of a directory that is at the target already.
func (s *syncer) known(d *dir) {
	key := dirName(d)
	rec := s.p.state.get(key)
	if rec == nil {
		return
	}
	if d.up != nil {
		d.up.hits++
	}
	t, err := statFd(d.dst)
	d.kept = err == nil && s.p.state.mine(key, rec, &t)
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
	if err == nil {
		err = s.placeDir(d, stage, tmp, to, t)
	}
	if err != nil {
		_ = unix.Unlinkat(stage, tmp, unix.AT_REMOVEDIR) // else with the staging directory
		closeFd(fd)
		d.dst = -1
		return err
	}
	d.fresh = true
	d.touched.Store(true)
	return nil
}

func (s *syncer) placeDir(d *dir, stage int, tmp, to string, t *stat) error {
	key := d.up.key.name(to)
	if t != nil {
		if rec := s.p.state.get(key); rec != nil && !s.p.state.mine(key, rec, t) {
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
	if d.frame || d.dst < 0 || s.ctx.Err() != nil {
		return
	}
	if err := s.finishDir(d); err != nil {
		s.p.fail(d.path, "set metadata", err)
	}
}

func (s *syncer) finishDir(d *dir) error {
	st, err := statFd(d.src)
	if err != nil {
		return err
	}
	t, err := statFd(d.dst)
	if err != nil {
		return err
	}
	w := s.p.want(&st)
	attrs, err := attrsOf(d.src, false)
	if err != nil {
		return err
	}
	attrs = s.p.mapAttrs(attrs)
	if d.drift && w.mtime != t.mtime {
		// Somebody put or took something. With the source's time the directory would look unchanged to Dovecot.
		return errDrift
	}
	has, err := attrsOf(d.dst, false)
	if err != nil {
		return err
	}
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

func (s *syncer) recordDir(d *dir, st, t *stat) {
	key := dirName(d)
	rec := s.p.state.get(key)
	soft := rec != nil && rec.dst.ino == t.ino && rec.dst.mtime == t.mtime
	if !soft || rec.src != st.tuple() {
		s.p.state.put(key, &record{src: st.tuple(), dst: t.tuple()}, soft)
	}
}
