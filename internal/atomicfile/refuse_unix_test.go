//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// odd makes, beside etc/real, one thing of every kind that is not a regular file.
func odd(t *testing.T) (string, *os.Root) {
	t.Helper()
	dir, root := host(t, map[string]string{"etc/real": "old"})
	etc := filepath.Join(dir, "etc")
	require.NoError(t, os.Symlink("real", filepath.Join(etc, "link")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(etc, "outside")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(etc, "dangling")))
	require.NoError(t, os.Mkdir(filepath.Join(etc, "directory"), 0o755))
	require.NoError(t, syscall.Mkfifo(filepath.Join(etc, "fifo"), 0o644))
	return dir, root
}

var oddities = map[string]string{
	"etc/link":      "open etc/link: is a symbolic link, wanted a regular file",
	"etc/outside":   "open etc/outside: is a symbolic link, wanted a regular file",
	"etc/dangling":  "open etc/dangling: is a symbolic link, wanted a regular file",
	"etc/directory": "open etc/directory: is a directory, wanted a regular file",
	"etc/fifo":      "open etc/fifo: is a FIFO, wanted a regular file",
}

func TestReadRefusesWhatIsNoRegularFile(t *testing.T) {
	_, root := odd(t)
	for name, want := range oddities {
		_, err := Read(root, name)
		require.EqualError(t, err, want)
		require.IsType(t, new(fs.PathError), err)
	}
}

func TestApplyRefusesWhatIsNoRegularFile(t *testing.T) {
	dir, root := odd(t)
	before := tree(t, dir)
	for name, want := range oddities {
		for _, data := range [][]byte{nil, []byte("old")} {
			_, err := Apply(t.Context(), root, mine(Change{Name: name, Before: data, After: []byte("new"), InPlace: true}))
			require.EqualError(t, err, want)
		}
		_, err := Apply(t.Context(), root, mine(Change{Name: name, Before: []byte("old")}))
		require.EqualError(t, err, want, "removal")
		_, err = Apply(t.Context(), root, mine(Change{Name: "etc/real", Before: []byte("old"), After: []byte("new"), Backup: name}))
		require.EqualError(t, err, want, "as a backup")
	}
	require.Equal(t, before, tree(t, dir))
}

// A directory may be a link inside of the root, as /etc/network is on some hosts, but it never leads out of it.
func TestLinkedDirectory(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/real": "old"})
	require.NoError(t, os.Symlink("etc", filepath.Join(dir, "conf")))
	require.NoError(t, os.Symlink("/tmp", filepath.Join(dir, "out")))
	_, err := Apply(t.Context(), root, mine(
		Change{Name: "etc/real", Before: []byte("old"), After: []byte("new")},
		Change{Name: "conf/real", Before: []byte("old"), After: []byte("newer")}))
	require.ErrorContains(t, err, "conf/real: named twice", "two paths, one file")
	written, err := Apply(t.Context(), root, mine(Change{Name: "conf/real", Before: []byte("old"), After: []byte("new"), Backup: "etc/real-"}))
	require.NoError(t, err)
	require.Equal(t, []string{"conf/real"}, written)
	_, err = Apply(t.Context(), root, mine(Change{Name: "out/mailmove-test", After: []byte("new")}))
	require.Error(t, err)
	require.NoFileExists(t, "/tmp/mailmove-test")
}

func TestRead(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/real": "old", "etc/empty": "", "top": "level"})
	s, err := Read(root, "etc/real")
	require.NoError(t, err)
	require.Equal(t, "old", string(s.Data))
	require.Equal(t, fs.FileMode(0o644), s.Info.Mode())
	s, err = Read(root, "etc/empty")
	require.NoError(t, err)
	require.NotNil(t, s.Data, "an empty file is not a missing one")
	require.Empty(t, s.Data)
	s, err = Read(root, "top")
	require.NoError(t, err)
	require.Equal(t, "level", string(s.Data))
	for _, name := range []string{"etc/none", "none/none", "etc/real/none"} {
		_, err = Read(root, name)
		require.Error(t, err)
		require.Contains(t, err.Error(), name)
	}
	_, err = Read(root, "none/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Read(root, "../"+filepath.Base(dir)+"/top")
	require.ErrorIs(t, err, fs.ErrInvalid)
}

// A root may be opened from a link, as /proc/PID/root is one.
func TestRootThroughALink(t *testing.T) {
	dir, _ := host(t, map[string]string{"etc/real": "old"})
	link := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Symlink(dir, link))
	root, err := os.OpenRoot(link)
	require.NoError(t, err)
	defer root.Close()
	_, err = Apply(t.Context(), root, mine(Change{Name: "etc/real", Before: []byte("old"), After: []byte("new")}))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"etc/real": "new"}, tree(t, dir))
}
