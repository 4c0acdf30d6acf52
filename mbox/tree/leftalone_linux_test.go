package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A name that was left alone in a directory that was made anew is told of by every pass.
func TestLeftAloneIsToldAgain(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "h/Maildir/cur/1:2,"), "one")
	for _, name := range []string{"new", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(src, "h/Maildir", name), 0o700))
	}
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	syncOK(t, src, dst, opt)
	require.NoError(t, os.RemoveAll(filepath.Join(dst, "h/Maildir/cur")))
	for range 3 {
		rep, err := Sync(t.Context(), From(src), dst, opt)
		require.NoError(t, err)
		require.Contains(t, problems(rep), "h/Maildir/cur/1:2,: compare: "+errDrift.Error())
	}
}

// A message gets its flags at the target though nobody looks first whether the name is free there: where it is not, nothing
// of somebody else is lost.
func TestFlaggedNameIsTaken(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "h/Maildir/cur/1:2,"), "one")
	write(t, filepath.Join(src, "h/Maildir/cur/2:2,"), "two")
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	syncOK(t, src, dst, opt)
	cur := filepath.Join(dst, "h/Maildir/cur")
	var st unix.Stat_t
	require.NoError(t, unix.Stat(cur, &st))
	write(t, filepath.Join(cur, "1:2,S"), "somebody else's")
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, cur, []unix.Timespec{st.Atim, st.Mtim}, 0))
	for _, n := range []string{"1", "2"} {
		require.NoError(t, os.Rename(filepath.Join(src, "h/Maildir/cur", n+":2,"), filepath.Join(src, "h/Maildir/cur", n+":2,S")))
	}
	for range 2 {
		rep, err := Sync(t.Context(), Dir(src), dst, opt)
		require.NoError(t, err)
		require.Contains(t, problems(rep), "h/Maildir/cur/1:2,S: compare: "+errForeign.Error())
		for name, text := range map[string]string{"1:2,": "one", "1:2,S": "somebody else's", "2:2,S": "two"} {
			b, err := os.ReadFile(filepath.Join(cur, name))
			require.NoError(t, err)
			require.Equal(t, text, string(b))
		}
	}
}
