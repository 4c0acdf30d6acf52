package tree

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// rename gives a message its new name at the target. The directory that it leaves keeps its time, unless it is still to
// be finished.
func (s *syncer) rename(ctx context.Context, it *item, v *verdict) error {
	err := s.renameFrom(it, v)
	switch {
	case errors.Is(err, unix.EEXIST) && v.blind:
		it.careful = true
		return s.object(ctx, it)
	case err != nil:
		s.failed(it, "rename", err)
	default:
		s.p.count(OpRename, it.path(), tally(OpRename, 0))
	}
	return nil
}

func (s *syncer) renameFrom(it *item, v *verdict) error {
	if v.fromDir != nil {
		return s.renameIn(it, v, it.d.dst)
	}
	dir, _, err := openBelow(s.p.dst, v.from)
	if err != nil {
		return err
	}
	defer closeFd(dir)
	before, err := statFd(dir)
	if err != nil {
		return err
	}
	if err := s.intendDir(v.gone.dir, &before); err != nil {
		return err
	}
	if err := s.renameIn(it, v, dir); err != nil {
		return err
	}
	return s.keepTime(it.d, dir, &before)
}

func (s *syncer) renameIn(it *item, v *verdict, dir int) error {
	g, t := v.gone, *v.moved
	if s.courier != nil { // it was long ago
		var err error
		if t, err = statAt(dir, g.name); err != nil {
			return err
		}
	}
	from := keyOf(g.dir).name(g.name)
	if !s.p.state.mine(from, &g.dst, &t) {
		return errDrift
	}
	if err := s.touch(it.d); err != nil {
		return err
	}
	if err := s.p.state.journal.intendRename(from, v.key, &t); err != nil {
		return err
	}
	if err := renameNew(dir, g.name, it.d.dst, it.to); err != nil {
		return err
	}
	now, err := statAt(it.d.dst, it.to)
	if err == nil {
		s.record(it, v, &it.st, &now, false)
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
	s.linked(v.from, &old)
	s.p.count(OpLink, it.path(), tally(OpLink, 0))
	if t, err := statAt(it.d.dst, it.to); err == nil {
		s.record(it, v, &it.st, &t, false)
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

// pending tells whether a file is about to get its place.
func (l *links) pending(st *stat) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pl, ok := l.at[inodeOf(st)]
	return ok && pl.path == ""
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
