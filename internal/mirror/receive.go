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
func (l *listing) build(at *os.Root) (files map[string]bool, large []string, err error) {
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
			large = append(large, name)
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

const sendScript = `# read the small files
LC_ALL=C; export LC_ALL
cd "$1" || exit 3
exec tar --null --no-recursion --hard-dereference --format=posix -c -f - -T -`

// receive fetches the content of the files.
func receive(ctx context.Context, h *hostcmd.Host, root string, at *os.Root, files map[string]bool) error {
	var names bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names.WriteString("./" + name + "\x00")
	}
	stream, err := h.Start(ctx, &names, "sh", "-c", sendScript, "sh", root)
	if err != nil {
		return err
	}
	err = unpack(h, at, stream, files)
	if closed := stream.Close(); closed != nil { // why it ended says more than that it did
		err = closed
	}
	if err == nil && len(files) > 0 {
		err = fmt.Errorf("%q: %w", slices.Min(slices.Collect(maps.Keys(files))), errRace)
	}
	return err
}

// unpack takes from files what it has received.
func unpack(h *hostcmd.Host, at *os.Root, stream io.Reader, files map[string]bool) error {
	total := int64(0)
	for r := tar.NewReader(stream); ; {
		head, err := r.Next()
		if err == io.EOF {
			// What follows the end of the archive is padding.
			n, err := io.Copy(io.Discard, io.LimitReader(stream, 1<<20))
			if n == 1<<20 {
				err = refuse(h, "more than the archive")
			}
			return err
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(head.Name, "./")
		switch {
		case !files[name]:
			return refuse(h, "the file %q", head.Name)
		case head.Typeflag != tar.TypeReg:
			return fmt.Errorf("%q: %w", name, errRace)
		case head.Size > Most:
			return fmt.Errorf("%q: has %d bytes by now, want at most %d: %w", name, head.Size, Most, errRace)
		}
		if total += head.Size; total > mostBytes {
			return refuse(h, "files of more than %d bytes in all", mostBytes)
		}
		if err := write(at, name, r); err != nil {
			return err
		}
		delete(files, name)
	}
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
