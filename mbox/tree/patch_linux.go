package tree

import (
	"context"

	"github.com/mailmove/mailmove/mbox"
)

const (
	// patchPiece is how much is written at once at most, so that it can be proved and go to the disk while more is read.
	patchPiece = 4 << 20
	// patchLook is the size of a chunk up to which it pays to look for the few bytes that differ.
	patchLook = 64 << 10
)

// patch writes the new file from beginning to end, neighbouring pieces at once.
type patch struct {
	ctx          context.Context
	out, old, in int
	buf          []byte
	look         []byte // two chunks that are compared
	at           int64  // in out, where the piece at hand goes
	from, n      int64  // the piece, in old or in
	fromOld      bool
	taken        int64 // bytes that came from the source
	proof        *proof
}

// add appends n bytes, which go to at, from a place in the source or in the old copy.
func (w *patch) add(at, from, n int64, fromOld bool) error {
	if n == 0 {
		return nil
	}
	if w.n > 0 && w.n < patchPiece && fromOld == w.fromOld && from == w.from+w.n {
		w.n += n
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.at, w.from, w.n, w.fromOld = at, from, n, fromOld
	return nil
}

// edited appends a chunk that the old copy lacks. Mostly it is a header in which a flag changed, and all else of it stands
// in the chunk that is next in the old copy.
func (w *patch) edited(k, old mbox.Chunk) error {
	if old.Len == 0 || max(k.Len, old.Len) > patchLook {
		return w.add(k.Off, k.Off, k.Len, false)
	}
	if w.look == nil {
		w.look = make([]byte, 2*patchLook)
	}
	is, was := w.look[:k.Len], w.look[patchLook:][:old.Len]
	if err := readFull(w.in, is, k.Off); err != nil {
		return err
	}
	if err := readFull(w.old, was, old.Off); err != nil {
		return err
	}
	most := min(len(is), len(was))
	head := 0
	for head < most && is[head] == was[head] {
		head++
	}
	tail := 0
	for tail < most-head && is[len(is)-1-tail] == was[len(was)-1-tail] {
		tail++
	}
	if err := w.add(k.Off, old.Off, int64(head), true); err != nil {
		return err
	}
	if err := w.add(k.Off+int64(head), k.Off+int64(head), k.Len-int64(head+tail), false); err != nil {
		return err
	}
	return w.add(k.Off+k.Len-int64(tail), old.Off+old.Len-int64(tail), int64(tail), true)
}

func (w *patch) flush() error {
	if w.n == 0 {
		return nil
	}
	src := w.in
	if w.fromOld {
		src = w.old
	} else {
		w.taken += w.n
	}
	err := copyPart(w.ctx, w.out, w.at, src, w.from, w.n, w.buf)
	if err == nil {
		w.proof.written(w.at + w.n)
	}
	w.n = 0
	return err
}
