package tree_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox/tree"
)

// caseKills is how often the program is killed: 20 times in CI; TREE_CASE_KILLS=200 is what a release has to stand.
func caseKills() int {
	if n, err := strconv.Atoi(os.Getenv("TREE_CASE_KILLS")); err == nil {
		return n
	}
	return 20
}

// caseStir brings a store to a version: mailboxes and indexes, messages that come, get flags, move and go, files that are
// replaced, appended to and linked, attributes and modes.
func caseStir(t testing.TB, src string, version int) {
	t.Helper()
	for _, u := range caseUnits {
		u.write(t, src, version)
	}
	in := func(n string) string { return filepath.Join(src, "home/alice", n) }
	for i := range 30 {
		caseWrite(t, in(fmt.Sprintf("Maildir/new/%d.%d.host", version, i)), fmt.Sprintf("message %d of %d", i, version))
		caseWrite(t, in(fmt.Sprintf("files/%d", i)), strings.Repeat(string(rune('a'+version%26)), 3000*(i+1)))
	}
	caseWrite(t, in("mail/large"), strings.Repeat(caseMessage(version, strings.Repeat("x", 50000)), 40))
	for _, d := range []string{"Maildir/cur", "Maildir/.Sent/cur"} {
		require.NoError(t, os.MkdirAll(in(d), 0o700))
	}
	news, err := os.ReadDir(in("Maildir/new"))
	require.NoError(t, err)
	for i, e := range news {
		switch i % 4 {
		case 0:
			require.NoError(t, os.Rename(in("Maildir/new/"+e.Name()), in("Maildir/cur/"+e.Name()+":2,S")))
		case 1:
			require.NoError(t, os.Rename(in("Maildir/new/"+e.Name()), in("Maildir/.Sent/cur/"+e.Name()+":2,")))
		case 2:
			require.NoError(t, os.Remove(in("Maildir/new/"+e.Name())))
		}
	}
	caseWrite(t, in("Maildir/dovecot-uidlist"), fmt.Sprintf("3 V1 N%d G1\n%s", version, strings.Repeat(fmt.Sprintf("%09d\n", version), 900)))
	require.NoError(t, os.RemoveAll(in(fmt.Sprintf("dir%d", version-2))))
	caseWrite(t, in(fmt.Sprintf("dir%d/sub/f", version)), "x")
	require.NoError(t, os.Link(in("files/0"), in(fmt.Sprintf("dir%d/link", version))))
	require.NoError(t, os.Chmod(in(fmt.Sprintf("files/%d", version%30)), 0o640))
}

// caseAfterKill wants each file at the target whole, and nothing of ours in a folder that a mail program lists.
func caseAfterKill(t testing.TB, dst string) (broken string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel := strings.TrimPrefix(path, dst)
		if strings.HasPrefix(e.Name(), ".mailmove") {
			for _, folder := range []string{"/mail/", "/Maildir/", "/var/mail"} {
				require.NotContains(t, rel, folder, "staging among mail folders")
			}
			info, err := e.Info()
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, "others may enter the staging directory")
			return fs.SkipDir
		}
		if strings.Contains(rel, "/files/") && e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			i, err := strconv.Atoi(e.Name())
			require.NoError(t, err)
			require.Len(t, b, 3000*(i+1), "%s is torn", rel)
			require.Equal(t, strings.Repeat(string(b[:1]), len(b)), string(b), "%s is torn", rel)
		}
		return nil
	}))
	for _, u := range caseUnits {
		if strings.HasPrefix(u.box, "var/") {
			continue // it and its index are a unit when they are given as pairs; here they are two places in one tree
		}
		if box, index := u.versions(t, dst); index > box {
			broken = fmt.Sprintf("%s: index of version %d beside a mailbox of version %d", u.box, index, box)
		}
	}
	return broken
}

// copymail is killed with signal 9 at random moments of first and of later passes, also while it recovers from a kill.
// The run after that completes; all is equal then, and there is neither a lock nor staging left.
func TestCaseKilled(t *testing.T) {
	program := caseProgram(t)
	src, dst, opt := caseRoots(t)
	args := caseArgs(program, src, dst, opt.State)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 9))
	span, broken, kills := 100*time.Millisecond, "", 0
	for version := 1; kills < caseKills(); version++ {
		require.Less(t, version, 10*caseKills()+50, "it is done before it can be killed")
		if version%3 == 1 { // a first pass
			require.NoError(t, os.RemoveAll(dst))
			require.NoError(t, os.Mkdir(dst, 0o755))
			require.NoError(t, os.RemoveAll(opt.State))
			require.NoError(t, os.RemoveAll(opt.State+".journal"))
		}
		caseStir(t, src, version)
		for range 1 + rnd.IntN(2) {
			start := time.Now()
			if caseKill(t, time.Duration(rnd.Int64N(int64(span))), args) {
				kills++
			} else {
				span = time.Since(start) // how long a pass takes here
			}
			if b := caseAfterKill(t, dst); b != "" {
				broken = b
			}
		}
		r := caseExec(t, args...)
		require.Zero(t, r.code, "%s%s", r.stderr, caseProblems(&r.rep))
		caseSame(t, src, dst)
		caseNoLeftovers(t, src, dst)
		require.NoFileExists(t, opt.State+".journal")
	}
	r := caseExec(t, append(args, "-verify", "hash")...)
	require.Zero(t, r.code)
	require.Zero(t, r.rep.CopiedFiles+r.rep.Mismatched)
	t.Logf("%d kills", kills)
	require.Empty(t, broken)
}

// caseKill starts a program and kills it after a while, and tells whether it was still at work.
func caseKill(t testing.TB, after time.Duration, argv []string) bool {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, status.Signaled() || status.ExitStatus() == 0, "exit code %d", status.ExitStatus())
	return status.Signaled()
}

// case 41: killed while it holds the lock of a mailbox, it leaves the dotlock. The next run clears that one, and leaves
// alone what a living process or another host has.
func TestCaseOwnDotlockIsSwept(t *testing.T) {
	program := caseProgram(t)
	src, dst, opt := caseRoots(t)
	args := caseArgs(program, src, dst, opt.State)
	box := filepath.Join(src, "var/mail/alice")
	caseWrite(t, box, strings.Repeat(caseMessage(1, strings.Repeat("x", 1000)), 50000))
	left := 0
	for try := 0; left < 3; try++ {
		require.Less(t, try, 100, "the dotlock was never left")
		require.NoError(t, os.RemoveAll(filepath.Join(dst, "var")))
		require.NoError(t, os.RemoveAll(opt.State))
		cmd := exec.Command(args[0], args[1:]...)
		require.NoError(t, cmd.Start())
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
			if _, err := os.Lstat(box + ".lock"); err == nil {
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := os.Lstat(box + ".lock"); err == nil {
			left++
		}
		r := caseExec(t, args...)
		require.Zero(t, r.code, "%s%s", r.stderr, caseProblems(&r.rep))
		caseSame(t, src, dst)
		caseNoLeftovers(t, src, dst)
	}
	host, err := os.Hostname()
	require.NoError(t, err)
	other := filepath.Join(src, "var/mail/bob.lock") // without a mailbox of that name
	caseWrite(t, other, fmt.Sprintf("%d:%s", os.Getpid(), host))
	require.Zero(t, caseExec(t, args...).code)
	require.FileExists(t, other)
}

// An interrupt ends the program in good order: exit code 130, nothing left, and the next run completes.
func TestCaseInterrupted(t *testing.T) {
	program := caseProgram(t)
	src, dst, opt := caseRoots(t)
	args := caseArgs(program, src, dst, opt.State)
	interrupted := 0
	for version := 1; interrupted < 3; version++ {
		require.Less(t, version, 60)
		caseStir(t, src, version)
		require.NoError(t, os.RemoveAll(dst))
		require.NoError(t, os.Mkdir(dst, 0o755))
		require.NoError(t, os.RemoveAll(opt.State))
		cmd := exec.Command(args[0], args[1:]...)
		require.NoError(t, cmd.Start())
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
			if _, err := os.Lstat(filepath.Join(dst, "home/alice/files/3")); err == nil {
				break
			}
		}
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		cmd.Wait()
		switch code := cmd.ProcessState.ExitCode(); code {
		case 130:
			interrupted++
			caseNoLeftovers(t, src, dst)
		default:
			require.Zero(t, code)
		}
		caseAfterKill(t, dst)
		caseSync(t, src, dst, &tree.Options{State: opt.State, Delete: true})
		caseSame(t, src, dst)
	}
}
