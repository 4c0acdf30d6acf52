package tree

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// differ tells what Sync would do.
type differ struct {
	p    *pass
	each func(Change) error
	ask  *asker
}

// Diff tells what Sync with the same arguments would do, in the order of the walk, deletions last, and writes nothing. each
// is called for every change and may be nil; its error ends Diff and is returned. The report is the one that Sync would
// give, as far as that can be known without doing it.
func Diff(ctx context.Context, src Source, dst string, opt *Options, each func(Change) error) (*Report, error) {
	start := time.Now()
	p, err := newPass(ctx, src, dst, opt, true)
	if err == nil {
		d := &differ{p: p, each: each}
		p.do, d.ask = d, p.asks()
		if err = p.run(ctx); err == nil && d.ask != nil {
			err = d.ask.answer(ctx)
		}
		if err == nil {
			err = d.vanished(ctx)
		}
	}
	return p.finish(start), errors.Join(err, p.close())
}

// say counts one change and passes it on.
func (d *differ) say(c Change, count func(*Report)) error {
	return d.inTurn(func() error {
		d.p.count(c.Op, c.Path, count)
		if d.each == nil {
			return nil
		}
		return d.each(c)
	})
}

// inTurn calls f when all before it is told.
func (d *differ) inTurn(f func() error) error {
	if d.ask == nil {
		return f()
	}
	return d.ask.next(f)
}

// sayDir passes on a change of a directory, which the report does not count.
func (d *differ) sayDir(c Change) (bool, error) {
	return true, d.say(c, func(*Report) {})
}

func (d *differ) dir(_ context.Context, c *dir, to string) (bool, error) {
	w := d.p.want(&c.st)
	t, err := d.p.openTarget(c, to)
	if err != nil {
		d.p.fail(c.path, "open", err)
		return false, nil
	}
	if c.pair.second {
		c.fresh = t == nil || !t.dir()
		return true, nil
	}
	rec := c.rec
	if t == nil {
		c.fresh = true
		return d.sayDir(Change{Op: OpCreate, Path: c.path})
	}
	if !t.dir() {
		if rec != nil && !d.p.state.mine(dirName(c), &rec.dst, t) {
			d.p.fail(c.path, "make directory", errDrift)
			return false, nil
		}
		c.fresh = true
		return d.sayDir(Change{Op: OpUpdate, Path: c.path})
	}
	if rec != nil {
		c.kept = d.p.state.mine(dirName(c), &rec.dst, t)
	}
	if same, err := d.p.sameDirAttrs(c); err == nil && same && d.p.metaEqual(&w, t) {
		return true, nil
	}
	return d.sayDir(Change{Op: OpMetadata, Path: c.path})
}

func (d *differ) wait() {}

// done keeps what was found out of a directory that is walked again.
func (d *differ) done(c *dir) {
	if c.next != nil && c.pair.later[c.path] && !c.pair.second {
		c.close(d.p.state)
	}
}

func (d *differ) object(ctx context.Context, it *item) error {
	v, err := d.p.judge(ctx, it)
	if errors.Is(err, unix.ENOENT) {
		it.d.vanished = true
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.p.fail(it.path(), "compare", err)
		return nil
	}
	if v.op == opLater {
		return nil
	}
	it.d.book.put(&entry{name: it.to, src: it.st.tuple()}, true)
	d.p.want(&it.st) // notes owners that would be lost
	if v.t != nil && v.t.dir() {
		err := d.clearDir(it, &v)
		if stop := (stopped{}); errors.As(err, &stop) {
			return stop.error
		}
		if err != nil {
			d.p.fail(it.path(), "replace directory", err)
			return nil
		}
	}
	d.p.links.settle(&it.st, it.path())
	if v.check {
		return d.ask.ask(ctx, it, v.t, func(same bool) error {
			switch {
			case !same && v.otherwise != nil:
				d.p.fail(it.path(), "compare", v.otherwise)
				return nil
			case !same:
				v.op = OpUpdate
			default:
				v.hashed = true
			}
			return d.tell(it, &v)
		})
	}
	return d.tell(it, &v)
}

// tell says what is to be done with an object.
func (d *differ) tell(it *item, v *verdict) (err error) {
	c := Change{Op: v.op, Path: it.path(), From: v.from}
	switch v.op {
	case OpUnchanged:
		if it.again {
			return nil
		}
		return d.inTurn(func() error {
			d.p.count(v.op, it.path(), v.unchanged())
			return nil
		})
	case OpRename:
		v.gone.taken = true
		if v.fromDir != nil {
			v.fromDir.book.drop(v.gone.name)
		}
	case OpCreate, OpUpdate:
		if c.Bytes, err = dataBytes(it); err != nil {
			d.p.fail(it.path(), "copy", err)
			return nil
		}
	}
	return d.say(c, tally(v.op, c.Bytes))
}

// dataBytes is how much of a file is not holes.
func dataBytes(it *item) (n int64, err error) {
	if !it.st.regular() {
		return 0, nil
	}
	if it.st.blocks*512 >= it.st.size {
		return it.st.size, nil
	}
	in, err := openSourceFile(it.d.src, it.name, &it.st)
	if err != nil {
		return 0, err
	}
	defer in.close()
	fd, ok := in.(localFile)
	if !ok {
		return it.st.blocks * 512, nil
	}
	err = eachData(int(fd), it.st.size, func(from, end int64) error {
		n += end - from
		return nil
	})
	return n, err
}

// vanished goes through the deletions as syncer.deleteVanished does.
func (d *differ) vanished(ctx context.Context) error {
	if !d.p.opt.Delete {
		return nil
	}
	if err := d.p.confirmGone(ctx); err != nil {
		return err
	}
	for _, g := range d.p.gone.list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if g.taken {
			continue
		}
		if _, err := lookBelow(d.p.src, g.from); g.back || !isAbsent(err) {
			continue
		}
		dir, name, err := openBelow(d.p.dst, g.path())
		if err == nil {
			_, err = d.remove(dir, name, g.dir, g.entry)
			closeFd(dir)
		}
		var stop stopped
		switch {
		case errors.As(err, &stop):
			return stop.error
		case err != nil && !isAbsent(err):
			d.p.fail(g.path(), "delete", err)
		}
	}
	return nil
}

// stopped is an error of the function given to Diff, as opposed to one of a name.
type stopped struct{ error }

// remove tells whether Sync would take a name away; an error says why it would not.
func (d *differ) remove(dir int, name, above string, e *entry) (gone bool, err error) {
	t, err := statAt(dir, name)
	if err != nil {
		return errors.Is(err, unix.ENOENT), ignoreAbsent(err)
	}
	path := joinPath(above, name)
	key := keyOf(above).name(name)
	switch {
	case t.dir() && e.isDir():
		rec := d.p.state.dirAt(path, &t)
		if rec == nil {
			return false, errDrift
		}
		if err := d.removeDir(dir, name, path, rec, &t); err != nil {
			return false, err
		}
	case t.dir() || !d.p.state.mine(key, &e.dst, &t):
		return false, errDrift
	}
	if err := d.say(Change{Op: OpDelete, Path: path}, tally(OpDelete, 0)); err != nil {
		return false, stopped{err}
	}
	return true, nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// removeDir goes through what earlier passes wrote below a directory; an error says that something would be left there.
func (d *differ) removeDir(dir int, name, path string, rec *dirRecord, t *stat) error {
	fd, err := openSame(dir, name, t, openDir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	here := map[string]bool{}
	for {
		ents, err := readDents(fd, d.p.dents)
		if err != nil {
			return err
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			here[e.name] = true
		}
	}
	for seg := range rec.segments {
		b, err := d.p.state.openBook(keyOf(path), rec, seg, rec.segments)
		if err != nil {
			return err
		}
		for _, child := range b.sorted() {
			e := b.get(child)
			if !here[child] {
				continue
			}
			if g := d.p.gone.at[inode{e.src.dev, e.src.ino}]; g != nil && g.taken && g.dir == path && g.name == child {
				delete(here, child)
				continue
			}
			ok, err := d.remove(fd, child, path, e)
			if stop := (stopped{}); errors.As(err, &stop) {
				return stop
			}
			if err != nil {
				d.p.fail(joinPath(path, child), "delete", err)
			}
			if ok {
				delete(here, child)
			}
		}
	}
	if len(here) > 0 {
		return errLeftovers
	}
	return nil
}

// clearDir goes through what syncer.clearDir would take away; what it names is replaced.
func (d *differ) clearDir(it *item, v *verdict) error {
	if fd, err := openSame(it.d.dst, it.to, v.t, openDir); err == nil {
		ents, err := readDents(fd, d.p.dents)
		closeFd(fd)
		if err == nil && len(ents) == 0 {
			return nil
		}
	}
	if !d.p.opt.Delete || !d.p.state.known {
		return errKeepDir
	}
	if v.old == nil {
		return errDrift
	}
	_, err := d.remove(it.d.dst, it.to, it.d.path, v.old)
	return err
}
