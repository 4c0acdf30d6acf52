package tree

import (
	"context"
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// link is one directory on the way from a root to a pair's parent.
type link struct {
	fd   int
	name string // "." for the root
	st   stat
}

func closeChain(c []link) {
	for _, l := range c {
		closeFd(l.fd)
	}
}

// openChain opens every directory on the way to the parent of slash. Mounts are crossed here, for the caller named the
// path; symbolic links are not followed. missing is asked for a directory that is not there.
func openChain(root int, slash string, missing func(up *link, name string, depth int) (int, error)) ([]link, error) {
	fd, err := openDir(root, ".")
	if err != nil {
		return nil, err
	}
	c := []link{{fd: fd, name: "."}}
	if c[0].st, err = statFd(fd); err != nil {
		closeChain(c)
		return nil, err
	}
	parts := strings.Split(slash, "/")
	for i, name := range parts[:len(parts)-1] {
		up := &c[len(c)-1]
		fd, err := openDir(up.fd, name)
		if errors.Is(err, unix.ENOENT) && missing != nil {
			fd, err = missing(up, name, i)
		}
		if err != nil {
			closeChain(c)
			return nil, pathErr("open", path.Join(parts[:i+1]...), err)
		}
		l := link{fd: fd, name: name}
		if l.st, err = statFd(fd); err != nil {
			closeFd(fd)
			closeChain(c)
			return nil, err
		}
		c = append(c, l)
	}
	return c, nil
}

// sourceChain opens every directory of the source on the way to the parent of slash, the root first.
func sourceChain(s source, slash string) ([]folder, error) {
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	c := []folder{root}
	parts := strings.Split(slash, "/")
	for i, name := range parts[:len(parts)-1] {
		next, err := c[len(c)-1].enter(name)
		if err != nil {
			closeFolders(c)
			return nil, pathErr("open", path.Join(parts[:i+1]...), err)
		}
		c = append(c, next)
	}
	return c, nil
}

func closeFolders(c []folder) {
	for _, f := range c {
		f.close()
	}
}

func (p *pass) runPair(ctx context.Context, r *pairRun) error {
	r.holds.Store(1)
	if r.From == "." {
		return p.runRoot(ctx, r)
	}
	from, err := sourceChain(p.src, r.From)
	if errors.Is(err, unix.ENOENT) {
		p.absent(r, nil)
		return nil
	}
	if err != nil {
		p.fail(r.To, "open source", err)
		return nil
	}
	defer closeFolders(from)
	up := from[len(from)-1]
	upSt, err := up.stat()
	if err != nil {
		p.fail(r.To, "open source", err)
		return nil
	}
	top, err := up.look(path.Base(r.From))
	if errors.Is(err, unix.ENOENT) {
		p.absent(r, &upSt)
		return nil
	}
	if err != nil {
		p.fail(r.To, "open source", pathErr("stat", r.From, err))
		return nil
	}
	maker, absent := p.parentMaker(r, from)
	r.chain, err = openChain(p.dst, r.To, maker)
	if absent() {
		err = nil // Diff and Verify make nothing
	}
	if err != nil {
		p.fail(r.To, "open target", err)
		return nil
	}
	closing := func() { closeChain(r.chain); closeChain(r.beside) }
	if s, ok := p.do.(*syncer); ok {
		s.sweepPair(r)
	}
	if place := &top; top.dir() {
		p.trust(r, place)
	} else {
		p.trust(r, &upSt)
	}
	src, err := up.share()
	if err != nil {
		closing()
		p.fail(r.To, "open source", err)
		return nil
	}
	d := &dir{src: src, dst: -1, st: upSt, pair: r, frame: true,
		path: path.Dir(r.To), from: path.Dir(r.From), base: path.Base(path.Dir(r.From)), fresh: absent()}
	if n := len(r.chain); n > 0 {
		d.dst, d.dstMnt = dup(r.chain[n-1].fd), r.chain[n-1].st
	}
	d.kind()
	d.below = strings.Contains("/"+path.Dir(r.From)+"/", "/mail/") && !d.mail
	d.pending.Store(1)
	if err := p.openBooks(d); err != nil {
		p.release(d)
		closing()
		return err
	}
	err = p.entry(ctx, d, dent{name: path.Base(r.From), to: path.Base(r.To)}, false)
	p.release(d)
	return p.endPair(r, err, closing)
}

// absent deals with a pair that the source does not have; up is the directory it would be in, nil when that is not there
// either. A file that an earlier pass copied from that very directory has vanished: mail(1) removes an inbox that it
// emptied. A whole directory, or all that was on a disk, is not deleted because it cannot be seen.
func (p *pass) absent(r *pairRun, up *stat) {
	above, base := splitPath(r.To)
	file := p.recordedFile(r, base)
	if !p.opt.Delete || !p.state.known || file == nil && p.state.dir(keyOf(r.To)) == nil {
		p.skip(r.To, "absent", "absent at the source")
		return
	}
	if up != nil && file != nil && file.dst.mode&unix.S_IFMT == unix.S_IFREG && p.state.fact("place "+r.To) == placeFact(up) {
		p.gone.add(&vanished{entry: file, dir: above, from: r.From, frame: r.To})
		p.skip(r.To, "absent", "absent at the source")
	} else if _, err := p.statBelow(p.dst, r.To); isAbsent(err) {
		p.skip(r.To, "absent", "absent at the source")
	} else {
		p.fail(r.To, "absent", errors.New("no longer at the source, or not where it was; the copy was left"))
	}
}

// recordedFile gives what is known of a pair that is a single file.
func (p *pass) recordedFile(r *pairRun, name string) *entry {
	b, err := p.state.openBook(keyOf(r.To+"\x00"), nil, 0, 1)
	if err != nil {
		return nil
	}
	return b.get(name)
}

// runRoot copies the whole source root into the target root.
func (p *pass) runRoot(ctx context.Context, r *pairRun) error {
	src, err := p.src.root()
	if err != nil {
		return err
	}
	dst, err := openDir(p.dst, ".")
	if err != nil {
		src.close()
		return err
	}
	r.chain = []link{{fd: dup(p.dst), name: ".", st: p.dstTop}}
	p.trust(r, &p.srcTop)
	d := &dir{src: src, dst: dst, st: p.srcTop, dstMnt: p.dstTop, path: ".", from: ".", pair: r}
	d.pending.Store(1)
	if !r.second {
		p.mu.Lock()
		p.rep.Dirs++
		p.mu.Unlock()
	}
	d.kind()
	d.book = &book{}
	d.rec = p.state.dir(d.key)
	if s, ok := p.do.(*syncer); ok {
		s.sweepPair(r)
		if now, err := statFd(dst); err == nil {
			s.known(d, &now)
		}
	}
	d.trusted = p.trusts(r, d.rec, &d.st, &d.dstMnt)
	err = p.walk(ctx, d)
	// The staging directory may be inside; the root's times can be set only when it is gone.
	return p.endPair(r, err, func() {
		p.release(d)
		closeChain(r.chain)
		closeChain(r.beside)
	})
}

// endPair ends the walk over a pair: at once, or when all that was asked for of another host is here.
func (p *pass) endPair(r *pairRun, err error, closing func()) error {
	s, _ := p.do.(*syncer)
	far := s != nil && s.courier != nil
	if !far {
		p.do.wait()
	}
	if !r.second {
		p.settle(r)
	}
	if !far {
		p.endStage(r)
		closing()
	} else {
		s.courier.endPair(r, func() {
			p.endStage(r)
			closing()
		})
	}
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// endStage removes the staging directory of a pair.
func (p *pass) endStage(r *pairRun) {
	if r.stage != nil {
		in, before := r.stage.parent, stat{}
		if len(r.beside) > 0 {
			before, _ = statFd(in)
		}
		if e := r.stage.remove(); e != nil {
			p.fail(r.stage.name, "remove staging directory", e)
		}
		r.stage = nil
		if l := len(r.beside) - 1; l >= 0 && r.beside[l].fd == in && r.beside[l].name != ".." {
			p.do.(*syncer).resettle(r.To, in, &before) // the top of the pair, a disk of its own
		}
	}
}

func dup(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return n
}

// parentMaker makes missing parents of a pair's target like the parents of its source, counted from the end; where the
// source has fewer, 0755 of our own. Existing parents stay as they are. Only Sync makes anything; absent tells
// whether something was missing that was not made.
func (p *pass) parentMaker(r *pairRun, from []folder) (maker func(*link, string, int) (int, error), absent func() bool) {
	missing := false
	above := strings.Count(r.To, "/")
	maker = func(up *link, name string, depth int) (int, error) {
		s, ok := p.do.(*syncer)
		if !ok {
			missing = true
			return -1, unix.ENOENT
		}
		var like folder
		if i := len(from) - (above - depth); i > 0 && i < len(from) {
			like = from[i]
		}
		return s.makeParent(up, name, like)
	}
	return maker, func() bool { return missing }
}

// makeParent builds the directory beside its place and renames it there, so that it never stands with wrong rights.
func (s *syncer) makeParent(up *link, name string, like folder) (int, error) {
	st, err := newStage(up.fd, 1)
	if err != nil {
		return -1, err
	}
	defer func() { _ = st.remove() }() // else the next run sweeps it
	dir, tmp := st.next(0)
	if err := unix.Mkdirat(dir, tmp, 0o700); err != nil {
		return -1, err
	}
	fd, err := openDir(dir, tmp)
	if err != nil {
		return -1, err
	}
	w := want{uid: s.p.euid, gid: s.p.egid, perm: 0o755}
	made, err := statFd(fd)
	if err != nil {
		closeFd(fd)
		return -1, err
	}
	if like == nil {
		err = unix.Fchmod(fd, w.perm)
	} else {
		w, err = s.dressLike(fd, like, &made)
	}
	if err == nil {
		err = renameNew(dir, tmp, up.fd, name)
	}
	if err != nil {
		closeFd(fd)
		return -1, err
	}
	if like != nil {
		s.parents = append(s.parents, parent{dup(fd), w})
	}
	s.wrote.Store(true)
	return fd, nil
}

// dressLike gives a directory that was just made the metadata of one of the source.
func (s *syncer) dressLike(fd int, like folder, made *stat) (w want, err error) {
	st, err1 := like.stat()
	attrs, err2 := like.attrs()
	if errors.Is(err2, errNoAttrs) {
		err2 = nil
	}
	if err := errors.Join(err1, err2); err != nil {
		return w, err
	}
	w = s.p.want(&st)
	return w, s.p.apply(target{fd: fd}, &w, s.p.mapAttrs(attrs), made)
}

// parent is a made parent whose times are set when nothing more is put into it.
type parent struct {
	fd int
	w  want
}

func (s *syncer) endParents() {
	for _, m := range s.parents {
		if err := (target{fd: m.fd}).setTimes(m.w.mtime, m.w.atime); err != nil {
			s.p.fail(".", "set times", err)
		}
		closeFd(m.fd)
	}
	s.parents = nil
}
