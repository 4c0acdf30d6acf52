package tree

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// deltaFrom is the size from which what the old copy of an mbox has is taken from there: below, copying all is as cheap.
const deltaFrom = 256 << 10

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

// fillFromOld builds the new content from what the old copy has and what only the source has. What was written is read
// again and must have the sums of what was read.
func (s *syncer) fillFromOld(ctx context.Context, out, in int, st *stat, it *item, v *verdict, buf []byte) (taken int64, err error) {
	old, err := openSame(it.d.dst, it.to, v.t, openFile)
	if err != nil {
		return 0, err
	}
	defer closeFd(old)
	k := new(key)
	w := weave{ctx: ctx, size: st.size, oldSize: v.t.size, key: k, w: newPatch(ctx, k, out, old, in, buf)}
	err = w.run()
	if bad := w.w.end(); err == nil {
		err = bad
	}
	return w.w.taken, unexpected(err)
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
