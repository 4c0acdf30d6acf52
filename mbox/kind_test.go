package mbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDetect(t *testing.T) {
	dir := t.TempDir()
	aMaildir(t, filepath.Join(dir, "Maildir"), "", "cur/1.a:2,")
	for name, content := range map[string]string{
		"box": fromValid, "short": "From", "empty": "", "text": "hello\n", "FROM": "FROM x\n",
		"sdbox/mailboxes/INBOX/dbox-Mails/u.1": "x", "mdbox/storage/m.12": "x", "folder/dbox-Mails/dovecot.index": "x", "usr/u.7": "x",
		"plain/storage/m.x": "x", "plain/u.": "x", "half/cur/x": "x",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	want := map[string]Kind{"box": Mbox, "short": None, "empty": None, "text": None, "FROM": None, "Maildir": Maildir, "Maildir/cur": None,
		"sdbox": Dbox, "mdbox": Dbox, "folder": Dbox, "usr": Dbox, "plain": None, "half": None}
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Symlink("box", filepath.Join(dir, "link")))
		want["link"] = None
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	for name, kind := range want {
		got, err := Detect(root, name)
		require.NoError(t, err, name)
		require.Equal(t, kind, got, name)
	}
	_, err = Detect(root, "missing")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Detect(root, "../x")
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.Equal(t, []string{"none", "mbox", "maildir", "dbox"}, []string{None.String(), Mbox.String(), Maildir.String(), Dbox.String()})
	require.True(t, IsMbox([]byte("From a")))
	require.False(t, IsMbox([]byte("Fro")))
}
