package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/dovecotconf"
)

// TestEditAt: advice about Dovecot says in which file.
func TestEditAt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"dovecot.conf":        "protocols = imap pop3\n!include conf.d/*.conf\n",
		"conf.d/10-mail.conf": "# where mail is\nmail_privileged_group = mail\n",
		"conf.d/20-pop3.conf": "protocol pop3 {\n  # as clients know messages\n  #pop3_uidl_format = %08Xu%08Xv\n}\n",
	} {
		at := filepath.Join(dir, "etc/dovecot", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	c, err := dovecotconf.Read(dir, &dovecotconf.Options{Version: "2.3.19"})
	require.NoError(t, err)
	set := c.Get("imap", "mail_privileged_group").At
	for want, f := range map[string]dovecotconf.Finding{
		"file: /etc/dovecot/conf.d/10-mail.conf line 2, on the new host":                            {NewAt: set, Setting: "mail_privileged_group", Advice: "mail_privileged_group ="},
		"file: /etc/dovecot/conf.d/20-pop3.conf, where line 3 has it as a comment, on the new host": {NewAt: "default", Setting: "pop3_uidl_format", Advice: "pop3_uidl_format = %g"},
		"file: /etc/dovecot/conf.d/10-mail.conf, on the new host":                                   {NewAt: "default", Setting: "mail_location", Advice: "say where mail is"},
		"file: /etc/dovecot/dovecot.conf, on the new host":                                          {NewAt: "default", Setting: "lock_method", Advice: "lock_method = fcntl"},
		"": {OldAt: set, Setting: "mail_location", Advice: "do not copy the line"},
	} {
		require.Equal(t, want, editAt(c, f))
	}
}
