package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// deleteVanished removes what the source no longer has, after all else, and strikes from the records what went or was
// renamed. A name is removed only when it still is what an earlier pass put there.
func (s *syncer) deleteVanished(ctx context.Context) error {
	if err := s.p.confirmGone(ctx); err != nil {
		return err
	}
	byDir := map[string][]*vanished{}
	var order []string
	for _, g := range s.p.gone.list {
		at := g.dir + "\x00" + g.frame
		if byDir[at] == nil {
			order = append(order, at)
		}
		byDir[at] = append(byDir[at], g)
	}
	for _, at := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.deleteIn(byDir[at]); err != nil {
			return err
		}
	}
	return nil
}

// confirmGone looks once more at what another host's manifest lacks, name by name: reading a directory may pass over names. And a
// message may have gone to a directory that had been read already: where one changed since, nothing counts as gone in that pair.
func (p *pass) confirmGone(ctx context.Context) error {
	r, ok := p.src.(*remote)
	if !ok || !p.opt.Delete {
		return nil
	}
	var open []*vanished
	in := map[string]bool{}
	for _, g := range p.gone.list {
		if g.taken {
			continue
		}
		open = append(open, g)
		if at := p.pairs[p.pairOf(g.path())]; g.frame == "" {
			in[at.From] = true
		}
	}
	moving, err := p.movingPairs(ctx, r, in)
	if err != nil {
		return err
	}
	for list := range slices.Chunk(open, batchRequests) {
		paths := make([]string, len(list))
		for i, g := range list {
			paths[i] = g.from
		}
		now, err := p.lookNow(ctx, r, paths)
		if err != nil {
			return err
		}
		for _, g := range list {
			_, g.back = now[g.from]
			g.back = g.back || now == nil || moving[p.pairs[p.pairOf(g.path())].From]
		}
	}
	return nil
}

// movingPairs gives those of the pairs in which a directory is not as the manifest has it.
func (p *pass) movingPairs(ctx context.Context, r *remote, in map[string]bool) (moving map[string]bool, err error) {
	moving = map[string]bool{}
	var dirs, tops []string
	for dir := range r.m.at {
		for top := dir; ; top, _ = splitPath(top) {
			if in[top] {
				dirs, tops = append(dirs, dir), append(tops, top)
				break
			}
			if top == "." {
				break
			}
		}
	}
	for at := 0; at < len(dirs); at += batchRequests {
		end := min(at+batchRequests, len(dirs))
		now, err := p.lookNow(ctx, r, dirs[at:end])
		if err != nil {
			return nil, err
		}
		for i, dir := range dirs[at:end] {
			was, err := lookBelow(r, dir)
			r.mu.Lock()
			if st, ok := r.after[dir]; ok { // a mailbox in it was locked for us
				was = st
			}
			r.mu.Unlock()
			if st, ok := now[dir]; err != nil || !ok || !st.same(&was) || st.mtime != was.mtime || st.ctime != was.ctime {
				moving[tops[at+i]] = true
			}
		}
	}
	return moving, nil
}

// lookNow gives nil when it could not be seen what is there.
func (p *pass) lookNow(ctx context.Context, r *remote, paths []string) (map[string]stat, error) {
	now, messages, err := r.look(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("nothing was deleted: %w", err)
	}
	for _, m := range messages {
		p.fail(".", "delete", errors.New(m+"; nothing was deleted"))
		now = nil
	}
	return now, nil
}

// deleteIn deals with the vanished names of one directory. Its time, which is the source's, stays as it is.
func (s *syncer) deleteIn(gone []*vanished) error {
	path := gone[0].dir
	dir, err := openBelowDir(s.p.dst, path)
	if path == "." {
		dir, err = openDir(s.p.dst, ".")
	}
	if err != nil && !isAbsent(err) {
		s.p.fail(path, "delete", err)
		return nil
	}
	defer closeFd(dir)
	var struck []string
	before, _ := statFd(dir)
	if dir >= 0 && before.locked() {
		flags, err := flagsOf(dir)
		if err = errors.Join(err, unlockFd(dir)); err != nil {
			s.p.fail(path, "delete", err)
			return nil
		}
		defer func() { _ = setFlags(dir, flags&flagsCarried) }()
	}
	for _, g := range gone {
		if g.taken {
			struck = append(struck, g.name)
		} else if s.p.opt.Delete && dir >= 0 && s.deleteGone(dir, &before, g) {
			struck = append(struck, g.name)
		}
	}
	if len(struck) == 0 {
		return nil
	}
	if dir >= 0 {
		if now, err := statFd(dir); err == nil && now.mtime != before.mtime {
			if err := (target{fd: dir}).setTimes(before.mtime, before.atime); err != nil {
				s.p.fail(path, "set times", err)
			}
		}
	}
	return s.strike(gone, dir, struck)
}

// deleteGone removes one name; true: it is gone.
func (s *syncer) deleteGone(dir int, before *stat, g *vanished) bool {
	if _, err := lookBelow(s.p.src, g.from); g.back || !isAbsent(err) {
		return false
	}
	err := s.intendDir(g.dir, before)
	if err == nil {
		err = s.deleteName(dir, g.name, g.dir, g.entry)
	}
	if err != nil && !isAbsent(err) {
		s.p.fail(g.path(), "delete", err)
		return false
	}
	return true
}

// strike takes names from the record of a directory and notes how it was left.
func (s *syncer) strike(gone []*vanished, dir int, names []string) error {
	path, frame := gone[0].dir, gone[0].frame
	key, rec := keyOf(path), s.p.state.dir(keyOf(path))
	if frame != "" {
		key, rec = keyOf(frame+"\x00"), nil
	}
	next := &dirRecord{path: path, segments: 1}
	if rec != nil {
		*next = *rec
		next.gone, next.names, next.bytes, next.owners = 0, 0, 0, nil
	}
	for seg := range next.segments {
		b, err := s.p.state.openBook(key, rec, seg, next.segments)
		if err != nil {
			return err
		}
		for _, name := range b.sorted() {
			b.meet(name)
		}
		for _, g := range gone {
			b.unmeet(g.name)
		}
		for _, name := range names {
			b.drop(name)
		}
		b.keep(s.p.state, next)
	}
	if rec == nil {
		return nil
	}
	if t, err := statFd(dir); err == nil {
		next.dst = t.tuple()
	}
	s.p.state.put(bucketDirs, string(key[:]), next.encode(), false)
	return nil
}

// intendDir notes that a directory at the target may be found with another time.
func (s *syncer) intendDir(path string, st *stat) error {
	if s.p.intended == path || !s.p.state.saved() {
		return nil
	}
	s.p.intended = path
	return s.p.state.journal.intend(nameKey(path), st)
}

func (s *syncer) deleteName(dir int, name, above string, e *entry) error {
	t, err := statAt(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	path := joinPath(above, name)
	if t.dir() {
		return s.deleteDir(dir, name, path, &t)
	}
	key := keyOf(above).name(name)
	if e == nil || !s.p.state.mine(key, &e.dst, &t) {
		return errDrift
	}
	if err := s.p.state.journal.intend(key, nil); err != nil {
		return err
	}
	s.wrote.Store(true)
	if err := s.clearFlags(dir, name, &t); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return err
	}
	s.p.count(OpDelete, path, tally(OpDelete, 0))
	return nil
}

// deleteDir removes what we wrote below a directory, and the directory when nothing else is in it.
func (s *syncer) deleteDir(dir int, name, path string, t *stat) error {
	rec := s.p.state.dirAt(path, t)
	if rec == nil {
		return errDrift
	}
	fd, err := openSame(dir, name, t, openDir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	if err := s.intendDir(path, t); err != nil {
		return err
	}
	if t.locked() {
		if err := unlockFd(fd); err != nil {
			return err
		}
	}
	for seg := range rec.segments {
		b, err := s.p.state.openBook(keyOf(path), rec, seg, rec.segments)
		if err != nil {
			return err
		}
		for _, child := range b.sorted() {
			if err := s.deleteName(fd, child, path, b.get(child)); err != nil && !isAbsent(err) {
				s.p.fail(joinPath(path, child), "delete", err)
				continue
			}
			b.drop(child)
		}
		b.keep(s.p.state, &dirRecord{})
	}
	if err := s.p.state.journal.intend(nameKey(path), nil); err != nil {
		return err
	}
	s.wrote.Store(true)
	err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return errors.Join(errLeftovers, s.left(path, rec, fd))
	}
	if err != nil {
		return err
	}
	k := keyOf(path)
	s.p.state.put(bucketDirs, string(k[:]), nil, false)
	s.p.count(OpDelete, path, tally(OpDelete, 0))
	return nil
}

// left notes how a directory was left that could not be removed.
func (s *syncer) left(path string, rec *dirRecord, fd int) error {
	t, err := statFd(fd)
	if err != nil {
		return err
	}
	rec.dst, rec.racy = t.tuple(), true
	k := keyOf(path)
	s.p.state.put(bucketDirs, string(k[:]), rec.encode(), false)
	return nil
}
