package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

const lateMessage = "From a@b Tue Jun 15 10:00:00 2010\nSubject: late\n\nStill here?\n\n"

// TestTheWayBackIsNobodysToBlock: what users made on the new host, and on the old one since, is kept or left out, and keeps no
// one from going back.
func TestTheWayBackIsNobodysToBlock(t *testing.T) {
	from, to := hosts(t)
	program := func(want int, env string, args ...string) string {
		t.Helper()
		c := command(append(args, "-yes", "-from", from, "-to", to)...)
		c.Env = append(os.Environ(), "TEST_KILL="+env)
		out, _ := c.CombinedOutput()
		require.Equal(t, want, c.ProcessState.ExitCode(), string(out))
		return string(out)
	}
	program(0, "", "sync")
	program(0, "", "cutover")
	write := func(root, name, text string) {
		t.Helper()
		at := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
	}
	long := strings.Repeat("l", 255)
	write(to, "home/anna/mail/x", lateMessage)
	write(to, "home/anna/mail/x.part/y", "not mail")
	write(to, "home/anna/"+long, "not mail")
	write(to, "home/anna/turns", "a file")
	write(to, "home/anna/Maildir/new/1.a", "Subject: late\n\n")
	for _, name := range []string{"link", "fifo", "dir", "way"} {
		write(to, "home/anna/mail/"+name, lateMessage)
	}
	write(to, "home/anna/mail/way2/box", lateMessage)
	inbox, err := os.OpenFile(filepath.Join(to, "var/spool/mail/anna"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = inbox.WriteString(lateMessage)
	require.NoError(t, errors.Join(err, inbox.Close()))
	require.NoError(t, os.Link(filepath.Join(to, "var/spool/mail/anna"), filepath.Join(to, "home/anna/inbox")))
	mail := filepath.Join(from, "home/anna/mail")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(mail, "link")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(mail, "way2")))
	require.NoError(t, os.Mkdir(filepath.Join(mail, "dir"), 0o700))
	require.NoError(t, exec.Command(oracle.Need(t, "mkfifo"), filepath.Join(mail, "fifo")).Run())
	deep, err := os.OpenRoot(filepath.Join(to, "home/anna"))
	require.NoError(t, err)
	for range 18 {
		long := strings.Repeat("d", 250)
		require.NoError(t, deep.Mkdir(long, 0o700))
		below, err := deep.OpenRoot(long)
		require.NoError(t, err)
		require.NoError(t, deep.Close())
		deep = below
	}
	require.NoError(t, deep.WriteFile("deep", []byte("deep"), 0o600))
	require.NoError(t, deep.Close())
	if os.Geteuid() == 0 { // hard links to what is another's, which the kernel may allow or not
		require.NoError(t, filepath.WalkDir(filepath.Join(to, "home/anna"), func(p string, _ fs.DirEntry, _ error) error {
			_ = os.Lchown(p, 1001, 1001) // what is too deep stays root's
			return nil
		}))
		require.NoError(t, os.Link(filepath.Join(to, "etc/shadow"), filepath.Join(to, "home/anna/hers")))
	}

	program(-1, stepBackKeep+" done", "rollback")
	require.NoError(t, os.Remove(filepath.Join(to, "home/anna/turns")))
	write(to, "home/anna/turns/file", "in a directory now")
	require.Contains(t, program(0, "", "rollback"), "give the users the mail that is kept below")

	kept := map[string]string{}
	runs, err := filepath.Glob(filepath.Join(to, "var/lib/mailmove/*"))
	require.NoError(t, err)
	require.Len(t, runs, 1)
	listed := program(0, "", "status", "-json")
	require.NoError(t, filepath.WalkDir(filepath.Join(runs[0], "kept"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			data, err := os.ReadFile(p)
			require.NoError(t, err)
			rel, _ := filepath.Rel(runs[0], p)
			require.Contains(t, listed, `"at":"`+rel)
			rel = rel[len("kept/20060102T150405Z"):]
			kept[rel] = string(data)
			require.NotContains(t, string(data), "$6$", "%s: a password", rel)
		}
		return nil
	}))
	for _, name := range []string{"x", "link", "fifo", "dir", "way", "way2/box"} {
		require.Equal(t, lateMessage, kept["/anna/home/anna/mail/"+name], name)
	}
	require.Equal(t, "not mail", kept["/anna/home/anna/mail/x.part/y"])
	require.Equal(t, "not mail", kept["/anna/home/anna/"+long])
	require.Contains(t, kept, "/anna/home/anna/Maildir/new/1.a")
	require.Equal(t, "a file", kept["/anna/home/anna/turns"])
	require.Equal(t, "in a directory now", kept["-2/anna/home/anna/turns/file"])
	require.Equal(t, lateMessage, kept["/anna/var/spool/mail/anna"], "a further name of her own inbox keeps nothing from being kept")
	program(0, "", "sync")
}

// TestWrittenWhileItIsKept: what somebody writes on the new host between the keeping and the adopting is kept, too.
func TestWrittenWhileItIsKept(t *testing.T) {
	from, to := hosts(t)
	box := filepath.Join(to, "home/anna/mail/Sent")
	program := func(want int, again string, args ...string) string {
		t.Helper()
		c := command(append(args, "-yes", "-from", from, "-to", to)...)
		c.Env = append(os.Environ(), "TEST_WRITE="+again)
		out, _ := c.CombinedOutput()
		require.Equal(t, want, c.ProcessState.ExitCode(), string(out))
		return string(out)
	}
	keptOf := func(name string) string {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(to, "var/lib/mailmove/*/kept/*/anna", name))
		require.NoError(t, err)
		require.NotEmpty(t, all)
		return read(t, all[len(all)-1])
	}
	program(0, "", "sync")
	program(0, "", "cutover")
	out := program(0, stepBackKeep+" done="+box, "rollback")
	require.Contains(t, out, "somebody wrote there meanwhile")
	require.Equal(t, lateMessage, keptOf("home/anna/mail/Sent"))
	program(0, "", "sync")
	require.Equal(t, read(t, filepath.Join(from, "home/anna/mail/Sent")), read(t, box))
}
