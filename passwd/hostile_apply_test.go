package passwd_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/passwd"
)

func TestHostileSecondRun(t *testing.T) {
	root := t.TempDir()
	hostileWrite(t, root, map[string]string{"passwd": hostileTarget, "group": hostileGroups, "login.defs": hostileNewDefs, "shadow": "root:*:1::::::\n", "gshadow": "root:*::\n"})
	const people, groups = "b:x:502:502::/home/b:/bin/sh\nc:x:503:503::/home/c:/bin/sh\n", "b:x:502:\nc:x:503:\n"
	target, err := passwd.ReadHost(root)
	require.NoError(t, err)
	first := passwd.Merge(hostileHost(people, groups, hostileOldDefs), target, nil)
	_, err = first.Apply(context.Background(), root)
	require.NoError(t, err)
	require.NoError(t, first.Verify(context.Background(), root))
	was := hostileTree(t, root)

	target, err = passwd.ReadHost(root)
	require.NoError(t, err)
	opt := &passwd.Options{UIDs: map[string]uint32{}, GIDs: map[string]uint32{}, SamePerson: func(a, b string) bool { return a == b }}
	for u := range first.Migrated() {
		opt.UIDs[u.Name], opt.GIDs[u.Name] = u.ToUID, u.ToGID
	}
	second := passwd.Merge(hostileHost(people, groups, hostileOldDefs), target, opt)
	require.Empty(t, second.Conflicts)
	require.Empty(t, second.Changed)
	require.True(t, maps.Equal(first.UIDMap, second.UIDMap), "the same ids")
	_, err = second.Apply(context.Background(), root)
	require.NoError(t, err)
	require.Equal(t, was, hostileTree(t, root), "no byte, no mtime, no further file")

	third := passwd.Merge(hostileHost("a:x:501:501::/home/a:/bin/sh\n"+people, "a:x:501:\n"+groups, hostileOldDefs), target, opt)
	require.Empty(t, third.Conflicts)
	for id, to := range first.UIDMap {
		require.Equal(t, to, third.UIDMap[id], "uid %d stays", id)
	}
	require.NotContains(t, slices.Collect(maps.Values(first.UIDMap)), hostileUser(t, third, "a").ToUID)
}

func TestHostileRoots(t *testing.T) {
	ctx := context.Background()
	old := hostileHost("a:x:501:501::/home/a:/bin/sh\n", "a:x:501:\n", hostileOldDefs)
	files := map[string]string{"passwd": hostileTarget, "group": hostileGroups, "login.defs": hostileNewDefs}
	plan := func(t *testing.T, change func(etc string)) (string, error) {
		root := t.TempDir()
		hostileWrite(t, root, files)
		target, err := passwd.ReadHost(root)
		require.NoError(t, err)
		p := passwd.Merge(old, target, nil)
		require.Empty(t, p.Conflicts)
		change(filepath.Join(root, "etc"))
		was := hostileTree(t, root)
		_, err = p.Apply(ctx, root)
		if err != nil {
			now := hostileTree(t, root)
			delete(now, ".pwd.lock")
			delete(was, ".pwd.lock")
			require.Equal(t, was, now, "a refused Apply leaves nothing behind")
		}
		return root, err
	}
	t.Run("an edit between plan and apply", func(t *testing.T) {
		_, err := plan(t, func(etc string) {
			require.NoError(t, os.WriteFile(filepath.Join(etc, "group"), []byte(hostileGroups+"# vi\n"), 0o644))
		})
		require.ErrorIs(t, err, passwd.ErrDrift)
	})
	t.Run("a file is gone", func(t *testing.T) {
		_, err := plan(t, func(etc string) { require.NoError(t, os.Remove(filepath.Join(etc, "group"))) })
		require.ErrorIs(t, err, passwd.ErrDrift)
	})
	t.Run("a symbolic link", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("links need rights there")
		}
		_, err := plan(t, func(etc string) {
			require.NoError(t, os.Rename(filepath.Join(etc, "passwd"), filepath.Join(etc, "real")))
			require.NoError(t, os.Symlink("real", filepath.Join(etc, "passwd")))
		})
		require.Error(t, err)
	})
	t.Run("modes", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("no modes there")
		}
		root, err := plan(t, func(etc string) {
			require.NoError(t, os.Chmod(filepath.Join(etc, "passwd"), 0o664))
			require.NoError(t, os.Chmod(filepath.Join(etc, "group"), 0o600))
		})
		require.NoError(t, err)
		for name, want := range map[string]os.FileMode{"passwd": 0o664, "group": 0o600} {
			info, err := os.Stat(filepath.Join(root, "etc", name))
			require.NoError(t, err)
			require.Equal(t, want, info.Mode().Perm(), name)
		}
	})
}

func TestHostileNUL(t *testing.T) {
	p := hostileMerge("a:x:501:501::/home/a:/bin/sh\n", "a:x:501:\n", hostileTarget+"n:x:1500:1500:\x00:/:/s\n", hostileGroups, nil)
	root := t.TempDir()
	hostileWrite(t, root, map[string]string{"passwd": hostileTarget + "n:x:1500:1500:\x00:/:/s\n", "group": hostileGroups})
	_, err := p.Apply(context.Background(), root)
	require.Error(t, err, "a file with a NUL byte is not written")
	require.Contains(t, err.Error()+fmt.Sprint(p.Conflicts), "etc/passwd:7")
}

func hostileWrite(t *testing.T, root string, files map[string]string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644))
	}
}

// hostileTree gives content and mtime of each file in etc.
func hostileTree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(filepath.Join(root, "etc"))
	require.NoError(t, err)
	for _, e := range list {
		info, err := e.Info()
		require.NoError(t, err)
		content := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(filepath.Join(root, "etc", e.Name()))
			require.NoError(t, err)
			content = string(b)
		}
		out[e.Name()] = info.ModTime().String() + " " + content
	}
	return out
}
