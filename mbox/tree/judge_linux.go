package tree

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// errDrift says that the target is not what an earlier pass left there.
var errDrift = errors.New("changed at the target since it was copied; left alone")

// errForeign says that the state proves nothing about an object at the target that differs.
var errForeign = errors.New("differs at the target, and no earlier pass is known to have put it there; left alone")

// verdict is what has to happen with one object.
type verdict struct {
	op      Op
	key     string
	t       *stat  // the target now, nil: nothing there
	old     *entry // of an earlier pass
	from    string // rename, link: the present name below the target root
	fromDir *dir   // rename within a directory that is open
	moved   *stat  // what is to be renamed, as it is at the target
	blind   bool   // rename: nobody looked whether the new name is free; nothing known of says otherwise
	gone    *vanished
	refresh bool // unchanged, and now known to stand still
	asSaved bool // unchanged and as recorded; the target was not looked at
	box     bool // is an mbox, and locked
	hashed  bool // the content of both sides was compared

	// With another host as the source. op is what is to be done if the content is the same.
	check     bool  // the content must be compared, by its sum
	attrs     bool  // attributes may have changed; they come with the content only
	otherwise error // what it means that the content differs; nil: it is to be copied
}

// unchanged counts an object that needed nothing.
func (v *verdict) unchanged() func(*Report) {
	return func(r *Report) {
		r.Unchanged++
		if v.hashed {
			r.Guarantees.HashEqual++
		} else {
			r.Guarantees.StatEqual++
		}
	}
}

// opLater leaves an object to the second walk.
const opLater Op = "later"

// judge compares source, target and record. Nothing is written.
func (p *pass) judge(ctx context.Context, it *item) (v verdict, err error) {
	d := it.d
	v = verdict{op: OpCreate, key: d.key.name(it.to), old: d.book.get(it.to)}
	if v.old != nil && p.asSaved(it, v.old) {
		v.op, v.asSaved = OpUnchanged, true
		return v, nil
	}
	if moved, ok := p.judgeFlagged(it, v); ok {
		return moved, nil
	}
	if d.dst >= 0 && !d.fresh {
		t, err := statAt(d.dst, it.to)
		switch {
		case err == nil:
			v.t = &t
			if !d.frame && !t.sameMount(&d.dstMnt) {
				return v, errors.New("is a mount point at the target; not crossed")
			}
		case !errors.Is(err, unix.ENOENT):
			return v, err
		}
	}
	if v.t != nil && it.st.nlink > 1 && !p.local() && p.links.pending(&it.st) {
		p.do.wait() // for the name that this one is to be linked to
	}
	if v.old != nil && !p.state.mine(v.key, p.recorded(it, v.old), v.t) {
		// A pass that died after its last save, or somebody who did the same there, leaves what we want anyway.
		if same, err := p.asWanted(ctx, it, &v, errDrift); err != nil || !same {
			return v, errors.Join(err, errDrift)
		}
		v.op, v.hashed = OpUnchanged, true
		return v, nil
	}
	if v.t == nil {
		return p.judgeNew(it, v)
	}
	if v.old == nil && p.state.saved() && !it.st.dir() {
		return p.judgeForeign(ctx, it, v)
	}
	if v.old != nil && !d.pair.full && v.old.src == it.st.tuple() && v.old.dst.ino == v.t.ino {
		return p.judgeKnown(ctx, it, v)
	}
	return p.judgeBoth(ctx, it, v)
}

// recorded gives what is known of a name's side at the target.
func (p *pass) recorded(it *item, e *entry) *tuple {
	if e.isDir() {
		if rec := p.state.dir(keyOf(it.path())); rec != nil {
			return &rec.dst
		}
	}
	return &e.dst
}

// judgeForeign: the state knows of no pass that put there what is at the target. What is the same is taken as ours;
// anything else is somebody's, or our own of a pass whose state was lost, and nobody can tell.
func (p *pass) judgeForeign(ctx context.Context, it *item, v verdict) (verdict, error) {
	same, err := p.asWanted(ctx, it, &v, errForeign)
	if err == nil && !same {
		err = errForeign
	}
	v.op, v.hashed = OpUnchanged, true
	return v, err
}

// asSaved tells of most objects of a later pass, at the price of one look at the source, that there is nothing to do: the
// source is as recorded, and so is the directory at the target. What mail programs rewrite in place there is always
// looked at, and so is all after a pass that died.
func (p *pass) asSaved(it *item, e *entry) bool {
	d := it.d
	if !d.kept || d.pair.full || it.again || d.hot && !d.messages || e.racy || it.st.nlink > 1 || p.state.journal.found() {
		return false
	}
	w := p.want(&it.st)
	return e.src == it.st.tuple() && p.metaEqual(&w, &stat{mode: e.dst.mode, uid: e.dst.uid, gid: e.dst.gid, mtime: e.dst.mtime})
}

// asWanted tells whether the target has what we want, whoever put it there; otherwise is what it means that it has not.
func (p *pass) asWanted(ctx context.Context, it *item, v *verdict, otherwise error) (bool, error) {
	if v.t == nil || v.t.typ() != it.st.typ() {
		return false, nil
	}
	w, err := p.judgeBoth(ctx, it, *v)
	if err != nil || w.op != OpUnchanged || !it.st.regular() {
		return err == nil && w.op == OpUnchanged, err
	}
	v.otherwise = otherwise
	return p.compare(ctx, it, v)
}

// judgeKnown: the source is as recorded, and so is the target.
func (p *pass) judgeKnown(ctx context.Context, it *item, v verdict) (verdict, error) {
	v.op = OpUnchanged
	w := p.want(&it.st)
	if !p.metaEqual(&w, v.t) { // the id maps are others than last time
		return p.judgeBoth(ctx, it, v)
	}
	if !v.old.racy || !it.st.regular() {
		return v, nil
	}
	v.hashed, v.refresh = true, !racy(&it.st, p.now())
	same, err := p.compare(ctx, it, &v)
	if err == nil && !same {
		v.op = OpUpdate
	}
	return v, err
}

// judgeBoth compares the two sides without the help of a record.
func (p *pass) judgeBoth(ctx context.Context, it *item, v verdict) (verdict, error) {
	st, t := &it.st, v.t
	v.op = OpUpdate
	if st.typ() != t.typ() {
		return v, nil
	}
	w := p.want(st)
	if !st.regular() {
		same, err := p.sameSpecial(it, t)
		if same && p.metaEqual(&w, t) {
			v.op = OpUnchanged
		}
		return v, err
	}
	if path := p.links.find(inodeOf(st)); st.nlink > 1 && path != "" {
		if l, err := p.statBelow(p.dst, path); err == nil && !l.same(t) {
			v.op, v.from = OpLink, path
			return v, nil
		}
	}
	// The record says that something happened to the file since, if only to its change time.
	touched := v.old != nil && (!it.d.pair.full || v.old.src.ino != st.ino || v.old.src.ctime != st.ctime)
	if st.size != t.size || !touched && st.mtime != t.mtime {
		return v, nil
	}
	// Size and time are equal. That proves nothing when the inode changed since, or for what Dovecot rewrites in place.
	if touched || it.d.hot && !it.d.messages {
		same, err := p.compare(ctx, it, &v)
		if err != nil || !same {
			return v, err
		}
	}
	v.op = OpMetadata
	if p.metaEqual(&w, t) && p.sameAttrs(it, t) {
		v.op = OpUnchanged
	}
	v.attrs = !p.tellsAttrs() && p.src.(*remote).carriesAttrs() && (touched || p.remapped || v.op == OpMetadata)
	return v, nil
}

// sameSpecial compares link texts, device numbers and attributes of what cannot be opened.
func (p *pass) sameSpecial(it *item, t *stat) (bool, error) {
	if r, ok := p.src.(*remote); it.st.device() && it.st.rdev != t.rdev && !(ok && r.plain) {
		return false, nil
	}
	text, x, err := it.d.src.special(it.name, &it.st)
	if err != nil {
		return false, err
	}
	dst, err := openSame(it.d.dst, it.to, t, openPath)
	if err != nil {
		return false, err
	}
	defer closeFd(dst)
	if it.st.typ() == unix.S_IFLNK && text != linkText(dst) {
		return false, nil
	}
	y, err := attrsOf(dst, true)
	return !p.tellsAttrs() || attrsEqual(p.mapAttrs(x), y), err // another host's come only with a copy
}

// linkText reads the text of an open symbolic link; Linux keeps at most 4095 bytes.
func linkText(fd int) string {
	b := make([]byte, 4097)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// openSame opens a name and makes sure that it is still the object that was looked at.
func openSame(dir int, name string, st *stat, open func(int, string) (int, error)) (int, error) {
	fd, err := open(dir, name)
	if err != nil {
		return -1, swapped(err)
	}
	now, err := statFd(fd)
	if err == nil && !now.same(st) {
		err = errSwapped
	}
	if err != nil {
		closeFd(fd)
		return -1, err
	}
	return fd, nil
}

// openBoth opens a regular file on both sides.
func openBoth(it *item, t *stat) (src file, dst int, err error) {
	if src, err = openSourceFile(it.d.src, it.name, &it.st); err != nil {
		return nil, -1, err
	}
	if dst, err = openSame(it.d.dst, it.to, t, openFile); err != nil {
		src.close()
		return nil, -1, err
	}
	return src, dst, nil
}

// sameFile compares the content of both sides. No lock is taken: what changes meanwhile counts as different.
func (p *pass) sameFile(ctx context.Context, it *item, t *stat) (bool, error) {
	if it.st.size != t.size {
		return false, nil
	}
	a, b, err := openBoth(it, t)
	if err != nil {
		return false, err
	}
	defer a.close()
	defer closeFd(b)
	same, err := a.same(ctx, b, it.st.size, p.cmp)
	if err != nil || !same {
		return false, err
	}
	now, err := a.stat()
	return err == nil && now.still(&it.st), err
}

// compare tells whether the content of both sides is the same. Another host is asked for the sums of many files at once: the
// answer is that it is, to be checked.
func (p *pass) compare(ctx context.Context, it *item, v *verdict) (bool, error) {
	if p.local() {
		return p.sameFile(ctx, it, v.t)
	}
	v.check = it.st.size > 0
	return it.st.size == v.t.size, nil
}

func (p *pass) sameAttrs(it *item, t *stat) bool {
	a, b, err := openBoth(it, t)
	if err != nil {
		return false
	}
	defer a.close()
	defer closeFd(b)
	x, err1 := a.attrs()
	if errors.Is(err1, errNoAttrs) {
		return true
	}
	y, err2 := attrsOf(b, false)
	return err1 == nil && err2 == nil && attrsEqual(p.mapAttrs(x), y)
}

// openBelow opens the directory that holds slash, component by component without following links.
func openBelow(root int, slash string) (dir int, name string, err error) {
	name = slash
	dir = dup(root)
	for {
		head, rest, ok := strings.Cut(name, "/")
		if !ok {
			return dir, name, nil
		}
		next, err := openDir(dir, head)
		closeFd(dir)
		if err != nil {
			return -1, "", err
		}
		dir, name = next, rest
	}
}

func (p *pass) statBelow(root int, slash string) (stat, error) {
	dir, name, err := openBelow(root, slash)
	if err != nil {
		return stat{}, err
	}
	defer closeFd(dir)
	return statAt(dir, name)
}
