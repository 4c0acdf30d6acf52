package tree

import (
	"bytes"
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// wholeBelow is the size up to which one read and one write beat copy_file_range.
const wholeBelow = 128 << 10

// errShort says that a file ended before the size it had when it was opened.
var errShort = errors.New("file became shorter while it was read")

// copyData copies the first size bytes of in to out, which is new and empty, and returns how many it wrote; holes stay
// holes. ctx is looked at between pieces.
func copyData(ctx context.Context, out, in int, st *stat, buf []byte) (int64, error) {
	if st.size == 0 {
		return 0, nil
	}
	if st.blocks*512 < st.size {
		return copySparse(ctx, out, in, st.size, buf)
	}
	return copyRange(ctx, out, in, 0, st.size, buf)
}

// copySparse goes from data to data.
func copySparse(ctx context.Context, out, in int, size int64, buf []byte) (written int64, err error) {
	err = eachData(in, size, func(from, end int64) error {
		n, err := copyRange(ctx, out, in, from, end, buf)
		written += n
		return err
	})
	if err != nil {
		return written, err
	}
	return written, unix.Ftruncate(out, size)
}

// eachData calls f for each piece of a file that is no hole; a file system without SEEK_DATA answers EINVAL, and all is
// one piece.
func eachData(in int, size int64, f func(from, end int64) error) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(in, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if errors.Is(err, unix.EINVAL) && at == 0 {
			return f(0, size)
		}
		if err != nil {
			return err
		}
		hole, err := unix.Seek(in, data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		hole = min(hole, size)
		if data >= hole {
			return nil
		}
		if err := f(data, hole); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

// copyRange copies the bytes from up to end to the same place.
func copyRange(ctx context.Context, out, in int, from, end int64, buf []byte) (int64, error) {
	return copySpan(ctx, out, from, in, from, end-from, buf)
}

// copyPart copies size bytes to another place.
func copyPart(ctx context.Context, out int, to int64, in int, from, size int64, buf []byte) error {
	_, err := copySpan(ctx, out, to, in, from, size, buf)
	return err
}

func copySpan(ctx context.Context, out int, to int64, in int, from, size int64, buf []byte) (written int64, err error) {
	kernel := size > wholeBelow
	for end := from + size; from < end; {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		var n int
		if kernel {
			r, w := from, to
			n, err = unix.CopyFileRange(in, &r, out, &w, int(min(end-from, 8<<20)), 0)
			if err != nil && !isFull(err) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EIO) {
				kernel = false
				continue
			}
		} else {
			n, err = copyPiece(out, to, in, from, int(min(end-from, int64(len(buf)))), buf)
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return written, err
		}
		if n == 0 {
			return written, errShort
		}
		from, to = from+int64(n), to+int64(n)
		written += int64(n)
	}
	return written, nil
}

func copyPiece(out int, to int64, in int, from int64, n int, buf []byte) (int, error) {
	n, err := unix.Pread(in, buf[:n], from)
	if err != nil {
		return 0, err
	}
	for done := 0; done < n; {
		m, err := unix.Pwrite(out, buf[done:n], to+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		done += m
	}
	return n, nil
}

// sameContent compares size bytes of two open files, half of buf for each.
func sameContent(ctx context.Context, a, b int, size int64, buf []byte) (bool, error) {
	half := len(buf) / 2
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := int(min(size-at, int64(half)))
		x, y := buf[:n], buf[half:half+n]
		for _, f := range []struct {
			fd int
			b  []byte
		}{{a, x}, {b, y}} {
			if err := readFull(f.fd, f.b, at); errors.Is(err, io.ErrUnexpectedEOF) {
				return false, nil
			} else if err != nil {
				return false, err
			}
		}
		if !bytes.Equal(x, y) {
			return false, nil
		}
		at += int64(n)
	}
	return true, nil
}

func readFull(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
