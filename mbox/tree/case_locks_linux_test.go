package tree_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseHold lets another process hold a lock on a mailbox: RDLCK or WRLCK as fcntl(2), LOCK_EX or LOCK_SH as flock(2).
func caseHold(t testing.TB, path, how string) (release func()) {
	t.Helper()
	cmd := exec.Command(oracle.Need(t, "python3"), "-c", `
import fcntl, struct, sys
f = open(sys.argv[1], "r+b")
if sys.argv[2].startswith("LOCK"):
    fcntl.flock(f, getattr(fcntl, sys.argv[2]))
else:
    fcntl.fcntl(f, fcntl.F_SETLKW, struct.pack("hhqqi4x", getattr(fcntl, "F_" + sys.argv[2]), 0, 0, 0, 0))
print("held", flush=True)
sys.stdin.read()`, path, how)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)
	var once atomic.Bool
	release = func() {
		if once.CompareAndSwap(false, true) {
			in.Close()
			cmd.Wait()
		}
	}
	t.Cleanup(release)
	return release
}

// case 39: what another process holds keeps us away from that mailbox, and from no other; a read lock does not.
func TestCaseLocksOfOthers(t *testing.T) {
	tree.NotFrom(t, "plain", "takes no locks")
	for how, busy := range map[string]bool{"RDLCK": false, "LOCK_SH": false, "WRLCK": true, "LOCK_EX": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			src, dst, opt := caseRoots(t)
			opt.Pairs = casePairs("alice", "bob")
			for _, u := range []string{"alice", "bob"} {
				caseWrite(t, filepath.Join(src, "var/mail", u), caseMessage(1, u))
				require.NoError(t, os.MkdirAll(filepath.Join(src, "home", u), 0o755))
			}
			release := caseHold(t, filepath.Join(src, "var/mail/alice"), how)
			rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
			require.NoError(t, err)
			require.FileExists(t, filepath.Join(dst, "var/mail/bob"))
			if !busy {
				require.Empty(t, rep.Problems)
				caseSame(t, filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice"))
				return
			}
			require.Len(t, rep.Problems, 1)
			require.Contains(t, caseProblems(rep), `"var/mail/alice"`)
			require.Contains(t, caseProblems(rep), "lock")
			require.NoFileExists(t, filepath.Join(dst, "var/mail/alice"))
			caseNoLeftovers(t, src, dst)
			release()
			caseSync(t, src, dst, opt)
			caseNoLeftovers(t, src, dst)
		})
	}
}

// A lock that is held for a moment is waited for.
func TestCaseShortLockIsWaitedFor(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box := filepath.Join(src, "var/mail/alice")
	caseWrite(t, box, caseMessage(1, "x"))
	release := caseHold(t, box, "WRLCK")
	time.AfterFunc(300*time.Millisecond, release)
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// case 39: two mail programs with opposite orders of locks, each of which waits for its second lock while it holds the
// first one, as careless ones do. Nobody stands still for ever, and no copy is torn.
func TestCaseReverseOrderSoak(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box, to := filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice")
	message := caseMessage(1, strings.Repeat("0123456789abcdef", 2000))
	caseWrite(t, box, message)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caseScale())*2500*time.Millisecond)
	defer cancel()
	work := func(order string, done chan<- int) {
		n := 0
		pause := time.NewTicker(3 * time.Millisecond)
		defer pause.Stop()
		for ; ctx.Err() == nil; n++ {
			<-pause.C // else nobody else would ever find the mailbox free
			if err := caseDeliver(ctx, box, order, message); err != nil && ctx.Err() == nil {
				t.Error(err)
				break
			}
		}
		done <- n
	}
	debian, upstream := make(chan int, 1), make(chan int, 1)
	go work("fcntl dotlock", debian)
	go work("dotlock fcntl", upstream)
	copied := 0
	for ctx.Err() == nil {
		caseWithin(t, 30*time.Second, func() {
			rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
			require.NoError(t, err)
			copied += int(rep.CopiedFiles)
		})
		if b, err := os.ReadFile(to); err == nil {
			require.Zero(t, len(b)%len(message), "a torn copy")
		}
	}
	a, b := <-debian, <-upstream
	require.Positive(t, a)
	require.Positive(t, b)
	require.Positive(t, copied)
	t.Logf("%d and %d deliveries, %d copies", a, b, copied)
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	caseNoLeftovers(t, src, dst)
}

// caseDeliver appends a message in two halves under both locks. The two programs would lock each other out for ever, so
// the second lock has a time limit here, as in any real one; and the mailbox is emptied before it grows without end.
func caseDeliver(ctx context.Context, box, order, message string) error {
	f, err := os.OpenFile(box, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	taken := map[string]func() error{
		"fcntl": func() error { return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}) },
		"dotlock": func() error {
			l, err := os.OpenFile(box+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err == nil {
				l.Close()
			}
			return err
		},
	}
	for i, lock := range strings.Fields(order) {
		end := time.Now().Add(20 * time.Millisecond)
		for err = taken[lock](); err != nil && ctx.Err() == nil && (i == 0 || time.Now().Before(end)); err = taken[lock]() {
		}
		if err != nil {
			return nil
		}
		if lock == "dotlock" {
			defer os.Remove(box + ".lock")
		}
	}
	if st, err := f.Stat(); err == nil && st.Size() > 4<<20 {
		f.Truncate(0)
	}
	if _, err = f.WriteString(message[:len(message)/2]); err == nil {
		_, err = f.WriteString(message[len(message)/2:])
	}
	return err
}

// case 40: which dotlocks of others are cleared: that of a dead process of this host, and no other, however old it is.
func TestCaseDotlocksOfOthers(t *testing.T) {
	tree.NotFrom(t, "plain", "takes no locks")
	host, err := os.Hostname()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text  string
		stays bool
	}{
		"dead":             {"2147483646:" + host, false},
		"alive":            {fmt.Sprintf("%d:%s", os.Getppid(), host), true},
		"of another host":  {"2147483646:not-" + host, true},
		"empty and old":    {"", true},
		"not a process id": {"procmail", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst, opt := caseRoots(t)
			box := filepath.Join(src, "var/mail/alice")
			caseWrite(t, box, caseMessage(1, "x"))
			caseWrite(t, box+".lock", c.text)
			caseTimes(t, box+".lock", time.Now().Unix()-121, 0)
			rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
			require.NoError(t, err)
			require.NoFileExists(t, filepath.Join(dst, "var/mail/alice.lock"))
			if !c.stays {
				require.Empty(t, rep.Problems)
				caseSame(t, src, dst)
				return
			}
			require.Contains(t, caseProblems(rep), `"var/mail/alice"`)
			b, err := os.ReadFile(box + ".lock")
			require.NoError(t, err)
			require.Equal(t, c.text, string(b))
			require.NoFileExists(t, filepath.Join(dst, "var/mail/alice"))
		})
	}
}

// case 42: no dotlock can be made. The mailbox is copied under the other locks, and the report says so.
func TestCaseNoPlaceForADotlock(t *testing.T) {
	tree.NotFrom(t, "plain", "takes no locks")
	oracle.Root(t)
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice")
	caseWrite(t, filepath.Join(src, "var/mail/alice"), caseMessage(1, "x"))
	caseWrite(t, filepath.Join(src, "home/alice/mail/Sent"), caseMessage(1, "x"))
	require.NoError(t, unix.Mount(src, src, "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(src, unix.MNT_DETACH) })
	require.NoError(t, unix.Mount("", src, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	caseSame(t, filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice"))
	caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
	require.Empty(t, rep.Problems, "a snapshot that is mounted read-only is no failure")
	said := ""
	for _, s := range rep.Skipped {
		said += s.Path + ": " + s.Op + ": " + s.Error + "\n"
	}
	require.Contains(t, said, "var/mail/alice")
	require.Contains(t, said, "lock")
}

// case 42: in a sticky directory of root the dotlock belongs to the owner of the mailbox, so that his Dovecot can remove
// it should we be killed; nothing is left there, and the directory looks as before.
func TestCaseStickySpool(t *testing.T) {
	tree.NotFrom(t, "plain", "takes no locks")
	oracle.Root(t)
	src, dst, opt := caseRoots(t)
	spool := filepath.Join(src, "var/mail")
	caseWrite(t, filepath.Join(spool, "alice"), strings.Repeat(caseMessage(1, strings.Repeat("x", 1000)), 20000))
	require.NoError(t, os.Chown(filepath.Join(spool, "alice"), 500, 8))
	require.NoError(t, unix.Chmod(spool, 0o3777))
	caseAge(t, spool)
	var stop atomic.Bool
	var seen atomic.Int64
	owners := make(chan []uint32, 1)
	go func() {
		var all []uint32
		for !stop.Load() {
			var st unix.Stat_t
			if unix.Lstat(filepath.Join(spool, "alice.lock"), &st) == nil {
				seen.Add(1)
				if !slices.Contains(all, st.Uid) {
					all = append(all, st.Uid)
				}
			}
		}
		owners <- all
	}()
	for try := 0; try < 500 && seen.Load() == 0; try++ { // on a busy machine one copy may be over before it is seen
		caseEdit(t, filepath.Join(spool, "alice"), 0, "From ")
		caseSync(t, src, dst, opt)
	}
	stop.Store(true)
	require.Equal(t, []uint32{500}, <-owners)
	caseNoLeftovers(t, src, dst)
	require.EqualValues(t, 0o3777, caseStat(t, filepath.Join(dst, "var/mail")).Mode&0o7777)
}
