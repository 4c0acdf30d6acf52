package tree

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
	"github.com/mailmove/mailmove/mbox"
)

// asked is one request.
type asked struct {
	path  string
	attrs bool           // only what describes it
	old   mbox.ChunkList // of the copy that the asker has
}

// fetch sends objects, or says why it cannot, in the order of asking; then how the directories are now in which mailboxes were
// locked, for a dotlock changes their times.
func (s *server) fetch() error {
	w := tar.NewWriter(s.out)
	s.locked = map[string]bool{}
	for {
		q, err := s.request()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.alive()
		}
		if err == nil {
			err = s.send(w, q)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range sortedKeys(s.locked) {
		if _, _, st, err := s.find(p); err == nil && st.dir() {
			h := header(p, &st, nil)
			h.PAXRecords = map[string]string{paxNow: numbers(&st)}
			if err := w.WriteHeader(h); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := s.out.WriteString(trailer + "\x00")
	return err
}

func (s *server) request() (q asked, err error) {
	var b [2][]byte
	for i := range b {
		n, err := binary.ReadUvarint(s.in)
		if err != nil {
			return q, err
		}
		if i == 0 {
			q.attrs, n = n&1 == 1, n>>1
		}
		if n > maxChunks*32 {
			return q, fmt.Errorf("serve: %d bytes", n)
		}
		b[i] = make([]byte, n)
		if _, err := io.ReadFull(s.in, b[i]); err != nil {
			return q, unfinished(err)
		}
	}
	if q.path, q.old = string(b[0]), b[1]; !validPath(q.path) {
		return q, fmt.Errorf("serve: path %q", q.path)
	}
	return q, nil
}

// lineError is one of the stream, after which nothing more can be said.
type lineError struct{ error }

func line(err error) error {
	if err != nil {
		return lineError{err}
	}
	return nil
}

// send answers one request. The error is of the line or of ctx.
func (s *server) send(w *tar.Writer, q asked) error {
	for until := time.Now().Add(s.wait); ; {
		err := s.try(w, q)
		switch {
		case err == nil || s.ctx.Err() != nil || errors.As(err, new(lineError)):
			return errors.Join(err, s.ctx.Err())
		case isAbsent(err):
			return s.refuse(w, q.path, gone)
		case !time.Now().Before(until) ||
			!errors.Is(err, lockfile.ErrLocked) && !errors.Is(err, lockfile.ErrReplaced) && !errors.Is(err, errSwapped):
			return s.refuse(w, q.path, err.Error())
		}
		if err := pause(s.ctx); err != nil {
			return err
		}
	}
}

// refuse says why an object is not sent.
func (s *server) refuse(w *tar.Writer, p, why string) error {
	return w.WriteHeader(&tar.Header{Name: p, Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{paxRefused: why}})
}

// try sends an object; a mailbox is locked while it is read.
func (s *server) try(w *tar.Writer, q asked) error {
	dir, name, st, err := s.find(q.path)
	if err != nil {
		return err
	}
	if !st.regular() {
		return s.sendOther(w, dir, name, q.path, &st)
	}
	fd, err := openSame(dir, name, &st, openFile)
	if err != nil {
		return err
	}
	f := &sending{path: q.path, fd: fd, st: st}
	if !q.attrs && s.isMailbox(q.path, fd) {
		file := os.NewFile(uintptr(fd), name) // for its locks; other files are not worth what that costs
		defer file.Close()
		return s.sendMailbox(w, dir, name, file, f, q.old)
	}
	defer closeFd(fd)
	if q.attrs {
		as, err := attrsOf(fd, false)
		if err != nil {
			return err
		}
		return line(w.WriteHeader(header(q.path, &st, as)))
	}
	if err := s.prepare(f, q.old); err != nil {
		return err
	}
	return errors.Join(s.begin(w, f), s.end(w, f))
}

// holdMost is how much of a mailbox is read into memory, so that it is locked no longer than reading takes: the line may be slow.
const holdMost = 64 << 20

func (s *server) sendMailbox(w *tar.Writer, dir int, name string, file *os.File, f *sending, old mbox.ChunkList) error {
	d := os.NewFile(uintptr(dup(dir)), f.path)
	defer d.Close()
	up, _ := splitPath(f.path)
	s.locked[up] = true
	l, err := lockfile.Mailbox(d, name, file, false)
	if err != nil {
		return err
	}
	stop := keepLock(l)
	unlock := func() error {
		if stop == nil {
			return nil
		}
		err := errors.Join(stop(), l.Unlock())
		stop = nil
		return err
	}
	defer func() { _ = unlock() }()
	if f.skipped = ""; l.DotlockSkipped != nil {
		f.skipped = l.DotlockSkipped.Error()
	}
	if f.st, err = statFd(f.fd); err == nil {
		err = s.prepare(f, old)
	}
	if err != nil {
		return err
	}
	if f.literal() <= holdMost {
		if err := s.load(f); err != nil {
			return err
		}
		f.check()
		f.spoiled(unlock())
		return errors.Join(s.begin(w, f), s.end(w, f))
	}
	if err := s.begin(w, f); err != nil {
		return err
	}
	f.check()
	f.spoiled(unlock())
	return s.end(w, f)
}

// sending is a file that is being sent.
type sending struct {
	path    string
	fd      int
	st      stat
	as      []attr
	pieces  []piece
	digest  string // "": it is sent whole, without pieces
	data    []byte // all that is literal, when it was read already
	loaded  bool
	skipped string // why there is no dotlock
	state   byte
}

// The last byte of a file that is sent tells how it went: 0, that it changed meanwhile, or the number of an error of reading.
const (
	sentWhole   = 0
	sentChanged = 255
)

// spoiled notes that somebody may have written meanwhile.
func (f *sending) spoiled(err error) {
	if err != nil && f.state == sentWhole {
		f.state = sentChanged
	}
}

// check looks whether the file stood still.
func (f *sending) check() {
	now, err := statFd(f.fd)
	if err == nil && !now.still(&f.st) {
		err = errShort
	}
	f.spoiled(err)
}

func (f *sending) literal() (n int64) {
	for _, p := range f.pieces {
		if p.kind == pieceLiteral {
			n += p.n
		}
	}
	return n
}

// prepare finds out what is to be sent.
func (s *server) prepare(f *sending, old mbox.ChunkList) (err error) {
	if f.pieces, f.digest, err = s.plan(f.fd, &f.st, old); err != nil {
		return err
	}
	if f.digest == "" {
		f.pieces = nil
		if f.st.size > 0 {
			f.pieces = []piece{{pieceLiteral, 0, f.st.size}}
		}
	}
	f.as, err = attrsOf(f.fd, false)
	return err
}

// load reads what will be sent.
func (s *server) load(f *sending) error {
	f.data = make([]byte, 0, f.literal())
	at := int64(0)
	for _, p := range f.pieces {
		if p.kind == pieceLiteral {
			n := len(f.data)
			f.data = f.data[:n+int(p.n)]
			if err := readFull(f.fd, f.data[n:], at); isEOF(err) {
				f.state = sentChanged
			} else if err != nil {
				return err
			}
		}
		at += p.n
	}
	f.loaded = true
	return nil
}

// begin sends all but the last byte.
func (s *server) begin(w *tar.Writer, f *sending) error {
	h := header(f.path, &f.st, f.as)
	h.Size = f.st.size + 1
	if f.digest != "" {
		h.PAXRecords[paxPieces], h.Size = f.digest, 1
		for _, x := range f.pieces {
			h.Size += x.size()
		}
	}
	if f.skipped != "" {
		h.PAXRecords[paxSkipped] = f.skipped
	}
	if err := w.WriteHeader(h); err != nil {
		return lineError{err}
	}
	at, data := int64(0), f.data
	for _, x := range f.pieces {
		if f.digest != "" {
			if _, err := w.Write(x.head()); err != nil {
				return lineError{err}
			}
		}
		if x.kind == pieceLiteral && f.loaded {
			if _, err := w.Write(data[:x.n]); err != nil {
				return lineError{err}
			}
			data = data[x.n:]
		} else if x.kind == pieceLiteral {
			if err := s.span(w, f, at, x.n); err != nil {
				return err
			}
		}
		at += x.n
	}
	return nil
}

// span sends a part of a file. The header promised its length: what cannot be read is filled up.
func (s *server) span(w *tar.Writer, f *sending, at, n int64) error {
	for n > 0 {
		if err := s.alive(); err != nil {
			return lineError{err}
		}
		b := s.buf[:min(int64(len(s.buf)), n)]
		if err := readFull(f.fd, b, at); err != nil {
			clear(b)
			f.failed(err)
		}
		if _, err := w.Write(b); err != nil {
			return lineError{err}
		}
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return nil
}

// failed notes that a part could not be read.
func (f *sending) failed(err error) {
	var no unix.Errno
	switch {
	case isEOF(err):
		f.spoiled(err)
	case errors.As(err, &no) && no > 0 && no < sentChanged:
		f.state = byte(no)
	default:
		f.state = byte(unix.EIO)
	}
}

// end sends the last byte.
func (s *server) end(w *tar.Writer, f *sending) error {
	if !f.loaded {
		f.check()
	}
	_, err := w.Write([]byte{f.state})
	return line(err)
}
