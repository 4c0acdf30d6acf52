package mbox

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

var (
	errSymlink    = errors.New("is a symbolic link, want none on the way to a mailbox")
	errNotRegular = errors.New("is not a regular file")
	errSwapped    = errors.New("was replaced while it was being opened")
)

// enter opens the directory of name below root, one component after the other, so that no link planted by the owner of
// the mailbox is followed. The caller closes dir.
func enter(root *os.Root, name string) (dir *os.Root, base string, err error) {
	if !fs.ValidPath(name) {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if dir, err = root.OpenRoot("."); err != nil {
		return nil, "", err
	}
	at := ""
	for rest := name; ; {
		var more bool
		base, rest, more = strings.Cut(rest, "/")
		if !more {
			return dir, base, nil
		}
		at = path.Join(at, base)
		next, err := descend(dir, base)
		dir.Close()
		if err != nil {
			return nil, "", located(err, at)
		}
		dir = next
	}
}

// located gives an error of the file system the whole path below the root instead of its last part.
func located(err error, name string) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return &fs.PathError{Op: e.Op, Path: name, Err: e.Err}
	}
	return err
}

// descend opens the directory name, which must not be a link.
func descend(dir *os.Root, name string) (*os.Root, error) {
	seen, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errSymlink}
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	got, err := sub.Stat(".")
	if err == nil && !os.SameFile(seen, got) {
		err = &fs.PathError{Op: "open", Path: name, Err: errSwapped}
	}
	if err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// openFile opens the regular file name for reading. It neither follows a link nor waits for the writer of a FIFO, and
// leaves the access time alone where the system allows it: for the owner and root on Linux.
func openFile(dir *os.Root, name string) (*os.File, fs.FileInfo, error) {
	seen, err := dir.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if err := regular(seen, name); err != nil {
		return nil, nil, err
	}
	f, err := openQuiet(dir, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(seen, info) {
		err = &fs.PathError{Op: "open", Path: name, Err: errSwapped}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func openQuiet(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|openNonblock|openNoatime, 0)
	if openNoatime != 0 && errors.Is(err, fs.ErrPermission) {
		f, err = dir.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	}
	return f, err
}

func regular(info fs.FileInfo, name string) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &fs.PathError{Op: "open", Path: name, Err: errSymlink}
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return nil
}

// names reads the names in the directory name, which must not be a link, without those of directories.
func names(dir *os.Root, name string) ([]string, error) {
	sub, err := descend(dir, name)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	f, err := sub.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, err
}
