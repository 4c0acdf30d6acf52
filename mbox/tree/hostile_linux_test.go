package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// withHooks acts between the system calls of the passes that follow.
func withHooks(t *testing.T, h hooks) {
	testHooks = &h
	t.Cleanup(func() { testHooks = nil })
}

// facts 47: what is listed may be something else by the time it is opened.
func TestChangesBetweenListingAndOpening(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "secret"), "SECRET")
	for name, change := range map[string]func(path string) error{
		"vanishes": os.RemoveAll,
		"becomes a link": func(p string) error {
			return errors.Join(os.RemoveAll(p), os.Symlink(filepath.Join(outside, "secret"), p))
		},
		"becomes a link to a directory": func(p string) error {
			return errors.Join(os.RemoveAll(p), os.Symlink(outside, p))
		},
		"becomes a FIFO":      func(p string) error { return errors.Join(os.RemoveAll(p), unix.Mkfifo(p, 0o600)) },
		"becomes a directory": func(p string) error { return errors.Join(os.RemoveAll(p), os.Mkdir(p, 0o700)) },
		"becomes a file":      func(p string) error { return errors.Join(os.RemoveAll(p), os.WriteFile(p, nil, 0o600)) },
	} {
		for _, victim := range []string{"h/Maildir/cur/1", "h/sub", "h/mail/box"} {
			for _, known := range []bool{false, true} {
				t.Run(name+" "+victim, func(t *testing.T) {
					src, dst := roots(t)
					write(t, filepath.Join(src, "h/Maildir/cur/0"), "zero")
					opt := &Options{State: filepath.Join(t.TempDir(), "state")}
					if known {
						syncOK(t, src, dst, opt)
					}
					write(t, filepath.Join(src, "h/Maildir/cur/1"), "one")
					write(t, filepath.Join(src, "h/sub/f"), "f")
					write(t, filepath.Join(src, "h/mail/box"), mail)
					write(t, filepath.Join(src, "h/other"), "other")
					var once sync.Once
					withHooks(t, hooks{opening: func(d *dir, name string) {
						if joinPath(d.from, name) == victim {
							once.Do(func() { require.NoError(t, change(filepath.Join(src, victim))) })
						}
					}})
					_, err := Sync(t.Context(), From(src), dst, opt)
					require.NoError(t, err)
					got, _ := look(t, dst)
					require.Contains(t, got, "h/other")
					require.Contains(t, got, "h/Maildir/cur/0")
					notCopied(t, dst, "SECRET")
					testHooks = nil
					_, err = Sync(t.Context(), From(src), dst, opt)
					require.NoError(t, err)
				})
			}
		}
	}
}

// notCopied wants no file below root that holds text.
func notCopied(t *testing.T, root, text string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(b), text, path)
		}
		return nil
	}))
}

// Somebody swaps a directory of his for a link that leads outside, over and over, while root copies.
func TestSwapRace(t *testing.T) {
	src, dst := roots(t)
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "f"), "SECRET")
	write(t, filepath.Join(outside, "cur/f"), "SECRET")
	write(t, filepath.Join(src, "h/d/f"), "mine..")
	write(t, filepath.Join(src, "h/d/cur/f"), "mine..")
	require.NoError(t, os.Symlink(outside, filepath.Join(src, "h/link")))
	ownedBy(t, filepath.Join(src, "h"), 666) // what root has in a tree of root's is read as root, by its path
	swaps := int64(20000)
	if testing.Short() {
		swaps = 2000
	}
	var n atomic.Int64
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		a, b := filepath.Join(src, "h/d"), filepath.Join(src, "h/link")
		for !stop.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
			n.Add(1)
		}
		done <- nil
	}()
	passes := 0
	least := 50
	if _, here := From(src).(Dir); !here {
		least = 12
	}
	for ; n.Load() < swaps || passes < least; passes++ {
		_, err := Sync(t.Context(), From(src), dst, nil)
		require.NoError(t, err)
		if passes%20 == 0 {
			notCopied(t, dst, "SECRET")
			require.NoError(t, os.RemoveAll(filepath.Join(dst, "h")))
		}
	}
	stop.Store(true)
	require.NoError(t, <-done)
	notCopied(t, dst, "SECRET")
	t.Logf("%d swaps, %d passes", n.Load(), passes)
}

// ownedBy gives a tree to a user.
func ownedBy(t *testing.T, root string, uid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	}))
}

// The target's owner swaps a directory there for a link, while root writes below it.
func TestSwapRaceAtTarget(t *testing.T) {
	src, dst := roots(t)
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	write(t, filepath.Join(src, "h/d/f"), "mine")
	syncOK(t, src, dst, nil)
	require.NoError(t, os.Symlink(outside, filepath.Join(dst, "h/link")))
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			unix.Renameat2(unix.AT_FDCWD, filepath.Join(dst, "h/d"), unix.AT_FDCWD, filepath.Join(dst, "h/link"), unix.RENAME_EXCHANGE)
		}
		done <- n
	}()
	for i := range 200 {
		write(t, filepath.Join(src, "h/d/f"), strings.Repeat("x", i))
		_, err := Sync(t.Context(), From(src), dst, nil)
		require.NoError(t, err)
	}
	stop.Store(true)
	require.Positive(t, <-done)
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestPlantedHardLink(t *testing.T) {
	oracle.Root(t)
	src, dst := roots(t)
	write(t, filepath.Join(src, "etc/shadow"), "SECRET")
	write(t, filepath.Join(src, "home/eve/Maildir/cur/1"), "own")
	write(t, filepath.Join(src, "var/mail/eve"), mail)
	for _, p := range []string{"home/eve", "home/eve/Maildir", "home/eve/Maildir/cur", "home/eve/Maildir/cur/1"} {
		require.NoError(t, os.Lchown(filepath.Join(src, p), 666, 666))
	}
	require.NoError(t, os.Link(filepath.Join(src, "etc/shadow"), filepath.Join(src, "home/eve/Maildir/cur/2")))
	require.NoError(t, os.Link(filepath.Join(src, "home/eve/Maildir/cur/1"), filepath.Join(src, "home/eve/Maildir/cur/3")))
	for name, pairs := range map[string][]Pair{"pair": {{"home/eve", "home/eve"}}, "whole": nil} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(dst, name)
			require.NoError(t, os.Mkdir(to, 0o755))
			rep, err := Sync(t.Context(), From(src), to, &Options{Pairs: pairs})
			require.NoError(t, err)
			require.Len(t, rep.Problems, 1)
			require.Equal(t, "home/eve/Maildir/cur/2", rep.Problems[0].Path)
			require.Contains(t, rep.Problems[0].Error, "hard link to a file of uid 0")
			notCopied(t, filepath.Join(to, "home"), "SECRET")
			_, links := look(t, to)
			require.Len(t, links, 1)
		})
	}
}

func TestMountsAreNotCrossed(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "home/alice/f"), "f")
	require.NoError(t, os.Mkdir(filepath.Join(src, "home/alice/mnt"), 0o755))
	tmpfs(t, filepath.Join(src, "home/alice/mnt"), "1m")
	write(t, filepath.Join(src, "home/alice/mnt/other"), "SECRET")
	require.NoError(t, os.MkdirAll(filepath.Join(dst, "home"), 0o755))
	tmpfs(t, filepath.Join(dst, "home"), "1m")
	rep, err := Sync(t.Context(), From(src), dst, &Options{Pairs: []Pair{{"home/alice", "home/alice"}}})
	require.NoError(t, err)
	require.Len(t, rep.Problems, 1)
	require.Equal(t, "home/alice/mnt", rep.Problems[0].Path)
	require.FileExists(t, filepath.Join(dst, "home/alice/f"))
	notCopied(t, dst, "SECRET")
	noTemps(t, dst)
	rep = syncOK(t, src, dst, &Options{Pairs: []Pair{{"home/alice/mnt", "home/alice/mnt"}}})
	require.EqualValues(t, 1, rep.CopiedFiles, "a pair's own path may be a mount")
}

// tmpfs mounts a small disk.
func tmpfs(t *testing.T, at, size string) {
	t.Helper()
	oracle.Root(t)
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("cannot mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
}

func unmount(t *testing.T, at string) {
	t.Helper()
	require.NoError(t, unix.Unmount(at, unix.MNT_DETACH))
}

// A full disk stops the pair it belongs to, leaves no part of a file, and the rest goes on (facts 46).
func TestFullDisk(t *testing.T) {
	src, dst := roots(t)
	for _, n := range []string{"a", "b", "c"} {
		write(t, filepath.Join(src, "home/alice", n), strings.Repeat(n, 700<<10))
	}
	write(t, filepath.Join(src, "home/bob/f"), "bob")
	write(t, filepath.Join(src, "small/f"), "small")
	require.NoError(t, os.Mkdir(filepath.Join(dst, "home"), 0o755))
	tmpfs(t, filepath.Join(dst, "home"), "1m")
	opt := &Options{State: filepath.Join(t.TempDir(), "state"),
		Pairs: []Pair{{"home/alice", "home/alice"}, {"small", "small"}, {"home/bob", "home/bob"}}}
	rep, err := Sync(t.Context(), From(src), dst, opt)
	require.NoError(t, err)
	require.NotEmpty(t, rep.Problems)
	require.Contains(t, strings.Join(problems(rep), "\n"), "no space left")
	got, _ := look(t, dst)
	require.Contains(t, got, "small/f")
	require.Contains(t, got, "home/bob/f")
	for path, s := range got {
		if strings.HasPrefix(path, "home/alice/") {
			require.EqualValues(t, 700<<10, s.size, path)
		}
	}
	noTemps(t, dst)
	require.NoError(t, unix.Mount("", filepath.Join(dst, "home"), "", unix.MS_REMOUNT, "size=10m"))
	syncOK(t, src, dst, opt)
	sameTrees(t, filepath.Join(src, "home"), filepath.Join(dst, "home"), func(p string, s *shot) {
		if p == "." {
			info, err := os.Stat(filepath.Join(dst, "home"))
			require.NoError(t, err)
			g, _ := look(t, filepath.Join(dst, "home"))
			*s = g["."]
			_ = info
		}
	})
}

// A file that never stands still is published as last read and listed.
func TestUnsteadyFile(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "log"), strings.Repeat("x", 1<<20))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(filepath.Join(src, "log"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			default:
				f.WriteString("more\n")
			}
		}
	}()
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	require.Eventually(t, func() bool {
		rep, err := Sync(t.Context(), From(src), dst, opt)
		return err == nil && len(rep.Problems) == 1 && strings.Contains(rep.Problems[0].Error, "changed while it was copied")
	}, 20e9, 1)
	close(stop)
	<-done
	syncOK(t, src, dst, opt)
	sameTrees(t, src, dst, nil)
}

// What a dead run left is removed; what only looks like it stays.
func TestSweep(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "home/alice/f"), "f")
	left := filepath.Join(dst, "home/.mailmove-0123456789abcdef")
	write(t, filepath.Join(left, "w0/1"), "half")
	require.NoError(t, os.Chmod(left, 0o700))
	public := filepath.Join(dst, "home/.mailmove-fedcba9876543210")
	write(t, filepath.Join(public, "x"), "not ours")
	named := filepath.Join(dst, "home/.mailmove-notes")
	write(t, filepath.Join(named, "x"), "not ours")
	require.NoError(t, os.Chmod(named, 0o700))
	alive := filepath.Join(dst, "home/.mailmove-aaaaaaaaaaaaaaaa")
	require.NoError(t, os.Mkdir(alive, 0o700))
	f, err := os.Open(alive)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	syncOK(t, src, dst, &Options{Pairs: []Pair{{"home/alice", "home/alice"}}})
	require.NoDirExists(t, left)
	require.DirExists(t, public)
	require.DirExists(t, named)
	require.DirExists(t, alive)
}

// Staging happens beside mail folders, never in them: Dovecot would list it (facts 49).
func TestStagingIsOutsideMailFolders(t *testing.T) {
	src, dst := roots(t)
	pairs := store(t, src)
	var seen atomic.Int64
	opt := &Options{Pairs: pairs, Progress: func(Event) {
		for _, dir := range []string{"home/alice", "var/mail", "home/alice/mail", "home/alice/Maildir"} {
			ents, _ := os.ReadDir(filepath.Join(dst, dir))
			for _, e := range ents {
				if strings.HasPrefix(e.Name(), ".mailmove") {
					seen.Add(1)
				}
			}
		}
	}}
	syncOK(t, src, dst, opt)
	require.Zero(t, seen.Load())
	top := filepath.Join(dst, "top")
	require.NoError(t, os.MkdirAll(filepath.Join(top, "cur"), 0o755))
	opt.Pairs, opt.Progress = nil, func(Event) {
		ents, _ := os.ReadDir(top)
		for _, e := range ents {
			if strings.HasPrefix(e.Name(), ".mailmove") {
				seen.Add(1)
			}
		}
	}
	syncOK(t, filepath.Join(src, "home/alice/Maildir"), top, opt)
	require.Zero(t, seen.Load())
}
