package tree

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
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
		out, err := c.StdoutPipe()
		if err != nil {
			return nil, err
		}
		return process{out, c}, c.Start()
	}}
}

type process struct {
	io.ReadCloser
	c *exec.Cmd
}

func (p process) Close() error {
	_, _ = io.Copy(io.Discard, p.ReadCloser)
	return p.c.Wait()
}
