package passwd

import (
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
)

// book is a table with its entries, User or Group, and the ways to find them.
type book[E any] struct {
	table
	entries []E
	at      []int // row of entries[i], ascending
	hidden  []hidden
	veiled  map[string]int // name -> first index in hidden
	unfit   map[int]string // entries that must not be copied as they are, and why
	key     func(*E) (name string, id uint32)
	idWord  string // "uid" or "gid"

	// The lookups are made when the first is asked for; whoever goes through all entries needs none.
	once  sync.Once
	names map[string]int
	ids   map[uint32]int
}

// hidden is an account or a group in a malformed line of which libc still takes the name and the ids.
type hidden struct {
	name     string
	uid, gid uint32
	row      int
}

// read loads src and finds the entries of its lines with entry.
func (b *book[E]) read(name string, src []byte, entry func(row int, body string, whole bool) Kind) {
	b.unfit, b.veiled = map[int]string{}, map[string]int{}
	b.load(name, src, func(n int) {
		b.entries, b.at = make([]E, 0, n), make([]int, 0, n)
	}, entry)
}

// hide notes what libc takes from a malformed line.
func (b *book[E]) hide(h hidden) {
	if _, ok := b.veiled[h.name]; !ok {
		b.veiled[h.name] = len(b.hidden)
	}
	b.hidden = append(b.hidden, h)
}

// index makes the lookups, once, and reports names and ids that an earlier entry has.
func (b *book[E]) index() {
	b.once.Do(func() {
		b.names, b.ids = make(map[string]int, len(b.entries)), make(map[uint32]int, len(b.entries))
		found := len(b.problems)
		for i := range b.entries {
			b.enter(i)
		}
		if len(b.problems) > found {
			slices.SortStableFunc(b.problems, func(p, q Problem) int { return p.Line - q.Line })
		}
	})
}

func (b *book[E]) enter(i int) {
	row := b.at[i]
	name, id := b.key(&b.entries[i])
	if first, dup := b.names[name]; dup {
		b.problem(row, Warning, "duplicate-name", "%s stands in line %d already, and that line counts", quote(name), b.at[first]+1)
	} else {
		b.names[name] = i
	}
	first, dup := b.ids[id]
	if !dup {
		b.ids[id] = i
		return
	}
	if other, _ := b.key(&b.entries[first]); other != name {
		b.problem(row, Info, "duplicate-"+b.idWord, "%s %d is also that of %s in line %d", b.idWord, id, quote(other), b.at[first]+1)
	}
}

// byName gives the first entry of each name, byID that of each id.
func (b *book[E]) byName() map[string]int { b.index(); return b.names }
func (b *book[E]) byID() map[uint32]int   { b.index(); return b.ids }

// Problems lists what Parse found, in the order of the lines. Edits neither add to it nor move its line numbers.
func (b *book[E]) Problems() []Problem { b.index(); return b.problems }

func (b *book[E]) get(name string) (e E, ok bool) {
	i, ok := b.byName()[name]
	if ok {
		e = b.entries[i]
	}
	return e, ok
}

func (b *book[E]) getID(id uint32) (e E, ok bool) {
	i, ok := b.byID()[id]
	if ok {
		e = b.entries[i]
	}
	return e, ok
}

func (b *book[E]) all() iter.Seq[*E] {
	return func(yield func(*E) bool) {
		for i := range b.entries {
			if !yield(&b.entries[i]) {
				return
			}
		}
	}
}

// vacant refuses a name that any line bears which libc sees, and a file that must not be written.
func (b *book[E]) vacant(name string) error {
	if err := b.writable(); err != nil {
		return err
	}
	if b.taken(name) {
		return fmt.Errorf("%s: %s: %w", b.name, quote(name), fs.ErrExist)
	}
	return nil
}

func (b *book[E]) taken(name string) bool {
	_, ok := b.byName()[name]
	if !ok {
		_, ok = b.veiled[name]
	}
	return ok
}

// find gives the index of the entry that an edit means.
func (b *book[E]) find(name string) (int, error) {
	if err := b.writable(); err != nil {
		return 0, err
	}
	if i, ok := b.byName()[name]; ok {
		return i, nil
	}
	if i, ok := b.veiled[name]; ok {
		return 0, fmt.Errorf("%s: line of %s: %w", b.place(b.hidden[i].row), quote(name), ErrMalformed)
	}
	return 0, fmt.Errorf("%s: %s: %w", b.name, quote(name), fs.ErrNotExist)
}

// put adds an entry whose line is text.
func (b *book[E]) put(text string, e E) {
	row := b.insert(text)
	i, _ := slices.BinarySearch(b.at, row)
	b.moveRows(i, row, 1)
	appended := i == len(b.entries)
	b.entries, b.at = slices.Insert(b.entries, i, e), slices.Insert(b.at, i, row)
	if !appended {
		b.reindex(i, 1)
		return
	}
	name, id := b.key(&b.entries[i])
	b.byName()[name] = i
	if _, dup := b.byID()[id]; !dup {
		b.byID()[id] = i
	}
}

// update changes the line of entry i and what it means.
func (b *book[E]) update(i int, text string, e E) {
	_, before := b.key(&b.entries[i])
	b.replace(b.at[i], text)
	b.entries[i] = e
	if _, id := b.key(&b.entries[i]); id != before {
		b.reindex(i, 0)
	}
}

// drop removes the line of a name.
func (b *book[E]) drop(name string) error {
	i, err := b.find(name)
	if err != nil {
		return err
	}
	row := b.at[i]
	b.remove(row)
	b.entries, b.at = slices.Delete(b.entries, i, i+1), slices.Delete(b.at, i, i+1)
	b.moveRows(i, row, -1)
	delete(b.unfit, i)
	b.reindex(i, -1)
	return nil
}

// moveRows follows a line that came or went at row; i is the first entry behind it.
func (b *book[E]) moveRows(i, row, by int) {
	for j := i; j < len(b.at); j++ {
		b.at[j] += by
	}
	for j := range b.hidden {
		if b.hidden[j].row >= row {
			b.hidden[j].row += by
		}
	}
}

// reindex builds the lookups anew after the entries from i on moved by that many places.
func (b *book[E]) reindex(i, moved int) {
	unfit := make(map[int]string, len(b.unfit))
	for j, why := range b.unfit {
		if j >= i {
			j += moved
		}
		unfit[j] = why
	}
	b.unfit = unfit
	clear(b.names)
	clear(b.ids)
	for j := len(b.entries) - 1; j >= 0; j-- {
		name, id := b.key(&b.entries[j])
		b.names[name], b.ids[id] = j, j
	}
}

// where is the position of the entry that a name means.
func (b *book[E]) where(name string) string {
	if i, ok := b.byName()[name]; ok {
		return b.place(b.at[i])
	}
	if i, ok := b.veiled[name]; ok {
		return b.place(b.hidden[i].row)
	}
	return b.name
}
