package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

func umask(t *testing.T, mask int) {
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func lstat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Lstat(path, &st))
	return st
}

func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o777} {
		for _, mode := range []uint32{0, 0o640, 0o644, 0o4755, 0o2775, 0o7777} {
			t.Run(fmt.Sprintf("%04o under %03o", mode, mask), func(t *testing.T) {
				if mode&0o400 == 0 && os.Geteuid() != 0 {
					t.Skip("only root reads a file without the bit for it")
				}
				dir, root := host(t, map[string]string{"etc/kept": "old"})
				kept, fresh := filepath.Join(dir, "etc/kept"), filepath.Join(dir, "etc/fresh")
				require.NoError(t, unix.Chmod(kept, mode))
				umask(t, mask)
				_, err := Apply(t.Context(), root, []Change{
					{Name: "etc/fresh", After: []byte("new"), Mode: fs.FileMode(mode), UID: -1, GID: -1},
					{Name: "etc/kept", Before: []byte("old"), After: []byte("new"), Backup: "etc/kept-", Mode: 0o600},
				})
				require.NoError(t, err)
				for _, name := range []string{kept, kept + "-", fresh} {
					require.Equal(t, fmt.Sprintf("%04o", mode), fmt.Sprintf("%04o", lstat(t, name).Mode&0o7777), name)
				}
			})
		}
	}
}

func TestModeInBothSpellings(t *testing.T) {
	require.Equal(t, fs.ModeSetgid|0o775, chmodMode(0o2775))
	require.Equal(t, fs.ModeSetgid|0o775, chmodMode(fs.ModeSetgid|0o775))
	require.Equal(t, fs.ModeSetuid|fs.ModeSticky|0o755, chmodMode(0o5755))
	require.Equal(t, fs.FileMode(0o600), chmodMode(fs.ModeDir|fs.ModeAppend|0o600))
}

// No staged file is readable by anybody else before it has its owner, and none is ever wider than it ends.
func TestNeverReadableMeanwhile(t *testing.T) {
	umask(t, 0)
	dir, root := host(t, map[string]string{"etc/shadow": "old"})
	require.NoError(t, os.Chmod(filepath.Join(dir, "etc/shadow"), 0o640))
	var looked int
	hook(t, func(op, name string) error {
		entries, err := os.ReadDir(filepath.Join(dir, "etc"))
		for _, e := range entries {
			info, err := e.Info()
			require.NoError(t, err)
			allowed := fs.FileMode(0o640)
			if op == "chown" && e.Name() == filepath.Base(name) {
				allowed = 0o600
			}
			require.Zero(t, info.Mode().Perm()&^allowed, "%s before %s of %s", e.Name(), op, name)
			looked++
		}
		return err
	})
	_, err := Apply(t.Context(), root, []Change{
		{Name: "etc/shadow", Before: []byte("old"), After: []byte("new"), Backup: "etc/shadow-"},
		{Name: "etc/gshadow", After: []byte("new"), Mode: 0o640, UID: -1, GID: -1},
	})
	require.NoError(t, err)
	require.Greater(t, looked, 20)
}

func TestOwnersAsRoot(t *testing.T) {
	oracle.Root(t)
	dir, root := host(t, map[string]string{"etc/shadow": "old", "etc/owned": "old"})
	etc := filepath.Join(dir, "etc")
	require.NoError(t, os.Chown(filepath.Join(etc, "owned"), 1234, 5678))
	require.NoError(t, unix.Chmod(filepath.Join(etc, "owned"), 0o6750))
	require.NoError(t, os.Chown(etc, 0, 99))
	require.NoError(t, unix.Chmod(etc, 0o2775))
	_, err := Apply(t.Context(), root, []Change{
		{Name: "etc/owned", Before: []byte("old"), After: []byte("new"), Backup: "etc/owned-"},
		{Name: "etc/shadow", Before: []byte("old"), After: []byte("new")},
		{Name: "etc/fresh", After: []byte("new"), Mode: 0o640, UID: 0, GID: 42},
	})
	require.NoError(t, err)
	for name, want := range map[string]string{
		"owned": "1234:5678 6750", "owned-": "1234:5678 6750", "shadow": "0:0 0644", "fresh": "0:42 0640",
	} {
		st := lstat(t, filepath.Join(etc, name))
		require.Equal(t, want, fmt.Sprintf("%d:%d %04o", st.Uid, st.Gid, st.Mode&0o7777), name)
	}
}

// ordinary runs f without the rights of root, on a thread of its own that ends with it.
func ordinary(t *testing.T, uid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		if err := errors.Join(unix.Setfsgid(uid), unix.Setfsuid(uid)); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestOrdinaryUserNeverChangesAnOwner(t *testing.T) {
	oracle.Root(t)
	const uid = 65534
	dir, root := host(t, map[string]string{"etc/mine": "old", "etc/theirs": "old"})
	etc := filepath.Join(dir, "etc")
	require.NoError(t, os.Chown(etc, uid, uid))
	require.NoError(t, os.Chown(filepath.Join(etc, "mine"), uid, uid))
	require.NoError(t, os.Chown(filepath.Join(etc, "theirs"), 1234, uid))
	mineToo := Change{Name: "etc/mine", Before: []byte("old"), After: []byte("new"), Backup: "etc/mine-"}
	theirs := Change{Name: "etc/theirs", Before: []byte("old"), After: []byte("new")}
	before := tree(t, dir)

	var err error
	ordinary(t, uid, func() { _, err = Apply(t.Context(), root, []Change{mineToo, theirs}) })
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "chown")
	require.Equal(t, before, tree(t, dir))

	ordinary(t, uid, func() {
		_, err = Apply(t.Context(), root, []Change{{Name: "etc/fresh", After: []byte("new"), Mode: 0o644}})
	})
	require.ErrorContains(t, err, "chown", "owner 0 was asked for")
	require.Equal(t, before, tree(t, dir))

	ordinary(t, uid, func() { _, err = Apply(t.Context(), root, []Change{mineToo}) })
	require.NoError(t, err)
	require.Equal(t, "new", tree(t, dir)["etc/mine"])
	require.Equal(t, uint32(uid), lstat(t, filepath.Join(etc, "mine-")).Uid)
}

func TestXattrsKept(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/file": "old"})
	path := filepath.Join(dir, "etc/file")
	want := map[string]string{"user.one": "1", "user.empty": "", "user.long": strings.Repeat("\x00x", 500)}
	if os.Geteuid() == 0 {
		want["trusted.two"] = "2"
	}
	for name, value := range want {
		if err := unix.Setxattr(path, name, []byte(value), 0); errors.Is(err, unix.ENOTSUP) {
			t.Skip("no extended attributes in " + dir)
		} else {
			require.NoError(t, err)
		}
	}
	_, err := Apply(t.Context(), root, []Change{{Name: "etc/file", Before: []byte("old"), After: []byte("new"), Backup: "etc/file-"}})
	require.NoError(t, err)
	for _, p := range []string{path, path + "-"} {
		f, err := os.Open(p)
		require.NoError(t, err)
		defer f.Close()
		set, err := readXattrs(f)
		require.NoError(t, err)
		got := map[string]string{}
		for _, x := range set {
			got[x.name] = string(x.value)
		}
		require.Equal(t, want, got, p)
	}
}

func TestACLKept(t *testing.T) {
	setfacl, getfacl := oracle.Need(t, "setfacl"), oracle.Need(t, "getfacl")
	dir, root := host(t, map[string]string{"etc/acl": "old", "etc/plain": "old"})
	etc := filepath.Join(dir, "etc")
	acl := func(args ...string) {
		out, err := exec.Command(setfacl, args...).CombinedOutput()
		if strings.Contains(string(out), "not supported") {
			t.Skip("no ACLs in " + dir)
		}
		require.NoError(t, err, string(out))
	}
	get := func(name string) string {
		out, err := exec.Command(getfacl, "-cnE", filepath.Join(etc, name)).Output()
		require.NoError(t, err)
		return string(out)
	}
	acl("-m", "u:1234:rw,g::---,m::rw", filepath.Join(etc, "acl"))
	want, plain := get("acl"), get("plain")
	require.Contains(t, want, "user:1234:rw-")
	// What a new file inherits would, with mode 0644, let user 999 in.
	acl("-d", "-m", "u:999:rwx", etc)

	_, err := Apply(t.Context(), root, mine(
		Change{Name: "etc/acl", Before: []byte("old"), After: []byte("new"), Backup: "etc/acl-"},
		Change{Name: "etc/plain", Before: []byte("old"), After: []byte("new"), Backup: "etc/plain-"},
		Change{Name: "etc/fresh", After: []byte("new")}))
	require.NoError(t, err)
	require.Equal(t, want, get("acl"))
	require.Equal(t, want, get("acl-"))
	require.Equal(t, plain, get("plain"))
	require.Equal(t, plain, get("plain-"))
	require.Equal(t, plain, get("fresh"))
}

func TestHardLinkedNameOnly(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/file": "old"})
	path := filepath.Join(dir, "etc/file")
	require.NoError(t, os.Link(path, path+".other"))
	_, err := Apply(t.Context(), root, []Change{{Name: "etc/file", Before: []byte("old"), After: []byte("new")}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"etc/file": "new", "etc/file.other": "old"}, tree(t, dir))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Sys().(*syscall.Stat_t).Nlink, "nothing of ours is linked to it any more")
}
