package hostcmd

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWiden: a pipe gets larger, and stays what it was to Go; anything else is left alone.
func TestWiden(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	widen(r)
	size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
	require.NoError(t, err)
	if size < pipeSize {
		t.Skip("this user has too many pages in pipes (pipe-user-pages-soft in proc(5))")
	}
	require.Equal(t, pipeSize, size)
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	widen(f)
	widen(strings.NewReader(""))
	widen(nil)
}
