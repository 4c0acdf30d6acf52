package dovecotconf_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	write("new/etc/dovecot/dovecot.conf", "# 2.3.16\nprotocols = imap pop3\n!include conf.d/*.conf\n!include /etc/more.conf\n")
	write("new/etc/dovecot/conf.d/20-pop3.conf", "protocol pop3 {\n  pop3_uidl_format = %v.%u\n}\n")
	write("new/etc/more.conf", "pop3_lock_session = yes\n")
	write("old/etc/dovecot.conf", "protocols = imap pop3\nprotocol pop3 {\n  pop3_uidl_format = %u\n}\nauth default {\n}\n")
	lone := write("copy/dovecot.conf", "protocols = pop3\npop3_uidl_format = %g\n")
	require.NoError(t, os.Mkdir(filepath.Join(root, "empty"), 0o755))
	for _, c := range []struct{ path, format, at string }{
		{filepath.Join(root, "new"), "%v.%u", "etc/dovecot/conf.d/20-pop3.conf:2"},
		{filepath.Join(root, "old"), "%u", "etc/dovecot.conf:3"},
		{filepath.Join(root, "copy"), "%g", "dovecot.conf:2"},
		{lone, "%g", filepath.ToSlash(lone) + ":2"},
	} {
		config, err := dovecotconf.Read(c.path, nil)
		require.NoError(t, err, c.path)
		got := config.Get("pop3", "pop3_uidl_format")
		require.Equal(t, c.format, got.Value, c.path)
		require.Equal(t, c.at, got.At, c.path)
	}
	config, err := dovecotconf.Read(filepath.Join(root, "new"), nil)
	require.NoError(t, err)
	require.Equal(t, "yes", config.Get("pop3", "pop3_lock_session").Value)
	for _, p := range []string{filepath.Join(root, "empty"), filepath.Join(root, "absent")} {
		_, err := dovecotconf.Read(p, nil)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}
