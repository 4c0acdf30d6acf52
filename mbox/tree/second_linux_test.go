package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

// store makes a home with mboxes, indexes and a Maildir, and an inbox.
func store(t testing.TB, src string) []Pair {
	t.Helper()
	for path, text := range map[string]string{
		"home/alice/mail/Sent":                      mail + mail,
		"home/alice/mail/.subscriptions":            "Sent\n",
		"home/alice/mail/Lists/go":                  mail,
		"home/alice/mail/Lists/notes.txt":           "no mailbox",
		"home/alice/mail/.imap/Sent/dovecot.index":  "index of Sent",
		"home/alice/mail/.imap/INBOX/dovecot.index": "index of INBOX",
		"home/alice/Maildir/cur/1.M1.h:2,":          "one",
		"home/alice/Maildir/cur/2.M2.h:2,":          "two",
		"home/alice/Maildir/new/3.M3.h":             "three",
		"home/alice/Maildir/dovecot-uidlist":        "3 V1 N4 G1\n1 :1.M1.h\n",
		"home/alice/Maildir/.Sent/cur/4.M4.h:2,S":   "four",
		"var/mail/alice":                            mail,
	} {
		write(t, filepath.Join(src, path), text)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(src, "home/alice/Maildir/tmp"), 0o700))
	return []Pair{{"home/alice", "home/alice"}, {"var/mail/alice", "var/mail/alice"}}
}

// first copies a store and returns what a second pass needs.
func first(t *testing.T) (src, dst string, opt *Options) {
	src, dst = roots(t)
	opt = &Options{Pairs: store(t, src), State: filepath.Join(t.TempDir(), "state"), Delete: true}
	settled(t, filepath.Join(src, "var/mail/alice"))
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 12, rep.CopiedFiles)
	settled(t, filepath.Join(dst, "var/mail/alice"))
	return src, dst, opt
}

func TestSecondRunWritesNothing(t *testing.T) {
	for name, state := range map[string]bool{"state": true, "no state": false} {
		t.Run(name, func(t *testing.T) {
			src, dst := roots(t)
			everything(t, filepath.Join(src, "home/alice/x"))
			opt := &Options{Pairs: store(t, src), Delete: state}
			dir := t.TempDir()
			if state {
				opt.State = filepath.Join(dir, "state")
			}
			syncOK(t, src, dst, opt)
			before := stats(t, src, dst)
			syncOK(t, src, dst, opt)
			require.Equal(t, before, stats(t, src, dst))
			// What had changed just before the first pass is known to stand still only now; then there is nothing to save.
			time.Sleep(racySlack)
			syncOK(t, src, dst, opt)
			before = stats(t, src, dst, dir)
			rep := syncOK(t, src, dst, opt)
			require.Equal(t, before, stats(t, src, dst, dir))
			require.Equal(t, rep.Files, rep.Unchanged)
			require.Zero(t, rep.CopiedFiles+rep.CopiedBytes+rep.Metadata+rep.Renamed+rep.Linked+rep.Deleted)
			require.Empty(t, rep.Full)
		})
	}
}

// Dovecot sets a flag in the padding of a header and puts the time back: size, mtime and inode stay (facts 15, 16).
func TestSameSizeSameTimeRewrite(t *testing.T) {
	for _, state := range []bool{true, false} {
		src, dst, opt := first(t)
		if !state {
			opt.State, opt.Delete = "", false
		}
		box := filepath.Join(src, "var/mail/alice")
		f, err := os.OpenFile(box, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("Subject: T"), int64(strings.Index(mail, "Subject")))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		age(t, box)
		rep := syncOK(t, src, dst, opt)
		require.EqualValues(t, 1, rep.CopiedFiles, "state %v", state)
		b, err := os.ReadFile(filepath.Join(dst, "var/mail/alice"))
		require.NoError(t, err)
		require.Contains(t, string(b), "Subject: T")
	}
}

func TestMetadataOnly(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.Chmod(filepath.Join(src, "home/alice/Maildir/dovecot-uidlist"), 0o640))
	require.NoError(t, unix.Setxattr(filepath.Join(src, "home/alice/mail/Lists/notes.txt"), "user.a", []byte("b"), 0))
	require.NoError(t, os.Chtimes(filepath.Join(src, "home/alice/mail/Sent"), unixTime, unixTime))
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 3, rep.Metadata)
	require.Zero(t, rep.CopiedBytes)
	sameTrees(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"), nil)
}

// facts 25, 26, 27, 36
func TestMessagesMove(t *testing.T) {
	src, dst, opt := first(t)
	in := func(n string) string { return filepath.Join(src, "home/alice/Maildir", n) }
	before := stats(t, dst)
	require.NoError(t, os.Rename(in("cur/1.M1.h:2,"), in("cur/1.M1.h:2,S")))
	require.NoError(t, os.Rename(in("new/3.M3.h"), in("cur/3.M3.h:2,")))
	require.NoError(t, os.Rename(in("cur/2.M2.h:2,"), in(".Sent/cur/2.M2.h:2,F")))
	require.NoError(t, os.Link(in(".Sent/cur/4.M4.h:2,S"), in("cur/5.M5.h:2,S")))
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 3, rep.Renamed)
	require.EqualValues(t, 1, rep.Linked)
	require.Zero(t, rep.CopiedBytes)
	require.Zero(t, rep.Deleted)
	sameTrees(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"), nil)
	after := stats(t, dst)
	to := filepath.Join(dst, "home/alice/Maildir")
	require.Equal(t, before[to+"/cur/1.M1.h:2,"].Ino, after[to+"/cur/1.M1.h:2,S"].Ino)
	require.Equal(t, before[to+"/new/3.M3.h"].Ino, after[to+"/cur/3.M3.h:2,"].Ino)
	before = stats(t, dst)
	rep = syncOK(t, src, dst, opt)
	require.Equal(t, before, stats(t, dst))
	require.Equal(t, rep.Files, rep.Unchanged)
}

func TestDelete(t *testing.T) {
	src, dst, opt := first(t)
	write(t, filepath.Join(dst, "home/alice/.bashrc"), "made at the target")
	write(t, filepath.Join(dst, "home/alice/Maildir/.Sent/note"), "made at the target")
	age(t, filepath.Join(dst, "home/alice/Maildir/.Sent"))
	require.NoError(t, os.RemoveAll(filepath.Join(src, "home/alice/Maildir/.Sent")))
	require.NoError(t, os.RemoveAll(filepath.Join(src, "home/alice/mail/Lists")))
	require.NoError(t, os.Remove(filepath.Join(src, "home/alice/Maildir/cur/1.M1.h:2,")))
	opt.Delete = false
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Zero(t, rep.Deleted)
	require.FileExists(t, filepath.Join(dst, "home/alice/mail/Lists/go"))
	opt.Delete = true
	rep, err = Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.EqualValues(t, 6, rep.Deleted, "%v", problems(rep))
	require.NoDirExists(t, filepath.Join(dst, "home/alice/mail/Lists"))
	require.NoFileExists(t, filepath.Join(dst, "home/alice/Maildir/cur/1.M1.h:2,"))
	require.FileExists(t, filepath.Join(dst, "home/alice/.bashrc"))
	require.FileExists(t, filepath.Join(dst, "home/alice/Maildir/.Sent/note"))
	require.Contains(t, strings.Join(problems(rep), "\n"), "Maildir/.Sent: delete: holds what no pass wrote")
	for _, n := range []string{"home/alice/mail", "home/alice/Maildir/cur"} {
		a, err := os.Stat(filepath.Join(src, n))
		require.NoError(t, err)
		b, err := os.Stat(filepath.Join(dst, n))
		require.NoError(t, err)
		require.Equal(t, a.ModTime(), b.ModTime(), n)
	}
}

// A source that is not there, an unmounted disk say, is no reason to delete.
func TestMissingTopDeletesNothing(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.Rename(filepath.Join(src, "home"), filepath.Join(src, "away")))
	before := stats(t, dst)
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Zero(t, rep.Deleted)
	require.Len(t, rep.Problems, 1)
	require.Equal(t, before, stats(t, dst))
}

// facts 35
func TestDriftIsLeftAlone(t *testing.T) {
	src, dst, opt := first(t)
	box := filepath.Join(dst, "var/mail/alice")
	f, err := os.OpenFile(box, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("Subject: X"), int64(strings.Index(mail, "Subject")))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	age(t, box) // only ctime tells
	write(t, filepath.Join(src, "var/mail/alice"), mail+mail)
	require.NoError(t, os.Rename(filepath.Join(dst, "home/alice/Maildir/new/3.M3.h"), filepath.Join(dst, "home/alice/Maildir/cur/3.M3.h:2,S")))
	settled(t, filepath.Join(dst, "home/alice/Maildir/cur"))
	require.NoError(t, os.Remove(filepath.Join(src, "home/alice/Maildir/cur/2.M2.h:2,")))
	require.NoError(t, os.Chtimes(filepath.Join(dst, "home/alice/Maildir/cur/2.M2.h:2,"), unixTime, unixTime))
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	text := strings.Join(problems(rep), "\n")
	for _, path := range []string{"var/mail/alice", "home/alice/Maildir/new/3.M3.h", "home/alice/Maildir/cur/2.M2.h:2,", "home/alice/Maildir/cur"} {
		require.Contains(t, text, path+": ")
	}
	b, err := os.ReadFile(box)
	require.NoError(t, err)
	require.Contains(t, string(b), "Subject: X")
	require.FileExists(t, filepath.Join(dst, "home/alice/Maildir/cur/2.M2.h:2,"))
	require.NoFileExists(t, filepath.Join(dst, "home/alice/Maildir/new/3.M3.h"), "it would be there twice")
}

func TestTypeChanges(t *testing.T) {
	src, dst, opt := first(t)
	in := func(n string) string { return filepath.Join(src, "home/alice", n) }
	require.NoError(t, os.Remove(in("mail/Sent")))
	write(t, in("mail/Sent/inside"), mail)
	require.NoError(t, os.RemoveAll(in("mail/Lists")))
	write(t, in("mail/Lists"), mail)
	require.NoError(t, os.Remove(in("Maildir/dovecot-uidlist")))
	require.NoError(t, os.Symlink("/etc/shadow", in("Maildir/dovecot-uidlist")))
	require.NoError(t, os.Remove(in("Maildir/cur/1.M1.h:2,")))
	require.NoError(t, unix.Mkfifo(in("Maildir/cur/1.M1.h:2,"), 0o600))
	syncOK(t, src, dst, opt)
	sameTrees(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"), nil)
	require.NoError(t, os.Remove(in("Maildir/dovecot-uidlist")))
	write(t, in("Maildir/dovecot-uidlist"), "new")
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, 1, rep.CopiedFiles)
	sameTrees(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"), nil)
	noTemps(t, dst)
}

func TestDirectoryStaysWithoutDelete(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "a"), "a file")
	write(t, filepath.Join(dst, "a/mine"), "at the target")
	rep, err := Sync(t.Context(), From(src), dst, nil)
	require.NoError(t, err)
	require.Len(t, rep.Problems, 1)
	require.FileExists(t, filepath.Join(dst, "a/mine"))
}

// A state that cannot be about the source as it is now is not believed, and the report says so (facts 34).
func TestOtherBootOrDevice(t *testing.T) {
	for fact, value := range map[string]string{"boot_id": "other", "place home/alice": "1 1", "roots": "1 2 3"} {
		t.Run(fact, func(t *testing.T) {
			src, dst, opt := first(t)
			db, err := bbolt.Open(opt.State, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketMeta).Put([]byte(fact), []byte(value))
			}))
			require.NoError(t, db.Close())
			before := stats(t, dst)
			rep := syncOK(t, src, dst, opt)
			require.NotEmpty(t, rep.Full)
			require.Zero(t, rep.CopiedFiles)
			require.Equal(t, before, stats(t, dst))
			rep = syncOK(t, src, dst, opt)
			require.Empty(t, rep.Full)
		})
	}
}

func TestBrokenStateIsAnError(t *testing.T) {
	src, dst, opt := first(t)
	require.NoError(t, os.Truncate(opt.State, 100))
	_, err := Sync(t.Context(), From(src), dst, opt)
	require.ErrorContains(t, err, "state file")
}

func TestBusyMailboxIsAProblem(t *testing.T) {
	NotFrom(t, "plain", "takes no locks")
	src, dst := roots(t)
	write(t, filepath.Join(src, "var/mail/alice"), mail)
	write(t, filepath.Join(src, "var/mail/bob"), mail)
	dir, err := os.Open(filepath.Join(src, "var/mail"))
	require.NoError(t, err)
	defer dir.Close()
	f, err := os.OpenFile(filepath.Join(src, "var/mail/alice"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	l, err := lockfile.Mailbox(dir, "alice", f, true)
	require.NoError(t, err)
	rep, err := Sync(t.Context(), From(src), dst, nil)
	require.NoError(t, err)
	require.Len(t, rep.Problems, 1)
	require.Equal(t, "var/mail/alice", rep.Problems[0].Path)
	require.NoFileExists(t, filepath.Join(dst, "var/mail/alice"))
	require.NoFileExists(t, filepath.Join(dst, "var/mail/alice.lock"))
	require.FileExists(t, filepath.Join(dst, "var/mail/bob"))
	require.NoError(t, l.Unlock())
	syncOK(t, src, dst, nil)
	require.FileExists(t, filepath.Join(dst, "var/mail/alice"))
	require.NoFileExists(t, filepath.Join(src, "var/mail/alice.lock"))
}

// An index is read before the mailbox it describes and gets its place after it, in whichever order the names are: what
// stands at the target is never an index of mail that is not there yet.
func TestIndexFollowsMailbox(t *testing.T) {
	src, dst := roots(t)
	pairs := store(t, src)
	var read, placed []string
	var mu sync.Mutex
	withHooks(t, hooks{opening: func(d *dir, name string) {
		mu.Lock()
		defer mu.Unlock()
		read = append(read, d.join(name))
	}})
	rep, err := Sync(t.Context(), From(src), dst, &Options{Pairs: pairs, Progress: func(e Event) { placed = append(placed, e.Path) }})
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	for index, box := range map[string]string{
		"home/alice/mail/.imap/Sent/dovecot.index":  "home/alice/mail/Sent",
		"home/alice/mail/.imap/INBOX/dovecot.index": "var/mail/alice",
	} {
		require.Less(t, slices.Index(read, index), slices.Index(read, box), "read %s", index)
		require.Greater(t, slices.Index(placed, index), slices.Index(placed, box), "placed %s", index)
	}
}

// Where the mailbox could not be copied its index stays as it is (facts 22).
func TestIndexStaysWithoutItsMailbox(t *testing.T) {
	NotFrom(t, "plain", "takes no locks")
	src, dst, opt := first(t)
	opt.LockWait = time.Millisecond
	boxes := map[string]string{
		"home/alice/mail/.imap/Sent/dovecot.index":  "home/alice/mail/Sent",
		"home/alice/mail/.imap/INBOX/dovecot.index": "var/mail/alice",
	}
	var unlock []func()
	for index, box := range boxes {
		write(t, filepath.Join(src, index), "newer than what the mailbox at the target has")
		write(t, filepath.Join(src, box), mail+mail+mail)
		dir, err := os.Open(filepath.Dir(filepath.Join(src, box)))
		require.NoError(t, err)
		f, err := os.OpenFile(filepath.Join(src, box), os.O_RDWR, 0)
		require.NoError(t, err)
		l, err := lockfile.Mailbox(dir, filepath.Base(box), f, true)
		require.NoError(t, err)
		unlock = append(unlock, func() { require.NoError(t, errors.Join(l.Unlock(), f.Close(), dir.Close())) })
	}
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.Len(t, rep.Problems, len(boxes), "%v", rep.Problems)
	for index := range boxes {
		text, err := os.ReadFile(filepath.Join(dst, index))
		require.NoError(t, err)
		require.NotContains(t, string(text), "newer", index)
	}
	noTemps(t, dst)
	for _, f := range unlock {
		f()
	}
	syncOK(t, src, dst, opt)
	for index, box := range boxes {
		for _, f := range []string{index, box} {
			want, err := os.ReadFile(filepath.Join(src, f))
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dst, f))
			require.NoError(t, err)
			require.Equal(t, want, got, f)
		}
	}
}

// A directory of messages so large that its names are kept in pieces is gone through piece by piece, and each name once.
func TestLargeDirectoryInPieces(t *testing.T) {
	old := segmentNames
	segmentNames = 64
	defer func() { segmentNames = old }()
	src, dst := roots(t)
	const n = 500
	for i := range n {
		write(t, filepath.Join(src, fmt.Sprintf("home/alice/Maildir/cur/%d.M1P1.host:2,", i)), mail)
	}
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	rep := syncOK(t, src, dst, opt)
	require.EqualValues(t, n, rep.Files)
	require.EqualValues(t, n, rep.CopiedFiles)
	rep = syncOK(t, src, dst, opt)
	require.EqualValues(t, n, rep.Files)
	require.Zero(t, rep.CopiedFiles)
	sameTrees(t, src, dst, nil)
}
