package tree

import (
	"context"
	"errors"
	"io/fs"
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

func (p *pass) runPair(ctx context.Context, r *pairRun) error {
	if r.From == "." {
		return p.runRoot(ctx, r)
	}
	from, err := openChain(p.src, r.From, nil)
	if errors.Is(err, unix.ENOENT) {
		p.absent(r, nil)
		return nil
	}
	if err != nil {
		p.fail(r.To, "open source", err)
		return nil
	}
	defer closeChain(from)
	up := &from[len(from)-1]
	top, err := statAt(up.fd, path.Base(r.From))
	if errors.Is(err, unix.ENOENT) {
		p.absent(r, &up.st)
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
	defer func() { closeChain(r.chain) }()
	if s, ok := p.do.(*syncer); ok {
		s.sweepPair(r)
	}
	if place := &top; top.dir() {
		p.trust(r, place)
	} else {
		p.trust(r, &up.st)
	}
	d := &dir{src: dup(up.fd), dst: -1, st: up.st, pair: r, frame: true,
		path: path.Dir(r.To), from: path.Dir(r.From), base: path.Base(path.Dir(r.From)), fresh: absent()}
	if n := len(r.chain); n > 0 {
		d.dst, d.dstMnt = dup(r.chain[n-1].fd), r.chain[n-1].st
	}
	d.kind()
	d.below = strings.Contains("/"+path.Dir(r.From)+"/", "/mail/") && !d.mail
	d.pending.Store(1)
	err = p.entry(ctx, d, dent{name: path.Base(r.From), to: path.Base(r.To)}, false)
	p.release(d)
	return p.endPair(r, err)
}

// absent deals with a pair that the source does not have; up is the directory it would be in, nil when that is not there
// either. A file that an earlier pass copied from that very directory has vanished: mail(1) removes an inbox that it
// emptied. A whole directory, or all that was on a disk, is not deleted because it cannot be seen.
func (p *pass) absent(r *pairRun, up *stat) {
	above, base := splitPath(r.To)
	key := keyOf(above).name(base)
	rec := p.state.get(key)
	if !p.opt.Delete || !p.state.known || rec == nil {
		p.skip(r.To, "absent", "absent at the source")
		return
	}
	if up != nil && rec.dst.mode&unix.S_IFMT == unix.S_IFREG && p.state.fact("place "+r.To) == placeFact(up) {
		p.change = append(p.change, vanished{key, r.To, r.From, r.index})
		p.skip(r.To, "absent", "absent at the source")
	} else if _, err := p.statBelow(p.dst, r.To); isAbsent(err) {
		p.skip(r.To, "absent", "absent at the source")
	} else {
		p.fail(r.To, "absent", errors.New("no longer at the source, or not where it was; the copy was left"))
	}
}

// runRoot copies the whole source root into the target root.
func (p *pass) runRoot(ctx context.Context, r *pairRun) error {
	src, err := openDir(p.src, ".")
	if err != nil {
		return err
	}
	dst, err := openDir(p.dst, ".")
	if err != nil {
		closeFd(src)
		return err
	}
	r.chain = []link{{fd: dup(p.dst), name: ".", st: p.dstTop}}
	defer func() { closeChain(r.chain) }()
	p.trust(r, &p.srcTop)
	d := &dir{src: src, dst: dst, st: p.srcTop, dstMnt: p.dstTop, path: ".", from: ".", pair: r}
	d.pending.Store(1)
	p.mu.Lock()
	p.rep.Dirs++
	p.mu.Unlock()
	d.kind()
	if s, ok := p.do.(*syncer); ok {
		s.sweepPair(r)
		s.known(d)
	}
	err = p.walk(ctx, d)
	// The staging directory may be inside; the root's times can be set only when it is gone.
	err = p.endPair(r, err)
	p.release(d)
	return err
}

func (p *pass) endPair(r *pairRun, err error) error {
	p.do.wait()
	p.settle(r)
	if r.stage != nil {
		if e := r.stage.remove(); e != nil {
			p.fail(r.stage.name, "remove staging directory", e)
		}
		r.stage = nil
	}
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
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
func (p *pass) parentMaker(r *pairRun, from []link) (maker func(*link, string, int) (int, error), absent func() bool) {
	missing := false
	above := strings.Count(r.To, "/")
	maker = func(up *link, name string, depth int) (int, error) {
		s, ok := p.do.(*syncer)
		if !ok {
			missing = true
			return -1, unix.ENOENT
		}
		var like *link
		if i := len(from) - (above - depth); i > 0 && i < len(from) {
			like = &from[i]
		}
		return s.makeParent(up, name, like)
	}
	return maker, func() bool { return missing }
}

// makeParent builds the directory beside its place and renames it there, so that it never stands with wrong rights.
func (s *syncer) makeParent(up *link, name string, like *link) (int, error) {
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
	if like == nil {
		err = unix.Fchmod(fd, w.perm)
	} else {
		w = s.p.want(&like.st)
		var attrs []attr
		if attrs, err = attrsOf(like.fd, false); err == nil {
			err = s.p.apply(target{fd: fd}, &w, s.p.mapAttrs(attrs), nil)
		}
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

// stageFor gives the staging directory of a pair: in the nearest directory above its target that is on the same mount
// and is no mail folder, since Dovecot lists every name in one. A root that is copied whole has its staging directory
// inside, unless it is a mail folder itself: then beside it.
func (s *syncer) stageFor(r *pairRun) (*stage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.stage != nil {
		return r.stage, nil
	}
	fd, err := s.stageParent(r)
	if err != nil {
		return nil, err
	}
	if s.p.state.saved() { // when the directory is itself being copied, staging in it changes its time
		st, err := statFd(fd)
		if err == nil {
			up, base := splitPath(r.To)
			err = s.p.state.journal.intend(keyOf(up).name(base), &st)
		}
		if err != nil {
			return nil, err
		}
	}
	r.stage, err = newStage(fd, s.workers+1)
	return r.stage, err
}

func (s *syncer) stageParent(r *pairRun) (int, error) {
	last := r.chain[len(r.chain)-1]
	if r.To == "." {
		if !mailTop(last.fd) {
			return last.fd, nil
		}
		return s.beside(r)
	}
	if t, err := statAt(last.fd, path.Base(r.To)); err == nil && !t.sameMount(&last.st) {
		if !t.dir() {
			return -1, errors.New("is a mount point; a file there cannot be replaced")
		}
		fd, err := openDir(last.fd, path.Base(r.To))
		if err != nil {
			return -1, err
		}
		r.chain = append(r.chain, link{fd: fd, name: path.Base(r.To), st: t})
		if mailTop(fd) {
			return -1, errors.New("is a mail folder and a mount point; there is no place for staging on it")
		}
		return fd, nil
	}
	for i := len(r.chain) - 1; i > 0; i-- {
		l := r.chain[i]
		if !l.st.sameMount(&last.st) {
			break
		}
		if l.name != "mail" && l.name != "Maildir" && !mailTop(l.fd) {
			return l.fd, nil
		}
	}
	if r.chain[0].st.sameMount(&last.st) {
		return r.chain[0].fd, nil
	}
	return last.fd, nil // a spool that is a mount of its own: nobody lists it as folders
}

// beside gives the parent of a target root that is a mail folder.
func (s *syncer) beside(r *pairRun) (int, error) {
	fd, err := unix.Openat(s.p.dst, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	st, err := statFd(fd)
	if err != nil || !st.sameMount(&s.p.dstTop) || st.same(&s.p.dstTop) {
		closeFd(fd)
		return -1, errors.New("is a mail folder and there is no directory beside it for staging")
	}
	r.chain = append([]link{{fd: fd, name: "..", st: st}}, r.chain...)
	return fd, nil
}

// mailTop recognises a Maildir and a directory of mbox folders.
func mailTop(fd int) bool {
	for _, n := range []string{".imap", "cur", "maildirfolder"} {
		if _, err := statAt(fd, n); err == nil {
			return true
		}
	}
	return false
}

// sweepPair removes what dead runs left where this pair would stage; each directory is looked through once.
func (s *syncer) sweepPair(r *pairRun) {
	fd, err := s.stageParent(r)
	if err != nil {
		return // nothing can have been staged; who stages now will say so
	}
	st, err := statFd(fd)
	if err == nil && !s.swept[inodeOf(&st)] {
		s.swept[inodeOf(&st)] = true
		err = sweep(fd)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		s.p.fail(r.To, "sweep", err)
	}
}
