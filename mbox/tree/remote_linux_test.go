package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// From is the source of nearly all tests: a directory of this host or, with TREE_SOURCE=plain or helper in the environment,
// the same directory as another host's.
func From(dir string) Source {
	switch os.Getenv("TREE_SOURCE") {
	case "plain":
		return here(dir)
	case "helper":
		r := here(dir)
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		r.Helper = []string{"env", "TREE_SERVE=1", self}
		return r
	case "":
		return Dir(dir)
	}
	panic("TREE_SOURCE: want plain or helper")
}

// NotFrom leaves out what a test shows that this kind of source does not promise.
func NotFrom(t testing.TB, kind, why string) {
	t.Helper()
	if os.Getenv("TREE_SOURCE") == kind {
		t.Skip(kind + ": " + why)
	}
}

// here is a Remote whose other host is this one.
func here(root string) *Remote {
	return &Remote{Root: root, Start: func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		c := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
		c.Stdin = stdin
		var said bytes.Buffer
		c.Stderr = &said
		out, err := c.StdoutPipe()
		if err != nil {
			return nil, err
		}
		return process{out, c, &said}, c.Start()
	}}
}

type process struct {
	io.ReadCloser
	c    *exec.Cmd
	said *bytes.Buffer
}

func (p process) Close() error {
	_, _ = io.Copy(io.Discard, p.ReadCloser)
	if err := p.c.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.said)
	}
	return nil
}

// TestVerifyAsksForManySumsAtOnce: one round trip for each file would take hours.
func TestVerifyAsksForManySumsAtOnce(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for _, name := range []string{"a/1", "a/2", "a/b/3", "a/b/c/4", "d/5", "6", "new\nline/7"} {
		for _, root := range []string{src, dst} {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(name), 0o644))
		}
	}
	for _, name := range []string{".", "a", "a/b", "a/b/c", "d", "new\nline", "a/1", "a/2", "a/b/3", "a/b/c/4", "d/5", "6", "new\nline/7"} {
		for _, root := range []string{src, dst} {
			require.NoError(t, os.Chtimes(filepath.Join(root, name), time.Unix(1e9, 0), time.Unix(1e9, 0)))
		}
	}
	r, asked := here(src), 0
	start := r.Start
	r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		if script == sumScript {
			asked++
		}
		return start(ctx, stdin, script, args...)
	}
	rep, err := Verify(t.Context(), r, dst, nil, ByHash)
	require.NoError(t, err)
	require.Zero(t, rep.Mismatched, rep)
	require.LessOrEqual(t, asked, 2)
	require.NoError(t, os.WriteFile(filepath.Join(dst, "a/b/3"), []byte("a/b/X"), 0o644))
	require.NoError(t, os.Chtimes(filepath.Join(dst, "a/b/3"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	rep, err = Verify(t.Context(), r, dst, nil, ByHash)
	require.NoError(t, err)
	require.EqualValues(t, 1, rep.Mismatched, rep)
}
