package mbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Nothing that is looked at changes: not even the access time, by which shells tell whether there is new mail.
func TestInspectKeepsAccessTimes(t *testing.T) {
	dir, root := grow(t, map[string]string{
		"mail/anna": mail(1, "x"), "mail/bob/Maildir/cur/1": "x", "mail/bob/Maildir/new/": "", "mail/bob/Maildir/tmp/": "", "mail/bob/Maildir/maildirsize": "1S\n", "mail/bob/Maildir/dovecot-uidlist": "",
	})
	old := time.Unix(1000, 0)
	var paths []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	for _, path := range paths {
		require.NoError(t, os.Chtimes(path, old, time.Unix(2000, 0))) // relatime would note an access now
	}
	require.NoError(t, Find(t.Context(), root, func(name string, kind Kind, err error) error {
		require.NoError(t, err)
		_, err = Inspect(t.Context(), root, name, kind)
		return err
	}))
	for _, path := range paths {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(path, &st))
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			require.EqualValues(t, 1000, st.Atim.Sec, path)
		}
		require.EqualValues(t, 2000, st.Mtim.Sec, path)
	}
}

func TestFindHostile(t *testing.T) {
	dir, root := grow(t, map[string]string{"mail/anna": mail(1, "x"), "M/cur/1": "x", "M/new/": "", "M/tmp/": ""})
	for _, name := range []string{"fifo", "mail/fifo", "M/cur/fifo", "M/maildirsize", "M/dovecot-uidlist"} {
		require.NoError(t, unix.Mkfifo(filepath.Join(dir, name), 0o600))
	}
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "M/.Sent")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "mail/zero")))
	require.Equal(t, []string{"M maildir", "mail/anna mbox"}, find(t, root))
	_, err := Inspect(t.Context(), root, "mail/zero", Mbox)
	require.ErrorIs(t, err, errSymlink)
	_, err = Inspect(t.Context(), root, "mail/fifo", Mbox)
	require.ErrorIs(t, err, errNotRegular)
	_, err = Inspect(t.Context(), root, "M", Maildir)
	require.ErrorIs(t, err, errNotRegular, "the FIFO in place of the list is not waited for")
	require.NotContains(t, err.Error(), strings.Repeat("x", 10))
}

// A mailbox that a delivery changes while it is read is read again.
func TestInspectWhileMailComes(t *testing.T) {
	dir, root := grow(t, map[string]string{"anna": strings.Repeat(mail(1, strings.Repeat("text\n", 1000)), 200)})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		f, err := os.OpenFile(filepath.Join(dir, "anna"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for i := 0; i < 2000; i++ {
			select {
			case <-stop:
				return
			default:
				_, _ = f.WriteString(mail(i, "more"))
			}
		}
	}()
	for range 20 {
		s := inspect(t, root, "anna", Mbox)
		require.GreaterOrEqual(t, s.Messages, 200)
	}
	close(stop)
	<-stopped
	require.Empty(t, inspect(t, root, "anna", Mbox).Problems)
}
