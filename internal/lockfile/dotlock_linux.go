package lockfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mailbox takes all locks by which mail programs exclude each other from an mbox file, or none, and never waits: since
// some take the dotlock first and some the fcntl lock, waiting for the second while holding the first could hold up both
// sides for ever. The caller tries again after a pause.
//
// dir is the open directory of the mailbox, name its name in there, f the mailbox opened through them: for an exclusive
// lock it must be open for writing. The caller keeps both open until Unlock. Taken are, in this order: NAME.lock, made by
// link(2) with the content PID:HOST (as Dovecot's src/lib/file-dotlock.c does) and given to the owner of the mailbox, so
// that the owner's Dovecot can remove it should this process be killed; a record lock on the whole file (F_OFD_SETLK, see
// fcntl(2)), for reading or writing; and flock(2), left out on NFS, where it is the same as the record lock. Then the name
// must still belong to f, else the error is ErrReplaced.
//
// A lock held by somebody is a *HeldError (ErrLocked). A dotlock is taken over only when it names a dead process of this
// very host; age alone does not count. Where the directory allows no dotlock, the two others are taken and
// MailboxLock.DotlockSkipped says why; a dotlock that somebody else has counts there too.
func Mailbox(dir *os.File, name string, f *os.File, exclusive bool) (*MailboxLock, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, pathError("lock", name, fs.ErrInvalid)
	}
	l := &MailboxLock{dir: dir, file: f, name: name, lock: name + ".lock"}
	if err := l.take(exclusive); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

func (l *MailboxLock) take(exclusive bool) error {
	if err := l.takeDotlock(); err != nil {
		return err
	}
	if err := recordLock(l.file, l.name, exclusive); err != nil {
		return err
	}
	l.record = true
	if err := l.takeFlock(exclusive); err != nil {
		return err
	}
	return l.sameFile()
}

func (l *MailboxLock) takeFlock(exclusive bool) error {
	fd := int(l.file.Fd())
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return pathError("statfs", l.name, err)
	}
	if st.Type == unix.NFS_SUPER_MAGIC {
		return nil
	}
	how := unix.LOCK_SH | unix.LOCK_NB
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	switch err := unix.Flock(fd, how); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return &HeldError{Path: l.name}
	case errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS):
		return nil // unknown to this file system, hence to everybody
	case err != nil:
		return pathError("flock", l.name, err)
	}
	l.flocked = true
	return nil
}

// sameFile guards against writers that rename a new file into place, for whom a lock on the old one means nothing.
func (l *MailboxLock) sameFile() error {
	var open, named unix.Stat_t
	if err := unix.Fstat(int(l.file.Fd()), &open); err != nil {
		return pathError("stat", l.name, err)
	}
	err := unix.Fstatat(int(l.dir.Fd()), l.name, &named, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return pathError("stat", l.name, err)
	}
	if err != nil || open.Dev != named.Dev || open.Ino != named.Ino {
		return pathError("lock", l.name, ErrReplaced)
	}
	return nil
}

// takeDotlock makes the dotlock, or notes why there can be none.
func (l *MailboxLock) takeDotlock() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	l.content = strconv.Itoa(os.Getpid()) + ":" + host
	for range 2 {
		err = l.linkDotlock(host)
		if !errors.Is(err, fs.ErrExist) && !unallowed(err) {
			return err
		}
		// A lock of somebody else counts even where we may make none; that of a dead process, where we may not
		// remove it, stands in the way of our own only.
		if stale := l.removeStale(host); unallowed(stale) {
			err = stale
		} else if stale != nil {
			return stale
		}
		if unallowed(err) {
			l.DotlockSkipped = err
			return nil
		}
	}
	return &HeldError{Path: l.lock}
}

func unallowed(err error) bool {
	for _, e := range []error{unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// linkDotlock makes the lock file whole and then gives it its name by link(2). fs.ErrExist: there is a lock already. Until
// then the file has no name where the file system can do that, for a process that is killed in between would leave it in a
// directory where every file is a mail folder.
func (l *MailboxLock) linkDotlock(host string) error {
	dirfd := int(l.dir.Fd())
	f, err := nameless(dirfd)
	if err != nil && !unallowed(err) {
		return l.linkNamed(dirfd, host) // an old kernel, NFS
	}
	if err != nil {
		return pathError("create", l.lock, err)
	}
	if err := l.fillDotlock(f); err != nil {
		f.Close()
		return pathError("write", l.lock, err)
	}
	if err := giveName(f, dirfd, l.lock); err != nil {
		f.Close()
		if errors.Is(err, unix.ENOENT) {
			return l.linkNamed(dirfd, host) // /proc is not mounted
		}
		return pathError("link", l.lock, err)
	}
	l.dotlock = f
	return nil
}

// nameless makes a file in a directory that gets its name from giveName (O_TMPFILE of open(2)).
func nameless(dirfd int) (*os.File, error) {
	fd, err := unix.Openat(dirfd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "lock file"), nil
}

func giveName(f *os.File, dirfd int, name string) error {
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), dirfd, name, unix.AT_SYMLINK_FOLLOW)
}

// linkNamed does so by way of a file with a name of its own.
func (l *MailboxLock) linkNamed(dirfd int, host string) error {
	temp := fmt.Sprintf(".%.60s.lk.%.60s.%d.%s", l.name, strings.ReplaceAll(host, "/", "_"), os.Getpid(), rand.Text()[:8])
	fd, err := unix.Openat(dirfd, temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", temp, err)
	}
	f := os.NewFile(uintptr(fd), temp)
	defer func() { _ = unix.Unlinkat(dirfd, temp, 0) }()
	if err := l.fillDotlock(f); err != nil {
		f.Close()
		return pathError("write", temp, err)
	}
	linkErr := unix.Linkat(dirfd, temp, dirfd, l.lock, 0)
	// Over NFS a link may be made and its answer lost; the count tells the truth.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return pathError("stat", temp, err)
	}
	if st.Nlink != 2 {
		f.Close()
		if linkErr == nil {
			_ = unix.Unlinkat(dirfd, l.lock, 0)
			linkErr = fmt.Errorf("lock file has %d links, wanted 2", st.Nlink)
		}
		return pathError("link", l.lock, linkErr)
	}
	l.dotlock = f
	return nil
}

func (l *MailboxLock) fillDotlock(f *os.File) error {
	if _, err := f.WriteString(l.content); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(l.file.Fd()), &st); err != nil {
		return err
	}
	// Only root can give it away; anybody else is the owner already, or has to do without.
	_ = f.Chown(int(st.Uid), int(st.Gid))
	return f.Chmod(0o600) // whatever the umask was
}

// RemoveStale removes the dotlock of mailbox name in dir when its process, of this very host, is dead. Nil: there is no
// lock any more. A lock that may be in use is a *HeldError.
func RemoveStale(dir *os.File, name string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	l := &MailboxLock{dir: dir, name: name, lock: name + ".lock"}
	return l.removeStale(host)
}

// RemoveLeft removes the dotlock of a mailbox that process pid of this host left when it died, for one who knows by other
// means that it did: its number may have been given to another process since. A lock of anybody else is a *HeldError.
func RemoveLeft(dir *os.File, name string, pid int) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	l := &MailboxLock{dir: dir, name: name, lock: name + ".lock"}
	return l.remove(host, func(p int) bool { return p == pid })
}

// removeStale removes the dotlock of a dead process of this host. Nil: try again. A *HeldError: it is in use.
func (l *MailboxLock) removeStale(host string) error {
	return l.remove(host, func(pid int) bool { return !alive(pid) })
}

// remove takes the dotlock away when it names a process of this host that dead says is one.
func (l *MailboxLock) remove(host string, dead func(pid int) bool) error {
	dirfd := int(l.dir.Fd())
	fd, err := unix.Openat(dirfd, l.lock, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENAMETOOLONG) {
		return nil
	}
	if err != nil {
		// Unreadable for us, a symbolic link: somebody's, whatever it says.
		return &HeldError{Path: l.lock}
	}
	f := os.NewFile(uintptr(fd), l.lock)
	defer f.Close()
	var read, now unix.Stat_t
	if err := unix.Fstat(fd, &read); err != nil {
		return pathError("stat", l.lock, err)
	}
	if read.Mode&unix.S_IFMT != unix.S_IFREG {
		return &HeldError{Path: l.lock}
	}
	content, err := io.ReadAll(io.LimitReader(f, 512))
	if err != nil {
		return pathError("read", l.lock, err)
	}
	pid, of := parseDotlock(content)
	if pid == 0 || of != host || !dead(pid) {
		return &HeldError{Path: l.lock, PID: pid}
	}
	if err := unix.Fstatat(dirfd, l.lock, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil || now.Dev != read.Dev || now.Ino != read.Ino {
		return nil
	}
	if err := unix.Unlinkat(dirfd, l.lock, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return pathError("remove", l.lock, err)
	}
	return nil
}

// parseDotlock reads Dovecot's "PID:HOST" and the bare "PID" of other programs (procmail writes 0). 0 means unknown.
func parseDotlock(content []byte) (pid int, host string) {
	number, rest, _ := strings.Cut(string(bytes.TrimRight(content, "\n")), ":")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil {
		return 0, ""
	}
	return int(n), rest
}

// Touch renews the time of the dotlock, for Dovecot and others take over one that looks unchanged for two minutes
// (mbox_dotlock_change_timeout); every 30 s will do. The error is ErrReplaced when somebody has taken it away nevertheless.
// Without a dotlock it does nothing.
func (l *MailboxLock) Touch() error {
	if l.dotlock == nil {
		return nil
	}
	// Writing reaches our own file whatever the name means by now.
	if _, err := l.dotlock.WriteAt([]byte(l.content), 0); err != nil {
		return pathError("write", l.lock, err)
	}
	if ours, err := l.dotlockIsOurs(); err != nil {
		return err
	} else if !ours {
		return pathError("touch", l.lock, ErrReplaced)
	}
	return nil
}

func (l *MailboxLock) dotlockIsOurs() (bool, error) {
	var ours, named unix.Stat_t
	if err := unix.Fstat(int(l.dotlock.Fd()), &ours); err != nil {
		return false, pathError("stat", l.lock, err)
	}
	err := unix.Fstatat(int(l.dir.Fd()), l.lock, &named, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, pathError("stat", l.lock, err)
	}
	return ours.Dev == named.Dev && ours.Ino == named.Ino, nil
}

// Unlock releases the locks in reverse and removes the dotlock if it still is ours. Further calls do nothing. It closes
// neither the directory nor the mailbox.
func (l *MailboxLock) Unlock() error {
	var errs []error
	if l.flocked {
		l.flocked = false
		if err := unix.Flock(int(l.file.Fd()), unix.LOCK_UN); err != nil {
			errs = append(errs, pathError("flock", l.name, err))
		}
	}
	if l.record {
		l.record = false
		none := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &none); err != nil {
			errs = append(errs, pathError("unlock", l.name, err))
		}
	}
	if l.dotlock != nil {
		ours, err := l.dotlockIsOurs()
		if ours {
			err = unix.Unlinkat(int(l.dir.Fd()), l.lock, 0)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, pathError("remove", l.lock, err))
		}
		l.dotlock.Close()
		l.dotlock = nil
	}
	return errors.Join(errs...)
}
