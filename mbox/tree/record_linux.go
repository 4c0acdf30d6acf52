package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"time"
)

// tuple is what tells that an object is as it was. All of it is compared with != and never with <, for clocks step.
type tuple struct {
	dev, ino              uint64
	size                  int64
	mtime, ctime          stamp
	mode, uid, gid, nlink uint32
}

func (s *stat) tuple() tuple {
	t := tuple{
		dev: s.dev, ino: s.ino, size: s.size, mtime: s.mtime, ctime: s.ctime,
		mode: s.mode, uid: s.uid, gid: s.gid, nlink: s.nlink,
	}
	if s.dir() { // a directory's size and links are its file system's affair
		t.size, t.nlink = 0, 0
	}
	return t
}

// entry is what is known of one name in a directory: the source as it was read, the target as it was left. Of a directory
// only the type counts; what is known of it stands in its own dirRecord.
type entry struct {
	name     string
	src, dst tuple
	racy     bool // the source could have changed again within the tick of its ctime; compare content next time
	met      bool // by the pass under way; not saved
}

func (e *entry) isDir() bool { return e.src.mode&0o170000 == 0o040000 }

// untouched tells whether the target is as we left it. The change time counts, for it alone shows a rewrite that keeps
// size and mtime; not for directories and hard-linked files, whose ctime moves with other names. A device number is
// not kept across mounts and does not count.
func (t *tuple) untouched(now *stat) bool {
	if t.mode&0o170000 != now.typ() || t.ino != now.ino || t.mtime != now.mtime {
		return false
	}
	if now.dir() {
		return true
	}
	if t.size != now.size {
		return false
	}
	return t.ctime == now.ctime || t.ctime == (stamp{}) || t.nlink > 1 || now.nlink > 1
}

// racySlack bounds how late the time of a change can be: file times come from a clock that ticks every 1 to 10 ms, or are
// kept in whole seconds (ext4 with 128-byte inodes). What changed so shortly before it was looked at may have changed
// again without any sign.
const racySlack = 2 * time.Second

func racy(s *stat, now time.Time) bool {
	return !time.Unix(s.ctime.sec, int64(s.ctime.ns)).Before(now.Add(-racySlack)) ||
		s.dir() && !time.Unix(s.mtime.sec, int64(s.mtime.ns)).Before(now.Add(-racySlack))
}

// dirRecord is what is known of one directory. When both sides are as it says, no name was added, removed or renamed.
type dirRecord struct {
	path     string // below the target root
	src, dst tuple
	racy     bool // its names could have changed within the tick of its time, or some of them failed: list it again
	segments int  // how many pieces its names are saved in, see segmentOf
	names    int64
	bytes    int64 // size of its regular files
	gone     int64 // names that the source no longer has and that are still at the target
	owners   []owner
	hard     bool // worth saving; not saved itself
}

// differs tells whether o says something else.
func (r *dirRecord) differs(o *dirRecord) bool {
	return r.src != o.src || r.dst != o.dst || r.racy != o.racy || r.segments != o.segments || r.names != o.names ||
		r.bytes != o.bytes || r.gone != o.gone
}

// owner counts the objects of one owner, for the report of a directory that was not listed.
type owner struct {
	uid, gid uint32
	n        int64
}

// segmentNames is how many names one piece of a directory may hold: what is known of one piece is in memory at once.
var segmentNames = 32 << 10

// segmentOf tells in which piece of a directory a name is. A message that gets other flags stays in its piece.
func segmentOf(name string, segments int) int {
	if segments < 2 {
		return 0
	}
	return int(maphash32(messageBase(name)) % uint32(segments))
}

func maphash32(s string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, s)
	return h.Sum32()
}

// dirKey stands for a directory in the state: names of any length make keys of one length.
type dirKey [16]byte

func keyOf(path string) (k dirKey) {
	sum := sha256.Sum256([]byte(path))
	copy(k[:], sum[:])
	return k
}

func (k dirKey) name(name string) string { return string(k[:]) + name }

func splitKey(key string) (k dirKey, name string) {
	copy(k[:], key)
	return k, key[len(k):]
}

func (k dirKey) segment(n int) string {
	return string(binary.BigEndian.AppendUint32(k[:len(k):len(k)], uint32(n)))
}

const recordVersion = 2

var errRecord = errors.New("unreadable record in the state file")

func (r *dirRecord) encode() []byte {
	b := append(make([]byte, 0, 160+len(r.path)), recordVersion, 0)
	if r.racy {
		b[1] = 1
	}
	b = appendString(b, r.path)
	b = r.dst.encode(r.src.encode(b))
	for _, v := range []int64{int64(r.segments), r.names, r.bytes, r.gone, int64(len(r.owners))} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	for _, o := range r.owners {
		for _, v := range []uint64{uint64(o.uid), uint64(o.gid), uint64(o.n)} {
			b = binary.AppendUvarint(b, v)
		}
	}
	return b
}

func decodeDir(b []byte) (*dirRecord, error) {
	r := &dirRecord{}
	return r, r.decode(b)
}

// decode reads what encode wrote; the list of owners is used again.
func (r *dirRecord) decode(b []byte) error {
	if len(b) < 2 || b[0] != recordVersion {
		return errRecord
	}
	c := cursor{b: b[2:]}
	*r = dirRecord{racy: b[1] != 0, path: string(c.bytes()), src: c.tuple(), dst: c.tuple(), owners: r.owners[:0]}
	r.segments, r.names, r.bytes, r.gone = int(c.uint()), int64(c.uint()), int64(c.uint()), int64(c.uint())
	for n := c.uint(); n > 0 && !c.bad; n-- {
		r.owners = append(r.owners, owner{uint32(c.uint()), uint32(c.uint()), int64(c.uint())})
	}
	if c.bad || r.segments < 1 || r.segments > 1<<20 {
		return errRecord
	}
	return nil
}

// encodeNames writes the names of one segment in their order.
func encodeNames(names map[string]*entry) []byte {
	b := append(make([]byte, 0, 16+112*len(names)), recordVersion)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range sortedKeys(names) {
		e := names[name]
		flags := byte(0)
		if e.racy {
			flags = 1
		}
		b = append(appendString(b, name), flags)
		b = e.dst.encode(e.src.encode(b))
	}
	return b
}

// decodeNames adds the names of one segment to m.
func decodeNames(b []byte, m map[string]*entry) error {
	es, err := decodeEntries(b, make([]entry, 0, roomFor(b)))
	if err != nil {
		return err
	}
	for i := range es {
		m[es[i].name] = &es[i]
	}
	return nil
}

// roomFor tells for how many names there has to be room, 0 when b is no list of names.
func roomFor(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	n, _ := binary.Uvarint(b[1:])
	return int(min(n, uint64(len(b)/entryLeast)))
}

// entryLeast is the fewest bytes that a name is saved in.
const entryLeast = 2 + 2*11

// decodeEntries gives the names of one segment in their order, in es as far as there is room.
func decodeEntries(b []byte, es []entry) ([]entry, error) {
	es = es[:0]
	text := string(b) // one string for all names
	err := eachEntry(b, func(at, end int, e *entry) {
		e.name = text[at:end]
		es = append(es, *e)
	})
	return es, err
}

// eachEntry calls f for the names of one segment in their order; a name is in b from at to end. The entry is f's until it returns.
func eachEntry(b []byte, f func(at, end int, e *entry)) error {
	if len(b) < 1 || b[0] != recordVersion {
		return errRecord
	}
	c := cursor{b: b[1:]}
	n := c.uint()
	if n > uint64(len(b)) {
		return errRecord
	}
	var e entry
	for range n {
		at, l := c.span(len(b))
		if c.bad || len(c.b) == 0 {
			return errRecord
		}
		e = entry{racy: c.b[0]&1 != 0}
		c.b = c.b[1:]
		if e.src, e.dst = c.tuple(), c.tuple(); c.bad {
			return errRecord
		}
		f(at, at+l, &e)
	}
	return nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (t *tuple) encode(b []byte) []byte {
	for _, v := range []uint64{t.dev, t.ino, uint64(t.size), uint64(t.mode), uint64(t.uid), uint64(t.gid), uint64(t.nlink)} {
		b = binary.AppendUvarint(b, v)
	}
	for _, s := range []stamp{t.mtime, t.ctime} {
		b = binary.AppendUvarint(binary.AppendVarint(b, s.sec), uint64(s.ns))
	}
	return b
}

// cursor reads what encode wrote; after the first fault it is bad and gives zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte {
	n := c.uint()
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) text() string { return string(c.bytes()) }

// span is bytes for one who holds the whole text: where they begin in it, and how many they are.
func (c *cursor) span(whole int) (at, n int) {
	b := c.bytes()
	return whole - len(c.b) - len(b), len(b)
}

func (c *cursor) tuple() (t tuple) {
	t.dev, t.ino, t.size = c.uint(), c.uint(), int64(c.uint())
	t.mode, t.uid, t.gid, t.nlink = uint32(c.uint()), uint32(c.uint()), uint32(c.uint()), uint32(c.uint())
	t.mtime = stamp{c.int(), uint32(c.uint())}
	t.ctime = stamp{c.int(), uint32(c.uint())}
	return t
}
