package tree

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// The scripts that read files take on stdin, in the order in which they are to be read, sections of
//
//	uid, blank, 65534, blank, bytes of the names, LF, names          read with the rights of that user and of no group
//	"in", blank, bytes of a directory, blank, bytes of the names, LF, directory, names of files in it          read as root
//
// A user may swap names of his own: with his rights nothing is read but what he could read himself. What he cannot read,
// or what more than he can swap, root reads: in a directory that is entered first and then asked where it is, so that
// nobody can lead it elsewhere. GNU tar opens a file with O_NOFOLLOW since 1.24; an older one says that a file which was
// swapped changed as it read it.
//
// That group is nobody's: 65534 where there is such a group, else one of the names that it goes by. chroot of 2010 takes no number for
// --groups that the group file does not have.
//
// He may also stop the program that reads with his rights, and it would be waited for for ever: one of this script's process group that
// is found stopped, by a look every ten seconds, for the twelfth time is killed. One that waits for a slow line is not stopped.
const asOwner = `LC_ALL=C; export LC_ALL; set -f; unset POSIXLY_CORRECT
root=$1; me=$(id -u); none=65534
for name in 65534 nogroup nobody nfsnobody; do
	s=$(getent group "$name" 2>/dev/null) && { s=${s%:*}; none=${s##*:}; break; }
done
watch() {
	set +f
	trap 'kill "$nap"; exit' TERM
	read -r s <"/proc/$$/stat"; set -- ${s##*)}; group=$3; seen=
	while read -r s <"/proc/$$/stat"; do
		case ${s##*)} in ' Z '*) exit ;; esac
		sleep 10 & nap=$!; wait $nap
		for f in /proc/[0-9]*/stat; do
			s=; read -r s <"$f" || continue
			case ${s##*)} in ' T '*|' t '*) ;; *) continue ;; esac
			p=${s%% *}; set -- ${s##*)}; [ "$3" = "$group" ] || continue
			seen="$seen $p"; n=0
			for q in $seen; do [ "$q" != "$p" ] || n=$((n + 1)); done
			[ $n -lt 12 ] || kill -9 "$p"
		done
	done
}
( exec </dev/null >/dev/null 2>&1; watch ) & watcher=$! # a function with redirections would keep what it had, and its readers wait
trap 'kill $watcher 2>/dev/null' EXIT
run() {
	if [ "$u" = 0 ] || [ "$me" != 0 ]; then (cd -- "$root" && exec "$@")
	else chroot --userspec="$u:$none" --groups="$none" / sh -c 'cd -- "$1" && shift && exec "$@"' sh "$root" "$@"; fi
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
	[ $? -lt 128 ] || { [ "$u" != in ] || u=0; w=$(getent passwd "$u" 2>/dev/null); echo "tar was killed, or stopped for two minutes, which read with the rights of uid $u${w:+ (${w%%:*})}" >&2; exit 9; }
done 2>&1 >&3; exit 0) || { printf '%s\n' "$e" >&2; exit 9; }
printf 'MAILMOVE %s\0' "$e"`

// fetch asks for objects, in the order given.
func (s *remote) fetch(ctx context.Context, want []*request) (io.ReadCloser, error) {
	if !s.plain {
		return s.ask(ctx, encodeRequests(want), "fetch", s.top(), s.wait.String())
	}
	in, archives := sections(want)
	opt, size := s.tarOptions(want), int64(0)
	for _, q := range want {
		if q.it != nil {
			size += q.it.st.size
		}
	}
	if size >= int64(archives)*largeArchive {
		opt += " -b 128"
	}
	return s.start(ctx, in, "fetch", fetchScript, s.top(), opt)
}

// largeArchive has records of 64 KiB, which ssh and sshd carry with less work than those of 10 KiB. An archive ends with zeros up to a
// whole record: with a small one for each of many users these would be more than the mail.
const largeArchive = 4 << 20

func (s *remote) tarOptions(want []*request) string {
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

// sections says what is to be read with whose rights, in n parts; see asOwner.
func sections(want []*request) (text []byte, n int) {
	var b bytes.Buffer
	for ; len(want) > 0; n++ {
		q, these := want[0], 1
		dir, _ := splitPath(q.path)
		var list []string
		for list = append(list, q.path); these < len(want) && want[these].rights == q.rights; these++ {
			if up, _ := splitPath(want[these].path); q.in && up != dir {
				break
			}
			list = append(list, want[these].path)
		}
		quiet := ""
		if q.quiet {
			quiet = " quiet"
		}
		if want = want[these:]; q.in {
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
	return b.Bytes(), n
}

// look tells what is at some paths now; what is not there is missing from the answer. messages say why something may be missing
// that is there.
func (s *remote) look(ctx context.Context, paths []string) (now map[string]stat, messages []string, err error) {
	in := names(paths)
	args := []string{s.top(), fmt.Sprint(len(in))}
	if !s.plain {
		args = append(args, "0", "-")
	}
	out, err := s.start(ctx, in, "manifest", listScript, args...)
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
func (s *remote) sums(ctx context.Context, want []*request) (map[string][sha256.Size]byte, error) {
	all := map[string][sha256.Size]byte{}
	for i, q := range want {
		c := *q // with other rights
		c.quiet = s.plain && q.it != nil && !q.it.d.messages
		want[i] = &c
	}
	for ; len(want) > 0; want = unread(want, all) {
		in, _ := sections(want)
		out, err := s.start(ctx, in, "sum", sumScript, s.top())
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
func unread(want []*request, got map[string][sha256.Size]byte) (again []*request) {
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
			if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
				return nil, errors.Join(errors.New("sum: more behind the end"), err)
			}
			maps.DeleteFunc(sums, func(_ string, sum [sha256.Size]byte) bool { return sum == sha256.Sum256(nil) })
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
		name = joinPath(dir, strings.TrimPrefix(name, "./"))
		if other, twice := sums[name]; twice && other != sum { // what a user makes his program say of others, theirs says otherwise
			return nil, fmt.Errorf("sum: two different ones of %q", name)
		}
		sums[name] = sum
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
