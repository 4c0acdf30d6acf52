package tree

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// content is what streamFile reads of a stream: the object at hand.
type content interface {
	io.Reader
	fail(err error) error // the stream is of no use any more
	broken() bool
}

// archives reads tar archives one after the other, and the trailer behind them: "MAILMOVE" blank messages NUL.
type archives struct {
	in       *bufio.Reader
	out      io.Closer
	tar      *tar.Reader
	dir      string // that the names of the archive at hand are below
	messages []string
	torn     bool // the stream ended in the middle
}

const (
	trailer = "MAILMOVE "
	within  = "MAILMOVE/" // and a directory: what follows is below it
)

// errEnd is the end of the last archive.
var errEnd = errors.New("end of the answer")

const tarBlock = 512

// next goes to the next object; errEnd after the last.
func (a *archives) next() (*tar.Header, error) {
	for {
		if a.tar != nil {
			h, err := a.tar.Next()
			if err == nil {
				return h, nil
			}
			if !errors.Is(err, io.EOF) {
				return nil, a.fail(err)
			}
			a.tar = nil
		}
		b, err := a.in.Peek(len(trailer))
		if err != nil {
			return nil, a.fail(errCut)
		}
		if string(b) == trailer {
			return nil, a.end()
		}
		if string(b) == within {
			text, err := word(a.in)
			if err != nil {
				return nil, a.fail(err)
			}
			a.dir = text[len(within):]
			continue
		}
		if b, err = a.in.Peek(tarBlock); err != nil {
			return nil, a.fail(errCut)
		}
		if len(bytes.Trim(b, "\x00")) > 0 {
			a.tar = tar.NewReader(a.in)
		} else if _, err := a.in.Discard(tarBlock); err != nil {
			return nil, a.fail(err)
		}
	}
}

func (a *archives) fail(err error) error {
	a.torn = true
	return cut(err)
}

func (a *archives) broken() bool { return a.torn }

func (a *archives) end() error {
	text, err := wordUpTo(a.in, mostSaid)
	if err != nil {
		return a.fail(err)
	}
	for l := range strings.Lines(strings.TrimPrefix(text, trailer)) {
		if l = strings.TrimSpace(l); l != "" {
			a.messages = append(a.messages, l)
		}
	}
	if _, err := a.in.ReadByte(); !errors.Is(err, io.EOF) {
		return a.fail(errors.Join(errors.New("more behind the end of the answer"), err))
	}
	return errEnd
}

func (a *archives) close() error { return a.out.Close() }

// Read gives the content of the object at hand.
func (a *archives) Read(b []byte) (int, error) {
	n, err := a.tar.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = a.fail(err)
	}
	return n, err
}

// attrsIn takes the attributes out of the PAX records that GNU tar and star write. Those that belong to a host stay behind.
func attrsIn(h *tar.Header) (as []attr) {
	const prefix = "SCHILY.xattr."
	for k, v := range h.PAXRecords {
		if n, ok := strings.CutPrefix(k, prefix); ok && !hostAttrs[n] {
			as = append(as, attr{n, []byte(v)})
		}
	}
	sort.Slice(as, func(i, j int) bool { return as[i].name < as[j].name })
	return as
}

// streamFile is a file of another host whose content is coming.
type streamFile struct {
	st     stat
	as     []attr
	in     content
	f      *flight
	q      *request
	helper bool   // the program itself sends it
	pieces string // the digest, when it comes in pieces
	body   int64  // bytes of the stream

	rebuilt *rebuilding // instead of all that: only parts come
}

func (s *streamFile) stat() (stat, error)    { return s.st, nil }
func (s *streamFile) attrs() ([]attr, error) { return s.as, nil }
func (s *streamFile) close()                 {}

func (s *streamFile) same(context.Context, int, int64, []byte) (bool, error) {
	return false, errors.ErrUnsupported
}

// copyTo writes what comes. Of a file with holes, what is zero stays a hole.
func (s *streamFile) copyTo(ctx context.Context, out int, st *stat, buf []byte) (n int64, err error) {
	switch {
	case s.rebuilt != nil:
		return s.rebuilt.build(ctx, out, buf)
	case s.pieces != "":
		n, err = s.assemble(ctx, out, st, buf)
	default:
		n, err = s.copyAll(ctx, out, st, buf)
	}
	if err == nil && s.helper {
		err = s.whole()
	}
	return n, err
}

func (s *streamFile) copyAll(ctx context.Context, out int, st *stat, buf []byte) (n int64, err error) {
	sparse := st.blocks*512 < st.size
	for at := int64(0); at < st.size; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		b := buf[:min(int64(len(buf)), st.size-at)]
		if _, err := io.ReadFull(s.in, b); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = s.in.fail(err)
			}
			return n, err
		}
		if sparse {
			n, err = writeHoles(out, b, at, n)
		} else {
			n += int64(len(b))
			err = writeFull(out, b, at)
		}
		if err != nil {
			return n, err
		}
		at += int64(len(b))
	}
	if sparse {
		return n, unix.Ftruncate(out, st.size)
	}
	return n, nil
}

// writeHoles leaves out blocks of zeros.
func writeHoles(out int, b []byte, at, n int64) (int64, error) {
	const block = 4096
	zero := make([]byte, block)
	for len(b) > 0 {
		p := b[:min(block, len(b))]
		if !bytes.Equal(p, zero[:len(p)]) {
			if err := writeFull(out, p, at); err != nil {
				return n, err
			}
			n += int64(len(p))
		}
		b, at = b[len(p):], at+int64(len(p))
	}
	return n, nil
}

func writeFull(out int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(out, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
