package tree

import (
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
	place uint64 // counted from 0
	path  string
	attrs bool           // only what describes it
	file  bool           // it was a regular file when it was listed
	old   mbox.ChunkList // of the copy that the asker has
}

// fetch sends objects, or says why it cannot, in the order of asking; then how the directories are now in which mailboxes were
// locked, for a dotlock changes their times.
func (s *server) fetch() error {
	s.locked = map[string]bool{}
	for n := uint64(0); ; n++ {
		q, err := s.request()
		if errors.Is(err, io.EOF) {
			break
		}
		if q.place = n; err == nil {
			err = s.alive()
		}
		if err == nil {
			err = s.send(&q)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range sortedKeys(s.locked) {
		if _, _, st, err := s.find(p); err == nil && st.dir() {
			if err := s.post(&parcel{kind: parcelNow, text: p, st: st}); err != nil {
				return err
			}
		}
	}
	return s.post(&parcel{kind: parcelEnd})
}

func (s *server) request() (q asked, err error) {
	var b [2][]byte
	for i := range b {
		n, err := binary.ReadUvarint(s.in)
		if err != nil {
			return q, err
		}
		if i == 0 {
			q.attrs, q.file, n = n&askBare != 0, n&askFile != 0, n>>askBits
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
func (s *server) send(q *asked) error {
	for until := time.Now().Add(s.wait); ; {
		err := s.try(q)
		switch {
		case err == nil || s.ctx.Err() != nil || errors.As(err, new(lineError)):
			return errors.Join(err, s.ctx.Err())
		case isAbsent(err):
			return s.refuse(q, gone)
		case !time.Now().Before(until) ||
			!errors.Is(err, lockfile.ErrLocked) && !errors.Is(err, lockfile.ErrReplaced) && !errors.Is(err, errSwapped):
			return s.refuse(q, err.Error())
		}
		if err := pause(s.ctx); err != nil {
			return err
		}
	}
}

// refuse says why an object is not sent.
func (s *server) refuse(q *asked, why string) error {
	return s.post(&parcel{kind: parcelRefused, place: q.place, text: why})
}

// open opens a regular file. One that was a file when it was listed is opened without a look before: nothing happens to what an
// owner may have put in its place. fd is -1 for what is no file.
func (s *server) open(q *asked) (fd, dir int, name string, st stat, err error) {
	if q.file {
		if dir, name, err = s.enter(q.path); err != nil {
			return -1, dir, name, st, err
		}
		if fd, err = openFile(dir, name); err == nil {
			if st, err = statFd(fd); err == nil && st.regular() {
				return fd, dir, name, st, nil
			}
			closeFd(fd)
		}
	}
	if dir, name, st, err = s.find(q.path); err == nil && st.regular() {
		fd, err = openSame(dir, name, &st, openFile)
		return fd, dir, name, st, err
	}
	return -1, dir, name, st, err
}

// try sends an object; a mailbox is locked while it is read.
func (s *server) try(q *asked) error {
	fd, dir, name, st, err := s.open(q)
	if err != nil {
		return err
	}
	if fd < 0 {
		return s.sendOther(q, dir, name, &st)
	}
	f := &sending{asked: q, fd: fd, st: st}
	if !q.attrs && s.isMailbox(q.path, fd) {
		file := os.NewFile(uintptr(fd), name) // for its locks; other files are not worth what that costs
		defer file.Close()
		return s.sendMailbox(dir, name, file, f)
	}
	defer closeFd(fd)
	if q.attrs {
		as, err := attrsOf(fd, false)
		if err != nil {
			return err
		}
		return s.post(&parcel{kind: parcelObject, place: q.place, st: st, attrs: encodeAttrs(as)})
	}
	if err := s.prepare(f); err != nil {
		return err
	}
	if err := s.begin(f); err != nil {
		return err
	}
	return s.end(f)
}

// holdMost is how much of a mailbox is read into memory, so that it is locked no longer than reading takes: the line may be slow.
const holdMost = 64 << 20

func (s *server) sendMailbox(dir int, name string, file *os.File, f *sending) error {
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
		err = s.prepare(f)
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
		return errors.Join(s.begin(f), s.end(f))
	}
	if err := s.begin(f); err != nil {
		return err
	}
	f.check()
	f.spoiled(unlock())
	return s.end(f)
}

// sending is a file that is being sent.
type sending struct {
	*asked
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
func (s *server) prepare(f *sending) (err error) {
	if f.pieces, f.digest, err = s.plan(f.fd, &f.st, f.old); err != nil {
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
func (s *server) begin(f *sending) error {
	p := &parcel{kind: parcelObject, place: f.place, st: f.st, attrs: encodeAttrs(f.as), skipped: f.skipped, digest: f.digest, body: f.st.size + 1}
	if f.digest != "" {
		p.body = 1
		for _, x := range f.pieces {
			p.body += x.size()
		}
	}
	if err := s.post(p); err != nil {
		return err
	}
	at, data := int64(0), f.data
	for _, x := range f.pieces {
		if f.digest != "" {
			if _, err := s.out.Write(x.head()); err != nil {
				return lineError{err}
			}
		}
		if x.kind == pieceLiteral && f.loaded {
			if _, err := s.out.Write(data[:x.n]); err != nil {
				return lineError{err}
			}
			data = data[x.n:]
		} else if x.kind == pieceLiteral {
			if err := s.span(f, at, x.n); err != nil {
				return err
			}
		}
		at += x.n
	}
	return nil
}

// span sends a part of a file. The header promised its length: what cannot be read is filled up.
func (s *server) span(f *sending, at, n int64) error {
	for n > 0 {
		if err := s.alive(); err != nil {
			return lineError{err}
		}
		b := s.buf[:min(int64(len(s.buf)), n)]
		if err := readFull(f.fd, b, at); err != nil {
			clear(b)
			f.failed(err)
		}
		if _, err := s.out.Write(b); err != nil {
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
func (s *server) end(f *sending) error {
	if !f.loaded {
		f.check()
	}
	return line(s.out.WriteByte(f.state))
}
