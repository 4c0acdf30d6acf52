package mirror

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// build makes directories and links, and tells which files are to come and which are too large.
func (l *listing) build(at *os.Root) (files map[string]bool, large []Left, err error) {
	files = map[string]bool{}
	total := int64(0)
	dirs := map[string]bool{"": true}
	for _, name := range slices.SortedFunc(maps.Keys(l.seen), byDepth) {
		o := l.seen[name]
		if !dirs[parent(name)] {
			continue // below a link: it is here under its own name, too
		}
		switch {
		case o.kind == 'd':
			dirs[name] = true
			err = at.Mkdir(name, 0o700)
		case o.kind == 'l':
			err = at.Symlink(inside(parent(name), o.target), name)
		case o.kind == 'f' && o.size > Most:
			large = append(large, Left{name, o.size})
		case o.kind == 'f':
			files[name] = true
			total += o.size
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if total > mostBytes {
		return nil, nil, fmt.Errorf("the small files of the host have %d bytes in all, want at most %d", total, mostBytes)
	}
	return files, large, nil
}

// byDepth sorts directories before what is in them.
func byDepth(a, b string) int {
	if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

// sendScript sends the files as an archive, and after it what tar said.
const sendScript = `# read the small files
LC_ALL=C; export LC_ALL
cd "$1" || exit 3
exec 3>&1
said=$(tar --null --no-recursion --hard-dereference --format=posix --quoting-style=literal -c -f - -T - 2>&1 >&3)
rc=$?
printf '%s\n' "$said"
[ -z "$said" ] || printf '%s\n' "$said" >&2
exit $rc`

// receive fetches the content of the files. restless are those that were no longer there, were something else or were written to
// while they were read: there is nothing of them.
func receive(ctx context.Context, h *hostcmd.Host, root string, at *os.Root, files map[string]bool) (restless map[string]bool, err error) {
	var names bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names.WriteString("./" + name + "\x00")
	}
	stream, err := h.Start(ctx, &names, "sh", "-c", sendScript, "sh", root)
	if err != nil {
		return nil, err
	}
	restless, said, err := unpack(h, at, stream, files)
	closed := stream.Close()
	switch {
	case closed != nil && (err != nil || len(said) == 0 || !changed(closed)):
		err = closed // why it ended says more than that it did
	case closed != nil:
		for _, name := range said {
			restless[name] = true
			if e := at.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		}
	}
	for name, missing := range files {
		if missing && err == nil {
			restless[name] = true
		}
	}
	return restless, err
}

// unpack writes what comes, and says in files what did not. said are the names that tar complained about.
func unpack(h *hostcmd.Host, at *os.Root, stream io.Reader, files map[string]bool) (restless map[string]bool, said []string, err error) {
	restless = map[string]bool{}
	total := int64(0)
	for r := tar.NewReader(stream); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			said, err = complaints(h, stream, files)
			return restless, said, err
		}
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(head.Name, "./"), "/") // a directory in its place has a slash
		if !files[name] {
			return nil, nil, refuse(h, "the file %q", head.Name)
		}
		if total += head.Size; total > mostBytes {
			return nil, nil, refuse(h, "files of more than %d bytes in all", mostBytes)
		}
		files[name] = false
		if head.Typeflag != tar.TypeReg || head.Size > Most {
			restless[name] = true
			continue
		}
		if err := write(at, name, r); err != nil {
			return nil, nil, err
		}
	}
}

// complaints reads what follows the end of the archive: padding, and lines such as "tar: ./NAME: file changed as we read it".
func complaints(h *hostcmd.Host, stream io.Reader, files map[string]bool) (names []string, err error) {
	rest, err := io.ReadAll(io.LimitReader(stream, 1<<20))
	if len(rest) == 1<<20 {
		err = refuse(h, "more than the archive")
	}
	for line := range strings.Lines(string(bytes.TrimLeft(rest, "\x00"))) {
		_, line, _ := strings.Cut(line, ": ./") // behind the name of the program
		for i := range line {
			if _, known := files[line[:i]]; known && strings.HasPrefix(line[i:], ": ") {
				names = append(names, line[:i])
				break
			}
		}
	}
	return names, err
}

// write keeps a file, but for one that holds a private key.
func write(at *os.Root, name string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil || bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		return err
	}
	f, err := at.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// dress gives directories and links the owners that they have on the host, and directories the modes, where the caller may.
func (l *listing) dress(at *os.Root) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for name, o := range l.seen {
		info, err := at.Lstat(name)
		if err != nil || info.Mode().IsRegular() {
			continue // below a link, or not wanted after all
		}
		if err := at.Lchown(name, o.uid, o.gid); err != nil {
			return err
		}
		if o.kind == 'd' {
			mode := fs.FileMode(o.mode & 0o777)
			for bit, m := range map[uint32]fs.FileMode{0o1000: fs.ModeSticky, 0o2000: fs.ModeSetgid, 0o4000: fs.ModeSetuid} {
				if o.mode&bit != 0 {
					mode |= m
				}
			}
			if err := at.Chmod(name, mode); err != nil {
				return err
			}
		}
	}
	return nil
}
