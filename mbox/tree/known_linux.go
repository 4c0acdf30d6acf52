package tree

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// encode appends the form that is kept in the file.
func (k *known) encode(b []byte) []byte {
	s := &k.st
	for _, v := range []uint64{s.dev, s.ino, uint64(s.mode), uint64(s.nlink), uint64(s.uid), uint64(s.gid), uint64(s.size), uint64(s.blocks), s.rdev,
		uint64(s.atime.sec), uint64(s.atime.ns), uint64(s.mtime.sec), uint64(s.mtime.ns), uint64(s.ctime.sec), uint64(s.ctime.ns),
		uint64(len(k.name)), uint64(len(k.text)), uint64(len(k.raw)), s.mnt} {
		b = binary.AppendUvarint(b, v)
	}
	return append(append(append(b, k.name...), k.text...), k.raw...)
}

// decode reads one object and returns the rest; nil: there is none.
func (k *known) decode(b []byte) []byte {
	var v [19]uint64
	for i := range v {
		u, n := binary.Uvarint(b)
		if n <= 0 {
			return nil
		}
		v[i], b = u, b[n:]
	}
	var words [3]string
	for i := range words {
		n := v[15+i]
		if n > uint64(len(b)) {
			return nil
		}
		words[i], b = string(b[:n]), b[n:]
	}
	k.name, k.text, k.raw = words[0], words[1], words[2]
	k.st = stat{
		dev: v[0], ino: v[1], mode: uint32(v[2]), nlink: uint32(v[3]), uid: uint32(v[4]), gid: uint32(v[5]), size: int64(v[6]), blocks: int64(v[7]), rdev: v[8], mnt: v[18],
		atime: stamp{int64(v[9]), uint32(v[10])}, mtime: stamp{int64(v[11]), uint32(v[12])}, ctime: stamp{int64(v[13]), uint32(v[14])},
	}
	return b
}

var types = map[byte]uint32{'f': unix.S_IFREG, 'd': unix.S_IFDIR, 'l': unix.S_IFLNK, 'p': unix.S_IFIFO, 's': unix.S_IFSOCK, 'b': unix.S_IFBLK, 'c': unix.S_IFCHR}

// parse reads the first word of an object's record.
func (k *known) parse(kind byte, text string) (err error) {
	typ, ok := types[kind]
	var f [11]string
	n := 0
	for w := range strings.FieldsSeq(text) {
		if n < len(f) {
			f[n] = w
		}
		n++
	}
	if !ok || n < len(f) {
		return fmt.Errorf("type %q with %d numbers", kind, n)
	}
	num := func(i, base int) (n uint64) {
		n, e := strconv.ParseUint(f[i], base, 64)
		err = errors.Join(err, e)
		return n
	}
	s := &k.st
	*s = stat{dev: num(0, 10), ino: num(1, 10), mode: typ | uint32(num(2, 8)&0o7777), nlink: uint32(num(3, 10)), uid: uint32(num(4, 10)),
		gid: uint32(num(5, 10)), size: int64(num(6, 10) &^ (1 << 63)), blocks: int64(num(7, 10) &^ (1 << 63))}
	for i, t := range []*stamp{&s.atime, &s.mtime, &s.ctime} {
		var e error
		*t, e = parseStamp(f[8+i])
		err = errors.Join(err, e)
	}
	if n > len(f) {
		for _, w := range strings.Fields(text)[len(f):] {
			err = errors.Join(err, k.word(w))
		}
	}
	return err
}

func (k *known) word(w string) (err error) {
	name, value, _ := strings.Cut(w, "=")
	switch name {
	case "same":
		k.not = true
	case "mount":
		k.not, k.st.mnt = true, elsewhere
	case "unread":
		k.unread = true
	case "rdev":
		k.st.rdev, err = strconv.ParseUint(value, 10, 64)
	case "attrs":
		var b []byte
		if b, err = hex.DecodeString(value); err == nil {
			k.raw = string(b)
			if _, ok := decodeAttrs(b); !ok {
				err = fmt.Errorf("attributes of %d bytes that cannot be read", len(b))
			}
		}
	default:
		err = fmt.Errorf("word %q", w)
	}
	return err
}

// elsewhere is the number of a mount that is not that of the tree.
const elsewhere = 1 << 63

// parseStamp reads seconds with up to ten digits behind the point, of which find's last is always 0. A time before 1970 has
// its fraction counted from the second below: find writes -1.5 as -1.5000000000 for the second -1 and half a second on.
func parseStamp(text string) (s stamp, err error) {
	whole, frac, _ := strings.Cut(text, ".")
	if s.sec, err = strconv.ParseInt(whole, 10, 64); err != nil || frac == "" {
		return s, err
	}
	frac = (frac + "000000000")[:9]
	ns, err := strconv.ParseUint(frac, 10, 32)
	s.ns = uint32(ns)
	return s, err
}

// dir gives the names of a directory in order.
func (m *manifest) dir(where string) ([]known, error) {
	names, err := m.read(where)
	if where == "." { // it is kept among its own names
		names = slices.DeleteFunc(names, func(k known) bool { return k.name == "." })
	}
	return names, err
}

// find gives the place of a name among sorted ones.
func find(names []known, name string) (i int, ok bool) {
	return slices.BinarySearchFunc(names, name, func(k known, n string) int { return strings.Compare(k.name, n) })
}
