package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// untouchedHome is a home with what a walk treats in different ways.
func untouchedHome(t *testing.T, home string) {
	for name, text := range map[string]string{
		".forward": "a@b\n", "www/new/page": "page", "www/index": "index", "mail/sent": mail, "mail/.imap/sent/dovecot.index": "index",
		"Maildir/dovecot-uidlist": "3 V1 N3 G0123456789abcdef0123456789abcdef\n", "Maildir/dovecot.index": "index",
		"Maildir/cur/1:2,": "one", "Maildir/cur/2:2,S": "two", "Maildir/new/3": "three",
		"Maildir/.Sent/cur/4:2,S": "four", "Maildir/.Sent/maildirfolder": "",
	} {
		write(t, filepath.Join(home, name), text)
	}
	for _, dir := range []string{"Maildir/tmp", "Maildir/.Sent/new", "Maildir/.Sent/tmp", "empty"} {
		require.NoError(t, os.MkdirAll(filepath.Join(home, dir), 0o700))
	}
	require.NoError(t, os.Symlink("mail/sent", filepath.Join(home, "link")))
	require.NoError(t, unix.Mkfifo(filepath.Join(home, "fifo"), 0o600))
}

// untouchedChanges are what may happen to a home between two passes, at the source and at the target.
var untouchedChanges = []struct {
	name   string
	target bool
	do     func(home string) error
}{
	{"a message comes", false, func(h string) error { return os.WriteFile(h+"/Maildir/new/9", []byte("nine"), 0o600) }},
	{"a message goes", false, func(h string) error { return os.Remove(h + "/Maildir/cur/1:2,") }},
	{"a flag", false, func(h string) error { return os.Rename(h+"/Maildir/cur/1:2,", h+"/Maildir/cur/1:2,F") }},
	{"a delivery in tmp", false, func(h string) error { return os.WriteFile(h+"/Maildir/tmp/9", []byte("half"), 0o600) }},
	{"a directory in tmp", false, func(h string) error { return os.Mkdir(h+"/Maildir/tmp/d", 0o700) }},
	{"a directory in cur", false, func(h string) error { return os.Mkdir(h+"/Maildir/cur/d", 0o700) }},
	{"a folder", false, func(h string) error { return os.MkdirAll(h+"/Maildir/.New/cur", 0o700) }},
	{"a folder renamed", false, func(h string) error { return os.Rename(h+"/Maildir/.Sent", h+"/Maildir/.Gesendet") }},
	{"a folder gone", false, func(h string) error { return os.RemoveAll(h + "/Maildir/.Sent") }},
	{"the list rewritten in place", false, inPlace("Maildir/dovecot-uidlist", "4 V1 N3 G")},
	{"a mailbox rewritten in place", false, inPlace("mail/sent", "From x@y")},
	{"an index rewritten in place", false, inPlace("mail/.imap/sent/dovecot.index", "INDEX")},
	{"a file rewritten in place in what is no Maildir", false, inPlace("www/new/page", "PAGE")},
	{"a file rewritten in place with its time", false, inPlace("www/index", "INDEX")},
	{"a second name", false, func(h string) error { return os.Link(h+"/www/index", h+"/www/again") }},
	{"a mode", false, func(h string) error { return os.Chmod(h+"/.forward", 0o640) }},
	{"a mode of a directory", false, func(h string) error { return os.Chmod(h+"/Maildir/cur", 0o750) }},
	{"an attribute", false, func(h string) error { return unix.Setxattr(h+"/.forward", "user.note", []byte("n"), 0) }},
	{"an attribute of a directory", false, func(h string) error { return unix.Setxattr(h+"/empty", "user.note", []byte("n"), 0) }},
	{"another link", false, func(h string) error {
		return replace(h+"/link", func(p string) error { return os.Symlink("/etc/shadow", p) })
	}},
	{"a link for a directory", false, func(h string) error { return replace(h+"/empty", func(p string) error { return os.Symlink("www", p) }) }},
	{"a file for a directory", false, func(h string) error {
		return replace(h+"/empty", func(p string) error { return os.WriteFile(p, []byte("e"), 0o600) })
	}},
	{"a FIFO for a file", false, func(h string) error {
		return replace(h+"/.forward", func(p string) error { return unix.Mkfifo(p, 0o600) })
	}},
	{"nothing left", false, os.RemoveAll},
	{"a delivery at the target", true, func(h string) error { return os.WriteFile(h+"/Maildir/new/9", []byte("nine"), 0o600) }},
	{"a folder gone at the target", true, func(h string) error { return os.RemoveAll(h + "/Maildir/.Sent") }},
	{"a mailbox written at the target", true, inPlace("mail/sent", "From x@y")},
	{"an index written at the target", true, inPlace("Maildir/dovecot.index", "INDEX")},
	{"a mode at the target", true, func(h string) error { return os.Chmod(h+"/Maildir/cur", 0o750) }},
	{"a mode of a home at the target", true, func(h string) error { return os.Chmod(h, 0o777) }},
	{"a link for a directory at the target", true, func(h string) error { return replace(h+"/empty", func(p string) error { return os.Symlink("www", p) }) }},
	{"nothing left at the target", true, os.RemoveAll},
}

// inPlace writes over the beginning of a file and gives it its old times.
func inPlace(name, text string) func(home string) error {
	return func(home string) error {
		path := filepath.Join(home, name)
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, 0)
	}
}

func replace(path string, with func(string) error) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return with(path)
}

// sameButTimes: the worlds were made one after the other.
func sameButTimes(t *testing.T, a, b, what string) {
	x, _ := look(t, a)
	y, _ := look(t, b)
	var differ []string
	for name := range x {
		p, q := x[name], y[name]
		p.mtime, q.mtime = syscall.Timespec{}, syscall.Timespec{}
		if p != q {
			differ = append(differ, name)
		}
	}
	require.Empty(t, differ, what)
	require.Len(t, y, len(x), what)
}

// Whatever happens to one home, a pass that looks at most of them at once does and counts what one does that walks through
// all.
func TestUntouchedAgreesWithTheWalk(t *testing.T) {
	type world struct {
		src, dst string
		opt      *Options
		aside    map[string]bool // homes that were not walked through
	}
	var worlds [2]*world
	for i := range worlds {
		w := &world{aside: map[string]bool{}}
		w.src, w.dst = roots(t)
		w.opt = &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true, UIDs: map[uint32]uint32{4242: 4242}, Canaries: 1000,
			Progress: func(e Event) {
				if strings.Count(e.Path, "/") == 1 && e.Op == OpUnchanged {
					w.aside[e.Path] = true
				}
			}}
		for n := range len(untouchedChanges) + 2 {
			untouchedHome(t, filepath.Join(w.src, fmt.Sprintf("home/u%02d", n)))
		}
		worlds[i] = w
	}
	pass := func(i int) *Report {
		if testHooks = nil; i == 0 {
			withHooks(t, hooks{listed: func(*dir) {}})
		}
		w := worlds[i]
		clear(w.aside)
		rep, err := Sync(t.Context(), Dir(w.src), w.dst, w.opt)
		require.NoError(t, err)
		rep.Seconds = 0
		return rep
	}
	both := func(what string, still bool) [2]*Report {
		reps := [2]*Report{pass(0), pass(1)}
		for _, r := range reps {
			if g := &r.Guarantees; !still { // what one of them just saw become trustworthy
				r.TrustedDirs, *g = 0, Guarantees{StatEqual: g.DirUnchanged + g.StatEqual + g.HashEqual}
			}
		}
		for i, w := range worlds {
			for _, p := range [][]Problem{reps[i].Problems, reps[i].Skipped} {
				for j := range p {
					p[j].Error = strings.ReplaceAll(p[j].Error, w.dst, "")
				}
			}
		}
		require.Equal(t, reps[0], reps[1], what)
		sameButTimes(t, worlds[0].dst, worlds[1].dst, what)
		return reps
	}
	both("first copy", false)
	time.Sleep(racySlack + 100*time.Millisecond) // what is younger nobody trusts
	both("come of age", false)
	reps := both("no change", true)
	require.Equal(t, reps[1].Dirs, reps[1].TrustedDirs, "%+v", reps[1])
	require.Empty(t, worlds[0].aside)
	homes := len(untouchedChanges) + 2
	require.Len(t, worlds[1].aside, homes)
	const atOnce = 8
	for n := 0; n < len(untouchedChanges); n += atOnce {
		var names, changed []string
		for i, c := range untouchedChanges[n:min(n+atOnce, len(untouchedChanges))] {
			home := fmt.Sprintf("home/u%02d", n+i)
			names, changed = append(names, c.name), append(changed, home)
			for _, w := range worlds {
				root := w.src
				if c.target {
					root = w.dst
				}
				require.NoError(t, c.do(filepath.Join(root, home)), c.name)
			}
		}
		both(strings.Join(names, ", "), false)
		for i, home := range changed {
			require.NotContains(t, worlds[1].aside, home, names[i])
		}
		require.Contains(t, worlds[1].aside, fmt.Sprintf("home/u%02d", homes-1))
		both("once more", false)
	}
}
