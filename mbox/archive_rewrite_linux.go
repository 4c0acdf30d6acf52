package mbox

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// rewrite gives the mailbox its new content, in place: programs that wait for a lock on this very file find it again. The
// journal says how to go on should it be cut short; it goes when all is done.
func (j *job) rewrite(box *boxFile, w *journal, alive func() error) error {
	// A mailbox that grows gets its length first, in one step. What is beyond the old end and no NUL was delivered.
	if st, err := box.stat(); err != nil {
		return err
	} else if w.NewSize > st.Size {
		if err := setSize(box, w.NewSize); err != nil {
			return err
		}
	}
	if err := j.overwrite(box, w, alive); err != nil {
		return err
	}
	if err := flush(box.f); err != nil {
		return err
	}
	if err := setSize(box, w.NewSize); err != nil {
		return err
	}
	if err := w.settle(box); err != nil {
		return err
	}
	return holds(box, w.From, w.NewSize-w.From, w.SHA256, alive)
}

// overwrite writes from the first byte that changes. Each write ends where a sector ends, for a later process tells old
// from new by whole sectors.
func (j *job) overwrite(box *boxFile, w *journal, alive func() error) error {
	tail, err := os.Open(j.file(w.Tail))
	if err != nil {
		return err
	}
	defer tail.Close()
	buf := make([]byte, chunk)
	for off := w.From; off < w.NewSize; {
		if err := alive(); err != nil {
			return err
		}
		b := buf[:min(off-off%sector+chunk, w.NewSize)-off]
		for n := 0; n < len(b); {
			got, err := readAt(tail, b[n:], off-w.From+int64(n))
			if err != nil {
				return err
			}
			n += got
		}
		if _, err := (writer{box}).WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

func setSize(box *boxFile, size int64) error {
	if st, err := box.stat(); err != nil || st.Size == size {
		return err
	}
	if err := at("truncate", box.path); err != nil {
		return err
	}
	if err := box.f.Truncate(size); err != nil {
		return err
	}
	return flush(box.f)
}

// settle sets the times and waits for stable storage. Dovecot takes a mailbox for unchanged when size and second of the
// last change are those of its index (mbox-sync.c), therefore the second is another one. And a mailbox that was read after
// it was last written to has no new mail, as shells and biff understand it; that stays so.
func (w *journal) settle(box *boxFile) error {
	now, err := box.stat()
	if err != nil {
		return err
	}
	mtime := now.Mtim
	if mtime.Sec <= ts(w.Modified).Sec {
		mtime = ts([2]int64{w.Modified[0] + 1})
	}
	atime := ts(w.Accessed)
	if w.Accessed[0] > w.Modified[0] || w.Accessed[0] == w.Modified[0] && w.Accessed[1] >= w.Modified[1] {
		atime = mtime
	}
	if err := at("utimens", box.path); err != nil {
		return err
	}
	// By way of the descriptor: the name may mean something else by now.
	self := "/proc/self/fd/" + strconv.Itoa(int(box.f.Fd()))
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, self, []unix.Timespec{atime, mtime}, 0); err != nil {
		return err
	}
	return flush(box.f)
}

func ts(t [2]int64) unix.Timespec { return unix.NsecToTimespec(t[0]*1e9 + t[1]) }

func moment(t unix.Timespec) [2]int64 {
	sec, nsec := t.Unix()
	return [2]int64{sec, nsec}
}
