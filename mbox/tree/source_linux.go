package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// source is an open Source. What the walk needs of it goes by folders and files; only content takes two ways: of a local
// file it is read where it lies, from another host it comes as a stream (remote).
type source interface {
	// root opens the top directory once more.
	root() (folder, error)
	// facts tell whether times seen at an earlier pass can be compared with those of now.
	facts() facts
	close() error
}

// facts are what must not change between two passes for saved times to mean something.
type facts struct {
	boot, clock string
}

// folder is an open directory of the source. Names are single components and no link is ever followed.
type folder interface {
	stat() (stat, error)                                               // of the directory itself
	look(name string) (stat, error)                                    // of a name in it
	list(buf []byte) ([]dent, error)                                   // the next batch of names; none: the end
	rewind() error                                                     // list from the beginning
	enter(name string) (folder, error)                                 // a directory in it
	open(name string) (file, error)                                    // a regular file in it
	special(name string, st *stat) (text string, as []attr, err error) // a link's text; attributes of what cannot be opened
	attrs() ([]attr, error)                                            // of the directory itself
	share() (folder, error)                                            // another handle on the same directory
	close()
}

// file is an open regular file of the source.
type file interface {
	stat() (stat, error)
	attrs() ([]attr, error)
	// copyTo copies the first st.size bytes to out, which is new and empty, and returns how many it wrote; holes stay holes.
	copyTo(ctx context.Context, out int, st *stat, buf []byte) (int64, error)
	// same compares the first size bytes with those of an open file of the target.
	same(ctx context.Context, dst int, size int64, buf []byte) (bool, error)
	close()
}

// openSource opens what a pass reads.
func openSource(ctx context.Context, src Source, p *pass) (source, error) {
	switch s := src.(type) {
	case Dir:
		fd, err := openTop(string(s))
		if err != nil {
			return nil, err
		}
		return localSource(fd), nil
	case *Remote:
		r, err := openRemote(ctx, s, p)
		if err != nil {
			return nil, err
		}
		p.seen = r.now()
		return r, nil
	case nil:
		return nil, errors.New("no source")
	}
	return nil, fmt.Errorf("source: %w", errors.ErrUnsupported)
}

// localSource is a descriptor on a directory of this host.
type localSource int

func (s localSource) root() (folder, error) { return localDir(s).enter(".") }

func (s localSource) facts() facts { return facts{bootID(), clockFact()} }

func (s localSource) close() error {
	closeFd(int(s))
	return nil
}

// localDir is a descriptor on a directory of this host.
type localDir int

func (d localDir) stat() (stat, error)            { return statFd(int(d)) }
func (d localDir) look(name string) (stat, error) { return statAt(int(d), name) }
func (d localDir) attrs() ([]attr, error)         { return attrsOf(int(d), false) }
func (d localDir) close()                         { closeFd(int(d)) }

func (d localDir) list(buf []byte) ([]dent, error) { return readDents(int(d), buf) }

func (d localDir) rewind() error {
	_, err := unix.Seek(int(d), 0, 0)
	return err
}

func (d localDir) enter(name string) (folder, error) {
	fd, err := openDir(int(d), name)
	if err != nil {
		return nil, err
	}
	return localDir(fd), nil
}

func (d localDir) open(name string) (file, error) {
	fd, err := openFile(int(d), name)
	if err != nil {
		return nil, err
	}
	return localFile(fd), nil
}

func (d localDir) special(name string, st *stat) (text string, as []attr, err error) {
	fd, err := openSame(int(d), name, st, openPath)
	if err != nil {
		return "", nil, err
	}
	defer closeFd(fd)
	if st.typ() == unix.S_IFLNK {
		text = linkText(fd)
	}
	as, err = attrsOf(fd, true)
	return text, as, err
}

func (d localDir) share() (folder, error) {
	fd := dup(int(d))
	if fd < 0 {
		return nil, unix.EMFILE
	}
	return localDir(fd), nil
}

// localFile is a descriptor on a regular file of this host.
type localFile int

func (f localFile) stat() (stat, error)    { return statFd(int(f)) }
func (f localFile) attrs() ([]attr, error) { return attrsOf(int(f), false) }
func (f localFile) close()                 { closeFd(int(f)) }

func (f localFile) copyTo(ctx context.Context, out int, st *stat, buf []byte) (int64, error) {
	return copyData(ctx, out, int(f), st, buf)
}

func (f localFile) same(ctx context.Context, dst int, size int64, buf []byte) (bool, error) {
	return sameContent(ctx, int(f), dst, size, buf)
}

// closeFolder closes one that may not be open.
func closeFolder(f folder) {
	if f != nil {
		f.close()
	}
}

// openSourceFile opens a name of the source and makes sure that it is still the object that was looked at.
func openSourceFile(d folder, name string, st *stat) (file, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, swapped(err)
	}
	now, err := f.stat()
	if err == nil && !now.same(st) {
		err = errSwapped
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// swapped recognises what opening a link or a FIFO in the place of a file gives.
func swapped(err error) error {
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return errSwapped
	}
	return err
}

// folderOf opens the directory that holds slash, component by component.
func folderOf(s source, slash string) (d folder, name string, err error) {
	if d, err = s.root(); err != nil {
		return nil, "", err
	}
	name = slash
	for {
		head, rest, ok := strings.Cut(name, "/")
		if !ok {
			return d, name, nil
		}
		next, err := d.enter(head)
		d.close()
		if err != nil {
			return nil, "", err
		}
		d, name = next, rest
	}
}

// lookBelow looks at a path below the root of the source.
func lookBelow(s source, slash string) (stat, error) {
	d, name, err := folderOf(s, slash)
	if err != nil {
		return stat{}, err
	}
	defer d.close()
	return d.look(name)
}

// enterBelow opens a directory below the root of the source.
func enterBelow(s source, slash string) (folder, error) {
	d, name, err := folderOf(s, slash)
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.enter(name)
}
