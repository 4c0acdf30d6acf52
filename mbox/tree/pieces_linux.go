package tree

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// What the program itself sends of a file bears two more PAX records: its numbers as in a manifest, taken while it was open
// and standing still, and, when its content is not sent byte by byte, the digest of the whole; then the body is a list of
// pieces, three varints each: kind, first, length. A literal's bytes follow it, a hole has none, and an old piece is so many
// bytes at that place of the copy at the target, which the asker described by the sums of its chunks.
const (
	paxNumbers = "MAILMOVE.numbers"
	paxPieces  = "MAILMOVE.pieces" // digest in hexadecimal digits, or "-" for none
)

const (
	pieceLiteral = iota
	pieceHole
	pieceOld
)

// piece is a part of a file.
type piece struct {
	kind    int
	from, n int64
}

func (p piece) head() []byte {
	b := binary.AppendUvarint(nil, uint64(p.kind))
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.from)), uint64(p.n))
}

// size is how many bytes of the stream it takes.
func (p piece) size() int64 {
	n := int64(len(p.head()))
	if p.kind == pieceLiteral {
		n += p.n
	}
	return n
}

// encodeRequests writes what is wanted: path, and the chunks of the copy at the target where there are any.
func encodeRequests(want []request) (b []byte) {
	for _, q := range want {
		b = append(binary.AppendUvarint(b, uint64(len(q.path))), q.path...)
		b = append(binary.AppendUvarint(b, uint64(len(q.old))), q.old...)
	}
	return b
}

// maxChunks bounds what is told of an old copy: some 20 MiB.
const maxChunks = 1 << 20

// oldList describes the copy of a large mailbox at the target.
func (s *syncer) oldList(it *item, v *verdict) (list mbox.ChunkList) {
	d := it.d
	if v.op != OpUpdate || v.t == nil || !v.t.regular() || !d.mail && !d.below || v.t.size < deltaFrom || it.st.size < deltaFrom {
		return nil
	}
	fd, err := openSame(d.dst, it.to, v.t, openFile)
	if err != nil {
		return nil
	}
	defer closeFd(fd)
	n := 0
	_, err = mbox.Split(s.ctx, fdReader(fd), v.t.size, func(k mbox.Chunk) error {
		if n++; n > maxChunks {
			return errors.ErrUnsupported
		}
		list.Add(k)
		return nil
	})
	if err != nil {
		return nil
	}
	return list
}

// describe takes what the header tells of the file.
func (s *streamFile) describe(h *tar.Header) error {
	s.st.size = h.Size
	if h.ModTime.Unix() != s.st.mtime.sec {
		s.st.mtime = stamp{h.ModTime.Unix(), uint32(h.ModTime.Nanosecond())}
	}
	text, ok := h.PAXRecords[paxNumbers]
	if !ok || s.f.r.plain {
		return nil
	}
	st, _, err := parseNumbers('f', text)
	if err != nil {
		return s.in.fail(fmt.Errorf("object: %w", err))
	}
	s.st, s.q.it.st = st, st
	s.pieces = h.PAXRecords[paxPieces]
	s.q.steady = true
	return nil
}

// assemble puts a file together from what comes and from the old copy.
func (s *streamFile) assemble(ctx context.Context, out int, st *stat, buf []byte) (taken int64, err error) {
	in := bufio.NewReaderSize(s.in, 32<<10)
	w := patch{ctx: ctx, out: out, old: -1, in: -1, buf: buf}
	if s.q.v.t != nil && len(s.q.old) > 0 {
		if w.old, err = openSame(s.q.it.d.dst, s.q.it.to, s.q.v.t, openFile); err != nil {
			return 0, err
		}
		defer closeFd(w.old)
	}
	for at := int64(0); at < st.size; {
		p, err := readPiece(in, st.size-at)
		if err != nil {
			return taken, s.in.fail(err)
		}
		switch {
		case p.kind == pieceLiteral:
			err = s.literal(ctx, in, out, at, p.n, buf)
			taken += p.n
		case p.kind == pieceOld && w.old >= 0:
			err = copyPart(ctx, out, at, w.old, p.from, p.n, buf)
		case p.kind != pieceHole:
			err = s.in.fail(errors.New("a piece of nothing"))
		}
		if err != nil {
			return taken, unexpected(err)
		}
		at += p.n
	}
	if err := unix.Ftruncate(out, st.size); err != nil {
		return taken, err
	}
	if s.pieces == "-" {
		return taken, nil
	}
	got, err := mbox.Split(ctx, fdReader(out), st.size, func(mbox.Chunk) error { return nil })
	if err == nil && hex.EncodeToString(got[:]) != s.pieces {
		err = errDigest
	}
	return taken, err
}

func (s *streamFile) literal(ctx context.Context, in io.Reader, out int, at, n int64, buf []byte) error {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), n)]
		if _, err := io.ReadFull(in, b); err != nil {
			return s.in.fail(err)
		}
		if err := writeFull(out, b, at); err != nil {
			return err
		}
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return nil
}

func readPiece(in *bufio.Reader, left int64) (p piece, err error) {
	var v [3]uint64
	for i := range v {
		if v[i], err = binary.ReadUvarint(in); err != nil {
			return p, err
		}
	}
	p = piece{int(min(v[0], pieceOld+1)), int64(v[1] &^ (1 << 63)), int64(v[2] &^ (1 << 63))}
	if p.n == 0 || p.n > left {
		return p, fmt.Errorf("a piece of %d bytes where %d are left", p.n, left)
	}
	return p, nil
}

// plan finds the pieces of an open file: holes, and what the asker's copy has already.
func (s *server) plan(fd int, st *stat, old mbox.ChunkList) (ps []piece, digest string, err error) {
	if len(old) == 0 {
		if st.blocks*512 >= st.size || st.size == 0 {
			return nil, "", nil
		}
		at := int64(0)
		err = eachData(fd, st.size, func(from, end int64) error {
			if from > at {
				ps = append(ps, piece{pieceHole, 0, from - at})
			}
			ps = append(ps, piece{pieceLiteral, 0, end - from})
			at = end
			return nil
		})
		if at < st.size {
			ps = append(ps, piece{pieceHole, 0, st.size - at})
		}
		return ps, "-", err
	}
	at := map[[16]byte]int64{}
	for k, err := range old.All() {
		if err != nil {
			return nil, "", err
		}
		at[k.Sum] = k.Off
	}
	d, err := mbox.Split(s.ctx, fdReader(fd), st.size, func(k mbox.Chunk) error {
		p := piece{pieceLiteral, 0, k.Len}
		if off, ok := at[k.Sum]; ok {
			p = piece{pieceOld, off, k.Len}
		}
		if n := len(ps) - 1; n >= 0 && ps[n].kind == p.kind && (p.kind == pieceLiteral || ps[n].from+ps[n].n == p.from) {
			ps[n].n += p.n
			return nil
		}
		ps = append(ps, p)
		return nil
	})
	return ps, hex.EncodeToString(d[:]), err
}

// header describes an object.
func header(p string, st *stat, as []attr) *tar.Header {
	h := &tar.Header{Name: p, Mode: int64(st.perm()), Uid: int(st.uid), Gid: int(st.gid), PAXRecords: map[string]string{paxNumbers: numbers(st)}, Format: tar.FormatPAX}
	switch {
	case st.regular():
		h.Typeflag = tar.TypeReg
	case st.dir():
		h.Typeflag = tar.TypeDir
	case st.typ() == unix.S_IFLNK:
		h.Typeflag, h.Linkname = tar.TypeSymlink, "."
	case st.typ() == unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		h.Typeflag = tar.TypeChar
	}
	for _, a := range as {
		if a.name == flagsAttr {
			h.PAXRecords[paxFlags] = hex.EncodeToString(a.value)
		} else if !strings.Contains(a.name, "=") {
			h.PAXRecords["SCHILY.xattr."+a.name] = string(a.value)
		}
	}
	return h
}
