package tree

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// deltaFrom is the size from which an mbox is updated message by message: below, reading it once is as cheap.
const deltaFrom = 256 << 10

// deltaWindow bounds how many chunks of the old copy are in memory at once, about 20 MiB. Mail programs change an mbox
// in place, drop messages and add some at the end, but move none to the front: what was passed can be forgotten.
const deltaWindow = 128 << 10

// errDigest says that a copy that was put together from old and new pieces is not what was read.
var errDigest = errors.New("the copy is not what was read")

// fill gives out, which is new and empty, the content of in, and returns how many bytes of it were taken from the source.
// Of an mbox that changed, what the target has already is taken from there.
func (s *syncer) fill(ctx context.Context, out int, in file, st *stat, it *item, v *verdict, buf []byte) (int64, error) {
	fd, local := in.(localFile)
	if local && v.op == OpUpdate && v.box && v.t != nil && v.t.regular() && v.t.size >= deltaFrom && st.size >= deltaFrom && st.blocks*512 >= st.size {
		n, err := s.fillFromOld(ctx, out, int(fd), st, it, v, buf)
		if !errors.Is(err, errDigest) {
			return n, err
		}
		// Somebody wrote to the old copy or to the mailbox meanwhile.
		if err := unix.Ftruncate(out, 0); err != nil {
			return 0, err
		}
	}
	return in.copyTo(ctx, out, st, buf)
}

// fillFromOld builds the new content from chunks of the old copy and what only the source has, and then reads the result.
func (s *syncer) fillFromOld(ctx context.Context, out, in int, st *stat, it *item, v *verdict, buf []byte) (taken int64, err error) {
	old, err := openSame(it.d.dst, it.to, v.t, openFile)
	if err != nil {
		return 0, err
	}
	defer closeFd(old)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newOldChunks(ctx, old, v.t.size)
	defer c.wait()
	defer cancel()
	w := patch{ctx: ctx, out: out, old: old, in: in, buf: buf}
	want, err := mbox.Split(ctx, fdReader(in), st.size, func(k mbox.Chunk) error {
		if off, ok := c.find(k); ok {
			return w.add(off, k, true)
		}
		return w.add(k.Off, k, false)
	})
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return w.taken, unexpected(err)
	}
	got, err := mbox.Split(ctx, fdReader(out), st.size, func(mbox.Chunk) error { return nil })
	if err == nil && got != want {
		err = errDigest
	}
	return w.taken, unexpected(err)
}

// unexpected turns the end of a file that was cut while it was read into what copying says of that.
func unexpected(err error) error {
	if errors.Is(err, errShort) || isEOF(err) {
		return errDigest
	}
	return err
}

// fdReader reads an open descriptor that somebody else closes.
type fdReader int

func (f fdReader) ReadAt(b []byte, off int64) (int, error) {
	if err := readFull(int(f), b, off); err != nil {
		return 0, err
	}
	return len(b), nil
}

// patch writes the new file from beginning to end, neighbouring pieces at once.
type patch struct {
	ctx          context.Context
	out, old, in int
	buf          []byte
	at           int64 // in out, where the piece at hand goes
	from, n      int64 // the piece, in old or in
	fromOld      bool
	taken        int64 // bytes that came from the source
}

func (w *patch) add(from int64, k mbox.Chunk, fromOld bool) error {
	if w.n > 0 && fromOld == w.fromOld && from == w.from+w.n {
		w.n += k.Len
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.at, w.from, w.n, w.fromOld = k.Off, from, k.Len, fromOld
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
	w.n = 0
	return err
}

// oldChunks finds chunks of the old copy by their sums while it is still being read.
type oldChunks struct {
	mu   sync.Mutex
	more *sync.Cond
	at   map[[16]byte]int64
	ring []mbox.Chunk // in the order of the file
	read int64        // up to here it was read
	used int64        // the end of the last chunk that was found
	done bool
	err  error
	wg   sync.WaitGroup
}

// ahead is how far beyond the expected place a chunk is looked for before it counts as new.
const ahead = 32 << 20

func newOldChunks(ctx context.Context, fd int, size int64) *oldChunks {
	c := &oldChunks{at: map[[16]byte]int64{}}
	c.more = sync.NewCond(&c.mu)
	stop := context.AfterFunc(ctx, func() { c.more.Broadcast() })
	c.wg.Go(func() {
		defer stop()
		_, err := mbox.Split(ctx, fdReader(fd), size, func(k mbox.Chunk) error { return c.add(ctx, k) })
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done, c.err = true, err
		c.more.Broadcast()
	})
	return c
}

func (c *oldChunks) wait() { c.wg.Wait() }

// add takes the next chunk; when the window is full it waits until the oldest is behind.
func (c *oldChunks) add(ctx context.Context, k mbox.Chunk) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ring) >= deltaWindow {
		if o := c.ring[0]; o.Off < c.used {
			if c.at[o.Sum] == o.Off {
				delete(c.at, o.Sum)
			}
			c.ring = c.ring[1:]
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.more.Broadcast()
		c.more.Wait()
	}
	c.ring = append(c.ring, k)
	c.at[k.Sum] = k.Off
	c.read = k.Off + k.Len
	c.more.Broadcast()
	return nil
}

// find tells where the old copy has a chunk.
func (c *oldChunks) find(k mbox.Chunk) (off int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if off, ok := c.at[k.Sum]; ok {
			c.used = max(c.used, off+k.Len)
			c.more.Broadcast()
			return off, true
		}
		if c.done || len(c.ring) >= deltaWindow || c.read >= max(c.used, k.Off)+ahead {
			return 0, false
		}
		c.more.Wait()
	}
}
