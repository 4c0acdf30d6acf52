package mbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

var (
	errPlanted = errors.New("is a link that an ordinary user could have planted")
	errLinks   = errors.New("has further names (hard links)")
	errForeign = errors.New("belongs to somebody else than the mailbox")
)

// boxFile is an open mailbox or archive, and its locks.
type boxFile struct {
	path string
	dir  *os.File
	base string
	f    *os.File
	st   unix.Stat_t // when it was opened
	lock *lockfile.MailboxLock
}

func (b *boxFile) close() error {
	var err error
	if b.lock != nil {
		err = b.lock.Unlock()
	}
	b.f.Close()
	b.dir.Close()
	return err
}

// stat tells what the file is now.
func (b *boxFile) stat() (st unix.Stat_t, err error) {
	if err = unix.Fstat(int(b.f.Fd()), &st); err != nil {
		err = &fs.PathError{Op: "stat", Path: b.path, Err: err}
	}
	return st, err
}

// same tells whether both are one file.
func (b *boxFile) same(c *boxFile) bool { return b.st.Dev == c.st.Dev && b.st.Ino == c.st.Ino }

const openSafely = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY

// openBox opens the regular file at path, which may lie in a directory of an ordinary user: no link that such a user could
// have made is followed, no FIFO waited for, and a file with a second name refused, for it may be somebody else's.
func openBox(path string, flags int) (*boxFile, error) {
	dir, base, err := openParent(path)
	if err != nil {
		return nil, err
	}
	b, err := openIn(dir, base, path, flags)
	if err != nil {
		dir.Close()
	}
	return b, err
}

func openIn(dir *os.File, base, path string, flags int) (*boxFile, error) {
	fail := func(err error) (*boxFile, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	// A FIFO or device is not even opened: that alone may have effects.
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fail(err)
	}
	if err := plain(&st); err != nil {
		return fail(err)
	}
	fd, err := unix.Openat(int(dir.Fd()), base, flags|openSafely|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // only the owner and root may leave the access time alone
		fd, err = unix.Openat(int(dir.Fd()), base, flags|openSafely, 0)
	}
	if err != nil {
		return fail(err)
	}
	b := &boxFile{path: path, dir: dir, base: base, f: os.NewFile(uintptr(fd), path)}
	if b.st, err = b.stat(); err == nil {
		err = plain(&b.st)
	}
	if err != nil {
		b.f.Close()
		return fail(err)
	}
	return b, nil
}

func plain(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return errSymlink
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNotRegular
	case st.Nlink != 1:
		return errLinks
	}
	return nil
}

// openParent opens the directory of a path, element by element. A symbolic link on the way is followed only when it is
// root's or ours and stands in a directory where nobody else can put one, such as /var/mail of some systems.
func openParent(path string) (dir *os.File, base string, err error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	fail := func(err error) (*os.File, string, error) {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if full == "/" {
		return fail(unix.EISDIR)
	}
	fd, err := openRoot()
	if err != nil {
		return fail(err)
	}
	parts := strings.Split(filepath.Dir(full)[1:], "/")
	for links := 0; len(parts) > 0; {
		name := parts[0]
		parts = parts[1:]
		if name == "" || name == "." {
			continue
		}
		next, text, err := step1(fd, name)
		if err == nil && text != "" {
			if links++; links > 40 {
				err = unix.ELOOP
			}
			parts = append(strings.Split(text, "/"), parts...)
			if err == nil && text[0] == '/' {
				next, err = openRoot()
			}
		}
		if err != nil {
			unix.Close(fd)
			return fail(err)
		}
		if next >= 0 {
			unix.Close(fd)
			fd = next
		}
	}
	// The descriptors so far only name directories; this one can be synced.
	last, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	unix.Close(fd)
	if err != nil {
		return fail(err)
	}
	return os.NewFile(uintptr(last), filepath.Dir(full)), filepath.Base(full), nil
}

func openRoot() (int, error) {
	return unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// step1 opens the directory name in fd. When that is a link that may be followed, it returns its text instead, and -1.
func step1(fd int, name string) (next int, text string, err error) {
	next, err = unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil || !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
		return next, "", err
	}
	var link, dir unix.Stat_t
	if err := unix.Fstatat(fd, name, &link, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, "", err
	}
	if link.Mode&unix.S_IFMT != unix.S_IFLNK {
		return -1, "", unix.ENOTDIR
	}
	if err := unix.Fstatat(fd, "", &dir, unix.AT_EMPTY_PATH); err != nil {
		return -1, "", err
	}
	others := dir.Mode&0o022 != 0 && dir.Mode&unix.S_ISVTX == 0
	if !trusted(link.Uid) || !trusted(dir.Uid) || others {
		return -1, "", errPlanted
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return -1, string(buf[:max(n, 0)]), err
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// ownerOf names the owner of a mailbox.
func ownerOf(uid uint32) Owner {
	o := Owner{Name: strconv.FormatUint(uint64(uid), 10)}
	if u, err := user.LookupId(o.Name); err == nil {
		o.Name, o.Home = u.Username, u.HomeDir
	}
	return o
}

// openArchive opens the archive at t.Path for a mailbox, or makes it. made: it was not there.
func openArchive(t *ArchiveTarget, box *boxFile) (b *boxFile, made bool, err error) {
	for _, dir := range t.dirs {
		if err := makeDir(dir, box); err != nil {
			return nil, false, err
		}
	}
	dir, base, err := openParent(t.Path)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	b, err = openIn(dir, base, t.Path, unix.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		if err = makeFile(dir, base, t.Path, box); err == nil {
			b, err = openIn(dir, base, t.Path, unix.O_RDWR)
		}
	}
	if err != nil {
		return nil, false, err
	}
	switch {
	case b.same(box):
		err = fmt.Errorf("%s: is the mailbox itself", t.Path)
	case b.st.Uid != box.st.Uid:
		err = &fs.PathError{Op: "open", Path: t.Path, Err: errForeign}
	}
	if err != nil {
		b.f.Close()
	}
	return b, made, err
}

func makeFile(dir *os.File, base, path string, box *boxFile) error {
	if err := at("create", path); err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|openSafely, 0o600)
	if err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := give(fd, box, 0o600); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: errors.Join(err, unix.Unlinkat(int(dir.Fd()), base, 0))}
	}
	return dir.Sync()
}

// give hands a new file or directory to the owner of the mailbox.
func give(fd int, box *boxFile, mode uint32) error {
	if os.Geteuid() == 0 {
		if err := unix.Fchown(fd, int(box.st.Uid), int(box.st.Gid)); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, mode)
}

// makeDir makes a directory if it is absent.
func makeDir(path string, box *boxFile) error {
	dir, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = unix.Mkdirat(int(dir.Fd()), base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		// In a user's directory another one could have taken its place. One that is empty is worth nothing to anybody.
		if _, err = f.Readdirnames(1); err == nil {
			err = errSwapped
		} else if errors.Is(err, io.EOF) {
			err = give(fd, box, 0o700)
		}
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return dir.Sync()
}
