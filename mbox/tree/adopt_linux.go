package tree

import (
	"context"

	"golang.org/x/sys/unix"
)

// Adopt notes in opt.State changes that Changed told, as if a pass had left it so. The next pass then makes the target like the
// source again: what came there is removed (with Delete), what was changed or is gone is copied anew, where it would
// otherwise be left alone and listed. So is, and Changed tells of, what was changed once more since. It changes nothing at the
// target itself, and is for one who has kept what is to go.
// What came under the name of a pair that no pass copied is not adopted. It returns how many objects it noted.
func Adopt(ctx context.Context, dst string, opt *Options, changes []Change) (int, error) {
	if opt == nil {
		opt = &Options{}
	}
	check := *opt
	check.Pairs = []Pair{}
	if err := Changed(ctx, dst, &check, nil); err != nil { // there must be a state, of passes into this target
		return 0, err
	}
	a := &adopter{byDir: map[string][]Change{}, n: len(changes)}
	for _, c := range changes { // what is gone first: something else may be there under the name
		switch c.Op {
		case OpRename:
			a.add(c.From, Change{Op: OpDelete, Path: c.From})
		case OpDelete:
			a.add(c.Path, c)
		}
	}
	for _, c := range changes {
		if c.Op != OpDelete {
			a.add(c.Path, c)
		}
	}
	var err error
	if a.top, err = openTop(dst); err != nil {
		return 0, err
	}
	defer closeFd(a.top)
	if a.state, err = openState(opt.State, false); err != nil {
		return 0, err
	}
	err = a.all(ctx, opt.Pairs)
	if err == nil {
		err = a.state.flush(func() error { return nil })
	}
	if e := a.state.close(); err == nil {
		err = e
	}
	return a.n, err
}

// adopter rewrites records.
type adopter struct {
	state *state
	top   int
	n     int
	byDir map[string][]Change
}

func (a *adopter) add(path string, c Change) {
	up, _ := splitPath(path)
	a.byDir[up] = append(a.byDir[up], c)
}

func (a *adopter) all(ctx context.Context, pairs []Pair) error {
	files := map[string]bool{} // pairs that are single files
	for _, p := range pairs {
		files[p.To] = a.state.dir(keyOf(p.To)) == nil && p.To != "."
	}
	var others []string
	err := a.state.each(".", func(r *dirRecord) {
		if a.byDir[r.path] != nil {
			return
		}
		if t, err := a.look(r.path); err == nil && t.tuple() != r.dst {
			others = append(others, r.path)
		}
	})
	if err != nil {
		return err
	}
	for _, dir := range append(sortedKeys(a.byDir), others...) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var inside []Change
		for _, c := range a.byDir[dir] {
			if files[c.Path] {
				if err := a.file(c); err != nil {
					return err
				}
				continue
			}
			inside = append(inside, c)
		}
		if len(inside) > 0 || a.byDir[dir] == nil {
			if err := a.dir(dir, inside); err != nil {
				return err
			}
		}
	}
	return nil
}

// look tells what is at a path of the target.
func (a *adopter) look(path string) (stat, error) {
	if path == "." {
		return statFd(a.top)
	}
	dir, name, err := openBelow(a.top, path)
	if err != nil {
		return stat{}, err
	}
	defer closeFd(dir)
	return statAt(dir, name)
}

// file rewrites what is known of a pair that is one file.
func (a *adopter) file(c Change) error {
	b, err := a.state.openBook(keyOf(c.Path+"\x00"), nil, 0, 1)
	if err != nil {
		return err
	}
	_, name := splitPath(c.Path)
	if b.get(name) == nil {
		a.n--
		return nil
	}
	if err := a.name(b, name, c); err != nil {
		return err
	}
	b.keep(a.state, &dirRecord{})
	return nil
}

// dir rewrites what is known of a directory and of names in it. It is to be listed by the next pass.
func (a *adopter) dir(path string, changes []Change) error {
	t, err := a.look(path)
	if isAbsent(err) {
		return nil // it is gone itself, which its parent's record tells
	}
	if err != nil {
		return err
	}
	key := keyOf(path)
	rec := a.state.dir(key)
	next := dirRecord{path: path, src: tuple{mode: unix.S_IFDIR}, segments: 1}
	if rec != nil {
		next.src, next.segments = rec.src, rec.segments
	}
	next.dst, next.racy = t.tuple(), true
	for seg := range next.segments {
		b, err := a.state.openBook(key, rec, seg, next.segments)
		if err != nil {
			return err
		}
		for _, name := range b.sorted() {
			b.meet(name)
		}
		for _, c := range changes {
			if _, name := splitPath(c.Path); segmentOf(name, next.segments) == seg {
				if err := a.name(b, name, c); err != nil {
					return err
				}
			}
		}
		b.keep(a.state, &next)
	}
	a.state.put(bucketDirs, string(key[:]), next.encode(), false)
	return nil
}

// name notes one name: the target as it was seen, the source as it never was.
func (a *adopter) name(b *book, name string, c Change) error {
	_, err := a.look(c.Path)
	switch {
	case isAbsent(err), err == nil && c.Op == OpDelete:
		b.drop(name)
		return nil
	case err != nil:
		return err
	}
	b.put(&entry{name: name, src: tuple{mode: c.seen.mode & unix.S_IFMT}, dst: c.seen}, false)
	return nil
}
