package tree_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseStore copies a small store of two users once.
func caseStore(t testing.TB) (src, dst string, opt *tree.Options) {
	t.Helper()
	src, dst, opt = caseRoots(t)
	for _, u := range []string{"alice", "bob"} {
		caseWrite(t, filepath.Join(src, u, "mail/Sent"), caseMessage(1, u))
		caseWrite(t, filepath.Join(src, u, "mail/.imap/Sent/dovecot.index.log"), "index")
		caseMaildir(t, filepath.Join(src, u, "Maildir"), 20)
	}
	return src, dst, opt
}

// caseArgs are those of a second pass of copymail.
func caseArgs(program, src, dst, state string) []string {
	return []string{program, "-from", src, "-to", dst, "-state", state, "-delete", "-json"}
}

// case 33: the clock was set between two passes, forward or back: what is saved about times is not believed, and that is
// said. A time namespace moves the boot clock against the wall clock, which is what a step looks like.
func TestCaseClockStep(t *testing.T) {
	oracle.Root(t)
	unshare, program := oracle.Need(t, "unshare"), caseProgram(t)
	for _, seconds := range []int{3600, -600, 86400} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			src, dst, opt := caseStore(t)
			args := caseArgs(program, src, dst, opt.State)
			inTime := func(offset int) []string {
				return append([]string{unshare, "--time", "--boottime", fmt.Sprint(offset), "--"}, args...)
			}
			require.Zero(t, caseExec(t, inTime(1000)...).code)
			r := caseExec(t, inTime(1000)...)
			require.Zero(t, r.code)
			require.Empty(t, r.rep.Full, "the clock was not set")
			r = caseExec(t, inTime(1000+seconds)...)
			require.Zero(t, r.code, r.stderr)
			require.NotEmpty(t, r.rep.Full)
			require.Zero(t, r.rep.CopiedFiles)
			require.Zero(t, r.rep.TrustedDirs)
			caseSame(t, src, dst)
		})
	}
}

// case 34: another boot of the machine.
func TestCaseOtherBoot(t *testing.T) {
	oracle.Root(t)
	unshare, program := oracle.Need(t, "unshare"), caseProgram(t)
	src, dst, opt := caseStore(t)
	args := caseArgs(program, src, dst, opt.State)
	require.Zero(t, caseExec(t, args...).code)
	require.Empty(t, caseExec(t, args...).rep.Full)
	boot := filepath.Join(t.TempDir(), "boot_id")
	require.NoError(t, os.WriteFile(boot, []byte("11111111-2222-3333-4444-555555555555\n"), 0o444))
	require.NoError(t, os.Remove(filepath.Join(src, "alice/mail/Sent")))
	r := caseExec(t, append([]string{unshare, "-m", "sh", "-c", `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`, boot}, args...)...)
	require.Zero(t, r.code, r.stderr)
	require.NotEmpty(t, r.rep.Full)
	require.Zero(t, r.rep.CopiedFiles)
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// case 34: the same disk under another device number, and another disk in its place.
func TestCaseOtherDevice(t *testing.T) {
	disk, dev, image := caseDisk(t, "16M", "mkfs.ext4", "-q", "-F")
	_, dst, opt := caseRoots(t)
	opt.Pairs = []tree.Pair{{From: "h", To: "h"}}
	caseMaildir(t, filepath.Join(disk, "h/Maildir"), 20)
	caseSync(t, disk, dst, opt)
	before := caseTree(t, dst)
	require.NoError(t, unix.Unmount(disk, 0))
	losetup := oracle.Need(t, "losetup")
	caseOK(t, losetup, "-d", dev)
	hold := filepath.Join(t.TempDir(), "hold") // keeps the number that was free
	caseOK(t, "truncate", "-s", "1M", hold)
	caseAttach(t, hold)
	other := caseAttach(t, image)
	if other == dev {
		t.Skip("the loop device has the old number")
	}
	caseMount(t, other, disk, "")
	rep := caseSync(t, disk, dst, opt)
	require.NotEmpty(t, rep.Full)
	require.Zero(t, rep.CopiedFiles+rep.Deleted)
	require.Equal(t, before, caseTree(t, dst))
	require.NoError(t, unix.Unmount(disk, 0))
	rep, err := tree.Sync(t.Context(), tree.From(disk), dst, opt) // the empty mount point
	require.NoError(t, err)
	require.Zero(t, rep.Deleted)
	require.Equal(t, before, caseTree(t, dst))
}

// case 34: a state file that was cut or damaged anywhere. It is refused or everything is compared; it never crashes the
// program, never deletes what is still there, and never lets a change pass unseen.
func TestCaseDamagedState(t *testing.T) {
	program := caseProgram(t)
	src, dst, opt := caseStore(t)
	args := caseArgs(program, src, dst, opt.State)
	require.Zero(t, caseExec(t, args...).code)
	caseWrite(t, filepath.Join(src, "alice/mail/Sent"), caseMessage(2, "changed"))
	good, err := os.ReadFile(opt.State)
	require.NoError(t, err)
	old := filepath.Join(t.TempDir(), "dst")
	caseOK(t, "cp", "-a", dst, old)
	damage := map[string][]byte{"text": []byte("not a state at all\n")}
	for _, n := range []int{1, 100, 4095, 4096, 8192, 12288, len(good) / 2, len(good) - 4096, len(good) - 1} {
		damage[fmt.Sprint("cut at ", n)] = good[:n]
	}
	used := len(strings.TrimRight(string(good), "\x00")) / 4096
	rnd := rand.New(rand.NewPCG(34, 0))
	for i := range 15 * caseScale() {
		bad := append([]byte{}, good...)
		page := rnd.IntN(used)
		switch i % 3 {
		case 0:
			clear(bad[page*4096 : (page+1)*4096])
		case 1:
			for range 20 {
				bad[page*4096+rnd.IntN(4096)] ^= byte(1 + rnd.IntN(255))
			}
		case 2:
			copy(bad[page*4096:(page+1)*4096], bad[rnd.IntN(used)*4096:])
		}
		damage[fmt.Sprintf("page %d in way %d, %d", page, i%3, i)] = bad
	}
	for name, bytes := range damage {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(dst))
			caseOK(t, "cp", "-a", old, dst)
			require.NoError(t, os.WriteFile(opt.State, bytes[:min(len(bytes), (used+1)*4096)], 0o600))
			require.NoError(t, os.Truncate(opt.State, int64(len(bytes)))) // the rest is zeros
			r := caseExec(t, args...)
			for path := range caseTree(t, src) {
				_, err := os.Lstat(filepath.Join(dst, path))
				require.NoError(t, err, "deleted by a damaged state")
			}
			switch r.code {
			case 2:
				require.Contains(t, r.stderr, opt.State, "the message does not name the file")
			case 0:
				caseSame(t, src, dst)
			}
		})
	}
}

// case 34: a state of other roots is none of ours, and is not destroyed for them.
func TestCaseStateOfOtherRoots(t *testing.T) {
	src, dst, opt := caseStore(t)
	caseSync(t, src, dst, opt)
	src2, dst2, _ := caseRoots(t)
	caseWrite(t, filepath.Join(src2, "h/f"), "x")
	caseWrite(t, filepath.Join(dst2, "alice/mail/Sent"), "of the other host")
	rep, err := tree.Sync(t.Context(), tree.From(src2), dst2, opt)
	if err == nil {
		require.NotEmpty(t, rep.Full)
		require.Zero(t, rep.Deleted)
		require.FileExists(t, filepath.Join(dst2, "alice/mail/Sent"))
	}
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// case 36: times of directories to the nanosecond, after anything happened in them; of symbolic links; and access times,
// by which shells and Dovecot tell unread mail. The source keeps its access times too.
func TestCaseTimes(t *testing.T) {
	src, dst, opt := caseRoots(t)
	b := caseMaildir(t, filepath.Join(src, "h/Maildir"), 6)
	caseWrite(t, filepath.Join(src, "h/mail/Sent"), caseMessage(1, "unread"))
	caseWrite(t, filepath.Join(src, "h/mail/Read"), caseMessage(1, "read"))
	require.NoError(t, os.Symlink("mail", filepath.Join(src, "h/link")))
	read := []unix.Timespec{{Sec: 1500000000, Nsec: 77}, {Sec: 1420070401, Nsec: 1}}
	require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(src, "h/mail/Read"), read, 0))
	dirs := []string{"h/Maildir/cur", "h/Maildir/new", "h/Maildir/.Sent/cur", "h/Maildir/.Sent", "h/Maildir", "h/mail", "h/link", "h"}
	at := func(n string) string { return filepath.Join(src, "h/Maildir", n) }
	for round, change := range []func() error{
		func() error { return nil },
		func() error { return os.Rename(at("cur/"+b[0]+":2,"), at("cur/"+b[0]+":2,S")) },
		func() error { return os.Remove(at("cur/" + b[1] + ":2,")) },
		func() error { return os.Rename(at("cur/"+b[2]+":2,"), at(".Sent/cur/"+b[2]+":2,")) },
		func() error { return os.WriteFile(at("new/9.host"), []byte("new"), 0o600) },
		func() error { return os.Mkdir(at(".Sent/cur/sub"), 0o700) },
		func() error { return os.Rename(at(".Sent"), at(".Other")) },
	} {
		require.NoError(t, change())
		for i, d := range dirs {
			if _, err := os.Lstat(filepath.Join(src, d)); err == nil {
				caseTimes(t, filepath.Join(src, d), int64(1300000000+round), int64(100*round+i+1))
			}
		}
		before := map[string]unix.Timespec{}
		for _, n := range []string{"h/mail/Sent", "h/mail/Read"} {
			before[n] = caseStat(t, filepath.Join(src, n)).Atim
		}
		caseSync(t, src, dst, opt)
		for n, atime := range before {
			require.Equal(t, atime, caseStat(t, filepath.Join(src, n)).Atim, "%s at the source", n)
			require.Equal(t, atime, caseStat(t, filepath.Join(dst, n)).Atim, "%s at the target", n)
		}
		caseSame(t, src, dst)
		caseIdle(t, src, dst, opt)
	}
	st := caseStat(t, filepath.Join(dst, "h/mail/Sent"))
	require.Less(t, st.Atim.Sec, st.Mtim.Sec, "new mail is no longer shown as new")
}
