package mbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

// Recover puts right what killed processes left in the journal directory, mailbox by mailbox, and tells of each. Messages
// that had not all reached their archives are taken back from there; a mailbox whose messages had is rewritten again, mail
// that was delivered since included. What a living process works on is left to it. When somebody has changed a mailbox or
// an archive in between other than by adding mail, the error is ErrDrift, nothing is written, and the directory that the
// error names keeps the rest of the mailbox, its messages with their UIDs.
//
// The second result is an error of the journal directory itself.
func (a *Archive) Recover(ctx context.Context) ([]ArchiveRecovery, error) {
	if _, err := os.Lstat(a.Journal); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := openJournal(a.Journal); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(a.Journal)
	if err != nil {
		return nil, err
	}
	var out []ArchiveRecovery
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if !e.IsDir() || !strings.HasPrefix(e.Name(), jobPrefix) {
			continue
		}
		j, err := lockJob(filepath.Join(a.Journal, e.Name()))
		if errors.Is(err, errAlive) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, err
		}
		out = append(out, a.recover(ctx, j))
	}
	return out, nil
}

func (a *Archive) recover(ctx context.Context, j *job) (r ArchiveRecovery) {
	w, err := j.read()
	if errors.Is(err, fs.ErrNotExist) {
		return ArchiveRecovery{Err: j.remove()}
	}
	if err != nil {
		j.dir.Close()
		return ArchiveRecovery{Err: err}
	}
	r.Path, r.Completed = w.Mailbox, w.State == rewriting
	r.Err = a.retry(ctx, w.Mailbox, func() error {
		if r.Completed {
			return j.redo(w)
		}
		return j.takeBack(w)
	})
	if r.Err != nil {
		j.dir.Close()
		r.Err = fmt.Errorf("unfinished work in %s: %w", j.path, r.Err)
		return r
	}
	r.Err = j.remove()
	return r
}

// takeBack removes from the archives what was added to them.
func (j *job) takeBack(w *journal) error {
	for i := range w.Archives {
		if err := j.takeBackOne(&w.Archives[i]); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) takeBackOne(a *journalArchive) (err error) {
	b, err := openBox(a.Path, unix.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) && a.Made {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if b.lock, err = lockfile.Mailbox(b.dir, b.base, b.f, true); err != nil {
		return err
	}
	st, err := b.stat()
	if err != nil {
		return err
	}
	drift := fmt.Errorf("%s: changed since: %w", a.Path, ErrDrift)
	if st.Ino != a.Ino || st.Size < a.Size || st.Size > a.Size+a.Bytes {
		return drift
	}
	ours, err := j.begins(b, a, st.Size-a.Size)
	if err != nil {
		return err
	}
	if !ours {
		return drift
	}
	if err := cut(b, a.Size); err != nil {
		return err
	}
	return dropEmpty(b, a)
}

// begins tells whether the n bytes behind the old end of an archive are the first of those that were to be added.
func (j *job) begins(b *boxFile, a *journalArchive, n int64) (bool, error) {
	added, err := os.Open(j.file(a.Added))
	if err != nil {
		return false, err
	}
	defer added.Close()
	c := &comparer{r: added}
	err = copyRange(c, b.f, a.Size, n, func() error { return nil })
	if errors.Is(err, errDiffers) {
		return false, nil
	}
	return true, err
}

var errDiffers = errors.New("differs")

// comparer is a writer of what should be equal to r.
type comparer struct {
	r   io.ReaderAt
	off int64
}

func (c *comparer) Write(b []byte) (int, error) {
	same, err := equalAt(c.r, c.off, b)
	if err == nil && !same {
		err = errDiffers
	}
	c.off += int64(len(b))
	return len(b), err
}

// redo rewrites the mailbox again from wherever it stopped.
func (j *job) redo(w *journal) (err error) {
	box, err := openBox(w.Mailbox, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.close()) }()
	if box.lock, err = lockfile.Mailbox(box.dir, box.base, box.f, true); err != nil {
		return err
	}
	if box.st, err = box.stat(); err != nil {
		return err
	}
	end, done, err := j.progress(w, box)
	if err != nil {
		return err
	}
	if done {
		return w.settle(box)
	}
	if end < box.st.Size {
		if err := j.adopt(w, box, end); err != nil {
			return err
		}
	}
	return j.rewrite(box, w, box.lock.Touch)
}

// progress tells where the old content ends in the mailbox as it is now: what stands behind was delivered since. done: the
// new content is there already. Each sector must be an old or a new one.
func (j *job) progress(w *journal, box *boxFile) (end int64, done bool, err error) {
	drift := fmt.Errorf("%s: changed since: %w", w.Mailbox, ErrDrift)
	if box.st.Ino != w.Ino || box.st.Size < min(w.Size, w.NewSize) {
		return 0, false, drift
	}
	head := crc32.New(castagnoli)
	if err := copyRange(head, box.f, 0, w.From, box.lock.Touch); err != nil {
		return 0, false, err
	}
	tail, err := os.Open(j.file(w.Tail))
	if err != nil {
		return 0, false, err
	}
	defer tail.Close()
	sums, err := os.Open(j.file(w.Sums))
	if err != nil {
		return 0, false, err
	}
	defer sums.Close()
	s := &sectors{w: w, box: box.f, tail: tail, sums: bufio.NewReader(sums), size: box.st.Size}
	if err := s.look(); err != nil {
		return 0, false, err
	}
	end = w.Size
	if s.grown {
		end = w.NewSize
	}
	switch {
	case head.Sum32() != w.Head:
		return 0, false, drift
	case s.allNew && (w.NewSize >= w.Size || !s.restOld):
		begins, err := equalAt(box.f, w.NewSize, fromPrefix)
		if err == nil && box.st.Size > w.NewSize && !begins {
			err = drift
		}
		return 0, true, err
	case s.mixed && s.restOld:
		return end, false, nil
	}
	return 0, false, drift
}

// sectors is a look at a mailbox that was being rewritten.
type sectors struct {
	w         *journal
	box, tail io.ReaderAt
	sums      io.Reader
	size      int64 // of the mailbox now

	allNew  bool // the new content is there
	mixed   bool // up to the end of the old or the new content, each sector is one or the other
	restOld bool // what the old content has beyond the new is there
	grown   bool // the mailbox has got its new, larger size
}

func (s *sectors) look() error {
	w := s.w
	s.allNew, s.mixed, s.restOld = s.size >= w.NewSize, true, s.size >= w.Size
	s.grown = w.NewSize > w.Size && s.size >= w.NewSize
	buf := make([]byte, sector)
	for off := w.From; off < min(s.size, max(w.Size, w.NewSize)); {
		stop := w.sectorEnd(off)
		if off < w.Size {
			stop = min(stop, w.Size)
		}
		b := buf[:min(stop, s.size)-off]
		if _, err := io.ReadFull(io.NewSectionReader(s.box, off, int64(len(b))), b); err != nil {
			return err
		}
		if err := s.one(off, stop, b); err != nil {
			return err
		}
		off = stop
	}
	return nil
}

// one looks at a sector, which is b now and ended at stop.
func (s *sectors) one(off, stop int64, b []byte) error {
	w := s.w
	isNew := false
	if off < w.NewSize {
		var err error
		if isNew, err = equalAt(s.tail, off-w.From, b); err != nil {
			return err
		}
		s.allNew = s.allNew && isNew
	}
	if off >= w.Size {
		// Where the mailbox grows there are NULs before; anything else was delivered.
		s.grown = s.grown && (isNew || len(bytes.Trim(b, "\x00")) == 0)
		return nil
	}
	var sum [4]byte
	if _, err := io.ReadFull(s.sums, sum[:]); err != nil {
		return err
	}
	isOld := off+int64(len(b)) == stop && binary.LittleEndian.Uint32(sum[:]) == crc32.Checksum(b, castagnoli)
	if off >= w.NewSize {
		s.restOld = s.restOld && isOld
	} else if !isNew && !isOld {
		s.mixed = false
	}
	return nil
}

// adopt takes the mail that was delivered since, from end on, into the new content, and what is there now for the old.
func (j *job) adopt(w *journal, box *boxFile, end int64) error {
	next := *w
	next.Size, next.NewSize = box.st.Size, w.NewSize+box.st.Size-end
	next.Tail, next.Sums = j.unused("tail"), j.unused("sums")
	old, err := os.Open(j.file(w.Tail))
	if err != nil {
		return err
	}
	defer old.Close()
	_, next.SHA256, err = j.put(next.Tail, func(out io.Writer) error {
		if err := copyRange(out, old, 0, w.NewSize-w.From, box.lock.Touch); err != nil {
			return err
		}
		return copyRange(out, box.f, end, box.st.Size-end, box.lock.Touch)
	})
	if err != nil {
		return err
	}
	if err := j.stageSums(&next, box.f, box.lock.Touch); err != nil {
		return err
	}
	if err := j.write(&next); err != nil {
		return err
	}
	*w = next
	return nil
}

// unused is a name for a further file of the job.
func (j *job) unused(name string) string {
	for n := 2; ; n++ {
		next := fmt.Sprintf("%s-%d", name, n)
		if _, err := os.Lstat(j.file(next)); errors.Is(err, fs.ErrNotExist) {
			return next
		}
	}
}
