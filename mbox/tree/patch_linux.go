package tree

import "context"

// patchPiece is how much is written at once at most, so that it can be proved and go to the disk while more is read.
const patchPiece = 4 << 20

// patch writes the new file from beginning to end, neighbouring pieces at once.
type patch struct {
	ctx          context.Context
	out, old, in int
	buf          []byte
	at           int64 // in out, where the piece at hand goes
	from, n      int64 // the piece, in old or in
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
