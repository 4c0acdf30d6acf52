package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseGrow gives a user a mailbox, an index and files of one version; each file of a version is of one letter.
func caseGrow(t testing.TB, src, user string, version int) {
	t.Helper()
	letter := string(rune('a' + version))
	for i, n := range []string{"mail/Sent", "mail/.imap/Sent/dovecot.index", "Maildir/cur/1.host:2,", "notes", "Maildir/dovecot-uidlist"} {
		caseWrite(t, filepath.Join(src, "home", user, n), strings.Repeat(letter, 9000*(version+1)+1000*i))
	}
	caseWrite(t, filepath.Join(src, "var/mail", user), strings.Repeat(letter, 30000*(version+1)))
}

// caseWhole wants each file of a user at the target to be that of one version, from its first byte to its last.
func caseWhole(t testing.TB, dst, user string) {
	t.Helper()
	for i, n := range []string{"mail/Sent", "mail/.imap/Sent/dovecot.index", "Maildir/cur/1.host:2,", "notes", "Maildir/dovecot-uidlist", ""} {
		path := filepath.Join(dst, "home", user, n)
		size := func(v int) int { return 9000*(v+1) + 1000*i }
		if n == "" {
			path, size = filepath.Join(dst, "var/mail", user), func(v int) int { return 30000 * (v + 1) }
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NotEmpty(t, b, "%s is empty", path)
		require.Equal(t, strings.Repeat(string(b[:1]), size(int(b[0]-'a'))), string(b), "%s is torn", path)
	}
}

// case 46: the disk is full at each page of a copy, the first and a later one. Nothing is torn, the old copy stays, the
// others go on, and with more room the next pass completes.
func TestCaseFullDisk(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = caseElsewhere()
	home := filepath.Join(dst, "home") // alice's disk, not that of bob
	pages := 1
	for failed := true; failed; pages += 2 {
		require.NoError(t, os.RemoveAll(dst))
		require.NoError(t, os.RemoveAll(opt.State))
		caseGrow(t, src, "alice", 0)
		caseGrow(t, src, "bob", 0)
		caseTmpfs(t, home, fmt.Sprintf("size=%dk", 4*pages))
		failed = caseFullPass(t, src, dst, opt)
		if !failed { // the first one fits: let the second one not
			caseGrow(t, src, "alice", 1)
			caseGrow(t, src, "bob", 1)
			failed = caseFullPass(t, src, dst, opt)
		}
		require.NoError(t, unix.Mount("", home, "", unix.MS_REMOUNT, "size=10m"))
		caseSync(t, src, dst, opt)
		caseSame(t, filepath.Join(src, "home/alice/mail"), filepath.Join(home, "alice/mail"))
		caseNoLeftovers(t, src, dst)
		require.NoError(t, unix.Unmount(home, 0))
	}
	require.Greater(t, pages, 25, "the case shows nothing")
}

// caseElsewhere gives bob a home at the target on another disk than alice's.
func caseElsewhere() []tree.Pair {
	return append(casePairs("alice"), tree.Pair{From: "home/bob", To: "srv/bob"}, tree.Pair{From: "var/mail/bob", To: "srv/mail/bob"})
}

func caseFullPass(t *testing.T, src, dst string, opt *tree.Options) (failed bool) {
	t.Helper()
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	caseWhole(t, dst, "alice")
	caseSame(t, filepath.Join(src, "home/bob"), filepath.Join(dst, "srv/bob"))
	caseSame(t, filepath.Join(src, "var/mail/bob"), filepath.Join(dst, "srv/mail/bob"))
	require.NotContains(t, caseProblems(rep), `bob`)
	if len(rep.Problems) > 0 {
		require.Contains(t, caseProblems(rep), "home/alice")
		require.Contains(t, caseProblems(rep), "no space left")
	}
	return len(rep.Problems) > 0
}

// case 46: no inodes are left, though there are blocks.
func TestCaseNoInodes(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = caseElsewhere()
	caseGrow(t, src, "alice", 0)
	caseGrow(t, src, "bob", 0)
	home := filepath.Join(dst, "home")
	for inodes := 2; inodes < 14; inodes += 3 {
		require.NoError(t, os.RemoveAll(opt.State))
		caseTmpfs(t, home, fmt.Sprintf("size=10m,nr_inodes=%d", inodes))
		require.True(t, caseFullPass(t, src, dst, opt))
		require.NoError(t, unix.Mount("", home, "", unix.MS_REMOUNT, "nr_inodes=100"))
		caseSync(t, src, dst, opt)
		require.NoError(t, unix.Unmount(home, 0))
	}
}

// case 46: a quota that binds root too: btrfs counts what a subvolume holds.
func TestCaseQuota(t *testing.T) {
	btrfs := oracle.Need(t, "btrfs")
	exec.Command("modprobe", "btrfs").Run()
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "btrfs") {
		t.Skip("the kernel has no btrfs")
	}
	disk, _, _ := caseDisk(t, "160M", "mkfs.btrfs", "-q")
	caseOK(t, btrfs, "quota", "enable", disk)
	src, dst, opt := caseRoots(t)
	opt.Pairs = caseElsewhere()
	home := filepath.Join(dst, "home")
	caseOK(t, btrfs, "subvolume", "create", filepath.Join(disk, "home"))
	require.NoError(t, os.Mkdir(home, 0o755))
	require.NoError(t, unix.Mount(filepath.Join(disk, "home"), home, "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(home, unix.MNT_DETACH) })
	caseGrow(t, src, "alice", 0)
	caseGrow(t, src, "bob", 0)
	caseSync(t, src, dst, opt)
	caseOK(t, btrfs, "qgroup", "limit", "600k", home)
	for _, n := range []string{"mail/Sent", "notes", "mail/big"} {
		caseWrite(t, filepath.Join(src, "home/alice", n), strings.Repeat("z", 2<<20))
	}
	caseGrow(t, src, "bob", 1)
	old := caseSum(t, filepath.Join(dst, "home/alice/mail/Sent"))
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Contains(t, caseProblems(rep), "quota")
	require.Contains(t, caseProblems(rep), "home/alice")
	require.NotContains(t, caseProblems(rep), "bob")
	require.Equal(t, old, caseSum(t, filepath.Join(dst, "home/alice/mail/Sent")))
	require.NoFileExists(t, filepath.Join(dst, "home/alice/mail/big"))
	caseSame(t, filepath.Join(src, "home/bob"), filepath.Join(dst, "srv/bob"))
	caseOK(t, btrfs, "qgroup", "limit", "none", home)
	caseSync(t, src, dst, opt)
	caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
	caseNoLeftovers(t, src, dst)
}

// A home at the target is a disk of its own: staging goes onto that disk.
func TestCaseTargetHomeIsAMount(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice", "bob")
	caseTmpfs(t, filepath.Join(dst, "home/alice"), "size=10m")
	for version := range 2 {
		caseGrow(t, src, "alice", version)
		caseGrow(t, src, "bob", version)
		caseSync(t, src, dst, opt)
		require.NoDirExists(t, filepath.Join(dst, "home/alice/alice"))
		caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
		caseSame(t, filepath.Join(src, "home/bob"), filepath.Join(dst, "home/bob"))
		caseNoLeftovers(t, src, dst)
	}
}

// caseBadSectors makes files unreadable from some offset on: the image of their disk is cut where their data lie. The
// disk is mounted anew, so that nothing is in the cache.
func caseBadSectors(t testing.TB, disk, dev, image string, cut int64) {
	t.Helper()
	require.NoError(t, unix.Unmount(disk, 0))
	require.NoError(t, os.Truncate(image, cut))
	caseMount(t, dev, disk, "ro")
}

// casePhysical is where on its disk the block of a file at offset lies.
func casePhysical(t testing.TB, path string, block int) int64 {
	t.Helper()
	out := caseOK(t, oracle.Need(t, "filefrag"), "-v", "-b4096", path)
	for line := range strings.Lines(out) {
		var i, from, to, phys int64
		if n, _ := fmt.Sscanf(strings.TrimSpace(line), "%d: %d.. %d: %d..", &i, &from, &to, &phys); n == 4 && int64(block) >= from && int64(block) <= to {
			return (phys + int64(block) - from) * 4096
		}
	}
	require.Fail(t, "no extent holds the block", out)
	return 0
}

// case 48: the source cannot be read at some offset. The old copy stays, the index of that mailbox too, the others go on.
func TestCaseReadError(t *testing.T) {
	for _, block := range []int{0, 1, 100, 255} {
		t.Run(fmt.Sprint("block ", block), func(t *testing.T) {
			disk, dev, image := caseDisk(t, "64M", "mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal")
			_, dst, opt := caseRoots(t)
			opt.Pairs = casePairs("alice", "bob")
			caseGrow(t, disk, "alice", 0)
			caseGrow(t, disk, "bob", 0)
			caseSync(t, disk, dst, opt)
			old := caseSum(t, filepath.Join(dst, "var/mail/alice"))
			caseGrow(t, disk, "bob", 1)
			index := "home/alice/mail/.imap/INBOX/dovecot.index"
			caseWrite(t, filepath.Join(disk, index), "newer index")
			caseFallocate(t, filepath.Join(disk, "var/mail/alice"), 256, block)
			cut := casePhysical(t, filepath.Join(disk, "var/mail/alice"), block)
			caseBadSectors(t, disk, dev, image, cut)
			rep, err := tree.Sync(t.Context(), tree.From(disk), dst, opt)
			require.NoError(t, err)
			require.Contains(t, caseProblems(rep), `"var/mail/alice"`)
			require.Regexp(t, "(?i)input/output error|File shrank", caseProblems(rep))
			require.Equal(t, old, caseSum(t, filepath.Join(dst, "var/mail/alice")))
			caseWhole(t, dst, "bob")
			require.Equal(t, caseSum(t, filepath.Join(disk, "home/bob/mail/Sent")), caseSum(t, filepath.Join(dst, "home/bob/mail/Sent")))
			caseNoLeftovers(t, dst)
			v := caseVerify(t, disk, dst, opt, tree.ByHash)
			require.Contains(t, caseProblems(v), `"var/mail/alice"`)
			require.NoFileExists(t, filepath.Join(dst, index))
		})
	}
}

// caseFallocate writes a mailbox anew as the last thing on its disk, at the end of it: what was cut away later holds
// nothing else.
func caseFallocate(t testing.TB, path string, blocks, from int) {
	t.Helper()
	dir := filepath.Dir(path)
	var fs unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &fs))
	filler := filepath.Join(dir, "..", "filler")
	f, err := os.Create(filler)
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bfree-uint64(blocks)-600)*4096))
	require.NoError(t, f.Close())
	b := []byte(strings.Repeat("m", blocks*4096))
	require.NoError(t, os.WriteFile(path, b, 0o600))
	f, err = os.Open(path)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

// case 46: the target's disk takes everything and fails when it has to write it down. That may not pass for a success.
func TestCaseWriteBackError(t *testing.T) {
	src, dst, opt := caseRoots(t)
	thin := filepath.Join(t.TempDir(), "thin")
	caseTmpfs(t, thin, "size=3m")
	image := filepath.Join(thin, "image")
	caseOK(t, "truncate", "-s", "64M", image) // promised, and not there
	caseOK(t, oracle.Need(t, "mkfs.ext4"), "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", image)
	caseMount(t, caseAttach(t, image), dst, "")
	for i := range 12 {
		caseWrite(t, filepath.Join(src, "h", fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i%10), 1<<20))
	}
	opt.Pairs = []tree.Pair{{From: "h", To: "h"}}
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.True(t, err != nil || len(rep.Problems) > 0, "the disk lost what was written, and nobody said so")
}

// case 47: a program makes of a name in turn a file, a link to a secret, a FIFO, a directory, and nothing.
func TestCaseTypesChangeWhileCopying(t *testing.T) {
	src, dst, opt := caseRoots(t)
	outside := filepath.Join(t.TempDir(), "outside")
	caseWrite(t, filepath.Join(outside, "cur/secret"), "SECRET")
	caseWrite(t, filepath.Join(src, "h/Maildir/cur/stays:2,"), "stays")
	names := []string{"h/Maildir/cur/1:2,", "h/Maildir/.Sent", "h/mail/box", "h/Maildir/dovecot-uidlist", "h/mail/.imap"}
	require.NoError(t, os.MkdirAll(filepath.Join(src, "h/mail"), 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caseScale())*2*time.Second)
	defer cancel()
	done := make(chan int, 1)
	go func() {
		rnd, n := rand.New(rand.NewPCG(47, 0)), 0
		for ; ctx.Err() == nil; n++ {
			p := filepath.Join(src, names[rnd.IntN(len(names))])
			os.RemoveAll(p)
			switch rnd.IntN(6) {
			case 0:
				os.WriteFile(p, []byte(caseMessage(1, "mine")), 0o600)
			case 1:
				os.Symlink(filepath.Join(outside, "cur/secret"), p)
			case 2:
				os.Symlink(outside, p)
			case 3:
				unix.Mkfifo(p, 0o600)
			case 4:
				os.MkdirAll(filepath.Join(p, "cur"), 0o700)
				os.WriteFile(filepath.Join(p, "cur/2:2,"), []byte("mine"), 0o600)
			}
		}
		done <- n
	}()
	passes := 0
	for ; ctx.Err() == nil; passes++ {
		caseWithin(t, 30*time.Second, func() {
			_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
			require.NoError(t, err)
		})
		caseNoSecret(t, dst)
		require.FileExists(t, filepath.Join(dst, "h/Maildir/cur/stays:2,"))
	}
	t.Logf("%d changes, %d passes", <-done, passes)
	rep := caseSync(t, src, dst, opt)
	require.Empty(t, rep.Skipped)
	caseSame(t, src, dst)
	caseNoLeftovers(t, src, dst)
}

func caseNoSecret(t testing.TB, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		require.NoError(t, err)
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(b), "SECRET", path)
		}
		return nil
	}))
}

// A user exchanges a directory of his for a link to a secret one, 100,000 times and more while root copies, with and
// without saved state. Nothing from outside gets in, and nothing outside is changed.
func TestCaseSwapRace(t *testing.T) {
	src, dst, opt := caseRoots(t)
	outside := filepath.Join(t.TempDir(), "outside")
	for _, n := range []string{"cur/1:2,", "new/2", ".Sent/cur/3:2,", "dovecot-uidlist", "own"} {
		caseWrite(t, filepath.Join(outside, n), "SECRET")
		caseWrite(t, filepath.Join(src, "h/Maildir", n), "mine..")
	}
	if os.Geteuid() == 0 { // what root has in a tree of root's is read as root, by its path
		require.NoError(t, filepath.WalkDir(filepath.Join(src, "h"), func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, 666, 666))
		}))
	}
	before := caseTree(t, outside)
	a, b := filepath.Join(src, "h/Maildir"), filepath.Join(src, "h/link")
	require.NoError(t, os.Symlink(outside, b))
	var swaps atomic.Int64
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			swaps.Add(1)
		}
		done <- err
	}()
	stateless := &tree.Options{}
	passes := 0
	for ; swaps.Load() < int64(100_000*caseScale()) || passes < 100; passes++ {
		o := opt
		if passes%2 == 1 {
			o = stateless
		}
		_, err := tree.Sync(t.Context(), tree.From(src), dst, o)
		require.NoError(t, err)
		if passes%25 == 0 {
			caseNoSecret(t, dst)
			require.NoError(t, os.RemoveAll(filepath.Join(dst, "h")))
			require.NoError(t, os.RemoveAll(opt.State))
		}
	}
	stop.Store(true)
	require.NoError(t, <-done)
	caseNoSecret(t, dst)
	require.Equal(t, before, caseTree(t, outside))
	t.Logf("%d exchanges, %d passes", swaps.Load(), passes)
}
