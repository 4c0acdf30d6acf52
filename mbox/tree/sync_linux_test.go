package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

func TestEverythingIsKept(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	src, dst := roots(t)
	everything(t, filepath.Join(src, "home/alice"))
	socket(t, filepath.Join(src, "home/alice/sock"))
	rep := syncOK(t, src, dst, nil)
	require.Len(t, rep.Skipped, 1)
	require.Equal(t, "home/alice/sock", rep.Skipped[0].Path)
	require.NoError(t, os.Remove(filepath.Join(src, "home/alice/sock")))
	require.Less(t, rep.CopiedBytes, int64(2<<20), "holes were written")
	require.EqualValues(t, 2, rep.Linked)
	rep = syncOK(t, src, dst, nil) // the removed socket changed a directory's time
	require.Zero(t, rep.CopiedFiles)
	require.True(t, rep.OwnershipKept)
	sameTrees(t, src, dst, nil)
	st := stats(t, dst)[filepath.Join(dst, "home/alice/sparse")]
	require.Less(t, st.Blocks, int64(1000), "the hole was filled")
	noTemps(t, dst)
	for _, how := range []How{ByStat, ByHash} {
		v, err := Verify(t.Context(), From(src), dst, nil, how)
		require.NoError(t, err)
		require.Empty(t, v.Problems)
		require.Equal(t, v.Files+v.Dirs, v.Verified)
	}
}

func TestIDsAreMapped(t *testing.T) {
	oracle.Root(t)
	src, dst := roots(t)
	everything(t, filepath.Join(src, "home/alice"))
	opt := &Options{UIDs: map[uint32]uint32{500: 1001, 0: 0}, GIDs: map[uint32]uint32{500: 1002, 0: 0, 77: 77}}
	rep := syncOK(t, src, dst, opt)
	require.Equal(t, map[uint32]int64{4321: 1}, rep.UnmappedUIDs)
	require.Equal(t, map[uint32]int64{8765: 1}, rep.UnmappedGIDs)
	sameTrees(t, src, dst, func(path string, s *shot) {
		if s.uid == 500 {
			s.uid = 1001
		}
		if s.gid == 500 {
			s.gid = 1002
		}
		switch filepath.Base(path) {
		case "acl":
			s.attrs = attrLine(aclAccess, acl(1001, 1002))
		case "acldir":
			s.attrs = attrLine(aclAccess, acl(1001, 77)) + attrLine(aclDefault, acl(77, 1002))
		}
	})
	rep = syncOK(t, src, dst, opt)
	require.Zero(t, rep.CopiedFiles+rep.Metadata)
	require.Equal(t, rep.Files, rep.Unchanged)
}

// Other id maps at a later pass change owners and nothing else.
func TestOtherMap(t *testing.T) {
	oracle.Root(t)
	src, dst := roots(t)
	write(t, filepath.Join(src, "f"), "x")
	require.NoError(t, os.Chown(filepath.Join(src, "f"), 500, 500))
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	syncOK(t, src, dst, opt)
	opt.UIDs = map[uint32]uint32{500: 1001, 0: 0}
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 1, rep.Metadata)
	require.Zero(t, rep.CopiedFiles)
	sameTrees(t, src, dst, func(p string, s *shot) {
		if p == "f" {
			s.uid = 1001
		}
	})
}

func TestDepthBeyondPathMax(t *testing.T) {
	NotFrom(t, "plain", "find and tar are given paths")
	src, dst := roots(t)
	fd, err := unix.Open(src, unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	name := strings.Repeat("d", 200)
	for range 30 {
		require.NoError(t, unix.Mkdirat(fd, name, 0o755))
		next, err := openDir(fd, name)
		require.NoError(t, err)
		unix.Close(fd)
		fd = next
	}
	f, err := unix.Openat(fd, "bottom", unix.O_CREAT|unix.O_WRONLY, 0o600)
	require.NoError(t, err)
	unix.Write(f, []byte("here"))
	unix.Close(f)
	unix.Close(fd)
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 31, rep.Dirs)
	require.EqualValues(t, 1, rep.CopiedFiles)
	rep = syncOK(t, src, dst, opt)
	require.EqualValues(t, 1, rep.Unchanged)
	v, err := Verify(t.Context(), From(src), dst, nil, ByHash)
	require.NoError(t, err)
	require.Empty(t, v.Problems)
	require.EqualValues(t, 32, v.Verified)
}

func TestFifoInMaildirDoesNotHang(t *testing.T) {
	src, dst := roots(t)
	require.NoError(t, os.MkdirAll(filepath.Join(src, "Maildir/cur"), 0o700))
	require.NoError(t, unix.Mkfifo(filepath.Join(src, "Maildir/cur/x"), 0o600))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(src, "Maildir/cur/zero")))
	syncOK(t, src, dst, nil)
	syncOK(t, src, dst, nil)
	sameTrees(t, src, dst, nil)
}

func TestPairsAndParents(t *testing.T) {
	oracle.Root(t)
	src, dst := roots(t)
	write(t, filepath.Join(src, "export/home/alice/mail/Sent"), mail)
	write(t, filepath.Join(src, "export/home/bob/secret"), "not asked for")
	write(t, filepath.Join(src, "var/mail/alice"), mail)
	require.NoError(t, os.Chmod(filepath.Join(src, "export/home"), 0o751))
	require.NoError(t, unix.Chmod(filepath.Join(src, "var/mail"), 0o2775))
	require.NoError(t, os.Chown(filepath.Join(src, "export/home"), 0, 12))
	age(t, filepath.Join(src, "export/home"))
	require.NoError(t, os.MkdirAll(filepath.Join(dst, "var/mail"), 0o700))
	require.NoError(t, unix.Chmod(filepath.Join(dst, "var/mail"), 0o3777))
	opt := &Options{
		GIDs:  map[uint32]uint32{12: 8, 0: 0},
		Pairs: []Pair{{"export/home/alice", "srv/home/alicia"}, {"var/mail/alice", "var/mail/alicia"}, {"home/nobody", "home/nobody"}},
	}
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.Equal(t, []Problem{{Path: "home/nobody", Op: "absent", Error: "absent at the source"}}, rep.Skipped)
	require.NoDirExists(t, filepath.Join(dst, "home"))
	got, _ := look(t, dst)
	home := got["srv/home"]
	require.EqualValues(t, 0o751, home.perm)
	require.EqualValues(t, 8, home.gid)
	require.Equal(t, syscall.Timespec{Sec: 1420070401, Nsec: 123456789}, home.mtime)
	require.EqualValues(t, 0o3777, got["var/mail"].perm)
	require.EqualValues(t, int64(len(mail)), got["var/mail/alicia"].size)
	require.EqualValues(t, int64(len(mail)), got["srv/home/alicia/mail/Sent"].size)
	require.NotContains(t, got, "srv/home/bob")
	noTemps(t, dst)
}

func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		runAs(t, 65534, "TestOrdinaryUser")
		return
	}
	src, dst := roots(t)
	everything(t, filepath.Join(src, "home"))
	rep := syncOK(t, src, dst, nil)
	require.True(t, rep.OwnershipKept)
	sameTrees(t, src, dst, nil)
	me := uint32(os.Geteuid())
	require.NoError(t, os.Chmod(filepath.Join(src, "home/suid"), 0o755|os.ModeSetuid))
	rep = syncOK(t, src, dst, &Options{UIDs: map[uint32]uint32{me: me + 1}})
	require.False(t, rep.OwnershipKept)
	got, _ := look(t, dst)
	require.EqualValues(t, 0o755, got["home/suid"].perm, "set-id of somebody else must not become ours")
}

func TestCancelLeavesNothingHalf(t *testing.T) {
	src, dst := roots(t)
	for _, n := range []string{"a", "b", "c", "d"} {
		write(t, filepath.Join(src, "h", n), strings.Repeat(n, 1<<20))
	}
	ctx, cancel := context.WithCancel(t.Context())
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Progress: func(Event) { cancel() }}
	_, err := Sync(ctx, From(src), dst, opt)
	require.ErrorIs(t, err, context.Canceled)
	got, _ := look(t, dst)
	for path, s := range got {
		if s.typ == syscall.S_IFREG {
			require.EqualValues(t, 1<<20, s.size, path)
		}
	}
	noTemps(t, dst)
	opt.Progress = nil
	syncOK(t, src, dst, opt)
	sameTrees(t, src, dst, nil)
}

func TestDiffTellsAndWritesNothing(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "h/a"), "aa")
	write(t, filepath.Join(src, "h/b"), "bb")
	require.NoError(t, os.Link(filepath.Join(src, "h/a"), filepath.Join(src, "h/c")))
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	diff := func() (out []Change) {
		before := stats(t, src, dst)
		rep, err := Diff(t.Context(), From(src), dst, opt, func(c Change) error {
			out = append(out, c)
			return nil
		})
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		require.Equal(t, before, stats(t, src, dst))
		return out
	}
	require.Equal(t, []Change{{Op: OpCreate, Path: "h"}, {Op: OpCreate, Path: "h/a", Bytes: 2}, {Op: OpCreate, Path: "h/b", Bytes: 2},
		{Op: OpLink, Path: "h/c", From: "h/a"}}, diff())
	require.NoFileExists(t, opt.State)
	syncOK(t, src, dst, opt)
	require.Empty(t, diff())
	write(t, filepath.Join(src, "h/b"), "bbb")
	require.NoError(t, os.Remove(filepath.Join(src, "h/c")))
	require.Contains(t, diff(), Change{Op: OpUpdate, Path: "h/b", Bytes: 3})
	require.Contains(t, diff(), Change{Op: OpDelete, Path: "h/c"})
	enough := errors.New("enough")
	_, err := Diff(t.Context(), From(src), dst, opt, func(Change) error { return enough })
	require.ErrorIs(t, err, enough)
	syncOK(t, src, dst, opt)
	require.Empty(t, diff())
}

func TestVerifyFindsEachDifference(t *testing.T) {
	src, dst := roots(t)
	for _, n := range []string{"content", "size", "mode", "time", "gone", "type", "fine", "attr"} {
		write(t, filepath.Join(src, n), "text of "+n)
	}
	require.NoError(t, os.Symlink("a", filepath.Join(src, "link")))
	syncOK(t, src, dst, nil)
	in := func(n string) string { return filepath.Join(dst, n) }
	write(t, in("content"), "TEXT OF content")
	write(t, in("size"), "longer than it was")
	require.NoError(t, os.Chmod(in("mode"), 0o644))
	require.NoError(t, os.Chtimes(in("time"), unixTime, unixTime))
	require.NoError(t, os.Remove(in("gone")))
	require.NoError(t, os.Remove(in("type")))
	require.NoError(t, os.Mkdir(in("type"), 0o600))
	stats, hashes := []string{".", "size", "mode", "time", "gone", "type"}, []string{".", "content", "size", "mode", "time", "gone", "type"}
	if os.Getenv("TREE_SOURCE") != "plain" { // which does not compare attributes
		require.NoError(t, unix.Setxattr(in("attr"), "user.x", []byte("y"), 0))
		stats, hashes = append(stats, "attr"), append(hashes, "attr")
	}
	bad := func(how How) (out []string) {
		rep, err := Verify(t.Context(), From(src), dst, nil, how)
		require.NoError(t, err)
		require.EqualValues(t, len(rep.Problems), rep.Mismatched)
		for _, p := range rep.Problems {
			require.Equal(t, "verify", p.Op)
			require.NotContains(t, p.Error, "text of")
			out = append(out, p.Path)
		}
		return out
	}
	require.ElementsMatch(t, stats, bad(ByStat))
	require.ElementsMatch(t, hashes, bad(ByHash))
	_, err := Verify(t.Context(), From(src), dst, nil, "quick")
	require.ErrorContains(t, err, `"quick"`)
}

func TestRoots(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "f"), "x")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(src, link))
	syncOK(t, link, dst, nil)
	sameTrees(t, src, dst, nil)
	for _, c := range []struct {
		src, dst string
		opt      *Options
		want     string
	}{
		{src, filepath.Join(dst, "absent"), nil, "no such file"},
		{filepath.Join(src, "f"), dst, nil, "not a directory"},
		{src, src, nil, "same directory"},
		{src, dst, &Options{Pairs: []Pair{{"../x", "x"}}}, `"../x"`},
		{src, dst, &Options{Pairs: []Pair{{"/x", "x"}}}, `"/x"`},
		{src, dst, &Options{Pairs: []Pair{{".", "x"}}}, "root"},
		{src, dst, &Options{State: filepath.Join(dst, "f")}, "state file"},
	} {
		if _, here := From(c.src).(Dir); !here && c.src == c.dst {
			continue // another host's name is not ours
		}
		_, err := Sync(t.Context(), From(c.src), c.dst, c.opt)
		require.ErrorContains(t, err, c.want)
	}
}
