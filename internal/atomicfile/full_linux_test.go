package atomicfile

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// mount mounts and undoes it with the test; a container may forbid that even to root.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	oracle.Root(t)
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Skip("mount: " + err.Error())
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(target, unix.MNT_DETACH)) })
}

func tmpfs(t *testing.T, options string) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, options)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func TestDiskFull(t *testing.T) {
	dir, root := tmpfs(t, "size=256k")
	old, big := bytes.Repeat([]byte("o"), 60<<10), bytes.Repeat([]byte("n"), 90<<10)
	put(t, dir, "etc/a", string(old), 0o644)
	put(t, dir, "etc/b", string(old), 0o644)
	before := tree(t, dir)
	_, err := Apply(t.Context(), root, []Change{
		{Name: "etc/a", Before: old, After: big},
		{Name: "etc/b", Before: old, After: big, Backup: "etc/b-"},
	})
	require.ErrorIs(t, err, unix.ENOSPC)
	require.ErrorContains(t, err, "write etc/.mailmove-")
	require.Equal(t, before, tree(t, dir))
	written, err := Apply(t.Context(), root, []Change{{Name: "etc/a", Before: old, After: big}})
	require.NoError(t, err, "there is room for one")
	require.Equal(t, []string{"etc/a"}, written)
}

func TestOutOfInodes(t *testing.T) {
	for inodes := 4; ; inodes++ { // root, etc, a, b and what is left for staging
		dir, root := tmpfs(t, fmt.Sprintf("nr_inodes=%d", inodes+1))
		put(t, dir, "etc/a", "old", 0o644)
		put(t, dir, "etc/b", "old", 0o644)
		before := tree(t, dir)
		written, err := Apply(t.Context(), root, []Change{
			{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "etc/a-"},
			{Name: "etc/b", Before: []byte("old"), After: []byte("new")},
		})
		if err == nil {
			require.Greater(t, inodes, 4)
			require.Len(t, written, 2)
			return
		}
		require.ErrorIs(t, err, unix.ENOSPC)
		require.Equal(t, before, tree(t, dir))
	}
}

func TestReadOnly(t *testing.T) {
	dir, root := tmpfs(t, "size=256k")
	put(t, dir, "etc/a", "old", 0o644)
	put(t, dir, "etc/done", "new", 0o644)
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	before := tree(t, dir)
	_, err := Apply(t.Context(), root, []Change{{Name: "etc/a", Before: []byte("old"), After: []byte("new"), InPlace: true}})
	require.ErrorIs(t, err, unix.EROFS)
	_, err = Apply(t.Context(), root, []Change{{Name: "etc/done", Before: []byte("old"), After: []byte("new")}})
	require.NoError(t, err, "already as wanted")
	require.Equal(t, before, tree(t, dir))
}

func TestImmutable(t *testing.T) {
	oracle.Root(t)
	chattr := oracle.Need(t, "chattr")
	dir, root := host(t, map[string]string{"etc/a": "old", "etc/b": "old"})
	b := filepath.Join(dir, "etc/b")
	if out, err := exec.Command(chattr, "+i", b).CombinedOutput(); err != nil {
		t.Skip(strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { require.NoError(t, exec.Command(chattr, "-i", b).Run()) })
	before := tree(t, dir)
	written, err := Apply(t.Context(), root, []Change{
		{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "etc/a-"},
		{Name: "etc/b", Before: []byte("old"), After: []byte("new"), InPlace: true},
	})
	require.EqualError(t, err, "rename etc/b: operation not permitted; all files are as before")
	require.Empty(t, written)
	require.Equal(t, before, tree(t, dir))
}

const oldHosts, newHosts = "127.0.0.1 localhost\n10.99.0.20 new\n", "127.0.0.1 localhost\n10.99.0.10 m\n"

func hostsChange() []Change {
	return []Change{{Name: "etc/hosts", Before: []byte(oldHosts), After: []byte(newHosts), Backup: "etc/hosts-", InPlace: true}}
}

// boundHosts makes etc/hosts a mount point, as container managers do.
func boundHosts(t *testing.T) (string, *os.Root) {
	t.Helper()
	dir, root := host(t, map[string]string{"etc/hosts": "covered", "etc/a": "old", "source": oldHosts})
	mount(t, filepath.Join(dir, "source"), filepath.Join(dir, "etc/hosts"), "", unix.MS_BIND, "")
	return dir, root
}

func TestMountPoint(t *testing.T) {
	dir, root := boundHosts(t)
	before := tree(t, dir)
	changes := append([]Change{{Name: "etc/a", Before: []byte("old"), After: []byte("new")}}, hostsChange()...)
	changes[1].InPlace = false
	_, err := Apply(t.Context(), root, changes)
	require.EqualError(t, err, "rename etc/hosts: device or resource busy; all files are as before")
	require.Equal(t, before, tree(t, dir))

	changes[1].InPlace = true
	written, err := Apply(t.Context(), root, changes)
	require.NoError(t, err)
	require.Equal(t, []string{"etc/a", "etc/hosts"}, written)
	want := map[string]string{"etc/a": "new", "etc/hosts": newHosts, "etc/hosts-": oldHosts, "source": newHosts}
	require.Equal(t, want, tree(t, dir))

	_, err = Apply(t.Context(), root, []Change{{Name: "etc/hosts", Before: []byte(newHosts), InPlace: true}})
	require.ErrorIs(t, err, unix.EBUSY, "a mount point cannot be removed")
	require.Equal(t, want, tree(t, dir))
}

func TestMountPointPutBack(t *testing.T) {
	for _, failing := range []string{"rename etc/z", "write etc/hosts", "truncate etc/hosts", "fsync etc/hosts"} {
		dir, root := boundHosts(t)
		before := tree(t, dir)
		failed := false
		hook(t, func(op, name string) error {
			if op+" "+name == failing && !failed {
				failed = true
				return unix.EIO
			}
			return nil
		})
		_, err := Apply(t.Context(), root, append(hostsChange(), Change{Name: "etc/z", After: []byte("z"), Mode: 0o644}))
		require.EqualError(t, err, failing+": input/output error; all files are as before")
		require.Equal(t, before, tree(t, dir), failing)
	}
}

// A rewrite in place can be cut off in the middle, but what is left is known and completed.
func TestMountPointKilledAnywhere(t *testing.T) {
	torn := 0
	for n := 1; ; n++ {
		dir, root := boundHosts(t)
		if !crash(t, dir, n, crashVar+"_HOSTS=1") {
			break
		}
		got := tree(t, dir)["etc/hosts"]
		require.Contains(t, []string{oldHosts, newHosts, newHosts + oldHosts[len(newHosts):]}, got)
		if got != oldHosts && got != newHosts {
			torn++
		}
		_, err := Apply(t.Context(), root, hostsChange())
		require.NoError(t, err, n)
		want := map[string]string{"etc/a": "old", "etc/hosts": newHosts, "etc/hosts-": oldHosts, "source": newHosts}
		require.Equal(t, want, maps.Clone(tree(t, dir)), n)
	}
	require.Equal(t, 1, torn)
}
