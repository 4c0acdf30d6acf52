package tree

import (
	"slices"
	"strings"
	"sync"
)

// book is what is known of the names in one segment of a directory, as the pass under way rewrites it. Without a state
// file it knows nothing and keeps nothing.
type book struct {
	key      dirKey
	segment  int
	segments int
	on       bool

	mu     sync.Mutex
	names  map[string]*entry
	byIno  map[uint64]*entry // regular files, made when first asked for
	dirty  bool              // differs from what is saved
	hard   bool              // in a way that must be saved
	failed bool              // something in the directory was not dealt with: it is not to be trusted
}

// openBook loads one segment; rec is what is known of the directory, nil when nothing is.
func (s *state) openBook(key dirKey, rec *dirRecord, segment, segments int) (*book, error) {
	b := &book{key: key, segment: segment, segments: segments, on: s.saved(), names: map[string]*entry{}}
	if !b.on {
		return b, nil
	}
	old := 1
	if rec != nil {
		old = rec.segments
	}
	if old == segments {
		return b, s.names(key, segment, segments, b.names)
	}
	b.dirty = true
	for i := range old {
		all := map[string]*entry{}
		if err := s.names(key, i, old, all); err != nil {
			return b, err
		}
		for name, e := range all {
			if segmentOf(name, segments) == segment {
				b.names[name] = e
			}
		}
	}
	return b, nil
}

// get returns what is known of a name, nil when nothing is.
func (b *book) get(name string) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.names[name]
}

// meet notes that the source has the name; seen tells that it was met before.
func (b *book) meet(name string) (e *entry, seen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e = b.names[name]; e != nil {
		seen, e.met = e.met, true
	}
	return e, seen
}

// unmeet takes meet back: the name went away again.
func (b *book) unmeet(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.names[name]; e != nil {
		e.met = false
	}
}

// put keeps what is now known of a name. soft: it only saves a later pass some work.
func (b *book) put(e *entry, soft bool) {
	if !b.on {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.met = true
	b.names[e.name] = e
	b.dirty, b.hard = true, b.hard || !soft
}

func (b *book) drop(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names[name] == nil {
		return
	}
	delete(b.names, name)
	b.dirty, b.hard = true, true
}

func (b *book) isDirty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dirty || b.failed
}

// doubt has the next pass look at a name on both sides.
func (b *book) doubt(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.names[name]; e != nil && !e.racy {
		again := *e // others may be reading it
		again.racy = true
		b.names[name] = &again
		b.dirty, b.hard = true, true
	}
}

// fail notes that something in the directory was left undone.
func (b *book) fail() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = true
}

// inode finds the name under which a regular file was last seen in this directory.
func (b *book) inode(dev, ino uint64) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byIno == nil {
		b.byIno = make(map[uint64]*entry, len(b.names))
		for _, e := range b.names {
			if e.src.mode&0o170000 == 0o100000 {
				b.byIno[e.src.ino] = e
			}
		}
	}
	if e := b.byIno[ino]; e != nil && e.src.dev == dev && b.names[e.name] == e {
		return e
	}
	return nil
}

// unmet lists the names that were not met, in their order.
func (b *book) unmet() (out []*entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.names {
		if !e.met {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(x, y *entry) int { return strings.Compare(x.name, y.name) })
	return out
}

// sorted lists all names in their order.
func (b *book) sorted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sortedKeys(b.names)
}

// keep hands the segment to the state when it changed and adds what it holds to the record of its directory.
func (b *book) keep(s *state, r *dirRecord) (hard bool) {
	if !b.on {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.names {
		r.add(e)
	}
	r.racy = r.racy || b.failed
	if b.dirty {
		var v []byte
		if len(b.names) > 0 {
			v = encodeNames(b.names)
		}
		s.putList(b.key, b.segment, v, !b.hard)
	}
	return b.hard
}

// add counts one name.
func (r *dirRecord) add(e *entry) {
	switch {
	case !e.met:
		r.gone++
		return
	case e.src.mode&0o170000 == 0o040000:
		return
	}
	r.names++
	if e.src.mode&0o170000 == 0o100000 {
		r.bytes += e.src.size
	}
	for i := range r.owners {
		if o := &r.owners[i]; o.uid == e.src.uid && o.gid == e.src.gid {
			o.n++
			return
		}
	}
	r.owners = append(r.owners, owner{e.src.uid, e.src.gid, 1})
}
