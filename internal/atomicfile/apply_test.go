package atomicfile

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// host makes a tree with the files given, all 0644, and opens it.
func host(t *testing.T, files map[string]string) (string, *os.Root) {
	t.Helper()
	return hostIn(t, t.TempDir(), files)
}

func hostIn(t *testing.T, dir string, files map[string]string) (string, *os.Root) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	for name, content := range files {
		put(t, dir, name, content, 0o644)
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func put(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

// tree gives every file below dir that is not a directory, with its content or type.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !e.Type().IsRegular() {
			out[filepath.ToSlash(name)] = e.Type().String()
			return nil
		}
		data, err := os.ReadFile(path)
		out[filepath.ToSlash(name)] = string(data)
		return err
	}))
	return out
}

// text is nil for "-", which stands for no file.
func text(s string) []byte {
	if s == "-" {
		return nil
	}
	return []byte(s)
}

// mine fills in the owner of files an ordinary user can make.
func mine(changes ...Change) []Change {
	for i := range changes {
		changes[i].UID, changes[i].GID = -1, -1
		if changes[i].Mode == 0 {
			changes[i].Mode = 0o644
		}
	}
	return changes
}

func TestThreeAnswers(t *testing.T) {
	for _, c := range []struct {
		found, before, after string
		want                 string // "drift" or what there is afterwards
		written              bool
	}{
		{"old", "old", "new", "new", true},
		{"new", "old", "new", "new", false},
		{"odd", "old", "new", "drift", false},
		{"", "old", "new", "drift", false},
		{"old\n", "old", "new", "drift", false},
		{"-", "old", "new", "drift", false},
		{"-", "-", "new", "new", true},
		{"new", "-", "new", "new", false},
		{"odd", "-", "new", "drift", false},
		{"", "-", "new", "drift", false},
		{"-", "-", "", "", true},
		{"", "-", "", "", false},
		{"", "", "new", "new", true},
		{"-", "", "new", "drift", false},
		{"old", "old", "", "", true},
		{"old", "old", "-", "-", true},
		{"-", "old", "-", "-", false},
		{"odd", "old", "-", "drift", false},
		{"", "old", "-", "drift", false},
		{"", "", "-", "-", true},
		{"-", "-", "-", "-", false},
		{"odd", "-", "-", "drift", false},
		{"", "-", "-", "drift", false},
		{"same", "same", "same", "same", false},
	} {
		for _, inPlace := range []bool{false, true} {
			name := "found " + c.found + " before " + c.before + " after " + c.after
			files := map[string]string{"etc/other": "x"}
			if c.found != "-" {
				files["etc/file"] = c.found
			}
			dir, root := host(t, files)
			written, err := Apply(t.Context(), root, mine(
				Change{Name: "etc/file", Before: text(c.before), After: text(c.after), InPlace: inPlace}))
			want := maps.Clone(files)
			switch c.want {
			case "drift":
				require.ErrorIs(t, err, ErrDrift, name)
				require.ErrorContains(t, err, "etc/file: ", name)
			case "-":
				require.NoError(t, err, name)
				delete(want, "etc/file")
			default:
				require.NoError(t, err, name)
				want["etc/file"] = c.want
			}
			require.Equal(t, want, tree(t, dir), name)
			if c.written {
				require.Equal(t, []string{"etc/file"}, written, name)
			} else {
				require.Empty(t, written, name)
			}
		}
	}
}

func TestOneDriftStopsAll(t *testing.T) {
	files := map[string]string{"etc/a": "old a", "etc/b": "edited by hand", "etc/c": "old c"}
	dir, root := host(t, files)
	before, err := os.Stat(filepath.Join(dir, "etc"))
	require.NoError(t, err)
	written, err := Apply(t.Context(), root, mine(
		Change{Name: "etc/a", Before: []byte("old a"), After: []byte("new a"), Backup: "etc/a-"},
		Change{Name: "etc/b", Before: []byte("old b"), After: []byte("new b")},
		Change{Name: "etc/c", Before: []byte("old c"), After: []byte("new c")}))
	require.ErrorIs(t, err, ErrDrift)
	require.EqualError(t, err, "etc/b: found 14 bytes: neither as planned nor as wanted")
	require.Empty(t, written)
	require.Equal(t, files, tree(t, dir))
	after, err := os.Stat(filepath.Join(dir, "etc"))
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime(), "nothing was even staged")
}

func TestBackup(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/passwd": "old", "etc/passwd-": "older", "etc/gone": "bye"})
	old := time.Date(2010, 5, 25, 12, 0, 0, 123456789, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "etc/passwd"), old, old))
	require.NoError(t, os.Chmod(filepath.Join(dir, "etc/passwd"), 0o640))
	changes := mine(
		Change{Name: "etc/passwd", Before: []byte("old"), After: []byte("new"), Backup: "etc/passwd-"},
		Change{Name: "etc/fresh", After: []byte("new"), Backup: "etc/fresh-"},
		Change{Name: "etc/gone", Before: []byte("bye"), Backup: "etc/gone-"})
	written, err := Apply(t.Context(), root, changes)
	require.NoError(t, err)
	require.Equal(t, []string{"etc/passwd", "etc/fresh", "etc/gone"}, written)
	want := map[string]string{"etc/passwd": "new", "etc/passwd-": "old", "etc/fresh": "new", "etc/gone-": "bye"}
	require.Equal(t, want, tree(t, dir))
	info, err := os.Stat(filepath.Join(dir, "etc/passwd-"))
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(old), info.ModTime())
	require.Equal(t, fs.FileMode(0o640), info.Mode())

	written, err = Apply(t.Context(), root, changes)
	require.NoError(t, err)
	require.Empty(t, written)
	require.Equal(t, want, tree(t, dir), "the backup of a file already written is not overwritten by its new content")
}

func TestNamesRefused(t *testing.T) {
	files := map[string]string{"etc/a": "old", "etc/b": "old"}
	for _, c := range []struct {
		why, want string
		changes   []Change
	}{
		{"absolute", "/etc/a: invalid argument", []Change{{Name: "/etc/a", After: []byte("new")}}},
		{"dots", "etc/../etc/a: invalid argument", []Change{{Name: "etc/../etc/a", After: []byte("new")}}},
		{"the root", ".: invalid argument", []Change{{Name: ".", After: []byte("new")}}},
		{"empty", "invalid argument", []Change{{After: []byte("new")}}},
		{"backup outside", "../a: invalid argument", []Change{{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "../a"}}},
		{"twice", "etc/a: named twice", []Change{
			{Name: "etc/a", Before: []byte("old"), After: []byte("new")}, {Name: "etc/a", Before: []byte("new"), After: []byte("newer")}}},
		{"backup over a target", "etc/b: named twice", []Change{
			{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "etc/b"}, {Name: "etc/b", Before: []byte("old"), After: []byte("new")}}},
		{"no directory", "no/file: no such file", []Change{{Name: "no/file", After: []byte("new")}}},
	} {
		dir, root := host(t, files)
		_, err := Apply(t.Context(), root, c.changes)
		require.ErrorContains(t, err, c.want, c.why)
		require.Equal(t, files, tree(t, dir), c.why)
	}
}

func TestRemovalInAMissingDirectoryIsDone(t *testing.T) {
	_, root := host(t, nil)
	written, err := Apply(t.Context(), root, []Change{{Name: "no/file", Before: []byte("old"), Backup: "no/file-"}})
	require.NoError(t, err)
	require.Empty(t, written)
}

func TestCancelled(t *testing.T) {
	files := map[string]string{"etc/a": "old", "etc/b": "old"}
	changes := mine(
		Change{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "etc/a-"},
		Change{Name: "etc/b", Before: []byte("old"), After: []byte("new")})

	dir, root := host(t, files)
	ctx, cancel := context.WithCancel(t.Context())
	var ops []string
	hook(t, func(op, name string) error {
		ops = append(ops, op)
		if op == "link" && name == "etc/b" { // the last before the first rename
			cancel()
		}
		return nil
	})
	_, err := Apply(ctx, root, changes)
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, ops, "link")
	require.NotContains(t, ops, "rename")
	require.Equal(t, files, tree(t, dir))

	dir, root = host(t, files)
	ctx, cancel = context.WithCancel(t.Context())
	hook(t, func(op, name string) error {
		if op == "rename" {
			cancel()
		}
		return nil
	})
	written, err := Apply(ctx, root, changes)
	require.NoError(t, err, "from the first rename on it goes through")
	require.Equal(t, []string{"etc/a", "etc/b"}, written)
	require.Equal(t, map[string]string{"etc/a": "new", "etc/a-": "old", "etc/b": "new"}, tree(t, dir))
}

// hook sets step for the rest of the test.
func hook(t *testing.T, f func(op, name string) error) {
	step = f
	t.Cleanup(func() { step = nil })
}

func TestChangedWhileStaging(t *testing.T) {
	for _, c := range []struct {
		why  string
		edit func(path string) error
	}{
		{"same length in place", func(p string) error {
			return errors.Join(os.WriteFile(p, []byte("odd"), 0o644), os.Chtimes(p, time.Time{}, time.Unix(1, 0)))
		}},
		{"replaced", func(p string) error {
			return errors.Join(os.WriteFile(p+"x", []byte("old"), 0o644), os.Rename(p+"x", p))
		}},
		{"removed", os.Remove},
	} {
		dir, root := host(t, map[string]string{"etc/a": "old", "etc/b": "old"})
		var want map[string]string
		edited := false
		hook(t, func(op, name string) error {
			if op == "fsync" && !edited {
				edited = true
				return c.edit(filepath.Join(dir, "etc/b"))
			}
			return nil
		})
		_, err := Apply(t.Context(), root, mine(
			Change{Name: "etc/a", Before: []byte("old"), After: []byte("new")},
			Change{Name: "etc/b", Before: []byte("old"), After: []byte("new")}))
		require.True(t, edited)
		want = tree(t, dir)
		require.Equal(t, "old", want["etc/a"], c.why)
		require.NotEqual(t, "new", want["etc/b"], c.why)
		require.NotContains(t, strings.Join(slices.Collect(maps.Keys(want)), " "), "mailmove", c.why)
		if c.why != "removed" { // gone before it could be kept: that is an error of its own
			require.ErrorIs(t, err, ErrDrift, c.why)
		}
		require.Error(t, err, c.why)
	}
}

func TestAppearedWhileStaging(t *testing.T) {
	dir, root := host(t, nil)
	hook(t, func(op, name string) error {
		if op == "fsync" {
			return os.WriteFile(filepath.Join(dir, "etc/a"), []byte("of somebody else"), 0o644)
		}
		return nil
	})
	_, err := Apply(t.Context(), root, mine(Change{Name: "etc/a", After: []byte("new")}))
	require.ErrorIs(t, err, ErrDrift)
	require.Equal(t, map[string]string{"etc/a": "of somebody else"}, tree(t, dir))
}

func TestTorn(t *testing.T) {
	for _, c := range []struct {
		found, before, after string
		want                 bool
	}{
		{"newOLDold", "oldOLDold", "newNEWnew", true},
		{"newNEWnew", "oldOLDold", "newNEWnew", true},
		{"new tail", "old tail", "new", true},
		{"newNEW", "old", "newNEW longer", true},
		{"ne", "old", "newNEW longer", false},
		{"newXLDold", "oldOLDold", "newNEWnew", false},
		{"newOLDol", "oldOLDold", "newNEWnew", false},
		{"newNEWx", "old", "newNEW longer", false},
		{"", "old", "new", false},
	} {
		require.Equal(t, c.want, torn([]byte(c.found), []byte(c.before), []byte(c.after)), "%+v", c)
	}
	require.False(t, torn([]byte("old"), []byte("old"), nil))
}
