package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What the program itself sends upon a fetch is a row of parcels: bytes of the head as an unsigned varint, the head, the body. tar
// with PAX records told the same in 2 KiB more for each file, a quarter of all that came, and both ends worked longer on these
// than on the content.
//
// A head begins with its kind. Of an object, or why one is not sent, follows the place of its request, counted from 0, and
//
//	parcelObject    its numbers, taken while it was open; attributes; skipped; digest; bytes of the body
//	parcelRefused   why
//
// Behind them come the directories in which locks were taken, and an empty one that says that this was all.
//
//	parcelNow       path; numbers
//	parcelEnd
//
// A regular file's body is its content and a last byte, see sentWhole. Where not all is sent there is the digest of the content
// and the body begins with a list of pieces, three varints each: kind, first, length. A literal's bytes follow it, a hole has
// none, and an old piece is so many bytes at that place of the copy at the target, which the asker described by the sums of its
// chunks.
const (
	parcelEnd = iota
	parcelObject
	parcelRefused
	parcelNow
)

// gone is the reason for a refusal that counts for nothing.
const gone = "gone"

// parcel is a head.
type parcel struct {
	kind    byte
	place   uint64
	st      stat
	attrs   []byte // see encodeAttrs
	skipped string // why a mailbox was copied without a dotlock
	digest  string // in hexadecimal digits, or "-" for none; "": the body has no pieces
	text    string // why, or the path of a directory
	body    int64
}

// encode appends the head.
func (p *parcel) encode(b []byte) []byte {
	b = append(b, p.kind)
	switch p.kind {
	case parcelObject:
		b = p.st.encode(binary.AppendUvarint(b, p.place))
		b = append(binary.AppendUvarint(b, uint64(len(p.attrs))), p.attrs...)
		b = appendString(appendString(b, p.skipped), p.digest)
		b = binary.AppendUvarint(b, uint64(p.body))
	case parcelRefused:
		b = appendString(binary.AppendUvarint(b, p.place), p.text)
	case parcelNow:
		b = p.st.encode(appendString(b, p.text))
	}
	return b
}

// mostHead bounds a head: attributes can be long.
const mostHead = 4 << 20

// mostWhy bounds what is told of an object in words: the report keeps it.
const mostWhy = 1000

// decode reads a head without its length.
func (p *parcel) decode(b []byte) error {
	c := cursor{b: b}
	*p = parcel{kind: byte(min(c.uint(), parcelNow+1))}
	if p.kind == parcelObject || p.kind == parcelRefused {
		p.place = c.uint()
	}
	switch p.kind {
	case parcelObject:
		p.st = c.stat()
		p.attrs, p.skipped, p.digest, p.body = c.bytes(), c.text(), c.text(), int64(c.uint())
	case parcelRefused:
		p.text = c.text()
	case parcelNow:
		p.text, p.st = c.text(), c.stat()
	case parcelEnd:
	default:
		return fmt.Errorf("a parcel of kind %d", p.kind)
	}
	if (p.kind == parcelObject || p.kind == parcelRefused) && len(p.skipped)+len(p.text) > mostWhy {
		return fmt.Errorf("a reason of %d bytes", len(p.skipped)+len(p.text))
	}
	if c.bad || len(c.b) > 0 || p.body < 0 {
		return fmt.Errorf("a parcel of kind %d with a head of %d bytes that cannot be read", p.kind, len(b))
	}
	return nil
}

func (s *stat) encode(b []byte) []byte {
	for _, v := range [...]uint64{s.dev, s.ino, uint64(s.mode), uint64(s.nlink), uint64(s.uid), uint64(s.gid), uint64(s.size), uint64(s.blocks), s.rdev} {
		b = binary.AppendUvarint(b, v)
	}
	for _, t := range [...]stamp{s.atime, s.mtime, s.ctime} {
		b = binary.AppendUvarint(binary.AppendVarint(b, t.sec), uint64(t.ns))
	}
	return b
}

// stat reads numbers. What no object can have makes the cursor bad.
func (c *cursor) stat() (s stat) {
	s.dev, s.ino, s.mode, s.nlink, s.uid, s.gid = c.uint(), c.uint(), uint32(c.uint()), uint32(c.uint()), uint32(c.uint()), uint32(c.uint())
	s.size, s.blocks, s.rdev = int64(c.uint()), int64(c.uint()), c.uint()
	for _, t := range [...]*stamp{&s.atime, &s.mtime, &s.ctime} {
		t.sec, t.ns = c.int(), uint32(c.uint())
		c.bad = c.bad || t.ns >= 1e9
	}
	c.bad = c.bad || s.size < 0 || s.blocks < 0 || letter(&s) == '?'
	return s
}

// parcels reads them.
type parcels struct {
	in   *bufio.Reader
	out  io.Closer
	head []byte
	left int64 // of the body at hand
	torn bool  // the stream ended in the middle, or says what cannot be
}

// next goes to the next one; errEnd after the last.
func (a *parcels) next(p *parcel) error {
	for a.left > 0 {
		n, err := a.in.Discard(int(min(a.left, 1<<30)))
		if a.left -= int64(n); err != nil {
			return a.fail(err)
		}
	}
	n, err := binary.ReadUvarint(a.in)
	if err == nil && n > mostHead {
		err = fmt.Errorf("a head of %d bytes", n)
	}
	if err != nil {
		return a.fail(err)
	}
	a.head = slices.Grow(a.head[:0], int(n))[:n]
	if _, err := io.ReadFull(a.in, a.head); err != nil {
		return a.fail(err)
	}
	if err := p.decode(a.head); err != nil {
		return a.fail(err)
	}
	if a.left = p.body; p.kind != parcelEnd {
		return nil
	}
	if _, err := a.in.ReadByte(); !errors.Is(err, io.EOF) {
		return a.fail(errors.Join(errors.New("more behind the end of the answer"), err))
	}
	return errEnd
}

// Read gives the body of the one at hand.
func (a *parcels) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.in.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	if err != nil {
		err = a.fail(err)
	}
	return n, err
}

func (a *parcels) fail(err error) error {
	a.torn = true
	return cut(err)
}

func (a *parcels) broken() bool { return a.torn }

func (a *parcels) close() error { return a.out.Close() }

// carriedAttrs reads attributes. Those that belong to a host stay behind.
func carriedAttrs(raw []byte) ([]attr, error) {
	as, ok := decodeAttrs(bytes.Clone(raw)) // what is in raw is soon something else
	if !ok {
		return nil, fmt.Errorf("attributes of %d bytes that cannot be read", len(raw))
	}
	return slices.DeleteFunc(as, func(a attr) bool { return hostAttrs[a.name] || strings.ContainsRune(a.name, 0) }), nil
}

// post writes a head. The error is of the line, or says that there are too many attributes.
func (s *server) post(p *parcel) error {
	if p.kind != parcelNow {
		p.skipped, p.text = p.skipped[:min(len(p.skipped), mostWhy)], p.text[:min(len(p.text), mostWhy)]
	}
	s.head = p.encode(s.head[:0])
	if len(s.head) > mostHead {
		return fmt.Errorf("%d bytes of attributes", len(p.attrs))
	}
	var b [binary.MaxVarintLen64]byte
	_, err := s.out.Write(b[:binary.PutUvarint(b[:], uint64(len(s.head)))])
	if err == nil {
		_, err = s.out.Write(s.head)
	}
	return line(err)
}
