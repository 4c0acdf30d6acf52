//go:build linux || darwin

package mbox

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFIFOsDoNotBlock(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	aMaildir(t, filepath.Join(dir, "Maildir"), "", "cur/1.a:2,")
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "Maildir", uidlistName), 0o600))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "Maildir", "cur", "2.b:2,"), 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	kind, err := Detect(root, "fifo")
	require.NoError(t, err)
	require.Equal(t, None, kind)
	for _, name := range []string{"fifo", "Maildir"} {
		for _, err := range Identities(context.Background(), root, name, nil) {
			require.ErrorIs(t, err, errNotRegular)
		}
	}
}
