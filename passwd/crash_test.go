//go:build linux

package passwd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// crashPlan is the plan that parent and child of the crash test both make.
func crashPlan() (*Plan, further) {
	old, new := labHosts()
	p := Merge(old, new, nil)
	return p, secrets(p)
}

// TestMain lets the test binary be the child that is killed while it applies a plan.
func TestMain(m *testing.M) {
	if root := os.Getenv("PASSWD_TEST_APPLY"); root != "" {
		p, more := crashPlan()
		if _, err := p.Apply(context.Background(), root, more); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledApply kills a process at the moment when one of the files is seen to change. Whatever is left is a prefix
// of the order of the renames, and the next Apply completes it.
func TestKilledApply(t *testing.T) {
	_, new := labHosts()
	p, more := crashPlan()
	changes, err := p.changes([]Edits{more})
	require.NoError(t, err)
	require.Len(t, changes, 4)
	for round := range 12 {
		root := rootOf(t, new)
		watched := filepath.Join(root, changes[round%len(changes)].Name)
		was, err := os.Stat(watched)
		require.NoError(t, err)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "PASSWD_TEST_APPLY="+root)
		require.NoError(t, child.Start())
		dead := make(chan struct{})
		go func() { _ = child.Wait(); close(dead) }()
		for alive := true; alive; {
			select {
			case <-dead:
				alive = false
			default:
				if now, err := os.Stat(watched); err == nil && !os.SameFile(was, now) {
					if err := child.Process.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
						require.NoError(t, err)
					}
					alive = false
				}
			}
		}
		<-dead
		requirePrefix(t, root, p, more)
		_, err = p.Apply(context.Background(), root, more)
		require.NoError(t, err)
		require.NoError(t, p.Verify(context.Background(), root))
	}
}

// requirePrefix says that each file is old or new, and none is new before one that comes earlier in the order.
func requirePrefix(t *testing.T, root string, p *Plan, more further) {
	t.Helper()
	changes, err := p.changes([]Edits{more})
	require.NoError(t, err)
	var states []int
	for _, c := range changes {
		switch read(t, root, c.Name) {
		case string(c.After):
			states = append(states, 0)
		case string(c.Before):
			states = append(states, 1)
		default:
			t.Fatalf("%s is neither old nor new", c.Name)
		}
	}
	require.True(t, slices.IsSorted(states), "%v", states)
}

// TestEveryPrefixIsCompleted makes each state that a crash between two renames can leave.
func TestEveryPrefixIsCompleted(t *testing.T) {
	_, new := labHosts()
	p, more := crashPlan()
	changes, err := p.changes([]Edits{more})
	require.NoError(t, err)
	for n := range len(changes) + 1 {
		root := rootOf(t, new)
		for _, c := range changes[:n] {
			require.NoError(t, os.WriteFile(filepath.Join(root, c.Name), c.After, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(root, c.Backup), c.Before, 0o644))
		}
		receipt, err := p.Apply(context.Background(), root, more)
		require.NoError(t, err)
		require.NoError(t, p.Verify(context.Background(), root))
		require.Len(t, receipt.Files, len(changes))
		require.NoError(t, Revert(context.Background(), root, receipt), "what an earlier call wrote is undone too")
		for _, c := range changes {
			require.Equal(t, string(c.Before), read(t, root, c.Name))
		}
	}
}
