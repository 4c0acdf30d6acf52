package tree

import (
	"context"
	"errors"

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

// fillFromOld builds the new content from chunks of the old copy and what only the source has. What was written is read
// again and must have the sums of what was read.
func (s *syncer) fillFromOld(ctx context.Context, out, in int, st *stat, it *item, v *verdict, buf []byte) (taken int64, err error) {
	old, err := openSame(it.d.dst, it.to, v.t, openFile)
	if err != nil {
		return 0, err
	}
	defer closeFd(old)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	key := new(mbox.Key)
	c := newOldChunks(ctx, key, old, v.t.size)
	defer c.wait()
	defer cancel()
	w := patch{ctx: ctx, out: out, old: old, in: in, buf: buf, proof: newProof(key, out)}
	err = key.Split(ctx, fdReader(in), st.size, func(k mbox.Chunk) error {
		w.proof.expect(k)
		if off, ok := c.find(k); ok {
			return w.add(k.Off, off, k.Len, true)
		}
		return w.edited(k, c.next())
	})
	if err == nil {
		err = w.flush()
	}
	if bad := w.proof.end(); err == nil {
		err = bad
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
