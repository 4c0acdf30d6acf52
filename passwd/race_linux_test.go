package passwd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/oracle"
)

// hold is a process that takes the lock as lckpwdf(3) does and keeps it until its input ends.
func hold(file string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	fmt.Println(err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func TestApplyNamesTheHolder(t *testing.T) {
	ctx := context.Background()
	new := withUsers(false)
	root := rootOf(t, new)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "PASSWD_TEST_HOLD="+filepath.Join(root, "etc/.pwd.lock"))
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	said, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "<nil>\n", said)
	before := tree(t, root)
	const patience = 150 * time.Millisecond
	p := Merge(withUsers(true, "alice:500"), new, &Options{LockTimeout: patience})
	began := time.Now()
	_, err = p.Apply(ctx, root)
	require.GreaterOrEqual(t, time.Since(began), patience)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("etc/.pwd.lock: locked by process %d", child.Process.Pid))
	require.Equal(t, before, tree(t, root))
	require.NoError(t, in.Close())
	require.NoError(t, child.Wait())

	lock := filepath.Join(root, "etc/shadow.lock")
	require.NoError(t, os.WriteFile(lock, fmt.Appendf(nil, "%d\x00", os.Getppid()), 0o600))
	before = tree(t, root)
	_, err = p.Apply(ctx, root)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("etc/shadow.lock: locked by process %d", os.Getppid()))
	require.Equal(t, before, tree(t, root))
	require.NoError(t, os.Remove(lock))
	_, err = p.Apply(ctx, root)
	require.NoError(t, err)
}

// secretsOf is secrets for a target that others change meanwhile.
func secretsOf(t *testing.T, root string, p *Plan) further {
	shadow, gshadow := read(t, root, "etc/shadow"), read(t, root, "etc/gshadow")
	var users, groups strings.Builder
	for u := range p.Migrated() {
		fmt.Fprintf(&users, "%s:!:20000:0:99999:7:::\n", u.To)
	}
	for _, g := range p.Groups {
		if g.Added() {
			fmt.Fprintf(&groups, "%s:!::%s\n", g.To, strings.Join(g.MembersAdded, ","))
		}
	}
	return further{"etc/shadow": {[]byte(shadow), []byte(shadow + users.String())}, "etc/gshadow": {[]byte(gshadow), []byte(gshadow + groups.String())}}
}

// mergeInto merges one person, again for as long as others are faster.
func mergeInto(t *testing.T, root string, old *Host) (drifts int) {
	t.Helper()
	for ; ; drifts++ {
		host, err := ReadHost(root)
		require.NoError(t, err)
		p := Merge(old, host, nil)
		_, err = p.Apply(context.Background(), root, secretsOf(t, root, p))
		if !errors.Is(err, ErrDrift) {
			require.NoError(t, err)
			return drifts
		}
	}
}

// startWithin starts a program while we hold the locks, and does not let go before it is seen waiting for them.
func startWithin(t *testing.T, root string, old *Host, cmd *exec.Cmd, seen func() bool) {
	t.Helper()
	_, err := commit(context.Background(), root, 0, func(*os.Root) ([]atomicfile.Change, error) {
		host, err := ReadHost(root)
		require.NoError(t, err)
		p := Merge(old, host, nil)
		changes, err := p.changes([]Edits{secretsOf(t, root, p)})
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		require.Eventually(t, seen, 10*time.Second, time.Millisecond, "it waits")
		return changes, nil
	})
	require.NoError(t, err)
}

// TestConcurrentUseradd merges 50 people one by one while the real useradd adds 50 others: in every second round it comes
// first and we wait, in the others it waits for us. With -R it takes the lock of lckpwdf(3) in the host's root, with
// --prefix only the lock files there. Nobody is lost and no id given twice.
func TestConcurrentUseradd(t *testing.T) {
	if testing.Short() {
		t.Skip("50 runs of useradd")
	}
	oracle.Root(t)
	useradd := oracle.Need(t, "useradd")
	root := rootOf(t, withUsers(false))
	require.NoError(t, os.Chmod(root, 0o755))
	flaws := slices.Concat(complaints(t, "pwck", root), complaints(t, "grpck", root))
	etc := filepath.Join(root, "etc")
	const rounds = 50
	drifts := 0
	for round := range rounds {
		how := "-R"
		if round%25 >= 23 {
			how = "--prefix"
		}
		cmd := exec.Command(useradd, how, root, "-M", "-U", fmt.Sprintf("theirs%d", round))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		old := withUsers(true, fmt.Sprintf("ours%d:500", round))
		if round%2 == 0 {
			require.NoError(t, cmd.Start())
			gone := make(chan error, 1)
			go func() { gone <- cmd.Wait() }()
			for len(gone) == 0 && !exists(filepath.Join(etc, "passwd.lock")) {
				runtime.Gosched()
			}
			drifts += mergeInto(t, root, old)
			require.NoError(t, <-gone, out.String())
			continue
		}
		startWithin(t, root, old, cmd, func() bool {
			if how == "-R" {
				locks, err := os.ReadFile("/proc/locks")
				return err == nil && bytes.Contains(locks, fmt.Appendf(nil, "-> POSIX  ADVISORY  WRITE %d ", cmd.Process.Pid))
			}
			// It finds the lock file taken and sleeps a second before it looks again.
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
			return err == nil && bytes.Contains(stat, []byte(") S "))
		})
		require.NoError(t, cmd.Wait(), out.String())
	}
	t.Logf("%d merges were made anew, as useradd had changed the files first", drifts)
	requireNobodyLost(t, root, rounds)
	require.Subset(t, flaws, slices.Concat(complaints(t, "pwck", root), complaints(t, "grpck", root)))
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func requireNobodyLost(t *testing.T, root string, rounds int) {
	t.Helper()
	host, err := ReadHost(root)
	require.NoError(t, err)
	shadow, gshadow := "\n"+read(t, root, "etc/shadow"), "\n"+read(t, root, "etc/gshadow")
	uids, gids := map[uint32]string{}, map[uint32]string{}
	for round := range rounds {
		for _, name := range []string{fmt.Sprintf("ours%d", round), fmt.Sprintf("theirs%d", round)} {
			u, ok := host.Passwd.Lookup(name)
			require.True(t, ok, name)
			require.Empty(t, uids[u.UID], name)
			g, ok := host.Group.Lookup(name)
			require.True(t, ok, name)
			require.Empty(t, gids[g.GID], name)
			require.Equal(t, u.GID, g.GID, name)
			uids[u.UID], gids[g.GID] = name, name
			require.Equal(t, 1, strings.Count(shadow, "\n"+name+":"), name)
			require.Equal(t, 1, strings.Count(gshadow, "\n"+name+":"), name)
		}
	}
	for _, tool := range []string{"passwd", "group", "shadow", "gshadow"} {
		require.NoFileExists(t, filepath.Join(root, "etc", tool+".lock"))
	}
}
