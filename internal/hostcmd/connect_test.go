//go:build unix

package hostcmd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, s *oracle.SSH) *Host {
	t.Helper()
	h, err := Connect(context.Background(), s.Dest)
	require.NoError(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

func TestOneConnectionForAll(t *testing.T) {
	ctx := context.Background()
	s := oracle.SSHD(t)
	h := connect(t, s)
	info, err := os.Stat(h.conn.dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for range 3 {
		out, err := h.Run(ctx, strings.NewReader("in"), "sh", append([]string{"-c", `cat; printf '%s\0' "$@"`, "sh"}, words...)...)
		require.NoError(t, err)
		require.Equal(t, "in"+strings.Join(words, "\x00")+"\x00", string(out))
	}
	out, err := h.Shell(ctx, nil, `printf '%s|' "$@"`, "a b", "", "c")
	require.NoError(t, err)
	require.Equal(t, "a b||c|", string(out))
	require.Equal(t, 1, s.Connections())
	require.NoError(t, h.Close())
	require.NoDirExists(t, h.conn.dir)
	_, err = h.Run(ctx, nil, "true")
	require.ErrorIs(t, err, ErrLost)
}

func TestConnectToThisHost(t *testing.T) {
	h, err := Connect(context.Background(), "")
	require.NoError(t, err)
	out, err := h.Shell(context.Background(), nil, "echo here")
	require.NoError(t, err)
	require.Equal(t, "here\n", string(out))
	require.NoError(t, h.Close())
}

func TestErrorsOverOneConnection(t *testing.T) {
	ctx := context.Background()
	h := connect(t, oracle.SSHD(t))
	_, err := h.Run(ctx, nil, "no-such-program-here")
	require.True(t, Absent(err), "%v", err)
	for _, code := range []string{"3", "255"} { // 255 is ssh's own, too
		_, err = h.Shell(ctx, nil, "# look at the spool\necho first >&2; echo the reason >&2; exit "+code)
		require.EqualError(t, err, "on "+h.SSH+": look at the spool: exit status "+code+": the reason")
		require.NotErrorIs(t, err, ErrLost)
	}
	_, err = h.Shell(ctx, nil, "true")
	require.NoError(t, err, "a command that fails does not end the connection")
}

func TestStreamOf100MB(t *testing.T) {
	const size = 100 << 20
	for _, far := range []bool{false, true} {
		h := &Host{}
		if far {
			h = connect(t, oracle.SSHD(t))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := h.Start(context.Background(), nil, "head", "-c", "104857600", "/dev/zero")
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, r)
		require.NoError(t, err)
		require.EqualValues(t, size, n)
		require.NoError(t, r.Close())
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(10<<20), "bytes allocated")
	}
}

func TestStreamThatEndsBadly(t *testing.T) {
	for _, far := range []bool{false, true} {
		h := &Host{}
		if far {
			h = connect(t, oracle.SSHD(t))
		}
		r, err := h.Start(context.Background(), strings.NewReader("half"), "sh", "-c", "cat; echo no space >&2; exit 4")
		require.NoError(t, err)
		out, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "half", string(out))
		require.ErrorContains(t, r.Close(), "exit status 4: no space")
		require.Error(t, r.Close(), "and again")
	}
}

func TestStreamClosedEarlyStopsTheProgram(t *testing.T) {
	for _, far := range []bool{false, true} {
		h := &Host{}
		if far {
			h = connect(t, oracle.SSHD(t))
		}
		r, err := h.Start(context.Background(), nil, "cat", "/dev/zero")
		require.NoError(t, err)
		_, err = io.ReadFull(r, make([]byte, 1<<16))
		require.NoError(t, err)
		require.NoError(t, r.Close())
		_, err = h.Run(context.Background(), nil, "true")
		require.NoError(t, err)
	}
}

// TestCancel: the end of ctx ends what runs there. The remote program tells of its end through a FIFO.
func TestCancel(t *testing.T) {
	s := oracle.SSHD(t)
	h := connect(t, s)
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := h.Start(ctx, nil, "sh", "-c", `exec 3>"$1"; echo up; cat /dev/zero`, "sh", fifo)
	require.NoError(t, err)
	f, err := os.Open(fifo)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.ReadFull(r, make([]byte, 3))
	require.NoError(t, err)
	cancel()
	_, _ = io.Copy(io.Discard, r)
	require.ErrorIs(t, r.Close(), context.Canceled)
	_, err = io.ReadAll(f) // returns when the last writer is gone
	require.NoError(t, err)
	_, err = h.Run(context.Background(), nil, "true")
	require.NoError(t, err, "the connection stays")
}

// TestCancelReachesChildren: a local script's children end with it.
func TestCancelReachesChildren(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := Host{}.Start(ctx, nil, "sh", "-c", "echo up; sleep 1000; true")
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 3))
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(r)
	require.NoError(t, err, "sleep held the pipe")
	require.ErrorIs(t, r.Close(), context.Canceled)
}

func TestCutInTheMiddle(t *testing.T) {
	s := oracle.SSHD(t)
	h := connect(t, s)
	r, err := h.Start(context.Background(), nil, "cat", "/dev/zero")
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 1<<16))
	require.NoError(t, err)
	s.Cut()
	_, err = io.Copy(io.Discard, r)
	require.NoError(t, err)
	err = r.Close()
	require.ErrorIs(t, err, ErrLost)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Advice(), "run the same command again")
	_, err = h.Run(context.Background(), nil, "true")
	require.ErrorIs(t, err, ErrLost, "no new connection behind our back")
	require.NoError(t, h.Close())
}

func TestNoConnection(t *testing.T) {
	for _, c := range []struct {
		name      string
		settings  []string
		spoil     func(s *oracle.SSH)
		said, tip string
	}{
		{"wrong key", nil, func(s *oracle.SSH) { // another pair whose private half is offered
			s.Key("other")
			require.NoError(t, os.Rename(filepath.Join(s.Dir, "other"), filepath.Join(s.Dir, "user")))
		}, "Permission denied (publickey", "ssh-copy-id"},
		{"unknown host key", nil, func(s *oracle.SSH) { s.Know("") }, "Host key verification failed", "connect once by hand"},
		{"changed host key", nil, func(s *oracle.SSH) { s.Key("other"); s.Know("other") }, "Host key verification failed", "somebody may be in between"},
		{"refused", nil, func(s *oracle.SSH) { s.Socket.Close() }, "Connection refused", "start sshd"},
		{"old algorithms", []string{"KexAlgorithms diffie-hellman-group1-sha1"}, func(*oracle.SSH) {}, "no matching key exchange", "KexAlgorithms +"},
		{"other command", []string{"ForceCommand echo hello"}, func(*oracle.SSH) {}, "did not run the command", "bound to no command"},
		{"other shell", []string{`ForceCommand printf '%%s\n' "$SSH_ORIGINAL_COMMAND" | tr -d '\\' | sh`}, func(*oracle.SSH) {}, "did not run the command", "POSIX shell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := oracle.SSHD(t, c.settings...)
			c.spoil(s)
			t.Setenv("TMPDIR", t.TempDir())
			_, err := Connect(context.Background(), s.Dest)
			require.ErrorContains(t, err, c.said)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Contains(t, e.Advice(), c.tip)
			require.Contains(t, err.Error(), s.Dest)
			left, err := os.ReadDir(os.TempDir())
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestConnectElsewhere(t *testing.T) {
	s := oracle.SSHD(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Connect(ctx, s.Dest)
	require.ErrorIs(t, err, context.Canceled)
	_, err = Connect(context.Background(), "-oProxyCommand=touch "+filepath.Join(s.Dir, "ran"))
	require.Error(t, err, "a destination is no option")
	require.NoFileExists(t, filepath.Join(s.Dir, "ran"))
	t.Setenv("PATH", t.TempDir())
	_, err = Connect(context.Background(), s.Dest)
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.True(t, Absent(err))
}

// TestNoConnectionOutlivesUs: this process dies in a way that lets it clean up nothing.
func TestNoConnectionOutlivesUs(t *testing.T) {
	s := oracle.SSHD(t)
	h := connect(t, s)
	require.NoError(t, h.conn.stdin.Close()) // as the kernel does then
	<-h.conn.ended
}

// TestPlace: a program stands on the other host for as long as it is wanted, and no longer than the connection.
func TestPlace(t *testing.T) {
	ctx := context.Background()
	exe, err := exec.LookPath("true")
	require.NoError(t, err)
	s := oracle.SSHD(t, "SetEnv TMPDIR="+t.TempDir())
	h := connect(t, s)
	p, err := h.Place(ctx, exe, "-h")
	require.NoError(t, err)
	info, err := os.Stat(filepath.Dir(p.Path))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	_, err = h.Run(ctx, nil, p.Path)
	require.NoError(t, err)
	require.NoError(t, p.Remove())
	require.NoDirExists(t, filepath.Dir(p.Path))

	wrong, err := exec.LookPath("false")
	require.NoError(t, err)
	_, err = h.Place(ctx, wrong)
	require.Error(t, err, "it does not run there")

	p, err = h.Place(ctx, exe)
	require.NoError(t, err)
	s.Cut()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Dir(p.Path))
		return errors.Is(err, fs.ErrNotExist)
	}, time.Minute, 20*time.Millisecond)
}
