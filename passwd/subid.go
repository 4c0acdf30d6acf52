package passwd

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// SubID is one line of subuid(5) or subgid(5): Count ids from Start on that Owner, a user name or a uid in digits, may
// give to others in a user namespace.
type SubID struct {
	Owner        string
	Start, Count uint32
}

// end is the first id behind the range.
func (s SubID) end() uint64 { return uint64(s.Start) + uint64(s.Count) }

// SubIDFile is a subuid or subgid file.
type SubIDFile struct {
	table
	ranges []SubID
	at     []int
}

// ParseSubID reads the text of a subuid or subgid file. It never fails; see [Parse].
func ParseSubID(name string, src []byte) *SubIDFile {
	f := &SubIDFile{}
	f.load(name, src, func(n int) { f.ranges, f.at = make([]SubID, 0, n), make([]int, 0, n) }, f.entry)
	return f
}

func (f *SubIDFile) entry(row int, body string, whole bool) Kind {
	var v [3]string
	if n := splitFields(body, v[:]); n != 3 || !whole {
		if whole {
			f.problem(row, Error, "field-count", "%d fields, want 3", n)
		}
		return Invisible
	}
	start, sform := parseID(v[1])
	count, cform := parseID(v[2])
	s := SubID{v[0], start, count}
	if v[0] == "" || sform != plainID || cform != plainID || s.end() > 1<<32 {
		f.problem(row, Error, "number", "%s and %s are no range of ids", quote(v[1]), quote(v[2]))
		return Invisible
	}
	f.ranges, f.at = append(f.ranges, s), append(f.at, row)
	return Entry
}

// Ranges goes through all ranges in the order of the file.
func (f *SubIDFile) Ranges() iter.Seq[SubID] {
	return func(yield func(SubID) bool) {
		for _, s := range f.ranges {
			if !yield(s) {
				return
			}
		}
	}
}

// Add appends a range. Errors: ErrValue for an owner that cannot be written, an empty range, or one that an earlier
// range overlaps; ErrMalformed for a file with a NUL byte.
func (f *SubIDFile) Add(s SubID) error {
	if err := f.writable(); err != nil {
		return err
	}
	if err := checkName(s.Owner); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if s.Count == 0 || s.end() > 1<<32 {
		return fmt.Errorf("%s: %s: %w: %d ids from %d on", f.name, quote(s.Owner), ErrValue, s.Count, s.Start)
	}
	if i := f.overlap(s); i >= 0 {
		return fmt.Errorf("%s: %s: %w: ids from %d on overlap those of %s", f.place(f.at[i]), quote(s.Owner), ErrValue, s.Start, quote(f.ranges[i].Owner))
	}
	row := f.insert(strings.Join([]string{s.Owner, decimal(s.Start), decimal(s.Count)}, ":"))
	f.ranges, f.at = append(f.ranges, s), append(f.at, row)
	return nil
}

// overlap gives the index of a range that shares an id with s, -1 when there is none.
func (f *SubIDFile) overlap(s SubID) int {
	for i, r := range f.ranges {
		if uint64(s.Start) < r.end() && uint64(r.Start) < s.end() {
			return i
		}
	}
	return -1
}

// owned lists the ranges of a user, by name or by uid.
func (f *SubIDFile) owned(name string, uid uint32) []SubID {
	var out []SubID
	if f == nil {
		return nil
	}
	for _, s := range f.ranges {
		if s.Owner == name || s.Owner == strconv.FormatUint(uint64(uid), 10) {
			out = append(out, s)
		}
	}
	return out
}
