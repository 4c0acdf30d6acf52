package tree

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// archives reads tar archives one after the other, and the trailer behind them: "MAILMOVE" blank messages NUL.
type archives struct {
	in       *bufio.Reader
	out      io.Closer
	tar      *tar.Reader
	messages []string
	broken   bool // the stream ended in the middle
}

const trailer = "MAILMOVE "

// errEnd is the end of the last archive.
var errEnd = errors.New("end of the answer")

const tarBlock = 512

// next goes to the next object; errEnd after the last.
func (a *archives) next() (*tar.Header, error) {
	for {
		if a.tar != nil {
			h, err := a.tar.Next()
			if err == nil {
				return h, nil
			}
			if !errors.Is(err, io.EOF) {
				return nil, a.fail(err)
			}
			a.tar = nil
		}
		b, err := a.in.Peek(len(trailer))
		if err != nil {
			return nil, a.fail(errCut)
		}
		if string(b) == trailer {
			return nil, a.end()
		}
		if b, err = a.in.Peek(tarBlock); err != nil {
			return nil, a.fail(errCut)
		}
		if len(bytes.Trim(b, "\x00")) > 0 {
			a.tar = tar.NewReader(a.in)
		} else if _, err := a.in.Discard(tarBlock); err != nil {
			return nil, a.fail(err)
		}
	}
}

func (a *archives) fail(err error) error {
	a.broken = true
	return cut(err)
}

func (a *archives) end() error {
	text, err := word(a.in)
	if err != nil {
		return a.fail(err)
	}
	for l := range strings.Lines(strings.TrimPrefix(text, trailer)) {
		if l = strings.TrimSpace(l); l != "" {
			a.messages = append(a.messages, l)
		}
	}
	return errEnd
}

func (a *archives) close() error { return a.out.Close() }

// Read gives the content of the object at hand.
func (a *archives) Read(b []byte) (int, error) {
	n, err := a.tar.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = a.fail(err)
	}
	return n, err
}

// attrsIn takes the attributes out of the PAX records that GNU tar and star write. Those that belong to a host stay behind.
func attrsIn(h *tar.Header) (as []attr) {
	const prefix = "SCHILY.xattr."
	for k, v := range h.PAXRecords {
		if n, ok := strings.CutPrefix(k, prefix); ok && !hostAttrs[n] {
			as = append(as, attr{n, []byte(v)})
		}
	}
	if v, ok := h.PAXRecords[paxFlags]; ok {
		if b, err := hex.DecodeString(v); err == nil && len(b) == 4 {
			as = append(as, attr{flagsAttr, b})
		}
	}
	sort.Slice(as, func(i, j int) bool { return as[i].name < as[j].name })
	return as
}

// paxFlags is the record of file flags, which only this program writes: the four bytes of the attribute in hexadecimal digits.
const paxFlags = "MAILMOVE.flags"

// streamFile is a file of another host whose content is coming.
type streamFile struct {
	st     stat
	as     []attr
	in     *archives
	f      *flight
	q      *request
	helper bool   // the program itself sends it
	pieces string // the digest, when it comes in pieces
	body   int64  // bytes of the stream
}

func (s *streamFile) stat() (stat, error)    { return s.st, nil }
func (s *streamFile) attrs() ([]attr, error) { return s.as, nil }
func (s *streamFile) close()                 {}

func (s *streamFile) same(context.Context, int, int64, []byte) (bool, error) {
	return false, errors.ErrUnsupported
}

// copyTo writes what comes. Of a file with holes, what is zero stays a hole.
func (s *streamFile) copyTo(ctx context.Context, out int, st *stat, buf []byte) (n int64, err error) {
	if s.pieces != "" {
		n, err = s.assemble(ctx, out, st, buf)
	} else {
		n, err = s.copyAll(ctx, out, st, buf)
	}
	if err == nil && s.helper {
		err = s.whole()
	}
	return n, err
}

func (s *streamFile) copyAll(ctx context.Context, out int, st *stat, buf []byte) (n int64, err error) {
	sparse := st.blocks*512 < st.size
	for at := int64(0); at < st.size; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		b := buf[:min(int64(len(buf)), st.size-at)]
		if _, err := io.ReadFull(s.in, b); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = s.in.fail(err)
			}
			return n, err
		}
		if sparse {
			n, err = writeHoles(out, b, at, n)
		} else {
			n += int64(len(b))
			err = writeFull(out, b, at)
		}
		if err != nil {
			return n, err
		}
		at += int64(len(b))
	}
	if sparse {
		return n, unix.Ftruncate(out, st.size)
	}
	return n, nil
}

// writeHoles leaves out blocks of zeros.
func writeHoles(out int, b []byte, at, n int64) (int64, error) {
	const block = 4096
	zero := make([]byte, block)
	for len(b) > 0 {
		p := b[:min(block, len(b))]
		if !bytes.Equal(p, zero[:len(p)]) {
			if err := writeFull(out, p, at); err != nil {
				return n, err
			}
			n += int64(len(p))
		}
		b, at = b[len(p):], at+int64(len(p))
	}
	return n, nil
}

func writeFull(out int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(out, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// fetchScript sends objects: root, further options of tar; on stdin sections of "uid gid bytes" LF and so many bytes of
// names, each read with those rights. -P: as the name says, a leading "./" included.
const fetchScript = `# send homes and mail
LC_ALL=C; export LC_ALL; set -f
root=$1; opt=$2; me=$(id -u)
exec 3>&1
T="tar --null --no-recursion --hard-dereference --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime --numeric-owner $opt -c -f - -T -"
e=$(while read -r u g n; do
	if [ "$u" = 0 ] || [ "$me" != 0 ]; then head -c "$n" | (cd -- "$root" && exec $T)
	else head -c "$n" | chroot --userspec="$u:$g" --groups="$g" / sh -c 'cd -- "$1" && shift && exec "$@"' sh "$root" $T; fi
done 2>&1 >&3)
printf 'MAILMOVE %s\0' "$e"`

// fetchInScript sends objects of one directory with the rights of root: root, directory, options of tar; names on stdin.
const fetchInScript = `# send what its owner cannot read
LC_ALL=C; export LC_ALL; set -f
exec 3>&1
e=$( { cd -P -- "$1" && r=$(pwd -P; echo .) && cd -P -- "./$2" && d=$(pwd -P; echo .) || exit
r=${r%??}; d=${d%??}
[ "$d" = "${r%/}/$2" ] || { echo "$2 is not where it was"; exit; }
exec tar --null --no-recursion --hard-dereference --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime --numeric-owner $3 -c -f - -T -
} 2>&1 >&3)
printf 'MAILMOVE %s\0' "$e"`

// fetch asks for objects, in order as far as they are read with the same rights.
func (s *remote) fetch(ctx context.Context, want []request) (*archives, error) {
	in, arg := sections(want), s.tarOptions(want)
	if !s.plain {
		in, arg = encodeRequests(want), s.wait.String()
	}
	out, err := s.start(ctx, bytes.NewReader(in), "fetch", fetchScript, s.top(), arg)
	if err != nil {
		return nil, err
	}
	return &archives{in: bufio.NewReaderSize(out, 256<<10), out: out}, nil
}

func (s *remote) fetchIn(ctx context.Context, dir string, base []string) (*archives, error) {
	out, err := s.Start(ctx, bytes.NewReader(names(base)), fetchInScript, s.top(), dir, s.tarOptions(nil))
	if err != nil {
		return nil, err
	}
	return &archives{in: bufio.NewReaderSize(out, 256<<10), out: out}, nil
}

func (s *remote) tarOptions(want []request) string {
	opt := ""
	if s.m.head.features["xattrs"] {
		opt = "--xattrs --xattrs-include=*"
	}
	for _, q := range want {
		if q.it != nil && q.it.st.blocks*512 < q.it.st.size {
			return opt + " -S"
		}
	}
	return opt
}

// sections groups the names by whose rights they are read with.
func sections(want []request) []byte {
	type owner struct{ uid, gid uint32 }
	var order []owner
	by := map[owner][]string{}
	for _, q := range want {
		o := owner{q.uid, q.gid}
		if by[o] == nil {
			order = append(order, o)
		}
		by[o] = append(by[o], q.path)
	}
	var b bytes.Buffer
	for _, o := range order {
		n := names(by[o])
		fmt.Fprintf(&b, "%d %d %d\n", o.uid, o.gid, len(n))
		b.Write(n)
	}
	return b.Bytes()
}

// look tells what is at some paths now; what is not there is missing from the answer. An error of any other kind is one.
func (s *remote) look(ctx context.Context, paths []string) (map[string]stat, error) {
	in := names(paths)
	args := []string{s.top(), fmt.Sprint(len(in))}
	if !s.plain {
		args = append(args, "0", "-")
	}
	out, err := s.start(ctx, bytes.NewReader(in), "manifest", listScript, args...)
	if err != nil {
		return nil, err
	}
	now := map[string]stat{}
	_, messages, err := readManifest(out, func(where string, k known) error {
		now[where] = k.st
		return nil
	})
	if err = joinEnd(err, out.Close()); err == nil && len(messages) > 0 {
		err = errors.New(messages[0])
	}
	return now, err
}

// sumScript tells the SHA-256 of files: root; sections on stdin as for fetchScript.
const sumScript = `# sum homes and mail
LC_ALL=C; export LC_ALL
root=$1; me=$(id -u)
while read -r u g n; do
	if [ "$u" = 0 ] || [ "$me" != 0 ]; then head -c "$n" | (cd -- "$root" && exec xargs -0 -r sha256sum --) 2>/dev/null
	else head -c "$n" | chroot --userspec="$u:$g" --groups="$g" / sh -c 'cd -- "$1" && exec xargs -0 -r sha256sum --' sh "$root" 2>/dev/null; fi
done
printf 'MAILMOVE\n'`

// sums asks for the SHA-256 of files; one that cannot be read is missing from the answer.
func (s *remote) sums(ctx context.Context, want []request) (map[string][sha256.Size]byte, error) {
	out, err := s.start(ctx, bytes.NewReader(sections(want)), "sum", sumScript, s.top())
	if err != nil {
		return nil, err
	}
	sums, err := readSums(out)
	return sums, joinEnd(err, out.Close())
}

// readSums reads lines of sha256sum(1): 64 digits, blank, blank or asterisk, name. A line with a leading backslash has
// backslashes and line ends of the name escaped.
func readSums(r io.Reader) (map[string][sha256.Size]byte, error) {
	sums := map[string][sha256.Size]byte{}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, cut(err)
		}
		line = line[:len(line)-1]
		if line == "MAILMOVE" {
			return sums, nil
		}
		line, escaped := strings.CutPrefix(line, `\`)
		var sum [sha256.Size]byte
		if len(line) < 66 {
			return nil, fmt.Errorf("sum: line of %d bytes", len(line))
		}
		if _, err := hex.Decode(sum[:], []byte(line[:64])); err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
		name := line[66:]
		if escaped {
			name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
		}
		sums[strings.TrimPrefix(name, "./")] = sum
	}
}

// sumOf is the SHA-256 of the first size bytes of an open file.
func sumOf(ctx context.Context, fd int, size int64, buf []byte) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		b := buf[:min(int64(len(buf)), size-at)]
		if err := readFull(fd, b, at); err != nil {
			return sum, err
		}
		h.Write(b)
		at += int64(len(b))
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
