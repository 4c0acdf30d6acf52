package tree

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// build puts the file together from the parts that are known and what comes, and proves it. The result is how many bytes came.
func (r *rebuilding) build(ctx context.Context, out int, buf []byte) (came int64, err error) {
	came, err = r.known(ctx, out, buf)
	n, e := r.ranges(ctx, r.in, out, r.want, buf)
	same := false
	if r.taken = true; e == nil {
		same, err, e = r.proved(ctx, r.in, out, err, buf)
	}
	if came += n; e != nil {
		r.broken = e
		return came, e
	}
	if err != nil || same {
		return came, unexpected(err)
	}
	n, err = r.mend(ctx, out, buf)
	return came + n, unexpected(err)
}

// proved holds the file against the sum that comes. Ours is made while the other host makes its own. failed is what went wrong before;
// the second error is one of the stream.
func (r *rebuilding) proved(ctx context.Context, in *told, out int, failed error, buf []byte) (same bool, err, broken error) {
	var ours [sha256.Size]byte
	if err = cmp.Or(failed, r.writing); err == nil {
		ours, err = sumOf(ctx, out, r.q.it.st.size, buf)
	}
	theirs, broken := in.sum()
	return err == nil && ours == theirs, err, broken
}

// known writes what is known, and gives how much of it the other host told.
func (r *rebuilding) known(ctx context.Context, out int, buf []byte) (came int64, err error) {
	old, err := r.old()
	if err != nil {
		return 0, errors.Join(errDigest, err) // it has gone meanwhile, or another is there
	}
	defer closeFd(old)
	if err := unix.Ftruncate(out, r.q.it.st.size); err != nil {
		return 0, err
	}
	for _, p := range r.parts {
		if p.text != nil {
			came += p.n
			err = writeFull(out, p.text, p.at)
		} else {
			err = copyPart(ctx, out, p.at, old, p.old, p.n, buf)
		}
		if err != nil {
			return came, err
		}
	}
	return came, nil
}

// ranges writes what comes. The error is one of the stream: when the file cannot be written, the rest is read all the same.
func (r *rebuilding) ranges(ctx context.Context, in *told, out int, list []extent, buf []byte) (came int64, err error) {
	for _, e := range list {
		for e.n > 0 {
			if err := ctx.Err(); err != nil {
				return came, err
			}
			b := buf[:min(int64(len(buf)), e.n)]
			if _, err := io.ReadFull(in.in, b); err != nil {
				return came, cut(err)
			}
			if r.writing == nil {
				r.writing = writeFull(out, b, e.at)
			}
			n := int64(len(b))
			e.at, e.n, came = e.at+n, e.n-n, came+n
		}
	}
	return came, nil
}

// What mending may cost: blocks of a file that are summed at once, two processes each; the size up to which they are divided; into
// how many.
const (
	mendBlocks = 256
	mendFine   = 16 << 10
	mendInto   = 16
)

// mend asks for sums of blocks of a file that is not what it should be, then of parts of the blocks that differ, and last for what
// still differs.
func (r *rebuilding) mend(ctx context.Context, out int, buf []byte) (came int64, err error) {
	size := r.q.it.st.size
	unit := int64(64 << 10)
	for unit*mendBlocks < size {
		unit *= 2
	}
	bad := divide([]extent{{0, size}}, unit)
	for {
		if bad, err = r.differ(ctx, out, bad, buf); err != nil {
			return 0, err
		}
		if len(bad) == 0 || total(bad) > size/2 { // it changed meanwhile, or has little in common with the guess
			return 0, errDigest
		}
		into := int64(mendInto)
		for into > 1 && (unit/into < mendFine || into*int64(len(bad)) > mendBlocks) {
			into /= 2
		}
		if into == 1 {
			break
		}
		unit /= into
		bad = divide(bad, unit)
	}
	var question bytes.Buffer
	r.q.question(&question, "parts", mendFine, total(bad), bad)
	in, err := r.f.r.parts(ctx, question.Bytes())
	if err != nil {
		r.broken = err
		return 0, err
	}
	if r.f.r.carriesAttrs() {
		_, _, err = in.attrs(&r.q.it.st)
	}
	if err == nil {
		came, err = r.ranges(ctx, in, out, bad, buf)
	}
	same, wrong := false, error(nil)
	if err == nil {
		same, wrong, err = r.proved(ctx, in, out, nil, buf)
	}
	if r.broken = in.end(err); r.broken != nil {
		return came, r.broken
	}
	if wrong == nil && !same {
		wrong = errDigest
	}
	return came, wrong
}

// divide divides ranges into blocks; the last of a file may be shorter.
func divide(list []extent, unit int64) (blocks []extent) {
	for _, e := range list {
		for end := e.at + e.n; e.at < end; e.at += unit {
			blocks = append(blocks, extent{e.at, min(unit, end-e.at)})
		}
	}
	return blocks
}

// differ gives those of the blocks that have another sum on the other host.
func (r *rebuilding) differ(ctx context.Context, out int, blocks []extent, buf []byte) (bad []extent, err error) {
	var question bytes.Buffer
	most := int64(len(blocks)) * cksumLine
	r.q.question(&question, "blocks", mendFine, most, blocks)
	in, err := r.f.r.parts(ctx, question.Bytes())
	if err != nil {
		r.broken = err
		return nil, err
	}
	text := in.text(most)
	sums, ok := text.sums(blocks)
	if r.broken = in.end(text.done()); r.broken != nil {
		return nil, r.broken
	}
	if !ok {
		return nil, errDigest
	}
	for i, e := range blocks {
		c := newCksum()
		for at := e.at; at < e.at+e.n; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b := buf[:min(int64(len(buf)), e.at+e.n-at)]
			if err := readFull(out, b, at); err != nil {
				return nil, err
			}
			_, _ = c.Write(b)
			at += int64(len(b))
		}
		if c.sum() != sums[i] {
			bad = append(bad, e)
		}
	}
	return bad, nil
}
