package tree

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// copyTries is how often a file that changes while it is read is copied before it is published as it is.
const copyTries = 3

var errUnsteady = fmt.Errorf("changed while it was copied, %d times; published as last read", copyTries)

// copyFile copies one regular file in a worker.
func (s *syncer) copyFile(ctx context.Context, worker int, j *job, buf []byte) {
	it := j.it
	if s.p.hooks.opening != nil {
		s.p.hooks.opening(it.d, it.name)
	}
	fd, st, err := s.openSource(it)
	if err != nil {
		s.failed(it, "open", err)
		return
	}
	defer closeFd(fd)
	if !it.looked {
		it.st, it.looked = st, true
		if !st.sameMount(&it.d.st) {
			s.p.fail(it.path(), "copy", errors.New("is a mount point; not crossed"))
			return
		}
		if !s.p.admit(it) {
			return
		}
	}
	if st.nlink > 1 {
		first, pl := s.p.links.claim(&st)
		if !first {
			<-pl.done
			j.v.from = s.p.links.find(inodeOf(&st))
			if j.v.from != "" && s.link(it, &j.v, worker) {
				return
			}
		} else {
			defer func() { pl.finish() }()
		}
	}
	j.st = &st
	if err := s.copyOpen(ctx, worker, fd, j, buf); err != nil {
		s.failed(it, "copy", err)
	}
}

func (s *syncer) openSource(it *item) (fd int, st stat, err error) {
	if fd, err = openFile(it.d.src, it.name); err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
			err = errSwapped
		}
		return -1, st, err
	}
	if st, err = statFd(fd); err == nil && (!st.regular() || it.looked && !st.same(&it.st)) {
		err = errSwapped
	}
	if err != nil {
		closeFd(fd)
	}
	return fd, st, err
}

// copyOpen copies from an open file until it stood still meanwhile, and publishes the copy.
func (s *syncer) copyOpen(ctx context.Context, worker, in int, j *job, buf []byte) error {
	stage, err := s.stageFor(j.it.d.pair)
	if err != nil {
		return err
	}
	dir, tmp := stage.next(worker)
	steady := false
	for try := 1; !steady; try++ {
		steady, err = s.copyOnce(ctx, in, dir, tmp, j, buf, try == copyTries)
		if err != nil {
			_ = unix.Unlinkat(dir, tmp, 0)
			return err
		}
		if !steady && try == copyTries {
			return errUnsteady
		}
	}
	return nil
}

// look gives the state of the open source before it is read: the one just seen, at the first try.
func (j *job) look(in int) (stat, error) {
	if st := j.st; st != nil {
		j.st = nil
		return *st, nil
	}
	return statFd(in)
}

// copyOnce makes one copy; it is published when the source stood still, or when this is the last try.
func (s *syncer) copyOnce(ctx context.Context, in, dir int, tmp string, j *job, buf []byte, last bool) (steady bool, err error) {
	st, err := j.look(in)
	if err != nil {
		return false, err
	}
	out, err := unix.Openat(dir, tmp, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return false, err
	}
	defer closeFd(out)
	n, err := copyData(ctx, out, in, &st, buf)
	if errors.Is(err, errShort) && !last {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	attrs, err := attrsOf(in, false)
	if err != nil {
		return false, err
	}
	now, err := statFd(in)
	if err != nil {
		return false, err
	}
	steady = now.still(&st)
	if !steady && !last {
		return false, nil
	}
	w := s.p.want(&st)
	if err := s.p.apply(target{fd: out}, &w, s.p.mapAttrs(attrs), nil); err != nil {
		if fatalMeta(err) {
			return false, err
		}
		s.p.fail(j.it.path(), "set metadata", err)
	}
	if err := s.publish(j.it, &j.v, dir, tmp, &stat{mode: unix.S_IFREG, size: st.size, mtime: w.mtime}); err != nil {
		return false, err
	}
	return steady, s.published(j, &st, out, n)
}

// fatalMeta tells a failure that must keep a file from being published from one of a single attribute that the target
// cannot hold.
func fatalMeta(err error) bool { return isFull(err) || errors.Is(err, unix.EIO) }

// publish gives the staged object its name; st describes it, nil: look.
func (s *syncer) publish(it *item, v *verdict, dir int, tmp string, st *stat) error {
	d := it.d
	if err := s.touch(d); err != nil {
		return err
	}
	if s.p.state.saved() {
		if st == nil {
			now, err := statAt(dir, tmp)
			if err != nil {
				return err
			}
			st = &now
		}
		if err := s.p.state.journal.intend(v.key, st); err != nil {
			return err
		}
	}
	if v.t == nil {
		return renameNew(dir, tmp, d.dst, it.to)
	}
	old := record{dst: v.t.tuple()}
	if t, err := statAt(d.dst, it.to); err != nil || !old.untouched(&t) {
		return errors.Join(err, errDrift)
	}
	return unix.Renameat(dir, tmp, d.dst, it.to)
}

func (s *syncer) published(j *job, st *stat, out int, n int64) error {
	it := j.it
	s.p.links.settle(st, it.path())
	s.p.count(j.v.op, it.path(), func(r *Report) { r.CopiedFiles++; r.CopiedBytes += n })
	if !s.p.state.saved() {
		return nil
	}
	t, err := statFd(out)
	if err == nil {
		s.record(&j.v, st, &t, false)
	}
	return err
}

// special makes a symbolic link, a FIFO or a device node.
func (s *syncer) special(it *item, v *verdict) error {
	stage, err := s.stageFor(it.d.pair)
	if err != nil {
		return err
	}
	in, err := openSame(it.d.src, it.name, &it.st, openPath)
	if err != nil {
		return err
	}
	defer closeFd(in)
	attrs, err := s.specialAttrs(it, in)
	if err != nil {
		return err
	}
	dir, tmp := stage.next(0)
	if it.st.typ() == unix.S_IFLNK {
		var text string
		if text, err = readLink(it.d.src, it.name, &it.st); err == nil {
			err = unix.Symlinkat(text, dir, tmp)
		}
	} else {
		err = unix.Mknodat(dir, tmp, it.st.typ()|0o600, int(it.st.rdev))
	}
	if err != nil {
		return err
	}
	w := s.p.want(&it.st)
	if err = s.p.apply(target{fd: dir, name: tmp}, &w, s.p.mapAttrs(attrs), nil); err == nil {
		err = s.publish(it, v, dir, tmp, nil)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, tmp, 0)
		return err
	}
	s.p.count(v.op, it.path(), func(r *Report) { r.CopiedFiles++ })
	if s.p.state.saved() {
		t, err := statAt(it.d.dst, it.to)
		if err != nil {
			return err
		}
		s.record(v, &it.st, &t, false)
	}
	return nil
}

// specialAttrs: the magic link of a symbolic link's descriptor would be followed to where that points, so links go
// without attributes; they can bear labels of the host only, which are not carried anyway.
func (s *syncer) specialAttrs(it *item, in int) ([]attr, error) {
	if it.st.typ() == unix.S_IFLNK {
		return nil, nil
	}
	return attrsOf(in, true)
}

// rename gives a message its new name at the target. The directory that it leaves keeps its time, unless it is still to
// be finished.
func (s *syncer) rename(it *item, v *verdict) {
	if err := s.renameFrom(it, v); err != nil {
		s.failed(it, "rename", err)
		return
	}
	s.p.count(OpRename, it.path(), func(r *Report) { r.Renamed++ })
}

func (s *syncer) renameFrom(it *item, v *verdict) error {
	dir, name, err := openBelow(s.p.dst, v.from)
	if err != nil {
		return err
	}
	defer closeFd(dir)
	before, err := statFd(dir)
	if err != nil {
		return err
	}
	t, err := statAt(dir, name)
	if err != nil {
		return err
	}
	if !s.p.state.mine(v.fromKey, v.rec, &t) {
		return errDrift
	}
	if err := s.touch(it.d); err != nil {
		return err
	}
	for key, st := range map[string]*stat{v.key: &t, v.fromKey: nil} {
		if err := s.p.state.journal.intend(key, st); err != nil {
			return err
		}
	}
	if k, _ := splitKey(v.fromKey); k != it.d.key {
		if err := s.intendDir(k, &before); err != nil {
			return err
		}
	}
	if err := renameNew(dir, name, it.d.dst, it.to); err != nil {
		return err
	}
	if err := s.keepTime(it.d, dir, &before); err != nil {
		return err
	}
	now, err := statAt(it.d.dst, it.to)
	if err == nil {
		s.record(v, &it.st, &now, false)
	}
	return err
}

// keepTime undoes what taking a name away did to the time of a directory that is not the one being worked on.
func (s *syncer) keepTime(d *dir, other int, before *stat) error {
	if now, err := statFd(d.dst); err == nil && now.same(before) {
		return nil
	}
	return target{fd: other}.setTimes(before.mtime, before.atime)
}

// link makes a further name of a file that is at the target; false: it has to be copied after all.
func (s *syncer) link(it *item, v *verdict, worker int) bool {
	from, name, err := openBelow(s.p.dst, v.from)
	if err != nil {
		return false
	}
	defer closeFd(from)
	old, err := statAt(from, name)
	if err != nil || !old.regular() || old.size != it.st.size || old.mtime != it.st.mtime {
		return false
	}
	stage, err := s.stageFor(it.d.pair)
	if err != nil {
		return false
	}
	dir, tmp := stage.next(worker)
	if err := unix.Linkat(from, name, dir, tmp, 0); err != nil {
		return false // another mount, or too many links
	}
	got, err := statAt(dir, tmp)
	if err == nil && !got.same(&old) {
		err = errSwapped
	}
	if err == nil {
		err = s.publish(it, v, dir, tmp, nil)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, tmp, 0)
		s.failed(it, "link", err)
		return true
	}
	s.p.count(OpLink, it.path(), func(r *Report) { r.Linked++ })
	if t, err := statAt(it.d.dst, it.to); err == nil {
		s.record(v, &it.st, &t, false)
	}
	return true
}

// inode names a file of the source.
type inode struct{ dev, ino uint64 }

func inodeOf(st *stat) inode { return inode{st.dev, st.ino} }

// links remembers where files with several names are at the target.
type links struct {
	mu sync.Mutex
	at map[inode]*place
}

type place struct {
	path string // below the target root, "" while nothing is there
	done chan struct{}
	once sync.Once
}

func (pl *place) finish() { pl.once.Do(func() { close(pl.done) }) }

// claim gives the place of a file; first: the caller has to fill it.
func (l *links) claim(st *stat) (first bool, pl *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pl, ok := l.at[inodeOf(st)]; ok {
		return false, pl
	}
	pl = &place{done: make(chan struct{})}
	l.at[inodeOf(st)] = pl
	return true, pl
}

// settle says where a file is; the first place counts.
func (l *links) settle(st *stat, path string) {
	if st.nlink < 2 || !st.regular() {
		return
	}
	_, pl := l.claim(st)
	l.mu.Lock()
	if pl.path == "" {
		pl.path = path
	}
	l.mu.Unlock()
	pl.finish()
}

// find gives the place of a file, "" when it is not there or not there yet.
func (l *links) find(i inode) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pl, ok := l.at[i]; ok {
		return pl.path
	}
	return ""
}
