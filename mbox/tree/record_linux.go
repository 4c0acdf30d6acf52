package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
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

// record is what is known of one name: the source as it was read, the target as it was left.
type record struct {
	src, dst tuple
	racy     bool // the source could have changed again within the tick of its ctime; compare content next time
}

// untouched tells whether the target is as we left it. The change time counts, for it alone shows a rewrite that keeps
// size and mtime; not for directories and hard-linked files, whose ctime moves with other names. A device number is
// not kept across mounts and does not count.
func (r *record) untouched(t *stat) bool {
	d := &r.dst
	if d.mode&0o170000 != t.typ() || d.ino != t.ino || d.mtime != t.mtime {
		return false
	}
	if t.dir() {
		return true
	}
	if d.size != t.size {
		return false
	}
	return d.ctime == t.ctime || d.ctime == (stamp{}) || d.nlink > 1 || t.nlink > 1
}

// racySlack bounds how far the kernel's file clock can lag behind: file times are taken from a clock that ticks every 1
// to 10 ms, so two changes within one tick look alike; 50 ms is more than twice the coarsest tick. A ctime without
// nanoseconds may come from a file system that keeps whole seconds (ext4 with 128-byte inodes): 2 s.
func racy(s *stat, now time.Time) bool {
	slack := 50 * time.Millisecond
	if s.ctime.ns == 0 {
		slack = 2 * time.Second
	}
	return !time.Unix(s.ctime.sec, int64(s.ctime.ns)).Before(now.Add(-slack))
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

func inodeKey(dev, ino uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, dev), ino)
}

const recordVersion = 1

var errRecord = errors.New("unreadable record in the state file")

func (r *record) encode() []byte {
	b := append(make([]byte, 0, 96), recordVersion, 0)
	if r.racy {
		b[1] = 1
	}
	return r.dst.encode(r.src.encode(b))
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

func decodeRecord(b []byte) (*record, error) {
	if len(b) < 2 || b[0] != recordVersion {
		return nil, errRecord
	}
	r := &record{racy: b[1] != 0}
	b = b[2:]
	for _, t := range []*tuple{&r.src, &r.dst} {
		var ok bool
		if b, ok = t.decode(b); !ok {
			return nil, errRecord
		}
	}
	return r, nil
}

func (t *tuple) decode(b []byte) ([]byte, bool) {
	var v [7]uint64
	for i := range v {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		v[i], b = x, b[n:]
	}
	t.dev, t.ino, t.size = v[0], v[1], int64(v[2])
	t.mode, t.uid, t.gid, t.nlink = uint32(v[3]), uint32(v[4]), uint32(v[5]), uint32(v[6])
	for _, s := range []*stamp{&t.mtime, &t.ctime} {
		sec, n := binary.Varint(b)
		if n <= 0 {
			return nil, false
		}
		ns, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return nil, false
		}
		s.sec, s.ns, b = sec, uint32(ns), b[n+m:]
	}
	return b, true
}
