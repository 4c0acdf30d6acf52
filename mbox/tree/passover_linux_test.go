package tree

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rewrite writes a file again in place, as an editor of the shell does.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// A directory of any user's that happens to be called new or cur is none of messages: its files are written again, and it has
// directories.
func TestOnlyMaildirsArePassedOver(t *testing.T) {
	src, dst := roots(t)
	inFolders(t, src, 2, 3)
	files := []string{"home/alice/www/new/index.html", "home/alice/www/new/sub/deep/a", "home/alice/cur/x", "home/alice/Maildir/.f0/cur/sub/y"}
	for _, f := range files {
		write(t, filepath.Join(src, f), "old text")
	}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true, Canaries: -1}
	pass := func() *Report {
		t.Helper()
		rep, err := Sync(t.Context(), From(src), dst, opt)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		return rep
	}
	pass()
	time.Sleep(racySlack)
	pass()
	require.Positive(t, pass().TrustedDirs)
	for _, f := range files {
		rewrite(t, filepath.Join(src, f), "new text")
	}
	require.EqualValues(t, len(files), pass().CopiedFiles)
	sameTrees(t, src, dst, nil)
	require.NoError(t, os.Remove(filepath.Join(src, files[1])))
	require.NoError(t, os.RemoveAll(filepath.Join(src, files[3])))
	require.EqualValues(t, 2, pass().Deleted)
	sameTrees(t, src, dst, nil)
}

// find tells the names of a directory of messages only where the directory is not as the last pass knows it.
func TestPlainPassesOverMaildirs(t *testing.T) {
	src, dst := roots(t)
	cur := inFolders(t, src, 6, 50)
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true, Canaries: -1}
	pass := func() (*Report, int, int64) {
		t.Helper()
		r, starts, came := here(src), 0, int64(0)
		start := r.Start
		r.Start = func(ctx context.Context, in io.Reader, script string, args ...string) (io.ReadCloser, error) {
			starts++
			out, err := start(ctx, in, script, args...)
			return &weighed{out, &came}, err
		}
		rep, err := Sync(t.Context(), r, dst, opt)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		return rep, starts, came
	}
	_, _, whole := pass()
	time.Sleep(racySlack)
	pass()
	rep, starts, came := pass()
	require.Equal(t, 1, starts)
	require.Less(t, came, whole/5)
	require.EqualValues(t, 6*50, rep.Unchanged)
	require.NoError(t, os.Rename(filepath.Join(cur[1], "1.M1.h:2,"), filepath.Join(cur[1], "1.M1.h:2,S")))
	require.NoError(t, os.Rename(filepath.Join(cur[2], "1.M1.h:2,"), filepath.Join(cur[2], "../new/1.M1.h")))
	require.NoError(t, os.Remove(filepath.Join(cur[3], "1.M1.h:2,")))
	write(t, filepath.Join(cur[4], "../new/2000.M1.h"), "new")
	rep, starts, _ = pass()
	require.Equal(t, []int64{2, 1, 1}, []int64{rep.Renamed, rep.Deleted, rep.CopiedFiles})
	require.LessOrEqual(t, starts, 6)
	sameTrees(t, src, dst, nil)

	opt.Canaries = 50
	rewrite(t, filepath.Join(cur[5], "7.M7.h:2,"), "MESSAGE 57")
	rep, _, _ = pass()
	require.NotEmpty(t, rep.Full)
	require.EqualValues(t, 1, rep.CopiedFiles)
	sameTrees(t, src, dst, nil)
}

// weighed counts what comes.
type weighed struct {
	io.ReadCloser
	n *int64
}

func (w *weighed) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	*w.n += int64(n)
	return n, err
}
