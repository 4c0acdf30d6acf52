package mbox

import (
	"context"
	"io"
)

const (
	windowSize = 256 << 10
	// windowMin holds the longest look ahead that the scanner asks for.
	windowMin = 16 << 10
)

// window is a sliding view of a file: the bytes from base on. Its size is fixed, so that no line can fill the memory.
type window struct {
	ctx  context.Context // of the one call that made the window
	r    io.ReaderAt
	size int64
	tee  io.Writer
	teed int64 // bytes that tee has got

	buf  []byte
	base int64
	step int // most bytes read at a time
	next int // bytes of the next read: few after a jump, then more and more
	side []byte
}

func newWindow(ctx context.Context, r io.ReaderAt, size int64, step int, tee io.Writer) window {
	if step <= 0 {
		step = windowSize
	}
	return window{ctx: ctx, r: r, size: size, tee: tee, step: step, next: step, buf: make([]byte, 0, max(step, windowMin))}
}

// at returns the bytes from off on that the window holds: at least want, fewer only when the file ends before.
// The result is valid until the next call.
func (w *window) at(off int64, want int) ([]byte, error) {
	held := int64(len(w.buf))
	if i := off - w.base; i >= 0 && i <= held && (i+int64(want) <= held || w.base+held == w.size) {
		return w.buf[i:], nil
	}
	return w.fill(off, want)
}

func (w *window) fill(off int64, want int) ([]byte, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	kept := 0
	if i := off - w.base; i >= 0 && i <= int64(len(w.buf)) {
		kept = copy(w.buf[:cap(w.buf)], w.buf[i:])
		w.next = min(4*w.next, w.step)
	} else {
		w.next = min(windowMin, w.step)
	}
	w.buf, w.base = w.buf[:kept], off
	want = int(min(int64(want), w.size-off, int64(cap(w.buf))))
	for len(w.buf) < want {
		n := len(w.buf)
		room := int(min(int64(cap(w.buf)-n), int64(w.next), w.size-off-int64(n)))
		got, err := readAt(w.r, w.buf[n:n+room], off+int64(n))
		if err != nil {
			return nil, err
		}
		w.buf = w.buf[:n+got]
		if err := w.copyOut(w.buf[n:], off+int64(n)); err != nil {
			return nil, err
		}
	}
	return w.buf, nil
}

// copyOut hands the part of b, which stands at off, to tee that it has not had yet.
func (w *window) copyOut(b []byte, off int64) error {
	if w.tee == nil || off+int64(len(b)) <= w.teed {
		return nil
	}
	b = b[max(w.teed-off, 0):]
	w.teed += int64(len(b))
	_, err := w.tee.Write(b)
	return err
}

// peek returns up to n bytes at off without moving the window.
func (w *window) peek(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if i := off - w.base; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i : i+int64(n)], nil
	}
	if cap(w.side) < n {
		w.side = make([]byte, windowMin)
	}
	b := w.side[:n]
	for done := 0; done < n; {
		got, err := readAt(w.r, b[done:], off+int64(done))
		if err != nil {
			return nil, err
		}
		done += got
	}
	return b, nil
}

// readAt reads at least one byte. A file that ends before its size is an error.
func readAt(r io.ReaderAt, b []byte, off int64) (int, error) {
	n, err := r.ReadAt(b, off)
	switch {
	case n > 0 || len(b) == 0:
		return n, nil
	case err == nil || err == io.EOF:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}
