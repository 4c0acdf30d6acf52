package hostcmd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestPlaceWithoutSpace: a directory without space is passed over, and when there is no other the error says so and nothing
// is left.
func TestPlaceWithoutSpace(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	full := func(dir string) {
		t.Helper()
		out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1M", "none", dir).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	place := func() (*Placed, error) { return Host{}.Place(t.Context(), "/proc/self/exe", "-test.list=none") }
	t.Setenv("TMPDIR", "/run/full")
	require.NoError(t, os.Mkdir("/run/full", 0o700))
	full("/run/full")
	for _, dir := range []string{"/var/tmp", "/root"} {
		full(dir)
	}
	_, err := place()
	require.ErrorContains(t, err, "no directory where a program can run, or no space")
	for _, dir := range []string{"/run/full", "/var/tmp", "/root"} {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.NoError(t, exec.Command("mount", "-o", "remount,size=200M", "/var/tmp").Run())
	p, err := place()
	require.NoError(t, err)
	require.Equal(t, "/var/tmp", filepath.Dir(filepath.Dir(p.Path)))
	require.NoError(t, p.Remove())
}

// TestPlaceHangs: whoever gives up while the program's trial run hangs there waits no longer than for the cleaning up.
func TestPlaceHangs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	whole, err := os.Stat(sleep)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var start time.Time
	go func() {
		defer cancel()
		for range 3000 {
			there, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "mailmove-*", "mailmove"))
			if len(there) == 1 {
				if info, err := os.Stat(there[0]); err == nil && info.Size() == whole.Size() {
					break // what comes next is its trial run, and nothing but that can hang
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		start = time.Now()
	}()
	_, err = Host{}.Place(ctx, sleep, "600")
	require.ErrorIs(t, err, context.Canceled)
	<-ctx.Done()
	require.Less(t, time.Since(start), grace+patience+10*time.Second)
	trial, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "mailmove-*", "mailmove"))
	require.NoError(t, err)
	require.Len(t, trial, 1, "the trial run had begun")
}
