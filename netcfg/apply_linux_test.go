package netcfg

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// child runs one test of this program again, in a process of its own, with a variable that tells it what to do.
func child(t *testing.T, variable, value string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+value)
	return cmd
}

const killVar = "NETCFG_TEST_KILL"

// order is that of a child which is to be killed.
type order struct {
	Root   string
	Revert string // the backup to go back to; "" = apply
	Plan   *Plan
	After  time.Duration
}

// obey carries an order out, with the process dying somewhere on the way.
func obey(t *testing.T, text string) {
	var o order
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	time.AfterFunc(o.After, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	if o.Revert != "" {
		require.NoError(t, Revert(t.Context(), o.Root, o.Revert))
		return
	}
	_, err := o.Plan.Apply(t.Context(), o.Root)
	require.NoError(t, err)
}

// die lets a child carry out an order and tells whether it was killed.
func die(t *testing.T, o order) bool {
	text, err := json.Marshal(o)
	require.NoError(t, err)
	cmd := child(t, killVar, string(text))
	out, err := cmd.CombinedOutput()
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return true
	}
	require.NoError(t, err, "%s", out)
	return false
}

var started = regexp.MustCompile(`^(ifcfg|route6?|rule6?)-`)

// requireOldOrNew holds that each file of the plan is wholly old or wholly new, later ones not before earlier ones, that
// all else is as it was, and that no daemon finds a file that it would start. It gives the number of new ones.
func requireOldOrNew(t *testing.T, root string, p *Plan, old, new map[string]string, backwards bool) int {
	got := shape(t, root)
	n := 0
	for _, f := range p.Files {
		switch got[f.Path] {
		case new[f.Path]:
			n++
		default:
			require.Equal(t, old[f.Path], got[f.Path], f.Path)
		}
	}
	for name, want := range old {
		if after, planned := new[name]; !planned || after == want {
			require.Equal(t, want, got[name], name)
		}
	}
	for name := range got {
		if base := path.Base(name); path.Dir(name)+"/" == scriptsDir && started.MatchString(base) {
			require.True(t, old[name] != "" || new[name] != "", "a daemon would start %s", name)
		}
	}
	if last := p.Files[len(p.Files)-1].Path; !backwards && got[last] == new[last] {
		require.Equal(t, len(p.Files), n, "the interface comes last")
	}
	return n
}

// TestKilled kills Apply and Revert at random moments: each file is old or new then, and the same call again completes
// the work.
func TestKilled(t *testing.T) {
	if text := os.Getenv(killVar); text != "" {
		obey(t, text)
		return
	}
	rounds := 12 // TestKilledAtEveryStep is the thorough one
	if testing.Short() {
		rounds = 8
	}
	old, h := oldHost(), newHost()
	for _, kind := range []string{"route-", "route6-", "rule-", "rule6-"} {
		old.Files[scriptsDir+kind+"eth0"] = []byte(strings.Repeat("# of the old host\n", 200))
	}
	p := TakeOver(old, h, onto)
	require.Len(t, p.Files, 6)
	root := inMemory(t)
	writeTree(t, root, h)
	require.NoError(t, os.Chmod(filepath.Join(root, newFile), 0o600))
	before := shape(t, root)
	begin := time.Now()
	r, err := p.Apply(t.Context(), root)
	require.NoError(t, err)
	took := time.Since(begin)
	after := shape(t, root)
	require.NoError(t, Revert(t.Context(), root, r.Backup))

	random := rand.New(rand.NewPCG(4, 9))
	killed, partly := 0, 0
	for round := range rounds {
		delay := time.Duration(random.Int64N(int64(3 * took / 2)))
		if round == 0 {
			delay = 0
		}
		if die(t, order{Root: root, Plan: p, After: delay}) {
			killed++
		}
		if n := requireOldOrNew(t, root, p, before, after, false); n > 0 && n < len(p.Files) {
			partly++
		}
		again := p
		if round%2 == 1 { // plan anew from what there is
			now, err := ReadHost(root)
			require.NoError(t, err)
			now.Hostname = h.Hostname
			again = TakeOver(old, now, onto)
		}
		_, err := again.Apply(t.Context(), root)
		require.NoError(t, err)
		require.NoError(t, p.Verify(t.Context(), root))
		require.Equal(t, len(p.Files), requireOldOrNew(t, root, p, before, after, false))

		if die(t, order{Root: root, Revert: r.Backup, After: delay / 2}) {
			killed++
		}
		requireOldOrNew(t, root, p, before, after, true)
		require.NoError(t, Revert(t.Context(), root, r.Backup))
		require.Zero(t, requireOldOrNew(t, root, p, before, after, true))
		for _, name := range []string{"etc", strings.TrimSuffix(scriptsDir, "/")} {
			hidden, err := filepath.Glob(filepath.Join(root, name, ".*"))
			require.NoError(t, err)
			require.Empty(t, hidden, "what was staged is gone")
		}
	}
	t.Logf("%d of %d killed, %d with some files new and some old", killed, 2*rounds, partly)
	require.Positive(t, killed)
}

const mountVar = "NETCFG_TEST_MOUNT"

// TestBindMountedHosts has etc/hosts as a container has it: a file mounted there, over which nothing can be renamed.
func TestBindMountedHosts(t *testing.T) {
	oracle.Root(t)
	if dir := os.Getenv(mountVar); dir != "" {
		takeOverMounted(t, dir)
		return
	}
	dir := t.TempDir()
	writeTree(t, dir, newHost())
	real := filepath.Join(dir, "hosts of the container")
	require.NoError(t, os.WriteFile(real, []byte(newHostsText), 0o640))
	info, err := os.Stat(real)
	require.NoError(t, err)
	cmd := child(t, mountVar, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("no mount namespace here: %v", err)
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestBindMountedHosts")

	p := TakeOver(oldHost(), newHost(), onto)
	src, err := os.ReadFile(real)
	require.NoError(t, err)
	require.Equal(t, p.after(hostsPath), string(src))
	now, err := os.Stat(real)
	require.NoError(t, err)
	require.True(t, os.SameFile(info, now))
	require.Equal(t, fs.FileMode(0o640), now.Mode())
	src, err = os.ReadFile(filepath.Join(dir, hostsPath))
	require.NoError(t, err)
	require.Equal(t, newHostsText, string(src), "what is below the mount")
}

// takeOverMounted mounts the file, applies, goes back and applies again.
func takeOverMounted(t *testing.T, dir string) {
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	hosts := filepath.Join(dir, hostsPath)
	require.NoError(t, unix.Mount(filepath.Join(dir, "hosts of the container"), hosts, "", unix.MS_BIND, ""))
	spare := filepath.Join(dir, "spare")
	require.NoError(t, os.WriteFile(spare, nil, 0o644))
	require.ErrorIs(t, os.Rename(spare, hosts), syscall.EBUSY)

	p := TakeOver(oldHost(), newHost(), onto)
	r, err := p.Apply(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, []string{hostsPath, newFile}, r.Written)
	require.NoError(t, p.Verify(t.Context(), dir))
	require.NoError(t, Revert(t.Context(), dir, r.Backup))
	require.Equal(t, "-rw-r----- "+newHostsText, shape(t, dir)[hostsPath])

	// a crash in the middle of the rewriting leaves the beginning of the new text before the rest of the old one
	torn := append([]byte(p.after(hostsPath))[:40], newHostsText[40:]...)
	require.NoError(t, os.WriteFile(hosts, torn, 0o640))
	_, err = p.Apply(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, p.Verify(t.Context(), dir))
}
