package tree

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// copyTries is how often a file that changes while it is read is copied before it is published as it is.
const copyTries = 3

var errUnsteady = fmt.Errorf("changed while it was copied, %d times; published as last read", copyTries)

// copyFile copies one regular file in a worker.
func (s *syncer) copyFile(ctx context.Context, worker int, it *item, v *verdict, buf []byte) {
	if ctx.Err() != nil || it.d.pair.stopped.Load() {
		it.d.book.fail()
		return
	}
	if s.p.hooks.opening != nil {
		s.p.hooks.opening(it.d, it.name)
	}
	in, st, err := s.openSource(it)
	if err != nil {
		s.failed(it, "open", err)
		return
	}
	defer in.close()
	if !it.looked {
		it.st, it.looked = st, true
		if !st.sameMount(&it.d.st) {
			s.p.failIn(it.d, it.path(), "copy", errors.New("is a mount point; not crossed"))
			return
		}
		if !s.p.admit(it) {
			it.d.book.fail()
			return
		}
	}
	if st.nlink > 1 {
		if it.d.delay(it) {
			return
		}
		first, pl := s.p.links.claim(&st)
		if !first {
			<-pl.done
			v.from = s.p.links.find(inodeOf(&st))
			if v.from != "" && s.link(it, v, worker) {
				return
			}
		} else {
			defer func() { pl.finish() }()
		}
	}
	if err := s.copyOpen(ctx, worker, in, &st, it, v, buf); err != nil {
		s.failed(it, "copy", err)
	}
}

// delay puts off a further name of a file in a directory that has no place yet, by which another name could be linked to.
func (d *dir) delay(it *item) bool {
	h := d.hidden
	if h == nil || h.shown.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	again := *it
	h.later = append(h.later, &again)
	return true
}

func (s *syncer) openSource(it *item) (in file, st stat, err error) {
	if in, err = it.d.src.open(it.name); err != nil {
		return nil, st, swapped(err)
	}
	if st, err = in.stat(); err == nil && (!st.regular() || it.looked && !st.same(&it.st)) {
		err = errSwapped
	}
	if err != nil {
		in.close()
	}
	return in, st, err
}

// spot is where a copy is made: in staging, or under its final name in a directory that has no place yet.
type spot struct {
	dir    int
	name   string
	hidden bool
}

func (s *syncer) spotFor(it *item, worker int) (spot, error) {
	if h := it.d.hidden; h != nil && !h.shown.Load() {
		return spot{it.d.dst, it.to, true}, nil
	}
	stage, err := s.stageFor(it.d.pair)
	if err != nil {
		return spot{}, err
	}
	dir, tmp := stage.next(worker)
	return spot{dir, tmp, false}, nil
}

// copyOpen copies from an open file until it stood still meanwhile, and publishes the copy. st is the source as opened.
func (s *syncer) copyOpen(ctx context.Context, worker int, in file, st *stat, it *item, v *verdict, buf []byte) error {
	at, err := s.spotFor(it, worker)
	if err != nil {
		return err
	}
	steady, try, far := false, 1, false
	if f, ok := in.(*streamFile); ok {
		try, far = f.q.tries+1, true // it cannot be read twice
	}
	for first := try; !steady; try++ {
		if try > first {
			now, err := in.stat()
			if err != nil {
				return err
			}
			st = &now
		}
		steady, err = s.copyOnce(ctx, in, st, at, it, v, buf, try == copyTries)
		if err != nil {
			_ = unix.Unlinkat(at.dir, at.name, 0)
			return err
		}
		if !steady && try == copyTries {
			return errUnsteady
		}
		if !steady && far {
			_ = unix.Unlinkat(at.dir, at.name, 0)
			return errAgain
		}
	}
	return nil
}

// copyOnce makes one copy; it is published when the source stood still, or when this is the last try.
func (s *syncer) copyOnce(ctx context.Context, in file, st *stat, at spot, it *item, v *verdict, buf []byte, last bool) (steady bool, err error) {
	out, err := unix.Openat(at.dir, at.name, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return false, err
	}
	defer closeFd(out)
	n, err := s.fill(ctx, out, in, st, it, v, buf)
	if errors.Is(err, errShort) && !last {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	attrs, err := in.attrs()
	if err != nil {
		return false, err
	}
	now, err := in.stat()
	if err != nil {
		return false, err
	}
	steady = now.still(st)
	if !steady && !last {
		return false, nil
	}
	w := s.p.want(st)
	if err := s.p.apply(target{fd: out}, &w, s.p.mapAttrs(attrs), nil); err != nil {
		if fatalMeta(err) {
			return false, err
		}
		s.p.failIn(it.d, it.path(), "set metadata", err)
	}
	c := made{src: *st, dst: stat{mode: unix.S_IFREG, size: st.size, mtime: w.mtime}, bytes: n}
	_, c.flags = flagsIn(attrs)
	if h := holdOf(it, in); h != nil {
		if at.hidden && c.flags == 0 && st.nlink == 1 { // it has its name, which nobody else sees: there is nothing to be done to it any more
			if c.dst, err = statFd(out); err != nil {
				return false, err
			}
			c.final = true
		}
		kept, own := c, *v
		h.add(it, func(publish bool) { s.follow(publish, at, it, &own, &kept) })
		return steady, nil
	}
	if !at.hidden {
		if err := s.publish(it, v, at.dir, at.name, &c.dst); err != nil {
			return false, err
		}
	}
	return steady, s.published(it, v, &c, out)
}

// holdOf tells who publishes a copy later; nil: nobody, it is published at once.
func holdOf(it *item, in file) *hold {
	if f, ok := in.(*streamFile); ok && !f.helper && it.d.hold == nil {
		return &f.f.held
	}
	return it.d.hold
}

// made is a copy that is ready for its name.
type made struct {
	src, dst stat
	final    bool // dst is how it stays
	flags    uint32
	bytes    int64 // taken from the source
}

// follow publishes a copy that was held back, or throws it away.
func (s *syncer) follow(publish bool, at spot, it *item, v *verdict, c *made) {
	if publish && c.final {
		if err := s.published(it, v, c, -1); err != nil {
			s.failed(it, "copy", err)
		}
		return
	}
	if publish {
		out, err := openFile(at.dir, at.name)
		if err == nil {
			defer closeFd(out)
			if !at.hidden {
				err = s.publish(it, v, at.dir, at.name, &c.dst)
			}
		}
		if err == nil {
			err = s.published(it, v, c, out)
		}
		if err == nil {
			return
		}
		s.failed(it, "copy", err)
	}
	_ = unix.Unlinkat(at.dir, at.name, 0)
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
	old := v.t.tuple()
	if t, err := statAt(d.dst, it.to); err != nil || !old.untouched(&t) {
		return errors.Join(err, errDrift)
	}
	if err := s.clearFlags(d.dst, it.to, v.t); err != nil {
		return err
	}
	return unix.Renameat(dir, tmp, d.dst, it.to)
}

// published counts and records a copy that has its place; out is open for reading, or -1 when nothing is to be found out.
func (s *syncer) published(it *item, v *verdict, c *made, out int) error {
	if c.flags != 0 {
		if err := s.p.applyFlags(out, c.flags); err != nil {
			s.p.failIn(it.d, it.path(), "set metadata", err)
		}
	}
	s.p.links.settle(&c.src, it.path())
	s.p.count(v.op, it.path(), tally(v.op, c.bytes))
	s.copied(c.bytes)
	if !s.p.state.saved() {
		return nil
	}
	if !c.final {
		var err error
		if c.dst, err = statFd(out); err != nil {
			return err
		}
	}
	s.record(it, v, &c.src, &c.dst, false)
	return nil
}

// special makes a symbolic link, a FIFO or a device node.
func (s *syncer) special(it *item, v *verdict) error {
	stage, err := s.stageFor(it.d.pair)
	if err != nil {
		return err
	}
	text, attrs, err := it.d.src.special(it.name, &it.st)
	if err != nil {
		return err
	}
	dir, tmp := stage.next(0)
	if it.st.typ() == unix.S_IFLNK {
		err = unix.Symlinkat(text, dir, tmp)
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
	s.p.count(v.op, it.path(), tally(v.op, 0))
	if s.p.state.saved() {
		t, err := statAt(it.d.dst, it.to)
		if err != nil {
			return err
		}
		s.record(it, v, &it.st, &t, false)
	}
	return nil
}
