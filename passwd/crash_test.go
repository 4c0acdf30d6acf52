//go:build linux

package passwd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/oracle"
)

// crashPlan is the plan that parent and child of the crash test both make.
func crashPlan() (*Plan, further) {
	old, new := labHosts()
	p := Merge(old, new, nil)
	return p, secrets(p)
}

// TestMain lets the test binary be the child that is killed while it applies a plan, or one that holds the lock of
// lckpwdf(3) until its input ends.
func TestMain(m *testing.M) {
	if file := os.Getenv("PASSWD_TEST_HOLD"); file != "" {
		hold(file)
	}
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

// TestLitterOfAKillAtTheEnd has all files new and the rest of a killed process beside them.
func TestLitterOfAKillAtTheEnd(t *testing.T) {
	_, new := labHosts()
	p, more := crashPlan()
	root := rootOf(t, new)
	receipt, err := p.Apply(context.Background(), root, more)
	require.NoError(t, err)
	clean := tree(t, root)
	gone := exec.Command(os.Args[0], "-test.run=^$")
	require.NoError(t, gone.Run())
	for name, text := range map[string]string{
		".mailmove-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0": "", ".mailmove-ABCDEFGHIJKLMNOPQRSTUVWXYZ-3": shadowText,
		"passwd.lock": strconv.Itoa(gone.Process.Pid) + "\x00", "shadow.lock": strconv.Itoa(gone.Process.Pid) + "\x00",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o600))
	}
	again, err := p.Apply(context.Background(), root, more)
	require.NoError(t, err)
	require.Equal(t, receipt, again)
	require.Equal(t, clean, tree(t, root))
}

// TestReceiptBesideAnError lets the removal of a lock file fail after the files have become new.
func TestReceiptBesideAnError(t *testing.T) {
	oracle.Root(t)
	_, new := labHosts()
	p, more := crashPlan()
	root := rootOf(t, new)
	changes, err := p.changes([]Edits{more})
	require.NoError(t, err)
	lock := filepath.Join(root, "etc/passwd.lock")
	stands, err := commit(context.Background(), root, 0, func(*os.Root) ([]atomicfile.Change, error) {
		err := unix.Mount(lock, lock, "", unix.MS_BIND, "")
		if errors.Is(err, unix.EPERM) {
			t.Skip("may not mount here")
		}
		require.NoError(t, err, "the files are read under the lock")
		return changes, nil
	})
	require.NoError(t, unix.Unmount(lock, 0))
	require.ErrorIs(t, err, unix.EBUSY)
	require.True(t, stands)
	require.NoError(t, p.Verify(context.Background(), root))
	stands, err = commit(context.Background(), root, 0, func(*os.Root) ([]atomicfile.Change, error) {
		changes[0].Before, changes[0].After = nil, []byte("x")
		return changes, nil
	})
	require.ErrorIs(t, err, ErrDrift)
	require.False(t, stands)
}
