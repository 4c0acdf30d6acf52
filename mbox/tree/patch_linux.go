package tree

import (
	"context"

	"github.com/mailmove/mailmove/mbox"
)

// patchPiece is how much is written at once at most, so that it can be proved and go to the disk while more is read.
const patchPiece = 4 << 20

// patch writes a new file from beginning to end, neighbouring chunks at once. While the caller finds out what comes next,
// one goroutine writes and another reads that again and proves it.
type patch struct {
	ctx          context.Context
	out, old, in int
	taken        int64 // bytes that came from the source
	next         stretch
	stretches    chan stretch
	result       chan error
}

// stretch is a part of the new file that stands in one place of the source or of the old copy.
type stretch struct {
	chunks  []mbox.Chunk // of the new file
	from, n int64
	fromOld bool
}

func newPatch(ctx context.Context, k *key, out, old, in int, buf []byte) *patch {
	w := &patch{ctx: ctx, out: out, old: old, in: in, stretches: make(chan stretch, 2), result: make(chan error, 1)}
	go func() { w.result <- w.write(newProof(k, out), buf) }()
	return w
}

// add appends a chunk, which is found at from in the source or in the old copy.
func (w *patch) add(c mbox.Chunk, from int64, fromOld bool) {
	if !fromOld {
		w.taken += c.Len
	}
	s := &w.next
	if s.n == 0 || s.n >= patchPiece || fromOld != s.fromOld || from != s.from+s.n {
		w.flush()
		*s = stretch{from: from, fromOld: fromOld}
	}
	s.chunks = append(s.chunks, c)
	s.n += c.Len
}

func (w *patch) flush() {
	if w.next.n > 0 {
		w.stretches <- w.next
	}
	w.next = stretch{}
}

// write goes through all stretches; after an error it lets the rest pass by.
func (w *patch) write(p *proof, buf []byte) (err error) {
	for s := range w.stretches {
		if err != nil {
			continue
		}
		src := w.in
		if s.fromOld {
			src = w.old
		}
		if err = copyPart(w.ctx, w.out, s.chunks[0].Off, src, s.from, s.n, buf); err == nil {
			p.written <- s.chunks
		}
	}
	if bad := p.end(); err == nil {
		err = bad
	}
	return err
}

// end waits until all is written and proved. The error is errDigest when the file is not as it should be.
func (w *patch) end() error {
	w.flush()
	close(w.stretches)
	return <-w.result
}
