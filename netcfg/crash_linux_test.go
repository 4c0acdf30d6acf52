package netcfg

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	_ "unsafe" // for the hook

	"github.com/stretchr/testify/require"
)

// atomicStep is the hook of atomicfile that is called before each system call which changes something.
//
//go:linkname atomicStep github.com/mailmove/mailmove/internal/atomicfile.step
var atomicStep func(op, name string) error

const stepVar = "NETCFG_TEST_STEP"

// stepOrder is that of a child which dies before its n-th system call that changes something.
type stepOrder struct {
	Root, Revert string
	Plan         *Plan
	At           int
}

func (o stepOrder) obey(t *testing.T) {
	n := 0
	atomicStep = func(string, string) error {
		if n++; n == o.At {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	if o.Revert != "" {
		require.NoError(t, Revert(t.Context(), o.Root, o.Revert))
		return
	}
	_, err := o.Plan.Apply(t.Context(), o.Root)
	require.NoError(t, err)
}

// dies tells whether the child came to its end before the work did.
func (o stepOrder) dies(t *testing.T) bool {
	text, err := json.Marshal(o)
	require.NoError(t, err)
	cmd := child(t, stepVar, string(text))
	out, err := cmd.CombinedOutput()
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return true
	}
	require.NoError(t, err, "%s", out)
	return false
}

// TestKilledAtEveryStep kills Apply, and then Revert, before each of their system calls that change something: each file is
// old or new then, and the same call completes the work.
func TestKilledAtEveryStep(t *testing.T) {
	if text := os.Getenv(stepVar); text != "" {
		var o stepOrder
		require.NoError(t, json.Unmarshal([]byte(text), &o))
		o.obey(t)
		return
	}
	every := 1
	if testing.Short() {
		every = 7
	}
	old, h := oldHost(), newHost()
	old.Files[scriptsDir+"route-eth0"] = []byte("198.51.100.0/24 via 192.0.2.7\n")
	p := TakeOver(old, h, onto)
	require.Len(t, p.Files, 3)
	root := inMemory(t)
	writeTree(t, root, h)
	require.NoError(t, os.Chmod(filepath.Join(root, newFile), 0o600))
	before := shape(t, root)
	r, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	after := shape(t, root)
	require.NoError(t, Revert(t.Context(), root, r.Backup))

	partly, steps := 0, 0
	for at := 1; (stepOrder{Root: root, Plan: p, At: at}).dies(t); at += every {
		steps++
		if n := requireOldOrNew(t, root, p, before, after, false); n > 0 && n < len(p.Files) {
			partly++
		}
		_, err := p.Apply(t.Context(), root)
		require.NoError(t, err)
		require.NoError(t, p.Verify(t.Context(), root))
		require.NoError(t, Revert(t.Context(), root, r.Backup))
		require.Zero(t, requireOldOrNew(t, root, p, before, after, true))
	}
	require.NoError(t, p.Verify(t.Context(), root), "the last child was not killed")
	if every == 1 {
		require.Greater(t, steps, 30)
		require.Positive(t, partly)
	}
	undone := 0
	for at := 1; (stepOrder{Root: root, Revert: r.Backup, At: at}).dies(t); at += every {
		undone++
		requireOldOrNew(t, root, p, before, after, true)
		require.NoError(t, Revert(t.Context(), root, r.Backup))
		require.Zero(t, requireOldOrNew(t, root, p, before, after, true))
		_, err := p.Apply(t.Context(), root)
		require.NoError(t, err)
	}
	for _, name := range []string{"etc", strings.TrimSuffix(scriptsDir, "/")} {
		hidden, err := filepath.Glob(filepath.Join(root, name, ".*"))
		require.NoError(t, err)
		require.Empty(t, hidden, "what was staged is gone")
	}
	t.Logf("killed at %d steps of Apply, %d with some files new and some old, and at %d of Revert", steps, partly, undone)
}
