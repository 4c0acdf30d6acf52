package lockfile

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// host makes a tree with these files in etc and opens it.
func host(t *testing.T, names ...string) (etc string, root *os.Root) {
	t.Helper()
	dir := t.TempDir()
	etc = filepath.Join(dir, "etc")
	require.NoError(t, os.Mkdir(etc, 0o755))
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(etc, name), []byte(name+"\n"), 0o644))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return etc, root
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// deadPid is the id of a process that was and is no more.
func deadPid(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	require.NoError(t, cmd.Run())
	return cmd.Process.Pid
}

// impatient is a context that is done as soon as somebody starts to wait for it, and says so.
type impatient struct {
	context.Context
	cancel context.CancelFunc
	waited bool
}

func newImpatient(t *testing.T) *impatient {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return &impatient{Context: ctx, cancel: cancel}
}

func (c *impatient) Done() <-chan struct{} {
	c.waited = true
	c.cancel()
	return c.Context.Done()
}

func TestPasswdTakesTheLocksOfWhatIsThere(t *testing.T) {
	etc, root := host(t, "passwd", "group", "shadow", "subuid", "hosts")
	lock, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)
	require.Equal(t, []string{".pwd.lock", "group", "group.lock", "hosts", "passwd", "passwd.lock", "shadow", "shadow.lock", "subuid", "subuid.lock"}, list(t, etc))
	for _, name := range []string{"passwd", "group", "shadow", "subuid"} {
		content, err := os.ReadFile(filepath.Join(etc, name+".lock"))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d\x00", os.Getpid()), string(content))
		info, err := os.Stat(filepath.Join(etc, name+".lock"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}
	info, err := os.Stat(filepath.Join(etc, ".pwd.lock"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	require.NoError(t, lock.Unlock())
	require.Equal(t, []string{".pwd.lock", "group", "hosts", "passwd", "shadow", "subuid"}, list(t, etc))
	again, err := Passwd(t.Context(), root, -1)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock(), "a second time does nothing, not even to a lock taken since")
	require.FileExists(t, filepath.Join(etc, "passwd.lock"))
	require.NoError(t, again.Unlock())
}

func TestPasswdTakesTheFilesInTheOrderOfUseradd(t *testing.T) {
	etc, root := host(t, accountFiles...)
	for i, name := range accountFiles {
		other := filepath.Join(etc, name+".lock")
		require.NoError(t, os.WriteFile(other, []byte("1\x00"), 0o600))
		ctx := newImpatient(t)
		var taken []string
		watch := &watching{Context: ctx, see: func() { taken = list(t, etc) }}
		_, err := Passwd(watch, root, time.Minute)
		require.ErrorIs(t, err, ErrLocked)
		for j, n := range accountFiles {
			require.Equal(t, j <= i, strings.Contains(strings.Join(taken, " ")+" ", " "+n+".lock "), "%s while waiting for %s", n, name)
		}
		require.NoError(t, os.Remove(other))
		require.ElementsMatch(t, append([]string{".pwd.lock"}, accountFiles...), list(t, etc))
	}
}

type watching struct {
	context.Context
	see func()
}

func (w *watching) Done() <-chan struct{} {
	w.see()
	return w.Context.Done()
}

func TestPasswdExcludesAnotherInThisProcess(t *testing.T) {
	_, root := host(t, "passwd")
	first, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)

	_, err = Passwd(t.Context(), root, -1)
	require.ErrorIs(t, err, ErrLocked)
	var held *HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, HeldError{Path: "etc/.pwd.lock"}, *held, "an OFD lock has no process")
	require.EqualError(t, err, "etc/.pwd.lock: locked by another process")

	ctx := newImpatient(t)
	_, err = Passwd(ctx, root, time.Minute)
	require.True(t, ctx.waited)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrLocked, "it also says what was waited for")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Passwd(cancelled, root, 0)
	require.ErrorIs(t, err, context.Canceled)

	// The one who waits gets it when it is free.
	waiting := make(chan struct{}, 100)
	got := make(chan error)
	go func() {
		second, err := Passwd(&watching{t.Context(), func() { waiting <- struct{}{} }}, root, time.Minute)
		if err == nil {
			err = second.Unlock()
		}
		got <- err
	}()
	<-waiting
	require.NoError(t, first.Unlock())
	require.NoError(t, <-got)
}

func TestPasswdTimesOut(t *testing.T) {
	etc, root := host(t, "passwd", "group")
	require.NoError(t, os.WriteFile(filepath.Join(etc, "group.lock"), []byte("1\x00"), 0o600))
	_, err := Passwd(t.Context(), root, time.Millisecond)
	require.EqualError(t, err, "etc/group.lock: locked by process 1")
	require.Equal(t, []string{".pwd.lock", "group", "group.lock", "passwd"}, list(t, etc))
}

func TestPasswdFileLockFoundThere(t *testing.T) {
	dead := strconv.Itoa(deadPid(t))
	parent := strconv.Itoa(os.Getppid())
	for _, c := range []struct {
		content string
		pid     int    // of a living holder
		why     string // what else is wrong with it
	}{
		{content: dead + "\x00"},
		{content: dead},
		{content: strconv.Itoa(os.Getpid()) + "\x00"}, // ours, of an earlier life with the same id
		{content: parent + "\x00", pid: os.Getppid()},
		{content: parent, pid: os.Getppid()},
		{content: "1\x00", pid: 1},
		{content: "", why: "is empty, wanted a process id"},
		{content: dead + "\n", why: `holds "` + dead + `\n", wanted a process id`},
		{content: "0\x00", why: `holds "0\x00", wanted a process id`},
		{content: "-5\x00", why: `holds "-5\x00", wanted a process id`},
		{content: "99999999999999\x00", why: `wanted a process id`},
		{content: "vipw", why: `holds "vipw", wanted a process id`},
		{content: "\x00", why: `wanted a process id`},
		{content: dead + "\x00\x00", why: `wanted a process id`},
		{content: strings.Repeat("1", 5000), why: `wanted a process id`},
	} {
		etc, root := host(t, "group", "passwd")
		path := filepath.Join(etc, "passwd.lock")
		require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
		ctx := newImpatient(t)
		lock, err := Passwd(ctx, root, time.Minute)
		if c.pid == 0 && c.why == "" {
			require.NoError(t, err, "%q", c.content)
			require.NoError(t, lock.Unlock())
			require.Equal(t, []string{".pwd.lock", "group", "passwd"}, list(t, etc))
			continue
		}
		var held *HeldError
		require.ErrorAs(t, err, &held, "%q", c.content)
		require.ErrorIs(t, err, ErrLocked)
		require.Equal(t, "etc/passwd.lock", held.Path)
		require.Equal(t, c.pid, held.PID)
		require.Contains(t, held.Why, c.why)
		require.Equal(t, c.why == "", ctx.waited, "%q: only a living holder is waited for", c.content)
		require.Less(t, len(err.Error()), 300)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.content, string(left))
		require.Equal(t, []string{".pwd.lock", "group", "passwd", "passwd.lock"}, list(t, etc))
	}
}

func TestPasswdOddLockFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{".pwd.lock", func(p string) error { return os.Symlink("passwd", p) }, "open etc/.pwd.lock: is no regular file"},
		{".pwd.lock", func(p string) error { return os.Symlink("dangling", p) }, "open etc/.pwd.lock: is no regular file"},
		{".pwd.lock", func(p string) error { return unix.Mkfifo(p, 0o600) }, "open etc/.pwd.lock: is no regular file"},
		{".pwd.lock", func(p string) error { return os.Mkdir(p, 0o700) }, "open etc/.pwd.lock: is no regular file"},
		{"passwd.lock", func(p string) error { return os.Symlink("passwd", p) }, "etc/passwd.lock: is no regular file"},
		{"passwd.lock", func(p string) error { return unix.Mkfifo(p, 0o600) }, "etc/passwd.lock: is no regular file"},
		{"passwd.lock", func(p string) error { return os.Mkdir(p, 0o700) }, "etc/passwd.lock: is no regular file"},
	} {
		etc, root := host(t, "passwd")
		require.NoError(t, c.make(filepath.Join(etc, c.name)))
		_, err := Passwd(t.Context(), root, 0)
		require.ErrorContains(t, err, c.want)
		require.NoFileExists(t, filepath.Join(etc, "dangling"))
		content, err := os.ReadFile(filepath.Join(etc, "passwd"))
		require.NoError(t, err)
		require.Equal(t, "passwd\n", string(content))
	}
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	_, err = Passwd(t.Context(), root, 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.IsType(t, new(fs.PathError), asPath(t, err))
}

func asPath(t *testing.T, err error) *fs.PathError {
	t.Helper()
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	return pe
}

// Where a file cannot be without a name until it is linked.
func TestPasswdLockByWayOfANamedFile(t *testing.T) {
	etc, root := host(t, "passwd")
	sub, err := root.OpenRoot("etc")
	require.NoError(t, err)
	temp := "passwd." + strconv.Itoa(os.Getpid())
	require.NoError(t, os.WriteFile(filepath.Join(etc, temp), []byte("torn, by an earlier process of this number"), 0o600))
	lock := &Lock{etc: sub}
	require.NoError(t, lock.takeByName("passwd", "passwd.lock"))
	require.Equal(t, []string{"passwd", "passwd.lock"}, list(t, etc))
	content, err := os.ReadFile(filepath.Join(etc, "passwd.lock"))
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid())+"\x00", string(content))
	require.NoError(t, lock.Unlock())
	require.Equal(t, []string{"passwd"}, list(t, etc))
}

func TestPasswdUnlockSparesTheLockOfAnother(t *testing.T) {
	etc, root := host(t, "passwd")
	lock, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)
	path := filepath.Join(etc, "passwd.lock")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("1\x00"), 0o600))
	require.NoError(t, lock.Unlock())
	require.FileExists(t, path)
}
