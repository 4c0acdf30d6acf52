package tree

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// The kinds of pieces, see parcel.
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

// What a request tells besides its path.
const (
	askBare = 1 << iota // only what describes the object is wanted
	askFile             // it was a regular file when it was listed
	askBits = iota
)

// encodeRequests writes what is wanted: the length of the path, with askBits more of the above below it; path; length and chunks of
// the copy at the target, where there are any.
func encodeRequests(want []*request) []byte {
	n := 0
	for _, q := range want {
		n += len(q.path) + len(q.old) + 8
	}
	b := make([]byte, 0, n)
	for _, q := range want {
		n := uint64(len(q.path)) << askBits
		if q.bare() {
			n |= askBare
		}
		if q.it != nil && q.it.st.regular() {
			n |= askFile
		}
		b = append(binary.AppendUvarint(b, n), q.path...)
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

// assemble puts a file together from what comes and from the old copy.
func (s *streamFile) assemble(ctx context.Context, out int, st *stat, buf []byte) (taken int64, err error) {
	in := bufio.NewReaderSize(io.LimitReader(s.in, s.body-1), 32<<10)
	old := -1
	if s.q.v.t != nil && len(s.q.old) > 0 {
		if old, err = openSame(s.q.it.d.dst, s.q.it.to, s.q.v.t, openFile); err != nil {
			return 0, err
		}
		defer closeFd(old)
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
		case p.kind == pieceOld && old >= 0:
			err = copyPart(ctx, out, at, old, p.from, p.n, buf)
		case p.kind != pieceHole || s.pieces != "-":
			err = s.in.fail(errors.New("a piece of nothing"))
		}
		if err != nil {
			return taken, unexpected(err)
		}
		at += p.n
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return taken, s.in.fail(errors.New("pieces of more than the file"))
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

// whole reads the last byte of what the program itself sends.
func (s *streamFile) whole() error {
	var b [2]byte
	n, err := io.ReadFull(s.in, b[:])
	if n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		return s.in.fail(errors.New("a body that does not add up"))
	}
	switch b[0] {
	case sentWhole:
	case sentChanged:
		s.st.ctime.ns++ // it did not stand still
	default:
		return unix.Errno(b[0])
	}
	return nil
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
