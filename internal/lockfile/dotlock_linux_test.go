package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

func openBox(path string) (dir, f *os.File, err error) {
	dir, err1 := os.Open(filepath.Dir(path))
	f, err2 := os.OpenFile(path, os.O_RDWR, 0)
	return dir, f, errors.Join(err1, err2)
}

type box struct {
	path string // of the mailbox
	dir  *os.File
	f    *os.File
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{path: filepath.Join(t.TempDir(), "alice")}
	require.NoError(t, os.WriteFile(b.path, []byte("From x\n\n"), 0o600))
	b.dir, b.f = reopen(t, b.path)
	return b
}

func reopen(t *testing.T, path string) (dir, f *os.File) {
	t.Helper()
	dir, f, err := openBox(path)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Close(); f.Close() })
	return dir, f
}

func (b *box) lock(exclusive bool) (*MailboxLock, error) {
	return Mailbox(b.dir, "alice", b.f, exclusive)
}

func (b *box) names(t *testing.T) []string { return list(t, filepath.Dir(b.path)) }

func hostname(t *testing.T) string {
	name, err := os.Hostname()
	require.NoError(t, err)
	return name
}

func TestMailbox(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		b := newBox(t)
		lock, err := b.lock(exclusive)
		require.NoError(t, err)
		require.NoError(t, lock.DotlockSkipped)
		require.Equal(t, []string{"alice", "alice.lock"}, b.names(t))
		content, err := os.ReadFile(b.path + ".lock")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d:%s", os.Getpid(), hostname(t)), string(content))
		require.Equal(t, !exclusive, free(t, b.path, "LOCK_SH"))
		require.False(t, free(t, b.path, "LOCK_EX"))
		_, other := reopen(t, b.path)
		err = unix.Flock(int(other.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		require.Equal(t, exclusive, errors.Is(err, unix.EWOULDBLOCK))
		other.Close()
		require.False(t, free(t, b.path, "LOCK_EX"), "closing another descriptor changes nothing")

		require.NoError(t, lock.Unlock())
		require.NoError(t, lock.Unlock())
		require.NoError(t, lock.Touch())
		require.Equal(t, []string{"alice"}, b.names(t))
		require.True(t, free(t, b.path, "LOCK_EX"))
		require.NoError(t, unix.Flock(int(reopened(t, b).Fd()), unix.LOCK_EX|unix.LOCK_NB))
		_, err = b.f.Stat()
		require.NoError(t, err, "the mailbox stays open")
	}
}

func reopened(t *testing.T, b *box) *os.File {
	_, f := reopen(t, b.path)
	return f
}

// nothingKept asserts that a refused lock left no part of it.
func (b *box) nothingKept(t *testing.T, names ...string) {
	t.Helper()
	require.Equal(t, names, b.names(t))
	require.NoError(t, unix.Flock(int(reopened(t, b).Fd()), unix.LOCK_EX|unix.LOCK_NB))
	other := reopened(t, b)
	require.NoError(t, recordLock(other, "alice", true))
}

func TestMailboxRecordLockedByAnother(t *testing.T) {
	b := newBox(t)
	pid, release := holder(t, b.path, "LOCK_SH")
	_, err := b.lock(true)
	require.EqualError(t, err, fmt.Sprintf("alice: locked by process %d", pid))
	require.ErrorIs(t, err, ErrLocked)
	require.Equal(t, []string{"alice"}, b.names(t))
	lock, err := b.lock(false)
	require.NoError(t, err, "readers share")
	require.NoError(t, lock.Unlock())
	release()

	_, release = holder(t, b.path, "LOCK_EX")
	_, err = b.lock(false)
	require.ErrorIs(t, err, ErrLocked)
	release()
	b.nothingKept(t, "alice")
}

func TestMailboxFlockedByAnother(t *testing.T) {
	b := newBox(t)
	other := reopened(t, b)
	require.NoError(t, unix.Flock(int(other.Fd()), unix.LOCK_SH|unix.LOCK_NB))
	lock, err := b.lock(false)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock())
	_, err = b.lock(true)
	require.EqualError(t, err, "alice: locked by another process")
	require.NoError(t, other.Close())
	b.nothingKept(t, "alice")
}

func TestMailboxDotlockFoundThere(t *testing.T) {
	me, dead := hostname(t), deadPid(t)
	day := time.Now().Add(-24 * time.Hour)
	for _, c := range []struct {
		content string
		stale   bool
		pid     int
	}{
		{fmt.Sprintf("%d:%s", dead, me), true, 0},
		{fmt.Sprintf("%d:%s\n", dead, me), true, 0},
		{fmt.Sprintf("%d:%s", os.Getppid(), me), false, os.Getppid()},
		{fmt.Sprintf("%d:%s", os.Getpid(), me), false, os.Getpid()},
		{fmt.Sprintf("%d:elsewhere.%s", dead, me), false, dead},
		{fmt.Sprintf("%d", dead), false, dead},
		{fmt.Sprintf("%d\n", dead), false, dead},
		{fmt.Sprintf("-%d:%s", dead, me), false, 0},
		{"0", false, 0}, // procmail
		{"0:" + me, false, 0},
		{"", false, 0},
		{"garbage", false, 0},
		{"99999999999999:" + me, false, 0},
	} {
		b := newBox(t)
		require.NoError(t, os.WriteFile(b.path+".lock", []byte(c.content), 0o600))
		require.NoError(t, os.Chtimes(b.path+".lock", day, day), "age does not count")
		lock, err := b.lock(false)
		if c.stale {
			require.NoError(t, err, "%q", c.content)
			require.NoError(t, lock.Unlock())
			b.nothingKept(t, "alice")
			continue
		}
		var held *HeldError
		require.ErrorAs(t, err, &held, "%q", c.content)
		require.Equal(t, HeldError{Path: "alice.lock", PID: c.pid}, *held, "%q", c.content)
		left, err := os.ReadFile(b.path + ".lock")
		require.NoError(t, err)
		require.Equal(t, c.content, string(left))
		b.nothingKept(t, "alice", "alice.lock")
	}
}

func TestMailboxOddDotlock(t *testing.T) {
	stale := fmt.Sprintf("%d:%s", deadPid(t), hostname(t))
	for _, mk := range []func(path string) error{
		func(p string) error { return os.Symlink("target", p) },
		func(p string) error { return unix.Mkfifo(p, 0o600) },
		func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		b := newBox(t)
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(b.path), "target"), []byte(stale), 0o600))
		require.NoError(t, mk(b.path+".lock"))
		_, err := b.lock(false)
		require.ErrorIs(t, err, ErrLocked)
		b.nothingKept(t, "alice", "alice.lock", "target")
	}
}

func TestMailboxReplaced(t *testing.T) {
	b := newBox(t)
	require.NoError(t, os.WriteFile(b.path+".new", []byte("From y\n\n"), 0o600))
	require.NoError(t, os.Rename(b.path+".new", b.path))
	_, err := b.lock(true)
	require.ErrorIs(t, err, ErrReplaced)
	require.NotErrorIs(t, err, ErrLocked)
	b.nothingKept(t, "alice")

	require.NoError(t, os.Remove(b.path))
	_, err = b.lock(true)
	require.ErrorIs(t, err, ErrReplaced)
	require.Empty(t, b.names(t))
}

func TestMailboxNames(t *testing.T) {
	b := newBox(t)
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "a\x00b"} {
		_, err := Mailbox(b.dir, name, b.f, false)
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", name)
	}
	require.Equal(t, []string{"alice"}, b.names(t))
}

func TestMailboxLongName(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{250, 251, 255} { // 250 and ".lock" just fit
		path := filepath.Join(dir, fmt.Sprintf("%0*d", n, 1))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		d, f := reopen(t, path)
		lock, err := Mailbox(d, filepath.Base(path), f, true)
		require.NoError(t, err)
		require.Equal(t, n > 250, lock.DotlockSkipped != nil, n)
		require.NoError(t, lock.Unlock())
	}
	require.Len(t, list(t, dir), 3)
}

func TestMailboxReadOnlyDescriptor(t *testing.T) {
	b := newBox(t)
	f, err := os.Open(b.path)
	require.NoError(t, err)
	defer f.Close()
	lock, err := Mailbox(b.dir, "alice", f, false)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock())
	_, err = Mailbox(b.dir, "alice", f, true)
	require.EqualError(t, err, "lock alice: bad file descriptor")
	b.nothingKept(t, "alice")
}

func TestMailboxTouch(t *testing.T) {
	b := newBox(t)
	lock, err := b.lock(false)
	require.NoError(t, err)
	old := time.Unix(1e9, 0)
	require.NoError(t, os.Chtimes(b.path+".lock", old, old))
	require.NoError(t, lock.Touch())
	info, err := os.Stat(b.path + ".lock")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), info.ModTime(), time.Minute)
	content, err := os.ReadFile(b.path + ".lock")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d:%s", os.Getpid(), hostname(t)), string(content))

	require.NoError(t, os.Remove(b.path+".lock"))
	require.ErrorIs(t, lock.Touch(), ErrReplaced)
	require.NoError(t, os.WriteFile(b.path+".lock", []byte("of another"), 0o600))
	require.ErrorIs(t, lock.Touch(), ErrReplaced)
	require.NoError(t, lock.Unlock())
	require.Equal(t, []string{"alice", "alice.lock"}, b.names(t), "what is not ours stays")
	content, err = os.ReadFile(b.path + ".lock")
	require.NoError(t, err)
	require.Equal(t, "of another", string(content))
}

// ordinary runs f without the rights of root, on a thread of its own that ends with it.
func ordinary(t *testing.T, f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		if err := errors.Join(unix.Setfsgid(nobody), unix.Setfsuid(nobody)); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

const nobody = 65534

func TestMailboxDirectoryAllowsNoDotlock(t *testing.T) {
	for _, c := range []struct {
		dotlock string
		want    string
	}{
		{"", ""},
		{strconv.Itoa(os.Getppid()) + ":" + hostname(t), fmt.Sprintf("alice.lock: locked by process %d", os.Getppid())},
		{"of another", "alice.lock: locked by another process"},
		{fmt.Sprintf("%d:%s", deadPid(t), hostname(t)), ""},
	} {
		b := newBox(t)
		names := []string{"alice"}
		if c.dotlock != "" {
			require.NoError(t, os.WriteFile(b.path+".lock", []byte(c.dotlock), 0o644))
			names = append(names, "alice.lock")
		}
		require.NoError(t, os.Chmod(filepath.Dir(b.path), 0o555))
		t.Cleanup(func() { os.Chmod(filepath.Dir(b.path), 0o755) })
		var lock *MailboxLock
		var err error
		ordinary(t, func() { lock, err = b.lock(true) })
		if c.want != "" {
			require.EqualError(t, err, c.want)
			b.nothingKept(t, names...)
			continue
		}
		require.NoError(t, err)
		require.ErrorIs(t, lock.DotlockSkipped, fs.ErrPermission)
		require.False(t, free(t, b.path, "LOCK_SH"))
		require.NoError(t, lock.Touch())
		require.NoError(t, lock.Unlock())
		b.nothingKept(t, names...)
	}
}

func TestMailboxDotlockBelongsToTheOwner(t *testing.T) {
	oracle.Root(t)
	b := newBox(t)
	require.NoError(t, os.Chown(b.path, 1234, 8))
	lock, err := b.lock(true)
	require.NoError(t, err)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(b.path+".lock", &st))
	require.Equal(t, [3]uint32{1234, 8, 0o600}, [3]uint32{st.Uid, st.Gid, st.Mode & 0o7777})
	require.NoError(t, lock.Unlock())
}

func TestMailboxDiskFull(t *testing.T) {
	oracle.Root(t)
	for _, c := range []struct {
		options string
		flags   uintptr
		want    error
	}{
		{"nr_inodes=2", 0, unix.ENOSPC},
		{"", unix.MS_RDONLY, unix.EROFS},
	} {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, c.options); err != nil {
			t.Skip("mount: " + err.Error())
		}
		t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
		path := filepath.Join(dir, "alice")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		if c.flags != 0 {
			require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|c.flags, ""))
		}
		d, err := os.Open(dir)
		require.NoError(t, err)
		f, err := os.Open(path)
		require.NoError(t, err)
		lock, err := Mailbox(d, "alice", f, false)
		require.NoError(t, err)
		require.ErrorIs(t, lock.DotlockSkipped, c.want)
		require.NoError(t, lock.Unlock())
		require.Equal(t, []string{"alice"}, list(t, dir))
		d.Close()
		f.Close()
	}
}

// Where a file cannot be without a name until it is linked.
func TestDotlockByWayOfANamedFile(t *testing.T) {
	b := newBox(t)
	l := &MailboxLock{dir: b.dir, file: b.f, name: "alice", lock: "alice.lock", content: fmt.Sprintf("%d:%s", os.Getpid(), hostname(t))}
	require.NoError(t, l.linkNamed(int(b.dir.Fd()), hostname(t)))
	require.ElementsMatch(t, []string{"alice", "alice.lock"}, b.names(t))
	again := *l
	again.dotlock = nil
	require.ErrorIs(t, again.linkNamed(int(b.dir.Fd()), hostname(t)), fs.ErrExist)
	require.ElementsMatch(t, []string{"alice", "alice.lock"}, b.names(t))
	_, err := b.lock(false)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, l.Unlock())
	require.Equal(t, []string{"alice"}, b.names(t))
}

func TestRemoveStale(t *testing.T) {
	b := newBox(t)
	lock := b.path + ".lock"
	require.NoError(t, RemoveStale(b.dir, "alice"), "none there")
	require.NoError(t, os.WriteFile(lock, []byte(fmt.Sprintf("%d:%s", os.Getpid(), hostname(t))), 0o600))
	require.ErrorIs(t, RemoveStale(b.dir, "alice"), ErrLocked)
	require.NoError(t, os.WriteFile(lock, []byte("2147483646:another-host"), 0o600))
	require.ErrorIs(t, RemoveStale(b.dir, "alice"), ErrLocked)
	require.NoError(t, os.WriteFile(lock, []byte("2147483646:"+hostname(t)), 0o600))
	require.NoError(t, RemoveStale(b.dir, "alice"))
	require.Equal(t, []string{"alice"}, b.names(t))
}
