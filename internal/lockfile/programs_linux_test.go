package lockfile

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// holder is another process that holds a classic record lock, as lckpwdf(3) and mail programs do.
func holder(t *testing.T, path, how string) (pid int, release func()) {
	t.Helper()
	cmd := exec.Command(oracle.Need(t, "python3"), "-c", `
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(fd, getattr(fcntl, sys.argv[2]) | fcntl.LOCK_NB)
print(os.getpid(), flush=True)
sys.stdin.read()`, path, how)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err = strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	done := false
	release = func() {
		if !done {
			done = true
			in.Close()
			require.NoError(t, cmd.Wait())
		}
	}
	t.Cleanup(release)
	return pid, release
}

// free tells whether another process gets the lock.
func free(t *testing.T, path, how string) bool {
	t.Helper()
	out, err := exec.Command(oracle.Need(t, "python3"), "-c", `
import fcntl, os, sys
try:
    fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), getattr(fcntl, sys.argv[2]) | fcntl.LOCK_NB)
    print("free")
except BlockingIOError:
    print("held")`, path, how).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out)) == "free"
}

func TestPasswdAgainstLckpwdf(t *testing.T) {
	etc, root := host(t, "passwd")
	pid, release := holder(t, filepath.Join(etc, ".pwd.lock"), "LOCK_EX")
	_, err := Passwd(t.Context(), root, time.Millisecond)
	require.EqualError(t, err, fmt.Sprintf("etc/.pwd.lock: locked by process %d", pid))
	require.Equal(t, []string{".pwd.lock", "passwd"}, list(t, etc))
	release()
	lock, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)

	// A classic lock would be gone as soon as any descriptor of the file is closed.
	other, err := os.Open(filepath.Join(etc, ".pwd.lock"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.False(t, free(t, filepath.Join(etc, ".pwd.lock"), "LOCK_EX"))
	require.NoError(t, lock.Unlock())
	require.True(t, free(t, filepath.Join(etc, ".pwd.lock"), "LOCK_EX"))
}

// accounts makes a host that useradd(8) accepts as its root directory.
func accounts(t *testing.T) (etc string, root *os.Root) {
	etc, root = host(t)
	for name, content := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\n", "group": "root:x:0:\nusers:x:100:\n",
		"shadow": "root:*:1:0:99999:7:::\n", "gshadow": "root:*::\nusers:!::\n", "login.defs": "UID_MIN 1000\nUSERGROUPS_ENAB yes\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(etc, name), []byte(content), 0o600))
	}
	return etc, root
}

func TestUseraddWaitsForUs(t *testing.T) {
	oracle.Root(t)
	useradd := oracle.Need(t, "useradd")
	etc, root := accounts(t)
	lock, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)
	cmd := exec.Command(useradd, "--root", filepath.Dir(etc), "--no-create-home", "bob")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	waits := []byte(fmt.Sprintf("-> POSIX  ADVISORY  WRITE %d ", cmd.Process.Pid))
	require.Eventually(t, func() bool {
		locks, err := os.ReadFile("/proc/locks")
		return err == nil && bytes.Contains(locks, waits)
	}, 10*time.Second, time.Millisecond, "useradd is seen waiting")
	content, err := os.ReadFile(filepath.Join(etc, "passwd"))
	require.NoError(t, err)
	require.NotContains(t, string(content), "bob")
	require.NoError(t, lock.Unlock())
	require.NoError(t, cmd.Wait(), out.String())
	content, err = os.ReadFile(filepath.Join(etc, "passwd"))
	require.NoError(t, err)
	require.Contains(t, string(content), "bob:x:1000:")
}

const victimVar = "LOCKFILE_TEST_VICTIM"

// TestMain is a process that takes a lock and is killed when it is told so.
func TestMain(m *testing.M) {
	what, path, victim := strings.Cut(os.Getenv(victimVar), "|")
	if !victim {
		os.Exit(m.Run())
	}
	fmt.Println(victimise(what, path))
	io.Copy(io.Discard, os.Stdin) // until killed
}

// kill lets a process take a lock, and kills it. It returns its id.
func kill(t *testing.T, what, path string) int {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimVar+"="+what+"|"+path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "<nil>\n", line)
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	return cmd.Process.Pid
}

func victimise(what, path string) error {
	if what == "mailbox" {
		dir, f, err := openBox(path)
		if err == nil {
			_, err = Mailbox(dir, filepath.Base(path), f, true)
		}
		return err
	}
	root, err := os.OpenRoot(path)
	if err == nil {
		_, err = Passwd(context.Background(), root, 0)
	}
	return err
}

// What a killed process of ours leaves, the real useradd and we ourselves take over.
func TestPasswdKilled(t *testing.T) {
	etc, root := accounts(t)
	kill(t, "passwd", filepath.Dir(etc))
	require.FileExists(t, filepath.Join(etc, "shadow.lock"))
	lock, err := Passwd(t.Context(), root, 0)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock())
	require.ElementsMatch(t, []string{".pwd.lock", "group", "gshadow", "login.defs", "passwd", "shadow"}, list(t, etc))

	oracle.Root(t)
	useradd := oracle.Need(t, "useradd")
	kill(t, "passwd", filepath.Dir(etc))
	out, err := exec.Command(useradd, "--prefix", filepath.Dir(etc), "--no-create-home", "carol").CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoFileExists(t, filepath.Join(etc, "passwd.lock"))
}
