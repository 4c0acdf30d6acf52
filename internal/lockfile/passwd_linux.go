package lockfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollEvery      = 75 * time.Millisecond
	defaultTimeout = 15 * time.Second // that of lckpwdf(3)
)

// The files that have a FILE.lock of their own, in the order in which useradd(8) takes them.
var accountFiles = []string{"passwd", "group", "gshadow", "shadow", "subuid", "subgid"}

// Lock is what Passwd took.
type Lock struct {
	etc   *os.Root
	pwd   *os.File  // etc/.pwd.lock, locked as long as it is open
	files []ownFile // FILE.lock, in the order in which they were taken
}

// ownFile stays open so that its inode number cannot become that of another lock.
type ownFile struct {
	name string
	file *os.File
}

// Passwd locks the account files below root as lckpwdf(3) and shadow-utils (lib/commonio.c) do: first a write lock on
// etc/.pwd.lock, which is created when there is none, then FILE.lock of each of passwd, group, gshadow, shadow, subuid and
// subgid that exists. It waits for other holders until timeout is over (0 means 15 s, less than 0 not at all), then the error is a *HeldError
// (ErrLocked), or until ctx is done. A FILE.lock that names a dead process is removed; one without a readable process id
// would be waited for in vain and is a *HeldError at once. The record lock belongs to the open file (F_OFD_SETLK, see
// fcntl(2)): that other parts of this process open and close .pwd.lock does not drop it, and two calls in one process
// exclude each other.
func Passwd(ctx context.Context, root *os.Root, timeout time.Duration) (*Lock, error) {
	if timeout == 0 {
		timeout = defaultTimeout
	}
	etc, err := root.OpenRoot("etc")
	if err != nil {
		return nil, pathError("open", "etc", err)
	}
	l := &Lock{etc: etc}
	if err := l.take(ctx, time.Now().Add(timeout)); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

func (l *Lock) take(ctx context.Context, deadline time.Time) error {
	f, err := openPwdLock(l.etc)
	if err != nil {
		return err
	}
	l.pwd = f
	err = poll(ctx, deadline, func() error { return recordLock(f, "etc/.pwd.lock", true) })
	if err != nil {
		return err
	}
	for _, name := range accountFiles {
		if _, err := l.etc.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return pathError("lstat", "etc/"+name, err)
		}
		if err := poll(ctx, deadline, func() error { return l.takeFile(name) }); err != nil {
			return err
		}
	}
	return nil
}

// poll calls try until it succeeds or fails for another reason than a living holder.
func poll(ctx context.Context, deadline time.Time, try func() error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try()
		var held *HeldError
		if !errors.As(err, &held) || held.Why != "" || !time.Now().Before(deadline) {
			return err
		}
		timer.Reset(pollEvery)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-timer.C:
		}
	}
}

func openPwdLock(etc *os.Root) (*os.File, error) {
	const name = ".pwd.lock"
	// os.Root follows links inside of the root in spite of O_NOFOLLOW: look before, and compare after.
	if named, err := etc.Lstat(name); err == nil && !named.Mode().IsRegular() {
		return nil, pathError("open", "etc/"+name, notRegular(named.Mode()))
	}
	f, err := etc.OpenFile(name, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, pathError("open", "etc/"+name, err)
	}
	opened, err := f.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = etc.Lstat(name); err == nil && (!named.Mode().IsRegular() || !os.SameFile(opened, named)) {
			err = notRegular(named.Mode())
		}
	}
	if err != nil {
		f.Close()
		return nil, pathError("open", "etc/"+name, err)
	}
	return f, nil
}

func notRegular(mode fs.FileMode) error {
	return fmt.Errorf("is no regular file (type %v)", mode.Type())
}

// recordLock tries once to lock the whole of f. path is for the error.
func recordLock(f *os.File, path string, exclusive bool) error {
	how := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if exclusive {
		how.Type = unix.F_WRLCK
	}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &how)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return pathError("lock", path, err)
	}
	held := &HeldError{Path: path}
	// An OFD lock has no process: the kernel says -1 then.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &how); err == nil && how.Type != unix.F_UNLCK && how.Pid > 0 {
		held.PID = int(how.Pid)
	}
	return held
}

// takeFile makes NAME.lock by link(2), which succeeds for one only. What is linked has no name before where the file
// system can do that, so that a process killed in between leaves nothing.
func (l *Lock) takeFile(name string) error {
	dir, err := l.etc.Open(".")
	if err != nil {
		return pathError("open", "etc", err)
	}
	defer dir.Close()
	lock, dirfd := name+".lock", int(dir.Fd())
	mine, err := nameless(dirfd)
	if err != nil {
		return l.takeByName(name, lock)
	}
	if err = fillPid(mine); err == nil {
		err = l.link(lock, func() error { return giveName(mine, dirfd, lock) })
	}
	switch {
	case err == nil:
		l.files = append(l.files, ownFile{lock, mine})
		return nil
	case errors.Is(err, fs.ErrNotExist): // /proc is not mounted
		err = l.takeByName(name, lock)
	}
	mine.Close()
	return err
}

// takeByName does so by way of NAME.PID, as shadow-utils does.
func (l *Lock) takeByName(name, lock string) error {
	temp := name + "." + strconv.Itoa(os.Getpid())
	mine, err := l.writePid(temp)
	if err != nil {
		return err
	}
	defer func() { _ = l.etc.Remove(temp) }()
	err = l.link(lock, func() error { return l.etc.Link(temp, lock) })
	if err != nil {
		mine.Close()
		return err
	}
	l.files = append(l.files, ownFile{lock, mine})
	// Some file systems make a copy of what they cannot link.
	info, err := mine.Stat()
	if err != nil {
		return pathError("stat", "etc/"+temp, err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink != 2 {
		return pathError("link", "etc/"+lock, fmt.Errorf("has %d links, wanted 2", st.Nlink))
	}
	return nil
}

// link gives our file the name of the lock. It removes the lock of a dead process once.
func (l *Lock) link(lock string, give func() error) error {
	for range 2 {
		err := give()
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return pathError("link", "etc/"+lock, err)
		}
		if err := l.removeStale(lock); err != nil {
			return err
		}
	}
	return &HeldError{Path: "etc/" + lock}
}

// fillPid writes what shadow-utils read in a lock file, and waits for the disk, as they do.
func fillPid(f *os.File) error {
	if _, err := f.WriteString(strconv.Itoa(os.Getpid()) + "\x00"); err != nil {
		return err
	}
	return unix.Fdatasync(int(f.Fd()))
}

func (l *Lock) writePid(temp string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := l.etc.OpenFile(temp, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		// It bears our own process id and no other call is here at the same time: an earlier process left it.
		if err := l.etc.Remove(temp); err != nil {
			return nil, pathError("remove", "etc/"+temp, err)
		}
		f, err = l.etc.OpenFile(temp, flags, 0o600)
	}
	if err != nil {
		return nil, pathError("create", "etc/"+temp, err)
	}
	if err = fillPid(f); err != nil {
		f.Close()
		_ = l.etc.Remove(temp)
		return nil, pathError("write", "etc/"+temp, err)
	}
	return f, nil
}

// removeStale removes a lock whose process is dead, or is this one, which cannot be: another call of it would hold
// .pwd.lock. Else it gives a *HeldError.
func (l *Lock) removeStale(lock string) error {
	path := "etc/" + lock
	f, err := l.openLock(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // released meanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return pathError("read", path, err)
	}
	pid, err := parsePid(content)
	if err != nil {
		return &HeldError{Path: path, Why: err.Error() + "; remove it when no account tool is running"}
	}
	if pid != os.Getpid() && alive(pid) {
		return &HeldError{Path: path, PID: pid}
	}
	read, err := f.Stat()
	if err != nil {
		return pathError("stat", path, err)
	}
	if now, err := l.etc.Lstat(lock); err != nil || !os.SameFile(read, now) {
		return nil // another one has taken it over
	}
	if err := l.etc.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pathError("remove", path, err)
	}
	return nil
}

func (l *Lock) openLock(lock string) (*os.File, error) {
	path := "etc/" + lock
	named, err := l.etc.Lstat(lock)
	if err != nil {
		return nil, pathError("lstat", path, err)
	}
	if !named.Mode().IsRegular() {
		return nil, &HeldError{Path: path, Why: notRegular(named.Mode()).Error()}
	}
	f, err := l.etc.OpenFile(lock, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, pathError("open", path, err)
	}
	return f, nil
}

// parsePid reads what shadow-utils write and read: a decimal number and a NUL, or the bare number.
func parsePid(content []byte) (int, error) {
	if len(content) == 0 {
		return 0, errors.New("is empty, wanted a process id")
	}
	text := string(bytes.TrimSuffix(content, []byte{0}))
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("holds %q, wanted a process id", content)
	}
	return int(pid), nil
}

// alive is true also for a process of somebody else, which cannot be signalled.
func alive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// Unlock removes the lock files, the last one first, and releases .pwd.lock. A lock file that is not ours any more stays.
// Further calls do nothing.
func (l *Lock) Unlock() error {
	var errs []error
	for i := len(l.files) - 1; i >= 0; i-- {
		own := l.files[i]
		info, err := own.file.Stat()
		if err == nil {
			var now fs.FileInfo
			if now, err = l.etc.Lstat(own.name); err == nil && os.SameFile(now, info) {
				err = l.etc.Remove(own.name)
			}
		}
		own.file.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, pathError("remove", "etc/"+own.name, err))
		}
	}
	l.files = nil
	if l.pwd != nil {
		errs = append(errs, l.pwd.Close())
		l.pwd = nil
	}
	if l.etc != nil {
		errs = append(errs, l.etc.Close())
		l.etc = nil
	}
	return errors.Join(errs...)
}

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
