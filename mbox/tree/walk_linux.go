package tree

import (
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// local tells whether the source is on this host.
func (p *pass) local() bool {
	_, ok := p.src.(localSource)
	return ok
}

// tellsAttrs tells whether the attributes of what the walk meets are known; else they come with content only.
func (p *pass) tellsAttrs() bool {
	r, far := p.src.(*remote)
	return !far || r.attrs
}

// now is what the clock of the source showed before the first look at it, or shows.
func (p *pass) now() time.Time {
	if p.local() {
		return time.Now()
	}
	return p.seen
}

// release says that one thing below d is finished; the last one closes d, and so on upwards.
func (p *pass) release(d *dir) {
	for d != nil && d.pending.Add(-1) == 0 {
		up := d.up
		p.do.done(d)
		closeFolder(d.src)
		closeFd(d.dst)
		d = up
	}
}

// walk goes through one directory.
func (p *pass) walk(ctx context.Context, d *dir) error {
	first := ""
	if d.mail || d.below {
		first = ".imap" // see hold
	}
	if err := p.openBooks(d); err != nil {
		return err
	}
	if first != "" && !d.pair.second {
		if st, err := d.src.look(first); err != nil || !st.dir() {
			first = "" // a link, say, is as any other name
		} else if err := p.entry(ctx, d, dent{name: first, to: first}, false); err != nil {
			return err
		}
		if p.local() {
			p.do.wait() // another host sends in the order of asking
		}
	}
	if d.pair.second {
		for _, path := range sortedKeys(d.pair.only) {
			if up, name := splitPath(path); up == d.path {
				if err := p.entry(ctx, d, dent{name: name, to: name}, true); err != nil {
					return err
				}
			}
		}
		if !d.pair.later[d.path] {
			return nil
		}
	}
	d.same = p.untouched(ctx, d)
	if d.trusted && d.next.segments == 1 && !d.pair.second {
		again, err := p.walkRecorded(ctx, d, first)
		if err != nil || !again {
			return err
		}
	}
	for seg := range d.next.segments {
		if err := p.segment(ctx, d, seg, first); err != nil {
			return err
		}
	}
	return nil
}

// walkRecorded goes through the names of a directory that nobody changed, without listing it. again: a name went away since.
func (p *pass) walkRecorded(ctx context.Context, d *dir, but string) (again bool, err error) {
	for _, name := range d.book.sorted() {
		if name == but || d.early[name] {
			continue
		}
		if err := p.entry(ctx, d, dent{name: name, to: name}, false); err != nil {
			return false, err
		}
	}
	if d.vanished {
		d.book.fail()
		return true, nil
	}
	p.mu.Lock()
	p.rep.TrustedDirs++
	p.mu.Unlock()
	return false, p.save(d)
}

// segment goes through the names of one piece of a directory. When names went away while we looked it is listed again: a
// message that was renamed meanwhile may have been met under neither name.
func (p *pass) segment(ctx context.Context, d *dir, seg int, first string) error {
	if seg > 0 {
		if err := p.turn(d, seg); err != nil {
			return err
		}
	}
	before, err := d.src.stat()
	if err != nil {
		p.fail(d.path, "stat", err)
		return nil
	}
	whole := true
	for try := 0; ; try++ {
		if seg > 0 || try > 0 || d.vanished {
			if err := d.src.rewind(); err != nil {
				break
			}
		}
		d.vanished = false
		if whole, err = p.list(ctx, d, seg, first, try > 0 || d.pair.second); err != nil {
			return err
		}
		if !d.vanished || try == 2 {
			break
		}
		p.do.wait()
	}
	if now, err := d.src.stat(); err != nil || d.vanished || now.mtime != before.mtime || now.ctime != before.ctime {
		d.book.fail() // readdir may pass over names while others are renamed: nothing counts as gone
		whole = false
	}
	if whole && !d.pair.second {
		p.missing(d)
	}
	return nil
}

// list takes the names batch by batch, so that memory does not grow with the directory. whole: every name was seen.
func (p *pass) list(ctx context.Context, d *dir, seg int, but string, again bool) (whole bool, err error) {
	for {
		ents, err := d.src.list(p.dents)
		if err != nil {
			p.fail(d.path, "read directory", err)
			d.book.fail()
			return false, nil
		}
		if len(ents) == 0 {
			return true, nil
		}
		sort.Slice(ents, func(i, j int) bool { return ents[i].name < ents[j].name })
		if p.hooks.listed != nil {
			p.hooks.listed(d)
		}
		if ents, err = p.batch(ctx, d, inSegment(d, seg, ents), again); err != nil {
			return false, err
		}
		for _, e := range ents {
			if e.name == but && but != "" || d.early[e.name] {
				continue
			}
			if err := p.entry(ctx, d, e, again); err != nil {
				return false, err
			}
		}
		if err := p.save(d); err != nil {
			return false, err
		}
	}
}

// inSegment leaves the names that belong to one piece of a large directory.
func inSegment(d *dir, seg int, ents []dent) []dent {
	if n := d.next.segments; n > 1 {
		return slices.DeleteFunc(ents, func(e dent) bool { return segmentOf(e.name, n) != seg })
	}
	return ents
}

// batch hands out at once what needs no look at one by one, and returns the rest.
func (p *pass) batch(ctx context.Context, d *dir, ents []dent, again bool) ([]dent, error) {
	s, ok := p.do.(*syncer)
	if !ok || again || !s.quick(d) {
		return ents, nil
	}
	var rest []dent
	var files []string
	for _, e := range ents {
		if e.typ == unix.DT_REG {
			files = append(files, e.name)
		} else {
			rest = append(rest, e)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.pair.stopped.Load() {
		return nil, errStopped
	}
	if err := s.showEarly(d); err != nil {
		return nil, err
	}
	for len(files) > 0 {
		n := min(len(files), batchFiles)
		s.hand(job{d: d, names: files[:n]})
		files = files[n:]
	}
	return rest, nil
}

// entry deals with one name of a directory.
func (p *pass) entry(ctx context.Context, d *dir, e dent, again bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.pair.stopped.Load() {
		return errStopped
	}
	if d.same[e.name] { // and counted
		if _, seen := d.book.meet(e.to); !seen {
			p.count(OpUnchanged, d.join(e.to), func(*Report) {})
		}
		return nil
	}
	it := &item{d: d, name: e.name, to: e.to, again: again}
	if p.hooks.opening != nil {
		p.hooks.opening(d, e.name)
	}
	if old, seen := d.book.meet(e.to); old != nil && !old.isDir() && (again && seen || d.pair.second) {
		return nil // dealt with
	}
	st, err := d.src.look(e.name)
	if errors.Is(err, unix.ENOENT) && !d.frame {
		d.vanished = true
		d.book.unmeet(e.to)
		return nil
	}
	if err != nil {
		p.failIn(d, it.path(), "stat", err)
		return nil
	}
	it.st, it.looked = st, true
	if st.dir() && st.uid == p.euid && stageName().MatchString(e.name) {
		p.skip(it.path(), "copy", "staging directory of another run")
		return nil
	}
	if !d.frame && !st.sameMount(&d.st) {
		p.failIn(d, it.path(), "copy", errors.New("is a mount point; not crossed"))
		return nil
	}
	if st.dir() {
		return p.enter(ctx, d, it)
	}
	if d.pair.second && !d.pair.later[d.path] {
		return nil // it was a directory that we only meant to pass through
	}
	if !p.admit(it) {
		d.book.fail()
		return nil
	}
	return p.do.object(ctx, it)
}

// enter opens a directory of the source and walks it, unless it is known to need nothing.
func (p *pass) enter(ctx context.Context, d *dir, it *item) error {
	path := it.path()
	switch {
	case d.pair.second:
		if !d.pair.only[path] {
			return nil
		}
		delete(d.pair.only, path)
	case it.again:
		if t, err := statAt(d.dst, it.to); d.dst >= 0 && err == nil && t.dir() {
			return nil
		}
	}
	rec := p.state.dir(keyOf(path))
	if rec != nil && messageDir(it.to) && !d.pair.second && !hasDirs(&it.st) && p.unchangedMessages(d, it, rec) {
		return nil
	}
	src, err := d.src.enter(it.name)
	if errors.Is(err, unix.ENOENT) {
		d.vanished = true
		return nil
	}
	if err != nil {
		p.failIn(d, path, "open", err)
		return nil
	}
	st, err := src.stat()
	if err != nil || !st.same(&it.st) {
		src.close()
		if err == nil {
			err = errSwapped
		}
		p.failIn(d, path, "open", err)
		return nil
	}
	if p.local() && st.same(&p.dstTop) {
		src.close()
		p.skip(path, "copy", "is the target itself")
		d.book.fail()
		return nil
	}
	c := &dir{up: d, src: src, dst: -1, st: st, path: path, from: joinPath(d.from, it.name), pair: d.pair, base: it.to, rec: rec}
	d.pending.Add(1)
	return p.into(ctx, c, it.to)
}

// into makes the target's side of c and walks c; c counts as one thing below its parent.
func (p *pass) into(ctx context.Context, c *dir, to string) error {
	c.pending.Store(1)
	defer p.release(c)
	c.kind()
	c.book = &book{} // until the walk opens it
	if c.depth > maxDepth {
		p.failIn(c.up, c.path, "open", errDeep)
		return nil
	}
	if !c.pair.second {
		p.mu.Lock()
		p.rep.Dirs++
		p.mu.Unlock()
		p.countIDs(&c.st)
		p.uids[p.mapID(p.opt.UIDs, c.st.uid)] = true
	}
	ok, err := p.do.dir(ctx, c, to)
	if err != nil || !ok {
		c.up.book.fail()
		return err
	}
	if old := c.up.book.get(to); old == nil || !old.isDir() {
		c.up.book.put(&entry{name: to, src: tuple{mode: c.st.mode}, dst: c.dstMnt.tuple()}, false)
	}
	c.trusted = c.dst >= 0 && p.trusts(c.pair, c.rec, &c.st, &c.dstMnt)
	s, sync := p.do.(*syncer)
	if sync && c.holds() {
		c.hold = &hold{}
	}
	if sync && s.courier != nil && !p.tellsAttrs() && !c.pair.second && (c.rec == nil || c.rec.src != c.st.tuple() || p.remapped) {
		s.courier.attributes(c)
	}
	err = p.walk(ctx, c)
	if c.hidden != nil {
		s.directDone(c, 0)
	}
	if c.hold != nil && err == nil {
		err = s.unit(ctx, c)
	}
	return err
}
