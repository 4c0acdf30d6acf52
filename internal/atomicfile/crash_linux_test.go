package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The scenario has every kind of change: with a backup over an older one, with a first backup, a new file, a removal, in
// two directories, in the order of a commit.
func scenario() []Change {
	return mine(
		Change{Name: "etc/gshadow", Before: []byte("old gshadow"), After: []byte("new gshadow"), Backup: "etc/gshadow-"},
		Change{Name: "etc/sub/group", Before: []byte("old group"), After: []byte("new group, longer"), Backup: "etc/sub/group-"},
		Change{Name: "etc/fresh", After: []byte("new fresh"), Mode: 0o640},
		Change{Name: "etc/gone", Before: []byte("old gone"), Backup: "etc/gone-"},
		Change{Name: "etc/passwd", Before: []byte("old passwd"), After: []byte("new"), Backup: "etc/passwd-"},
	)
}

func scenarioHost(t *testing.T) (string, *os.Root) {
	// In memory where that is possible: the many fsyncs are slow on a busy disk.
	dir, err := os.MkdirTemp("/dev/shm", "atomicfile")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	_, root := hostIn(t, dir, nil)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etc/sub"), 0o755))
	put(t, dir, "etc/gshadow", "old gshadow", 0o640)
	put(t, dir, "etc/gshadow-", "older gshadow", 0o600)
	put(t, dir, "etc/sub/group", "old group", 0o644)
	put(t, dir, "etc/gone", "old gone", 0o604)
	put(t, dir, "etc/passwd", "old passwd", 0o644)
	put(t, dir, "etc/bystander", "as it is", 0o644)
	return dir, root
}

// Each file with its mode, as it may be before and after. "" means that there is none.
var states = map[string][2]string{
	"etc/gshadow":    {"0640 old gshadow", "0640 new gshadow"},
	"etc/gshadow-":   {"0600 older gshadow", "0640 old gshadow"},
	"etc/sub/group":  {"0644 old group", "0644 new group, longer"},
	"etc/sub/group-": {"", "0644 old group"},
	"etc/fresh":      {"", "0640 new fresh"},
	"etc/gone":       {"0604 old gone", ""},
	"etc/gone-":      {"", "0604 old gone"},
	"etc/passwd":     {"0644 old passwd", "0644 new"},
	"etc/passwd-":    {"", "0644 old passwd"},
	"etc/bystander":  {"0644 as it is", "0644 as it is"},
}

func state(which int) map[string]string {
	out := map[string]string{}
	for name, s := range states {
		if s[which] != "" {
			out[name] = s[which]
		}
	}
	return out
}

// withModes gives the files with their modes, and the names of staged ones apart.
func withModes(t *testing.T, dir string) (files map[string]string, temps []string) {
	t.Helper()
	files = map[string]string{}
	for name, content := range tree(t, dir) {
		if tempPattern.MatchString(filepath.Base(name)) {
			temps = append(temps, name)
			continue
		}
		files[name] = fmt.Sprintf("%04o %s", lstat(t, filepath.Join(dir, name)).Mode&0o7777, content)
	}
	return files, temps
}

const crashVar = "ATOMICFILE_TEST_CRASH"

// TestMain is the victim when it is told where to die.
func TestMain(m *testing.M) {
	dir, n, victim := strings.Cut(os.Getenv(crashVar), "|")
	if !victim {
		os.Exit(m.Run())
	}
	at, err := strconv.Atoi(n)
	if err != nil {
		panic(err)
	}
	calls := 0
	step = func(op, name string) error {
		if calls++; calls == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		changes := scenario()
		if os.Getenv(crashVar+"_HOSTS") != "" {
			changes = hostsChange()
		}
		_, err = Apply(context.Background(), root, changes)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crash applies in a process that dies before system call n, and tells whether there was one.
func crash(t *testing.T, dir string, n int, more ...string) (died bool) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), more...), fmt.Sprintf("%s=%s|%d", crashVar, dir, n))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit))
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), string(out))
	return true
}

func TestKilledAnywhere(t *testing.T) {
	n, mixed, littered := 1, 0, 0
	for ; ; n++ {
		dir, root := scenarioHost(t)
		if !crash(t, dir, n) {
			break
		}
		files, temps := withModes(t, dir)
		olds, news := 0, 0
		for name, s := range states {
			require.Contains(t, s[:], files[name], "%s after death %d", name, n)
			switch {
			case strings.HasSuffix(name, "-") || s[0] == s[1]:
			case files[name] == s[0]:
				olds++
			default:
				news++
			}
		}
		if files["etc/passwd"] == states["etc/passwd"][1] {
			require.Zero(t, olds, "the last is new only when all are")
		}
		if olds > 0 && news > 0 {
			mixed++
		}
		littered += len(temps)
		_, err := Apply(t.Context(), root, scenario())
		require.NoError(t, err, "again after death %d", n)
		files, temps = withModes(t, dir)
		require.Equal(t, state(1), files, "again after death %d", n)
		require.Empty(t, temps, "again after death %d", n)
	}
	require.Greater(t, n, 60, "the scenario has more system calls than that")
	require.Greater(t, mixed, 3, "some died between two renames")
	require.Greater(t, littered, 50)
}

// A second process that dies while it clears up after the first leaves a third one nothing to trip over.
func TestKilledTwice(t *testing.T) {
	for first := 20; ; first += 29 {
		dir, root := scenarioHost(t)
		if !crash(t, dir, first) {
			break
		}
		for second := 1; crash(t, dir, second) && second < 100; second += 17 {
			files, _ := withModes(t, dir)
			for name, s := range states {
				require.Contains(t, s[:], files[name], "%s after deaths %d and %d", name, first, second)
			}
		}
		_, err := Apply(t.Context(), root, scenario())
		require.NoError(t, err)
		files, temps := withModes(t, dir)
		require.Equal(t, state(1), files)
		require.Empty(t, temps)
	}
}

// Every system call that can fail does: nothing changes, or all is done and only the tidying went wrong.
func TestFailingAnywhere(t *testing.T) {
	failing := map[string]int{}
	for n := 1; ; n++ {
		dir, root := scenarioHost(t)
		calls, op := 0, ""
		step = func(o, _ string) error {
			if calls++; calls == n {
				op = o
				return unix.EIO
			}
			return nil
		}
		written, err := Apply(t.Context(), root, scenario())
		step = nil
		if op == "" {
			require.NoError(t, err)
			break
		}
		failing[op]++
		files, temps := withModes(t, dir)
		switch op {
		case "link": // copied instead
			require.NoError(t, err)
		case "remove":
			if err != nil && written == nil { // the removal of etc/gone
				require.ErrorContains(t, err, "remove etc/gone: input/output error; all files are as before")
				require.Equal(t, state(0), files)
				continue
			}
			require.ErrorIs(t, err, unix.EIO)
			require.Len(t, written, 5)
			require.Equal(t, state(1), files)
			require.LessOrEqual(t, len(temps), 1)
			continue
		case "fsync":
			if written != nil { // of a directory, at the end
				require.ErrorIs(t, err, unix.EIO)
				require.Equal(t, state(1), files)
				failing["fsync of a directory"]++
				break
			}
			fallthrough
		default:
			require.ErrorIs(t, err, unix.EIO, op)
			require.Empty(t, written, op)
			require.Equal(t, state(0), files, op)
		}
		require.Empty(t, temps, op)
	}
	for _, op := range []string{"create", "write", "chown", "setxattr", "chmod", "chtimes", "fsync", "close", "link", "rename", "remove"} {
		require.Positive(t, failing[op], op)
	}
	require.Equal(t, 2, failing["fsync of a directory"])
}

// The k-th rename fails: the earlier ones are put back, with the very files that were there before.
func TestFailingRename(t *testing.T) {
	for k := 1; ; k++ {
		dir, root := scenarioHost(t)
		inode := lstat(t, filepath.Join(dir, "etc/gshadow")).Ino
		renames, failed := 0, ""
		hook(t, func(op, name string) error {
			if op != "rename" {
				return nil
			}
			if renames++; renames == k {
				failed = name
				return unix.EIO
			}
			return nil
		})
		written, err := Apply(t.Context(), root, scenario())
		if failed == "" {
			require.NoError(t, err)
			require.Equal(t, 9, k, "four targets and four backups are renamed")
			break
		}
		require.EqualError(t, err, "rename "+failed+": input/output error; all files are as before")
		require.Empty(t, written)
		files, temps := withModes(t, dir)
		require.Equal(t, state(0), files)
		require.Empty(t, temps)
		require.Equal(t, inode, lstat(t, filepath.Join(dir, "etc/gshadow")).Ino)
	}
}

// When putting back fails too, the error and the list say what is left, and the backup of that file stays.
func TestFailingRollback(t *testing.T) {
	dir, root := scenarioHost(t)
	hook(t, func(op, name string) error {
		if seen, _ := os.ReadFile(filepath.Join(dir, "etc/sub/group")); op == "rename" && (name == "etc/passwd" || name == "etc/sub/group" && strings.HasPrefix(string(seen), "new")) {
			return unix.EIO
		}
		return nil
	})
	written, err := Apply(t.Context(), root, scenario())
	require.EqualError(t, err, "rename etc/passwd: input/output error; these are not as before: etc/sub/group: "+
		"rename etc/sub/group: input/output error")
	require.Equal(t, []string{"etc/sub/group"}, written)
	want := maps.Clone(state(0))
	want["etc/sub/group"], want["etc/sub/group-"] = states["etc/sub/group"][1], states["etc/sub/group-"][1]
	files, temps := withModes(t, dir)
	require.Equal(t, want, files)
	require.Empty(t, temps)

	hook(t, nil)
	_, err = Apply(t.Context(), root, scenario())
	require.NoError(t, err)
	files, _ = withModes(t, dir)
	require.Equal(t, state(1), files)
}
