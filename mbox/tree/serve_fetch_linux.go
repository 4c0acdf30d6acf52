package tree

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/lockfile"
	"github.com/mailmove/mailmove/mbox"
)

// fetch sends objects in the order of asking. One that is not there is left out.
func (s *server) fetch() error {
	w := tar.NewWriter(s.out)
	for {
		p, old, err := s.request()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.send(w, p, old); err != nil {
			if s.ctx.Err() != nil || errors.As(err, new(lineError)) {
				return err
			}
			s.say(p, err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.out, "%s%s\x00", trailer, strings.ReplaceAll(strings.Join(s.messages, "\n"), "\x00", ""))
	return err
}

// lineError is one of the stream, after which nothing more can be said.
type lineError struct{ error }

func (s *server) request() (p string, old mbox.ChunkList, err error) {
	var b [2][]byte
	for i := range b {
		n, err := binary.ReadUvarint(s.in)
		if err != nil {
			return "", nil, err
		}
		if n > maxChunks*32 {
			return "", nil, fmt.Errorf("serve: %d bytes", n)
		}
		b[i] = make([]byte, n)
		if _, err := io.ReadFull(s.in, b[i]); err != nil {
			return "", nil, err
		}
	}
	if p = string(b[0]); !validPath(p) {
		return "", nil, fmt.Errorf("serve: path %q", p)
	}
	return p, b[1], nil
}

func (s *server) send(w *tar.Writer, p string, old mbox.ChunkList) error {
	for until := time.Now().Add(s.wait); ; {
		err := s.try(w, p, old)
		if err == nil || s.ctx.Err() != nil || !time.Now().Before(until) ||
			!errors.Is(err, lockfile.ErrLocked) && !errors.Is(err, lockfile.ErrReplaced) && !errors.Is(err, errSwapped) {
			return err
		}
		if err := pause(s.ctx); err != nil {
			return err
		}
	}
}

// moving is the message about a file that changed while it was sent.
func moving(p string) string { return strconv.Quote(p) + ": changed while it was read" }

// try sends an object; a mailbox is locked meanwhile.
func (s *server) try(w *tar.Writer, p string, old mbox.ChunkList) error {
	dir, name, st, err := s.find(p)
	if err != nil {
		return err
	}
	defer closeFd(dir)
	if !st.regular() {
		return s.sendOther(w, dir, name, p, &st)
	}
	fd, err := openSame(dir, name, &st, openFile)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if s.isMailbox(p, fd) {
		d := os.NewFile(uintptr(dup(dir)), p)
		defer d.Close()
		l, err := lockfile.Mailbox(d, name, f, false)
		if err != nil {
			return err
		}
		stop := keepLock(l)
		defer func() {
			if e := errors.Join(stop(), l.Unlock()); e != nil {
				s.say(p, e)
			}
		}()
		if st, err = statFd(fd); err != nil {
			return err
		}
	}
	return s.sendFile(w, fd, p, &st, old)
}

// isMailbox goes by the same rule as pass.mailbox.
func (s *server) isMailbox(p string, fd int) bool {
	up, below := path.Dir(p), false
	for d := up; d != "."; d = path.Dir(d) {
		switch path.Base(d) {
		case ".imap":
			return false
		case "mail":
			below = true
		}
	}
	if !below || messageDir(path.Base(up)) {
		return false
	}
	if path.Base(up) == "mail" {
		return true
	}
	b := make([]byte, 5)
	return readFull(fd, b, 0) == nil && string(b) == "From "
}

// sendOther describes what has no content.
func (s *server) sendOther(w *tar.Writer, dir int, name, p string, st *stat) error {
	open, pathFd := openPath, true
	if st.dir() {
		open, pathFd = openDir, false
	}
	fd, err := openSame(dir, name, st, open)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	as, err := attrsOf(fd, pathFd)
	if err != nil {
		return err
	}
	return line(w.WriteHeader(header(p, st, as)))
}

func line(err error) error {
	if err != nil {
		return lineError{err}
	}
	return nil
}

// sendFile sends content and then looks whether it was that of one moment; when it was not, a message says so.
func (s *server) sendFile(w *tar.Writer, fd int, p string, st *stat, old mbox.ChunkList) error {
	ps, digest, err := s.plan(fd, st, old)
	if err != nil {
		return err
	}
	as, err := attrsOf(fd, false)
	if err != nil {
		return err
	}
	h := header(p, st, as)
	h.Size = st.size
	if digest != "" {
		h.PAXRecords[paxPieces], h.Size = digest, 0
		for _, x := range ps {
			h.Size += x.size()
		}
	}
	if err := w.WriteHeader(h); err != nil {
		return lineError{err}
	}
	if digest == "" {
		ps = []piece{{pieceLiteral, 0, st.size}}
	}
	at := int64(0)
	for _, x := range ps {
		if digest != "" {
			if _, err := w.Write(x.head()); err != nil {
				return lineError{err}
			}
		}
		if x.kind == pieceLiteral {
			if err := s.sendSpan(w, fd, at, x.n); err != nil {
				return err
			}
		}
		at += x.n
	}
	now, err := statFd(fd)
	if err == nil && !now.still(st) {
		s.messages = append(s.messages, moving(p))
	}
	return err
}

// sendSpan sends a part of a file. One that became shorter is filled up: the header promised its length.
func (s *server) sendSpan(w *tar.Writer, fd int, at, n int64) error {
	for n > 0 {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		b := s.buf[:min(int64(len(s.buf)), n)]
		if err := readFull(fd, b, at); err != nil && !isEOF(err) {
			return lineError{err}
		}
		if _, err := w.Write(b); err != nil {
			return lineError{err}
		}
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return nil
}
