package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var absentInbox = []Problem{{Path: "var/mail/alice", Op: "absent", Error: "absent at the source"}}

// mail(1) removes an inbox that it emptied; the copy of an earlier pass must not bring the messages back.
func TestAbsentPairIsDeletedWhenItIsOurs(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.Remove(filepath.Join(src, "var/mail/alice")))
	box := filepath.Join(dst, "var/mail/alice")
	opt.Delete = false
	rep := syncOK(t, src, dst, opt)
	require.Equal(t, absentInbox, rep.Skipped)
	require.FileExists(t, box)
	for _, how := range []How{ByStat, ByHash} {
		rep, err := Verify(t.Context(), From(src), dst, opt, how)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		require.Equal(t, absentInbox, rep.Skipped)
	}
	opt.Delete = true
	var would []Change
	rep, err := Diff(t.Context(), From(src), dst, opt, func(c Change) error {
		would = append(would, c)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []Change{{Op: OpDelete, Path: "var/mail/alice"}}, would)
	require.EqualValues(t, 1, rep.Deleted)
	rep = syncOK(t, src, dst, opt)
	require.EqualValues(t, 1, rep.Deleted)
	require.Equal(t, absentInbox, rep.Skipped)
	require.NoFileExists(t, box)
	write(t, box, mail) // new mail at the target is none of ours
	rep = syncOK(t, src, dst, opt)
	require.Zero(t, rep.Deleted)
	require.FileExists(t, box)
}

func TestAbsentPairIsLeftWhenItChanged(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.Remove(filepath.Join(src, "var/mail/alice")))
	box := filepath.Join(dst, "var/mail/alice")
	write(t, box, mail+mail)
	for _, run := range []func() (*Report, error){
		func() (*Report, error) { return Diff(t.Context(), From(src), dst, opt, nil) },
		func() (*Report, error) { return Sync(t.Context(), From(src), dst, opt) },
	} {
		rep, err := run()
		require.NoError(t, err)
		require.Zero(t, rep.Deleted)
		require.Equal(t, []string{"var/mail/alice: delete: " + errDrift.Error()}, problems(rep))
	}
	b, err := os.ReadFile(box)
	require.NoError(t, err)
	require.Equal(t, mail+mail, string(b))
}

// A whole home is not deleted because it cannot be seen, whoever took it away.
func TestAbsentHomeIsLeft(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.RemoveAll(filepath.Join(src, "home/alice")))
	before := stats(t, dst)
	for range 2 {
		rep, err := Sync(t.Context(), From(src), dst, opt)
		require.NoError(t, err)
		require.Zero(t, rep.Deleted)
		require.Equal(t, []string{"home/alice: absent: no longer at the source, or not where it was; the copy was left"}, problems(rep))
		require.Equal(t, before, stats(t, dst))
	}
}

// Another directory in the place of a home or of the spool has not lost what the first one held, in the next pass neither.
func TestReplacedDirectoryDeletesNothing(t *testing.T) {
	src, dst, opt := first(t)
	for _, dir := range []string{"home/alice", "var/mail"} {
		require.NoError(t, os.Rename(filepath.Join(src, dir), filepath.Join(src, dir+".away")))
		require.NoError(t, os.Mkdir(filepath.Join(src, dir), 0o755))
	}
	for range 2 {
		rep, err := Sync(t.Context(), From(src), dst, opt)
		require.NoError(t, err)
		require.Zero(t, rep.Deleted)
		require.Len(t, rep.Problems, 2)
		require.FileExists(t, filepath.Join(dst, "home/alice/mail/Sent"))
		require.FileExists(t, filepath.Join(dst, "var/mail/alice"))
	}
}

// What no earlier pass is known to have put at the target is left alone when it differs: mail may have arrived there.
func TestForeignObjectsAreLeft(t *testing.T) {
	src, dst, opt := first(t)
	box := filepath.Join(dst, "var/mail/alice")
	write(t, box, mail+mail)
	require.NoError(t, os.Remove(opt.State))
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Equal(t, []string{"var/mail/alice: compare: " + errForeign.Error()}, problems(rep))
	require.Zero(t, rep.CopiedFiles)
	b, err := os.ReadFile(box)
	require.NoError(t, err)
	require.Equal(t, mail+mail, string(b))
	write(t, filepath.Join(src, "home/alice/mail/Sent"), mail+mail+mail) // the same until then, and so taken as ours
	rep, err = Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.EqualValues(t, 1, rep.CopiedFiles)
}

// A map that names more ids goes into ACLs too.
func TestOtherMapsReachACLs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	src, dst, opt := first(t)
	require.NoError(t, os.Chown(filepath.Join(src, "home/alice/mail/Sent"), 700, 700))
	opt.UIDs = map[uint32]uint32{0: 0}
	syncOK(t, src, dst, opt)
	opt.UIDs = map[uint32]uint32{0: 0, 700: 1700}
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 1, rep.Metadata)
	require.Empty(t, rep.Full)
	rep = syncOK(t, src, dst, opt)
	require.Zero(t, rep.Metadata)
}

func TestDeviceInAHomeIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a device")
	}
	src, dst := roots(t)
	home := filepath.Join(src, "home/alice")
	write(t, filepath.Join(home, "f"), "f")
	require.NoError(t, os.Chown(home, 501, 501))
	require.NoError(t, unix.Mknod(filepath.Join(home, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	rep, err := Sync(t.Context(), From(src), dst, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"home/alice/null: copy: a device in a tree of uid 501"}, problems(rep))
	require.NoFileExists(t, filepath.Join(dst, "home/alice/null"))
}

// A pass that was killed may leave its dotlock at the source, where it would keep the mailbox locked.
func TestDotlockOfADeadProcessIsCleared(t *testing.T) {
	NotFrom(t, "plain", "takes no locks")
	src, dst, opt := first(t)
	host, err := os.Hostname()
	require.NoError(t, err)
	lock := filepath.Join(src, "home/alice/mail/Sent.lock")
	write(t, lock, "2147483646:"+host)
	syncOK(t, src, dst, opt)
	require.NoFileExists(t, lock)
	write(t, lock, "2147483646:another."+host)
	rep := syncOK(t, src, dst, opt)
	require.FileExists(t, lock)
	require.Len(t, rep.Skipped, 1)
}

// A home that was a disk of its own and is an empty mount point now has not lost its files.
func TestUnmountedDiskDeletesNothing(t *testing.T) {
	src, dst := roots(t)
	for _, dir := range []string{"home", "srv/alice"} {
		require.NoError(t, os.MkdirAll(filepath.Join(src, dir), 0o755))
		tmpfs(t, filepath.Join(src, dir), "1m")
	}
	write(t, filepath.Join(src, "home/alice/f"), "f")
	write(t, filepath.Join(src, "srv/alice/g"), "g")
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true,
		Pairs: []Pair{{"home/alice", "home/alice"}, {"srv/alice", "srv/alice"}}}
	syncOK(t, src, dst, opt)
	unmount(t, filepath.Join(src, "home"))
	unmount(t, filepath.Join(src, "srv/alice"))
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Zero(t, rep.Deleted)
	require.Equal(t, []string{
		"home/alice: absent: no longer at the source, or not where it was; the copy was left",
		"srv/alice: delete: the source is another directory than at the last pass and lacks 1 names of it; their copies were left",
	}, problems(rep))
	require.Len(t, rep.Full, 1)
	require.FileExists(t, filepath.Join(dst, "home/alice/f"))
	require.FileExists(t, filepath.Join(dst, "srv/alice/g"))
}

// What Diff says is what Sync then does, number by number.
func TestDiffReportsWhatSyncDoes(t *testing.T) {
	src, dst := roots(t)
	everything(t, filepath.Join(src, "home/alice/x"))
	opt := &Options{Pairs: store(t, src), State: filepath.Join(t.TempDir(), "state"), Delete: true}
	same := func() {
		t.Helper()
		would, err := Diff(t.Context(), From(src), dst, opt, nil)
		require.NoError(t, err)
		did, err := Sync(t.Context(), From(src), dst, opt)
		require.NoError(t, err)
		would.Seconds, did.Seconds = 0, 0
		require.Equal(t, did, would)
	}
	settled(t, filepath.Join(src, "var/mail/alice"))
	settled(t, filepath.Join(src, "home/alice/x"))
	same()
	same()
	in := func(n string) string { return filepath.Join(src, "home/alice", n) }
	require.NoError(t, os.Rename(in("Maildir/cur/1.M1.h:2,"), in("Maildir/cur/1.M1.h:2,S")))
	require.NoError(t, os.RemoveAll(in("Maildir/.Sent")))
	require.NoError(t, os.Link(in("x/plain"), in("x/further")))
	require.NoError(t, os.Chmod(in("x/big"), 0o640))
	require.NoError(t, os.RemoveAll(in("x/deep/er")))
	write(t, in("x/deep/er"), "a file now")
	write(t, filepath.Join(dst, "home/alice/mail/Lists/mine"), "made at the target")
	age(t, filepath.Join(dst, "home/alice/mail/Lists"))
	require.NoError(t, os.RemoveAll(in("mail/Lists")))
	same()
}
