package tree

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// partsScript tells what changed in large files: root; options of tar, or "-" when no attributes are wanted; what grep looks
// for. On stdin is for each request a line
//
//	what, uid or "in", 65534 or bytes of the directory, bytes of the name, size of the file, unit, bytes of the answer, ranges
//
// and behind it the directory, where there is one, and the name; see asOwner. A range is two numbers of units with a colon
// between: how many to pass over, and how many to take. What is wanted, and the answers:
//
//	marks    what grep -ab finds, in base64, LF
//	blocks   a line of cksum for each range, in base64, LF
//	parts    the first bytes of a tar archive of the file, when attributes are wanted; the ranges; SHA-256 of the file in digits, LF
//
// Who traces his own programs can have them say what he likes. What runs with the rights of a user writes into a pipe of root's
// programs, which take a fixed length of it, filled up with zeros, or write it as base64: so he can say it of his own files only.
// dd opens no link and does not wait for a FIFO, and leaves the access time alone, by which new mail is known.
const partsScript = "# tell what changed in large files\n" + asOwner + `a=; keep=
[ "$me" != 0 ] || { a=,noatime; keep=--atime-preserve=system; }
i=iflag=nofollow,nonblock$a opt=$2 marks=$3
each='f=$1 i=$2 b=$3; shift 3; for r do dd if="$f" "$i" bs="$b" skip="${r%:*}" count="${r#*:}"'
T="tar $keep --null --no-unquote --no-recursion --hard-dereference --format=posix --numeric-owner -b 1 -c -f - -T -"
T="$T --pax-option=delete=atime,delete=ctime,delete=mtime"
as() { if [ "$u" = in ]; then within "$@"; else run "$@"; fi; }
take() { v=$(head -c "$1"; echo .); v=${v%.}; }
while read -r what u g n size b len list; do
	if [ "$u" = in ]; then take "$g"; d=$v; fi
	take "$n"; f=$v
	all=$((size / 65536 + 1))
	case $what in
	marks) as sh -c 'dd if="$1" "$2" bs=65536 count="$3" | grep -ab -e "$4"' sh "$f" "$i" "$all" "$marks" </dev/null |
			head -c "$len" | base64 -w 0
		echo ;;
	blocks) as sh -c "$each | cksum; done" sh "$f" "$i" "$b" $list </dev/null | head -c "$len" | base64 -w 0
		echo ;;
	parts) [ "$opt" = - ] || { printf '%s\0' "$f" | as $T $opt; cat /dev/zero; } | head -c 8192
		{ as sh -c "$each; done" sh "$f" "$i" "$b" $list; cat /dev/zero; } </dev/null | head -c "$len"
		s=$(as dd if="$f" "$i" bs=65536 count="$all" </dev/null | sha256sum)
		printf '%.64s\n' "$s" ;;
	esac
done 2>/dev/null
printf 'MAILMOVE\n'`

// headBytes is how much of a tar archive is read for the attributes of a file.
const headBytes = 8192

// partsNeed are the programs of partsScript that no other one needs.
var partsNeed = []string{"base64", "cksum", "dd", "grep"}

// question is one request of partsScript.
func (q *request) question(b *bytes.Buffer, what string, unit, answer int64, ranges []extent) {
	dir, name := "", q.path
	who, group := fmt.Sprint(q.uid), fmt.Sprint(noGroup)
	if q.in {
		dir, name = splitPath(q.path)
		who, group = "in", fmt.Sprint(len(dir))
	}
	name = "./" + name
	fmt.Fprintf(b, "%s %s %s %d %d %d %d", what, who, group, len(name), q.it.st.size, unit, answer)
	for _, e := range ranges {
		fmt.Fprintf(b, " %d:%d", e.at/unit, (e.n+unit-1)/unit)
	}
	b.WriteString("\n" + dir + name)
}

// told is an answer of partsScript.
type told struct {
	in  *bufio.Reader
	out io.Closer
}

func (s *remote) parts(ctx context.Context, questions []byte) (*told, error) {
	opt := "-"
	if s.carriesAttrs() {
		opt = "--xattrs --xattrs-include=*"
	}
	out, err := s.start(ctx, questions, "parts", partsScript, s.top(), opt, markPattern)
	if err != nil {
		return nil, err
	}
	return &told{bufio.NewReaderSize(out, 256<<10), out}, nil
}

// end reads the last line, unless there was an error before it.
func (t *told) end(err error) error {
	if err == nil {
		err = t.last()
	}
	return joinEnd(err, t.out.Close())
}

func (t *told) last() error {
	const end = "MAILMOVE\n"
	var b [len(end)]byte
	if _, err := io.ReadFull(t.in, b[:]); err != nil {
		return cut(err)
	}
	if string(b[:]) != end {
		return errors.New("parts: something else in the place of the end")
	}
	if _, err := t.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("parts: more behind the end"), err)
	}
	return nil
}

// text gives an answer in base64, of at most so many bytes. Done has to be called before the next is read.
func (t *told) text(most int64) *coded {
	c := &coded{in: t.in, left: base64.StdEncoding.EncodedLen(int(most)) + 1}
	c.Reader = base64.NewDecoder(base64.StdEncoding, lineOf{c})
	return c
}

// coded is a line of base64.
type coded struct {
	io.Reader
	in    *bufio.Reader
	left  int // bytes that the line may have
	ended bool
	err   error // of the stream
}

// done passes over what was not read of the line. The error is one of the stream.
func (c *coded) done() error {
	_, _ = io.Copy(io.Discard, lineOf{c})
	return c.err
}

// lineOf reads the line as it comes.
type lineOf struct{ c *coded }

func (l lineOf) Read(b []byte) (int, error) {
	c := l.c
	if c.err != nil {
		return 0, c.err
	}
	if c.ended {
		return 0, io.EOF
	}
	if _, err := c.in.Peek(1); err != nil {
		c.err = cut(err)
		return 0, c.err
	}
	have, _ := c.in.Peek(min(c.in.Buffered(), len(b)))
	n, skip := len(have), len(have)
	if end := bytes.IndexByte(have, '\n'); end >= 0 {
		c.ended, n, skip = true, end, end+1
	}
	if c.left -= skip; c.left < 0 {
		c.err = errLong
		return 0, c.err
	}
	copy(b, have[:n])
	_, _ = c.in.Discard(skip)
	if n == 0 && c.ended {
		return 0, io.EOF
	}
	return n, nil
}

// attrs reads the first bytes of a tar archive. known: they are those of a file as st describes it.
func (t *told) attrs(st *stat) (as []attr, known bool, err error) {
	b := make([]byte, headBytes)
	if _, err := io.ReadFull(t.in, b); err != nil {
		return nil, false, cut(err)
	}
	h, err := tar.NewReader(bytes.NewReader(b)).Next()
	if err != nil || h.Typeflag != tar.TypeReg || !sameHeader(h, st) {
		return nil, false, nil
	}
	return attrsIn(h), true, nil
}

// sum reads the line of a SHA-256.
func (t *told) sum() (sum [sha256.Size]byte, err error) {
	var line [65]byte
	if _, err := io.ReadFull(t.in, line[:]); err != nil {
		return sum, cut(err)
	}
	if n, err := hex.Decode(sum[:], line[:64]); err != nil || n != len(sum) || line[64] != '\n' {
		return sum, errors.New("parts: no SHA-256 where one was wanted")
	}
	return sum, nil
}

// sums reads lines of cksum for blocks of these lengths. ok: each is there.
func (c *coded) sums(blocks []extent) (sums []uint32, ok bool) {
	var b strings.Builder
	if _, err := io.Copy(&b, io.LimitReader(c, int64(len(blocks))*cksumLine)); err != nil {
		return nil, false
	}
	lines := strings.SplitAfter(b.String(), "\n")
	if len(lines) != len(blocks)+1 {
		return nil, false
	}
	for i, e := range blocks {
		var sum uint32
		var n int64
		if k, err := fmt.Sscanf(lines[i], "%d %d\n", &sum, &n); k != 2 || err != nil || n != e.n {
			return nil, false
		}
		sums = append(sums, sum)
	}
	return sums, true
}

// cksumLine bounds a line of cksum of its standard input: two numbers of at most 10 and 19 digits.
const cksumLine = 32
