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
	left map[string]bool // keys of names that a rename would take away
}

// Diff tells what Sync with the same arguments would do, in the order of the walk, deletions last, and writes nothing. each
// is called for every change and may be nil; its error ends Diff and is returned. The report is the one that Sync would
// give, as far as that can be known without doing it.
func Diff(ctx context.Context, src, dst string, opt *Options, each func(Change) error) (*Report, error) {
	start := time.Now()
	p, err := newPass(src, dst, opt, true)
	if err == nil {
		d := &differ{p: p, each: each, left: map[string]bool{}}
		p.do = d
		if err = p.run(ctx); err == nil {
			err = d.vanished(ctx)
		}
	}
	return p.finish(start), errors.Join(err, p.close())
}

// say counts one change and passes it on.
func (d *differ) say(c Change, count func(*Report)) error {
	d.p.count(c.Op, c.Path, count)
	if d.each == nil {
		return nil
	}
	return d.each(c)
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
	rec := d.p.state.get(dirName(c))
	if t == nil {
		c.fresh = true
		return d.sayDir(Change{Op: OpCreate, Path: c.path})
	}
	if !t.dir() {
		if rec != nil && !d.p.state.mine(dirName(c), rec, t) {
			d.p.fail(c.path, "make directory", errDrift)
			return false, nil
		}
		c.fresh = true
		return d.sayDir(Change{Op: OpUpdate, Path: c.path})
	}
	if rec != nil {
		c.up.hits++
		c.kept = d.p.state.mine(dirName(c), rec, t)
	}
	if same, err := d.p.sameDirAttrs(c); err == nil && same && d.p.metaEqual(&w, t) {
		return true, nil
	}
	return d.sayDir(Change{Op: OpMetadata, Path: c.path})
}

func (d *differ) quick(*item) bool { return false }
func (d *differ) wait()            {}
func (d *differ) done(*dir)        {}

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
	d.p.want(&it.st) // notes owners that would be lost
	if v.t != nil && v.t.dir() {
		err := d.clearDir(it, v.t)
		if stop := (stopped{}); errors.As(err, &stop) {
			return stop.error
		}
		if err != nil {
			d.p.fail(it.path(), "replace directory", err)
			return nil
		}
	}
	d.p.links.settle(&it.st, it.path())
	c := Change{Op: v.op, Path: it.path(), From: v.from}
	switch v.op {
	case OpUnchanged:
		if !it.again {
			d.p.count(v.op, it.path(), func(r *Report) { r.Unchanged++ })
		}
		return nil
	case OpMetadata:
		return d.say(c, func(r *Report) { r.Metadata++ })
	case OpRename:
		d.left[v.fromKey] = true
		return d.say(c, func(r *Report) { r.Renamed++ })
	case OpLink:
		return d.say(c, func(r *Report) { r.Linked++ })
	}
	if c.Bytes, err = dataBytes(it); err != nil {
		d.p.fail(it.path(), "copy", err)
		return nil
	}
	return d.say(c, func(r *Report) { r.CopiedFiles++; r.CopiedBytes += c.Bytes })
}

// dataBytes is how much of a file is not holes.
func dataBytes(it *item) (n int64, err error) {
	if !it.st.regular() {
		return 0, nil
	}
	if it.st.blocks*512 >= it.st.size {
		return it.st.size, nil
	}
	fd, err := openSame(it.d.src, it.name, &it.st, openFile)
	if err != nil {
		return 0, err
	}
	defer closeFd(fd)
	err = eachData(fd, it.st.size, func(from, end int64) error {
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
	for _, c := range d.p.change {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.left[c.key] {
			continue
		}
		if _, err := d.p.statBelow(d.p.src, c.from); !isAbsent(err) {
			continue
		}
		dir, name, err := openBelow(d.p.dst, c.path)
		if err == nil {
			_, err = d.remove(dir, name, c.path, c.key)
			closeFd(dir)
		}
		var stop stopped
		switch {
		case errors.As(err, &stop):
			return stop.error
		case err != nil && !isAbsent(err):
			d.p.fail(c.path, "delete", err)
		}
	}
	return nil
}

// stopped is an error of the function given to Diff, as opposed to one of a name.
type stopped struct{ error }

// remove tells whether Sync would take a name away; an error says why it would not.
func (d *differ) remove(dir int, name, path, key string) (gone bool, err error) {
	t, err := statAt(dir, name)
	if err != nil {
		return errors.Is(err, unix.ENOENT), ignoreAbsent(err)
	}
	rec := d.p.state.get(key)
	switch {
	case rec == nil:
		return false, errDrift
	case t.dir() && (rec.dst.ino == t.ino || d.p.state.mine(key, rec, &t)):
		if err := d.removeDir(dir, name, path, &t); err != nil {
			return false, err
		}
	case !d.p.state.mine(key, rec, &t):
		return false, errDrift
	}
	if err := d.say(Change{Op: OpDelete, Path: path}, func(r *Report) { r.Deleted++ }); err != nil {
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
func (d *differ) removeDir(dir int, name, path string, t *stat) error {
	fd, err := openSame(dir, name, t, openDir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	gone := map[string]bool{}
	for {
		ents, err := readDents(fd, d.p.dents)
		if err != nil {
			return err
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			gone[e.name] = false
		}
	}
	k := keyOf(path)
	d.p.state.children(k, func(child string) {
		key := k.name(child)
		if _, here := gone[child]; err != nil || !here || d.p.state.get(key) == nil {
			return
		}
		if d.left[key] {
			gone[child] = true
			return
		}
		ok, e := d.remove(fd, child, joinPath(path, child), key)
		if gone[child] = ok; e == nil {
			return
		}
		if stop := (stopped{}); errors.As(e, &stop) {
			err = stop
			return
		}
		d.p.fail(joinPath(path, child), "delete", e)
	})
	for _, ok := range gone {
		if err == nil && !ok {
			err = errLeftovers
		}
	}
	return err
}

// clearDir goes through what syncer.clearDir would take away; what it names is replaced.
func (d *differ) clearDir(it *item, t *stat) error {
	if fd, err := openSame(it.d.dst, it.to, t, openDir); err == nil {
		ents, err := readDents(fd, d.p.dents)
		closeFd(fd)
		if err == nil && len(ents) == 0 {
			return nil
		}
	}
	if !d.p.opt.Delete || !d.p.state.known {
		return errKeepDir
	}
	_, err := d.remove(it.d.dst, it.to, it.path(), it.d.key.name(it.to))
	return err
}
