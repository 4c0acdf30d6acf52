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
	"maps"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// archives reads tar archives one after the other, and the trailer behind them: "MAILMOVE" blank messages NUL.
type archives struct {
	in       *bufio.Reader
	out      io.Closer
	tar      *tar.Reader
	dir      string // that the names of the archive at hand are below
	messages []string
	broken   bool // the stream ended in the middle
}

const (
	trailer = "MAILMOVE "
	within  = "MAILMOVE/" // and a directory: what follows is below it
)

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
		if string(b) == within {
			text, err := word(a.in)
			if err != nil {
				return nil, a.fail(err)
			}
			a.dir = text[len(within):]
			continue
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
	sort.Slice(as, func(i, j int) bool { return as[i].name < as[j].name })
	if b, err := hex.DecodeString(h.PAXRecords[paxFlags]); err == nil && len(b) == 4 {
		as = append(as, attr{flagsAttr, b})
	}
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

// The scripts that read files take on stdin, in the order in which they are to be read, sections of
//
//	uid, blank, 65534, blank, bytes of the names, LF, names          read with the rights of that user and of no group
//	"in", blank, bytes of a directory, blank, bytes of the names, LF, directory, names of files in it          read as root
//
// A user may swap names of his own: with his rights nothing is read but what he could read himself. What he cannot read,
// or what more than he can swap, root reads: in a directory that is entered first and then asked where it is, so that
// nobody can lead it elsewhere. GNU tar opens a file with O_NOFOLLOW since 1.24; an older one says that a file which was
// swapped changed as it read it.
const asOwner = `LC_ALL=C; export LC_ALL; set -f; unset POSIXLY_CORRECT
root=$1; me=$(id -u)
run() {
	if [ "$u" = 0 ] || [ "$me" != 0 ]; then (cd -- "$root" && exec "$@")
	else chroot --userspec="$u:$g" --groups="$g" / sh -c 'cd -- "$1" && shift && exec "$@"' sh "$root" "$@"; fi
}
within() (
	cd -P -- "$root" && r=$(env pwd; echo .) && cd -P -- "./$d" && w=$(env pwd; echo .) || exit 0
	r=${r%??}; w=${w%??}
	case $d in .) ;; *) r=${r%/}/$d ;; esac
	if [ "$r" = "$w" ]; then exec "$@"; else echo "$d is not where it was" >&2; fi
)
`

// fetchScript sends tar archives of objects: root, further options of tar. "MAILMOVE/", a directory and NUL before an archive say
// what its names are below. A tar that was killed may have left half an archive: then there is no trailer.
const fetchScript = "# send homes and mail\n" + asOwner + `opt=$2
exec 3>&1
keep=; [ "$me" != 0 ] || keep=--atime-preserve=system
T="tar $keep --null --no-unquote --quoting-style=escape --no-recursion --hard-dereference --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime --numeric-owner $opt -c -f - -T -"
e=$(while read -r u g n h; do
	if [ "$u" = in ]; then
		d=$(head -c "$g"; echo .); d=${d%.}
		printf 'MAILMOVE/%s\0' "$d" >&3
		head -c "$n" | within $T
	else
		printf 'MAILMOVE/.\0' >&3
		head -c "$n" | run $T
	fi
	[ $? -lt 128 ] || exit 9
done 2>&1 >&3; exit 0) || exit 9
printf 'MAILMOVE %s\0' "$e"`

// fetch asks for objects, in the order given.
func (s *remote) fetch(ctx context.Context, want []request) (*archives, error) {
	in, arg := sections(want), s.tarOptions(want)
	if !s.plain {
		in, arg = encodeRequests(want), s.wait.String()
	}
	out, err := s.start(ctx, bytes.NewReader(in), "fetch", fetchScript, s.top(), arg)
	if err != nil {
		return nil, err
	}
	return &archives{in: bufio.NewReaderSize(out, 256<<10), out: out, dir: "."}, nil
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

// rights are those that a file of another host is read with.
type rights struct {
	uid uint32
	in  bool // root, in the directory of the file

	quiet bool // leave the access time alone
}

// noGroup is a group that no file belongs to. The group of a file proves nothing about its owner: mailboxes often belong to
// mail, with which everybody's could be read.
const noGroup = 65534

// sections says what is to be read with whose rights; see asOwner.
func sections(want []request) []byte {
	var b bytes.Buffer
	for len(want) > 0 {
		q, n := &want[0], 1
		dir, _ := splitPath(q.path)
		var list []string
		for list = append(list, q.path); n < len(want) && want[n].rights == q.rights; n++ {
			if up, _ := splitPath(want[n].path); q.in && up != dir {
				break
			}
			list = append(list, want[n].path)
		}
		quiet := ""
		if q.quiet {
			quiet = " quiet"
		}
		if want = want[n:]; q.in {
			for i := range list {
				_, list[i] = splitPath(list[i])
			}
			text := names(list)
			fmt.Fprintf(&b, "in %d %d%s\n%s", len(dir), len(text), quiet, dir)
			b.Write(text)
			continue
		}
		text := names(list)
		fmt.Fprintf(&b, "%d %d %d%s\n", q.uid, noGroup, len(text), quiet)
		b.Write(text)
	}
	return b.Bytes()
}

// look tells what is at some paths now; what is not there is missing from the answer. messages say why something may be missing
// that is there.
func (s *remote) look(ctx context.Context, paths []string) (now map[string]stat, messages []string, err error) {
	in := names(paths)
	args := []string{s.top(), fmt.Sprint(len(in))}
	if !s.plain {
		args = append(args, "0", "-")
	}
	out, err := s.start(ctx, bytes.NewReader(in), "manifest", listScript, args...)
	if err != nil {
		return nil, nil, err
	}
	now = map[string]stat{}
	_, messages, err = readManifest(out, func(where string, k known) error {
		now[where] = k.st
		return nil
	})
	return now, messages, joinEnd(err, out.Close())
}

// sumScript tells the SHA-256 of files: root; sections on stdin. find leaves out what is no file any more: reading a FIFO would
// take for ever. The lines of each section are those of sha256sum(1), below the directory that "MAILMOVE/" names. In a section
// with the word "quiet" the access time stays as it is, by which new mail is known; its lines end with NUL LF.
const sumScript = "# sum homes and mail\n" + asOwner + `a=; [ "$me" != 0 ] || a=,noatime
while read -r u g n h; do
	d=.
	if [ "$u" = in ]; then d=$(head -c "$g"; echo .); d=${d%.}; fi
	printf 'MAILMOVE/%s\0\n' "$d"
	if [ "$h" = quiet ]; then
		set -- xargs -0 -r sh -c 'a=$1; shift; for f do
			[ -f "$f" ] && s=$(dd if="$f" iflag="nofollow,nonblock$a" bs=65536 2>/dev/null | sha256sum) && printf "=%s  %s\0\n" "${s%% *}" "$f"
		done' sh "$a"
	else set -- xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 -type f -exec sha256sum -- {} +' sh; fi
	if [ "$u" = in ]; then head -c "$n" | within "$@"; else head -c "$n" | run "$@"; fi 2>/dev/null
done
printf 'MAILMOVE\n'`

// sums asks for the SHA-256 of files; one that cannot be read is missing from the answer. What its owner cannot read, root
// reads.
func (s *remote) sums(ctx context.Context, want []request) (map[string][sha256.Size]byte, error) {
	all := map[string][sha256.Size]byte{}
	for i, q := range want {
		want[i].quiet = s.plain && q.it != nil && !q.it.d.messages
	}
	for ; len(want) > 0; want = unread(want, all) {
		out, err := s.start(ctx, bytes.NewReader(sections(want)), "sum", sumScript, s.top())
		if err != nil {
			return nil, err
		}
		sums, err := readSums(out)
		if err = joinEnd(err, out.Close()); err != nil {
			return nil, err
		}
		maps.Copy(all, sums)
		if !s.plain {
			break
		}
	}
	return all, nil
}

// unread gives what has no sum yet and is worth a second try as root.
func unread(want []request, got map[string][sha256.Size]byte) (again []request) {
	for _, q := range want {
		if _, ok := got[q.path]; !ok && !q.in && q.uid != 0 {
			q.in = true
			again = append(again, q)
		}
	}
	return again
}

// readSums reads lines of sha256sum(1): 64 digits, blank, blank or asterisk, name. A line with a leading backslash has
// backslashes and line ends of the name escaped; one that begins with "=" has the name as it is and ends with NUL LF. The sum of
// nothing is what comes of a file that could not be opened.
func readSums(r io.Reader) (map[string][sha256.Size]byte, error) {
	sums := map[string][sha256.Size]byte{}
	in, dir := bufio.NewReaderSize(r, 64<<10), "."
	for {
		line, err := in.ReadString('\n')
		whole := strings.HasPrefix(line, "=") || strings.HasPrefix(line, within)
		for err == nil && whole && !strings.HasSuffix(line, "\x00\n") && len(line) < 1<<20 {
			var more string
			more, err = in.ReadString('\n')
			line += more
		}
		if err != nil {
			return nil, cut(err)
		}
		if line == "MAILMOVE\n" {
			return sums, nil
		}
		if strings.HasPrefix(line, within) {
			dir = strings.TrimSuffix(line[len(within):], "\x00\n")
			continue
		}
		line, escaped := strings.CutPrefix(line[:len(line)-1], `\`)
		line = strings.TrimSuffix(strings.TrimPrefix(line, "="), "\x00")
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
		if sum != sha256.Sum256(nil) {
			sums[joinPath(dir, strings.TrimPrefix(name, "./"))] = sum
		}
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
