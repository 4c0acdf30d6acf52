package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const token = "AAAAAAAAAAAAAAAAAAAAAAAAAA"

// What a living process has staged is not touched by another Apply in the same directory.
func TestSweepSparesTheLiving(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/a": "old", "etc/b": "old"})
	nested := false
	hook(t, func(op, name string) error {
		if op != "rename" || nested {
			return nil
		}
		nested = true
		written, err := Apply(t.Context(), root, mine(Change{Name: "etc/b", Before: []byte("old"), After: []byte("new"), Backup: "etc/b-"}))
		require.Equal(t, []string{"etc/b"}, written)
		return err
	})
	written, err := Apply(t.Context(), root, mine(Change{Name: "etc/a", Before: []byte("old"), After: []byte("new"), Backup: "etc/a-"}))
	require.NoError(t, err)
	require.True(t, nested)
	require.Equal(t, []string{"etc/a"}, written)
	require.Equal(t, map[string]string{"etc/a": "new", "etc/a-": "old", "etc/b": "new", "etc/b-": "old"}, tree(t, dir))
}

func TestSweepTakesOnlyOurs(t *testing.T) {
	stay := map[string]string{
		"etc/a":                              "new",
		"etc/.mailmove-" + token:             "no number",
		"etc/.mailmove-SHORT-1":              "short",
		"etc/mailmove-" + token + "-1":       "no dot",
		"etc/.mailmove-" + token + "-1.bak":  "more",
		"etc/passwd+":                        "of shadow-utils",
		"etc/.mailmove-" + token[1:] + "1-2": "no base32",
	}
	dir, root := host(t, stay)
	put(t, dir, tempPath(0), "", 0o600)
	put(t, dir, tempPath(1), "stale", 0)
	put(t, dir, "etc/.mailmove-BBBBBBBBBBBBBBBBBBBBBBBBBB-3", "its marker has gone", 0o600)
	// A directory and a FIFO of that name are of somebody else.
	require.NoError(t, os.Mkdir(filepath.Join(dir, tempPath(7)), 0o700))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, tempPath(8)), 0o600))
	_, err := Apply(t.Context(), root, mine(Change{Name: "etc/a", Before: []byte("old"), After: []byte("new")}))
	require.NoError(t, err)
	stay[tempPath(8)] = "p---------"
	require.Equal(t, stay, tree(t, dir))
	require.DirExists(t, filepath.Join(dir, tempPath(7)))
}

func tempPath(n int) string { return "etc/" + tempName(token, n) }

func TestSweepSparesALockedMarker(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/a": "new", tempPath(0): "", tempPath(1): "in use"})
	f, err := os.Open(filepath.Join(dir, tempPath(0)))
	require.NoError(t, err)
	require.NoError(t, tryLock(f))
	before := tree(t, dir)
	changes := mine(Change{Name: "etc/a", Before: []byte("old"), After: []byte("new")})
	_, err = Apply(t.Context(), root, changes)
	require.NoError(t, err)
	require.Equal(t, before, tree(t, dir))
	require.NoError(t, f.Close())
	_, err = Apply(t.Context(), root, changes)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"etc/a": "new"}, tree(t, dir))
}

// A sweeper that gets at a marker before it is locked makes the run take another one.
func TestMarkerLostBeforeItIsLocked(t *testing.T) {
	dir, root := host(t, map[string]string{"etc/a": "old"})
	swept := 0
	hook(t, func(op, name string) error {
		if op == "chmod" && swept < 3 {
			swept++
			return os.Remove(filepath.Join(dir, name))
		}
		return nil
	})
	_, err := Apply(t.Context(), root, mine(Change{Name: "etc/a", Before: []byte("old"), After: []byte("new")}))
	require.NoError(t, err)
	require.Equal(t, 3, swept)
	require.Equal(t, map[string]string{"etc/a": "new"}, tree(t, dir))
}
