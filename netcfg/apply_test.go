package netcfg

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree writes a host's files below a new directory.
func tree(t testing.TB, h *Host) string {
	root := t.TempDir()
	writeTree(t, root, h)
	return root
}

func writeTree(t testing.TB, root string, h *Host) {
	for name, src := range h.Files {
		p := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, src, 0o644))
	}
}

// shape is every file below a root with its content and mode.
func shape(t testing.TB, root string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		src, err := os.ReadFile(p)
		info, _ := d.Info()
		out[filepath.ToSlash(rel)] = info.Mode().String() + " " + string(src)
		return err
	}))
	return out
}

func TestApplyAndRevert(t *testing.T) {
	old := oldHost()
	old.Files[scriptsDir+"route-eth0"] = []byte("198.51.100.0/24 via 192.0.2.7\n")
	new := newHost()
	new.Files["etc/hostname"] = []byte("new.example.test\n")
	root := tree(t, new)
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(filepath.Join(root, scriptsDir, "ifcfg-ens192"), 0o600))
	}
	before := shape(t, root)
	got, err := ReadHost(root)
	require.NoError(t, err)
	p := TakeOver(old, got, onto)
	require.Empty(t, p.Blockers())
	require.ErrorIs(t, p.Verify(t.Context(), root), ErrDrift)

	r, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	require.Equal(t, &Receipt{Backup: "var/lib/mailmove/netcfg/1", Written: []string{hostsPath, scriptsDir + "route-ens192", scriptsDir + "ifcfg-ens192"}}, r)
	require.NoError(t, p.Verify(t.Context(), root))
	scanned, err := filepath.Glob(filepath.Join(root, scriptsDir, "*"))
	require.NoError(t, err)
	require.Len(t, scanned, 2, "no backup where a daemon looks")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(root, r.Backup))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
		info, err = os.Stat(filepath.Join(root, scriptsDir, "ifcfg-ens192"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}

	again, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	require.Equal(t, &Receipt{Written: []string{}}, again)

	require.NoError(t, os.Chmod(filepath.Join(root, scriptsDir, "ifcfg-ens192"), 0o640))
	require.NoError(t, Revert(t.Context(), root, "/"+r.Backup))
	require.NoError(t, Revert(t.Context(), root, r.Backup), "a second time")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "var")))
	require.Equal(t, before, shape(t, root))
}

// TestApplyCompletes begins with what a crash between any two files leaves.
func TestApplyCompletes(t *testing.T) {
	old := oldHost()
	old.Files[scriptsDir+"route-eth0"] = []byte("198.51.100.0/24 via 192.0.2.7\n")
	p := TakeOver(old, newHost(), onto)
	require.Len(t, p.Files, 3)
	for n := range p.Files {
		root := tree(t, newHost())
		before := shape(t, root)
		for _, f := range p.Files[:n] {
			require.NoError(t, os.WriteFile(filepath.Join(root, f.Path), f.After, 0o644))
		}
		r, err := p.Apply(t.Context(), root)
		require.NoError(t, err)
		require.Len(t, r.Written, len(p.Files)-n)
		require.NoError(t, p.Verify(t.Context(), root))
		require.NoError(t, Revert(t.Context(), root, r.Backup))
		require.NoError(t, os.RemoveAll(filepath.Join(root, "var")))
		require.Equal(t, before, shape(t, root), "all files go back, also those that were written before")
	}
}

func TestApplyRefuses(t *testing.T) {
	p := TakeOver(oldHost(), newHost(), onto)
	t.Run("drift", func(t *testing.T) {
		for _, name := range []string{hostsPath, scriptsDir + "ifcfg-ens192"} {
			root := tree(t, newHost())
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte("other\n"), 0o644))
			before := shape(t, root)
			_, err := p.Apply(t.Context(), root)
			require.ErrorIs(t, err, ErrDrift)
			require.ErrorContains(t, err, name)
			require.Equal(t, before, shape(t, root))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		root := tree(t, newHost())
		before := shape(t, root)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := p.Apply(ctx, root)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, shape(t, root))
	})
	t.Run("no root", func(t *testing.T) {
		_, err := p.Apply(t.Context(), filepath.Join(t.TempDir(), "none"))
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestRevertRefuses(t *testing.T) {
	root := tree(t, newHost())
	p := TakeOver(oldHost(), newHost(), onto)
	r, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	require.ErrorContains(t, Revert(t.Context(), root, "etc"), "want a directory in var/lib/mailmove/netcfg")
	require.ErrorContains(t, Revert(t.Context(), root, r.Backup+"/../../x"), "want a directory")
	require.ErrorIs(t, Revert(t.Context(), root, backupDir+"/77"), fs.ErrNotExist)

	file := filepath.Join(root, scriptsDir, "ifcfg-ens192")
	require.NoError(t, os.WriteFile(file, []byte("edited since\n"), 0o644))
	before := shape(t, root)
	require.ErrorIs(t, Revert(t.Context(), root, r.Backup), ErrDrift)
	require.Equal(t, before, shape(t, root))

	require.NoError(t, os.WriteFile(file, p.Files[1].After, 0o644))
	saved := filepath.Join(root, savedName(r.Backup, hostsPath))
	require.NoError(t, os.WriteFile(saved, []byte("127.0.0.1 forged\n"), 0o644))
	require.ErrorContains(t, Revert(t.Context(), root, r.Backup), "not the bytes that the manifest names")

	manifest := filepath.Join(root, r.Backup, manifestName)
	for _, text := range []string{"{", `{"version":2}`, `{"version":1,"files":[{"path":"../etc/passwd"}]}`, `{"version":1,"files":[{"path":"root/.profile"}]}`} {
		require.NoError(t, os.WriteFile(manifest, []byte(text), 0o600))
		require.ErrorContains(t, Revert(t.Context(), root, r.Backup), manifestName)
	}
}

func TestReadHost(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	h := newHost()
	h.Files["etc/hostname"] = []byte("# c\n\nnew.example.test\n")
	for _, suffix := range []string{".bak", "~", ".orig", ".rpmnew", ".old", ".rej"} {
		h.Files[scriptsDir+"ifcfg-ens192"+suffix] = []byte("DEVICE=ens192\n")
	}
	h.Files["usr/lib64/NetworkManager/1.40/libnm-settings-plugin-ifcfg-rh.so"] = nil
	root := tree(t, h)
	require.NoError(t, os.Symlink("/run/resolv.conf", filepath.Join(root, "etc/resolv.conf")))
	require.NoError(t, os.Symlink("../usr/lib/os-release", filepath.Join(root, "etc/os-release")))
	require.NoError(t, os.Mkdir(filepath.Join(root, networkPath), 0o755))
	require.NoError(t, os.Symlink("/elsewhere", filepath.Join(root, "etc/netplan")))
	link := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Symlink(root, link))

	got, err := ReadHost(link)
	require.NoError(t, err)
	require.Equal(t, "new.example.test", got.Hostname)
	require.True(t, got.IfcfgPlugin)
	require.Equal(t, map[string]string{"etc/resolv.conf": "a symbolic link to /run/resolv.conf", "etc/os-release": "a symbolic link to ../usr/lib/os-release",
		networkPath: "no regular file"}, got.Irregular)
	require.Equal(t, newIfcfg, string(got.Files[scriptsDir+"ifcfg-ens192"]))
	require.Equal(t, []string{scriptsDir + "ifcfg-ens192", scriptsDir + "ifcfg-ens192.old", scriptsDir + "ifcfg-ens192.rej"}, got.paths(scriptsDir), "a backup to all, and to one reader only")

	require.NoError(t, os.Truncate(filepath.Join(root, hostsPath), maxFile+1))
	got, err = ReadHost(link)
	require.NoError(t, err)
	require.Contains(t, got.Irregular[hostsPath], "bytes long")

	empty, err := ReadHost(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, empty.Files)
	require.False(t, slices.Contains(empty.backends("eth0"), BackendIfcfg))

	_, err = ReadHost(filepath.Join(root, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestUnified(t *testing.T) {
	tests := []struct{ name, before, after, want string }{
		{"same", "a\n", "a\n", ""},
		{"one line", "a\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\nX\nf\n", "--- a/f\n+++ b/f\n@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n+X\n f\n"},
		{"no newline", "a", "a\n", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"append", "a\n", "a\nb\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n a\n+b\n"},
		{"two hunks", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "X\n2\n3\n4\n5\n6\n7\n8\n9\nY\n", "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n-1\n+X\n 2\n 3\n 4\n@@ -7,3 +7,4 @@\n 7\n 8\n 9\n+Y\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, unified("f", []byte(tt.before), []byte(tt.after)))
		})
	}
	require.Equal(t, "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n", unified("f", nil, []byte("a\n")))
	require.Equal(t, "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", unified("f", []byte("a\n"), nil))
}
