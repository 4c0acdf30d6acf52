package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Snapshot is the content of a file and what fstat(2) said of it.
type Snapshot struct {
	Data []byte // never nil
	Info fs.FileInfo
}

// Read reads the regular file name below root. It never follows a symbolic link at the last element and never waits,
// not even on a FIFO; both, and all else that is not a regular file, are a *fs.PathError. A missing file or directory is
// fs.ErrNotExist.
func Read(root *os.Root, name string) (*Snapshot, error) {
	parent, err := parentOf(root, name)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	was, err := load(parent, path.Base(name), name)
	if err != nil {
		return nil, err
	}
	return &was.Snapshot, nil
}

// ReadAtMost reads like Read, but refuses a file of more than most bytes: of files that users made nobody knows the size.
func ReadAtMost(root *os.Root, name string, most int64) ([]byte, error) {
	parent, err := parentOf(root, name)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	f, _, err := openRegular(parent, path.Base(name), name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, pathError("read", name, err)
	}
	if int64(len(data)) > most {
		return nil, pathError("read", name, fmt.Errorf("has more than %d bytes", most))
	}
	return data, nil
}

// parentOf opens the directory of a name.
func parentOf(root *os.Root, name string) (*os.Root, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	parent, err := root.OpenRoot(path.Dir(name))
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return parent, nil
}

// loaded is a file with all that a replacement takes over.
type loaded struct {
	Snapshot
	xattrs []xattr
}

func load(dir *os.Root, base, name string) (*loaded, error) {
	f, info, err := openRegular(dir, base, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	xattrs, err := readXattrs(f)
	if err != nil {
		return nil, pathError("getxattr", name, err)
	}
	return &loaded{Snapshot{data, info}, xattrs}, nil
}

// openRegular opens base in dir if it is a regular file. os.Root follows links inside of the root even with O_NOFOLLOW,
// therefore what was opened is compared with what lstat saw; a file replaced in between is looked at again.
func openRegular(dir *os.Root, base, name string, flag int) (*os.File, fs.FileInfo, error) {
	for range 5 {
		seen, err := dir.Lstat(base)
		if err != nil {
			return nil, nil, pathError("open", name, err)
		}
		if err := regular(seen, name); err != nil {
			return nil, nil, err
		}
		f, err := dir.OpenFile(base, flag|nonblock, 0)
		if err != nil {
			return nil, nil, pathError("open", name, err)
		}
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() && os.SameFile(seen, info) {
			return f, info, nil
		}
		f.Close()
		if err != nil {
			return nil, nil, pathError("stat", name, err)
		}
	}
	return nil, nil, pathError("open", name, errors.New("is being replaced again and again"))
}

func regular(info fs.FileInfo, name string) error {
	kind := "a special file"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return pathError("open", name, fmt.Errorf("is %s, wanted a regular file", kind))
}

func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return pathError("open", name, fs.ErrInvalid)
	}
	return nil
}

// pathError gives an error of the file system the name the caller knows the file by.
func pathError(op, name string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	if errors.As(err, &pe) {
		err = pe.Err
	} else if errors.As(err, &le) {
		err = le.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
