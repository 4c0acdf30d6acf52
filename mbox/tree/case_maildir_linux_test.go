package tree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox/tree"
)

// caseMaildir makes a Maildir of n messages with a folder, and gives the base names.
func caseMaildir(t testing.TB, at string, n int) (bases []string) {
	t.Helper()
	for _, d := range []string{"cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(at, d), 0o700))
	}
	list := fmt.Sprintf("3 V1420070401 N%d G1\n", n+1)
	for i := range n {
		base := fmt.Sprintf("%d.M%dP1.host,S=9", 1420070401+i, i)
		bases = append(bases, base)
		list += fmt.Sprintf("%d :%s\n", i+1, base)
		caseWrite(t, filepath.Join(at, "cur", base+":2,"), fmt.Sprintf("%09d", i))
		caseTimes(t, filepath.Join(at, "cur", base+":2,"), int64(1420070401+i), int64(i))
	}
	caseWrite(t, filepath.Join(at, "dovecot-uidlist"), list)
	return bases
}

// case 25: everything is marked read; and worse renames.
func TestCaseFlagsAreRenames(t *testing.T) {
	src, dst, opt := caseRoots(t)
	bases := caseMaildir(t, filepath.Join(src, "Maildir"), 500)
	caseSync(t, src, dst, opt)
	inode := func(name string) uint64 { return caseStat(t, filepath.Join(dst, "Maildir/cur", name)).Ino }
	before := map[string]uint64{}
	for i, b := range bases {
		before[b] = inode(b + ":2,")
		caseRename(t, src, "Maildir/cur/"+b+":2,", "Maildir/cur/"+b+[]string{":2,S", ":2,RSa", ""}[i%3])
	}
	rep := caseSync(t, src, dst, opt)
	require.EqualValues(t, 500, rep.Renamed)
	require.Zero(t, rep.CopiedFiles+rep.CopiedBytes+rep.Deleted)
	caseSame(t, src, dst)
	for i, b := range bases {
		require.Equal(t, before[b], inode(b+[]string{":2,S", ":2,RSa", ""}[i%3]))
	}
	caseIdle(t, src, dst, opt)
}

func caseRename(t testing.TB, root, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(filepath.Join(root, from), filepath.Join(root, to)))
}

// cases 26 and 27: moves between folders, a whole folder renamed, and hard links as COPY makes them.
func TestCaseMovesAndLinks(t *testing.T) {
	src, dst, opt := caseRoots(t)
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 12)
	caseSync(t, src, dst, opt)
	old := caseStat(t, filepath.Join(dst, "Maildir/cur", b[0]+":2,"))
	caseRename(t, src, "Maildir/cur/"+b[0]+":2,", "Maildir/.Sent/cur/"+b[0]+":2,S") // moved and flagged
	caseRename(t, src, "Maildir/cur/"+b[1]+":2,", "Maildir/.Sent/new/"+b[1])
	moved := caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	require.NoError(t, os.Link(filepath.Join(src, "Maildir/cur", b[2]+":2,"), filepath.Join(src, "Maildir/.Sent/cur/9.M9P1.host,S=9:2,S")))
	linked := caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	require.Zero(t, moved.CopiedBytes, "moves")
	require.Zero(t, linked.CopiedBytes, "links")
	require.Equal(t, old.Ino, caseStat(t, filepath.Join(dst, "Maildir/.Sent/cur", b[0]+":2,S")).Ino)
	require.EqualValues(t, 2, caseStat(t, filepath.Join(dst, "Maildir/cur", b[2]+":2,")).Nlink)
	caseIdle(t, src, dst, opt)
	require.NoError(t, os.Link(filepath.Join(src, "Maildir/cur", b[3]+":2,"), filepath.Join(src, "Maildir/.Sent/cur/10.M9P1.host,S=9:2,S")))
	require.NoError(t, os.Remove(filepath.Join(src, "Maildir/cur", b[3]+":2,"))) // copied, then expunged
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	caseIdle(t, src, dst, opt)
	caseRename(t, src, "Maildir/.Sent", "Maildir/.Gesendet")
	folder := caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	require.Zero(t, folder.CopiedBytes, "a folder")
	caseIdle(t, src, dst, opt)
}

// Further names of one file come and go: each changes the inode's time for all the others, which is no change at the
// target by anybody else.
func TestCaseLinksComeAndGo(t *testing.T) {
	src, dst, opt := caseRoots(t)
	at := func(n string) string { return filepath.Join(src, "Maildir", n) }
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 2)
	one := at("cur/" + b[0] + ":2,")
	link := func(n string) func() error { return func() error { return os.Link(one, at(n)) } }
	noticed := func(err error) error { // what a directory does not show is found where it changed: see TestCaseDocumentedMisses
		for _, d := range []string{"cur", "new", ".Sent/cur"} {
			caseWrite(t, at(d+"/0.host"), "")
			require.NoError(t, os.Remove(at(d+"/0.host")))
		}
		return err
	}
	for i, change := range []func() error{
		link(".Sent/cur/7.host:2,S"), link("cur/8.host:2,"), link("new/9.host"),
		func() error { return os.Remove(at("cur/8.host:2,")) },
		func() error { return os.Rename(at("new/9.host"), at("cur/9.host:2,S")) },
		func() error { return noticed(os.Chmod(one, 0o640)) },
		func() error { return noticed(os.WriteFile(one, []byte("in place"), 0o600)) },
		func() error { return os.Rename(at(".Sent"), at(".Other")) },
		func() error { return os.RemoveAll(at(".Other")) },
		func() error { return os.Remove(one) },
	} {
		require.NoError(t, change())
		rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
		require.NoError(t, err)
		// that got another name they are files of their own
		require.Empty(t, rep.Problems, "change %d", i)
		caseSame(t, src, dst)
		caseIdle(t, src, dst, opt)
	}
}

// Names that go round in a circle, and one that another took over.
func TestCaseNamesExchanged(t *testing.T) {
	src, dst, opt := caseRoots(t)
	cur := filepath.Join(src, "Maildir/cur")
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 6)
	caseSync(t, src, dst, opt)
	at := func(i int) string { return filepath.Join(cur, b[i]+":2,") }
	require.NoError(t, unix.Renameat2(unix.AT_FDCWD, at(0), unix.AT_FDCWD, at(1), unix.RENAME_EXCHANGE))
	require.NoError(t, unix.Renameat2(unix.AT_FDCWD, at(1), unix.AT_FDCWD, at(2), unix.RENAME_EXCHANGE))
	require.NoError(t, os.Rename(at(3), at(4)))
	require.NoError(t, os.Rename(at(5), at(3)))
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	caseIdle(t, src, dst, opt)
}

// The file system gives the inode of a deleted message to a new one of the same size and time: that is no rename.
func TestCaseInodeUsedAgain(t *testing.T) {
	src, dst, opt := caseRoots(t)
	cur := filepath.Join(src, "Maildir/cur")
	bases := caseMaildir(t, filepath.Join(src, "Maildir"), 20)
	caseSync(t, src, dst, opt)
	again := 0
	for i, b := range bases {
		old := caseStat(t, filepath.Join(cur, b+":2,"))
		require.NoError(t, os.Remove(filepath.Join(cur, b+":2,")))
		now := filepath.Join(cur, fmt.Sprintf("99%d.M1P2.host,S=9:2,S", i))
		caseWrite(t, now, "different")
		caseTimes(t, now, old.Mtim.Sec, old.Mtim.Nsec)
		if caseStat(t, now).Ino == old.Ino {
			again++
		}
	}
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	t.Logf("%d inodes were used again", again)
}

// case 28: messages are renamed 1000 times a second while passes that may delete go on. None is ever missed.
func TestCaseRenamesWhileCopying(t *testing.T) {
	t.Run("flags", func(t *testing.T) { caseRenames(t, "cur/%s:2,S", "cur/%s:2,FS", "cur/%s:2,", "cur/%s:2,T") })
	t.Run("new mail is seen", func(t *testing.T) { caseRenames(t, "cur/%s:2,S", "new/%s", "cur/%s:2,", "new/%s") })
	t.Run("moves between folders", func(t *testing.T) { caseRenames(t, "cur/%s:2,S", "new/%s", "cur/%s:2,FS", ".Sent/cur/%s:2,") })
}

func caseRenames(t *testing.T, names ...string) {
	src, dst, opt := caseRoots(t)
	const n = 1500
	bases := caseMaildir(t, filepath.Join(src, "Maildir"), n)
	caseSync(t, src, dst, opt)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caseScale())*1500*time.Millisecond)
	defer cancel()
	done := make(chan int, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		at, renames := make([]string, n), 0
		for i, b := range bases {
			at[i] = "cur/" + b + ":2,"
		}
		for ; ; renames++ {
			select {
			case <-ctx.Done():
				done <- renames
				return
			case <-tick.C:
			}
			i := renames * 7 % n
			to := fmt.Sprintf(names[renames%4], bases[i])
			if os.Rename(filepath.Join(src, "Maildir", at[i]), filepath.Join(src, "Maildir", to)) == nil {
				at[i] = to
			}
		}
	}()
	passes := 0
	for ; ctx.Err() == nil; passes++ {
		_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
		require.NoError(t, err)
		here := caseBases(t, filepath.Join(dst, "Maildir"))
		for _, b := range bases {
			require.True(t, here[b], "%s was deleted while it was only renamed, in pass %d", b, passes)
		}
	}
	t.Logf("%d renames, %d passes", <-done, passes)
	caseSync(t, src, dst, opt)
	caseSync(t, src, dst, opt) // what a live pass did not dare to delete
	caseSame(t, src, dst)
}

func caseBases(t testing.TB, maildir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, d := range []string{"cur", "new", ".Sent/cur", ".Sent/new"} {
		ents, err := os.ReadDir(filepath.Join(maildir, d))
		require.NoError(t, err)
		for _, e := range ents {
			base, _, _ := strings.Cut(e.Name(), ":")
			out[base] = true
		}
	}
	return out
}

// case 29: dovecot-uidlist is replaced by another of another length while it is copied: every sample is one or the other.
func TestCaseUIDListIsWhole(t *testing.T) {
	src, dst, opt := caseRoots(t)
	caseMaildir(t, filepath.Join(src, "Maildir"), 1)
	from, to := filepath.Join(src, "Maildir/dovecot-uidlist"), filepath.Join(dst, "Maildir/dovecot-uidlist")
	list := func(v int) string {
		n := 1 + v*37%4000
		lines := strings.Builder{}
		fmt.Fprintf(&lines, "3 V1 N%d G%d\n", n+1, v)
		for i := range n {
			fmt.Fprintf(&lines, "%d G%d :%d.M.host\n", i+1, v, i)
		}
		return lines.String()
	}
	require.NoError(t, caseReplace(from, list(0)))
	caseSync(t, src, dst, opt)
	var stop atomic.Bool
	wrote, sampled := make(chan error, 1), make(chan string, 1)
	go func() {
		var err error
		for v := 1; err == nil && !stop.Load(); v++ {
			err = caseReplace(from, list(v))
		}
		wrote <- err
	}()
	go func() {
		bad := ""
		for bad == "" && !stop.Load() {
			b, err := os.ReadFile(to)
			v, n := 0, 0
			if err == nil {
				_, err = fmt.Sscanf(string(b), "3 V1 N%d G%d\n", &n, &v)
			}
			if err != nil || string(b) != list(v) {
				bad = fmt.Sprintf("%d bytes of uidlist %d: %v", len(b), v, err)
			}
		}
		sampled <- bad
	}()
	for end := time.Now().Add(time.Duration(caseScale()) * time.Second); time.Now().Before(end); {
		_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
		require.NoError(t, err)
	}
	stop.Store(true)
	require.NoError(t, <-wrote)
	require.Empty(t, <-sampled)
	caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
}

// caseTrusted runs passes until all directories are taken as unchanged without listing them.
func caseTrusted(t testing.TB, src, dst string, opt *tree.Options) {
	t.Helper()
	caseEventually(t, src, dst, opt, func(r *tree.Report) bool { return r.TrustedDirs == r.Dirs })
}

// cases 30 and 31: what the time of a directory cannot tell. A pass sees it, or says how many directories it trusted and
// Verify finds it; a pass without the state mends it.
func TestCaseDocumentedMisses(t *testing.T) {
	t.Parallel()
	src, dst, opt := caseRoots(t)
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 10)
	at := func(i int) string { return filepath.Join(src, "Maildir/cur", b[i]+":2,") }
	opt.Canaries = -1
	caseSync(t, src, dst, opt)
	caseTrusted(t, src, dst, opt)
	caseEdit(t, at(0), 0, "987654321") // 30: as an editor that writes in place, or a virus scanner
	caseTimes(t, at(0), 1420070401, 0)
	require.NoError(t, os.Chmod(at(1), 0o640)) // 31
	require.NoError(t, unix.Setxattr(at(2), "user.x", []byte("y"), 0))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(at(3), 500, 500))
	}
	rep := caseSync(t, src, dst, opt)
	verified := caseVerify(t, src, dst, opt, tree.ByHash)
	if rep.TrustedDirs > 0 {
		for i, what := range []string{"content", "mode", "attribute", "owner"} {
			if os.Getenv("TREE_SOURCE") == "plain" && what == "attribute" {
				continue // are not compared
			}
			if i < 3 || os.Geteuid() == 0 {
				require.Contains(t, caseProblems(verified), b[i], what)
			}
		}
	}
	fresh := *opt
	fresh.State = "" // with a state, what nobody is known to have put there is left alone
	_, err := tree.Sync(t.Context(), tree.From(src), dst, &fresh)
	require.NoError(t, err)
	verified = caseVerify(t, src, dst, opt, tree.ByStat)
	require.Empty(t, verified.Problems, "mode, attribute and owner are mended")
}

// A canary is looked at file by file in a directory that is trusted otherwise; one that died has everything compared.
func TestCaseCanary(t *testing.T) {
	t.Parallel()
	src, dst, opt := caseRoots(t)
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 3)
	at := filepath.Join(src, "Maildir/cur", b[0]+":2,")
	caseSync(t, src, dst, opt)
	caseTrusted(t, src, dst, opt)
	caseEdit(t, at, 0, "987654321")
	caseTimes(t, at, 1420070401, 0)
	opt.Canaries = 100
	rep := caseSync(t, src, dst, opt)
	require.NotEmpty(t, rep.Full)
	require.Zero(t, rep.TrustedDirs)
	require.Equal(t, caseSum(t, at), caseSum(t, filepath.Join(dst, "Maildir/cur", b[0]+":2,")))
	require.EqualValues(t, 1, rep.CopiedFiles)
	caseSame(t, src, dst)
}

// Files that change beside the messages are looked at also where directories are trusted.
func TestCaseHotFilesOfTrustedDirectories(t *testing.T) {
	t.Parallel()
	src, dst, opt := caseRoots(t)
	caseMaildir(t, filepath.Join(src, "Maildir"), 3)
	for _, n := range []string{"dovecot.index.log", "dovecot-keywords", "subscriptions", "maildirsize", ".Sent/dovecot.index.cache", ".Sent/dovecot-uidlist"} {
		caseWrite(t, filepath.Join(src, "Maildir", n), "before")
	}
	caseSync(t, src, dst, opt)
	caseTrusted(t, src, dst, opt)
	for _, n := range []string{"dovecot.index.log", "dovecot-keywords", "subscriptions", "maildirsize", ".Sent/dovecot.index.cache", ".Sent/dovecot-uidlist"} {
		caseEdit(t, filepath.Join(src, "Maildir", n), 0, "behind")
		caseAge(t, filepath.Join(src, "Maildir", n))
		caseSync(t, src, dst, opt)
		require.Equal(t, caseSum(t, filepath.Join(src, "Maildir", n)), caseSum(t, filepath.Join(dst, "Maildir", n)), n)
	}
	caseSame(t, src, dst)
}

// case 32: a message arrives within the tick of the clock in which its directory was listed. ext4 with inodes of 128
// bytes has whole seconds.
func TestCaseSameTick(t *testing.T) {
	src, _, _ := caseDisk(t, "16M", "mkfs.ext4", "-q", "-F", "-I", "128")
	_, dst, opt := caseRoots(t)
	opt.Pairs = []tree.Pair{{From: "Maildir", To: "Maildir"}}
	b := caseMaildir(t, filepath.Join(src, "Maildir"), 40)
	caseSync(t, src, dst, opt)
	for i := range 20 * caseScale() {
		name := filepath.Join(src, "Maildir/new", fmt.Sprintf("%d.M1P3.host", i))
		require.NoError(t, os.WriteFile(name, []byte("new mail"), 0o600))
		caseSync(t, src, dst, opt)
		require.NoError(t, os.WriteFile(name+"b", []byte("new mail"), 0o600)) // the same second, as good as always
		caseRename(t, src, "Maildir/cur/"+b[i]+":2,", "Maildir/cur/"+b[i]+":2,S")
		require.NoError(t, os.Remove(filepath.Join(src, "Maildir/cur", b[i+20]+":2,")))
		caseSync(t, src, dst, opt)
		caseSame(t, filepath.Join(src, "Maildir"), filepath.Join(dst, "Maildir"))
		require.NoError(t, os.WriteFile(name, []byte("NEW MAIL"), 0o600))           // the same size, in the same second
		if caseStat(t, name).Mtim.Sec != caseStat(t, filepath.Dir(name)).Mtim.Sec { // or not, on a busy machine
			caseWrite(t, name+"c", "")
			require.NoError(t, os.Remove(name+"c"))
		}
		caseSync(t, src, dst, opt)
		require.Equal(t, caseSum(t, name), caseSum(t, filepath.Join(dst, "Maildir/new", filepath.Base(name))))
	}
}

// A target with whole seconds cannot keep the rest: that is no reason to copy again and again.
func TestCaseTargetWithWholeSeconds(t *testing.T) {
	dst, _, _ := caseDisk(t, "16M", "mkfs.ext4", "-q", "-F", "-I", "128")
	src, _, opt := caseRoots(t)
	opt.Pairs = []tree.Pair{{From: "Maildir", To: "Maildir"}}
	caseMaildir(t, filepath.Join(src, "Maildir"), 10)
	_, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Zero(t, rep.CopiedBytes+rep.CopiedFiles)
	require.NotContains(t, caseProblems(rep), "changed at the target")
}
