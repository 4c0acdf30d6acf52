package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/service"
	"github.com/mailmove/mailmove/mbox/tree"
)

// TestFoldersOf: where the old server keeps mail is mail, whatever it is called.
func TestFoldersOf(t *testing.T) {
	for setting, want := range map[string][]string{
		"mail_location = mbox:~/imap:INBOX=/var/mail/%u":        {"imap"},
		"mail_location = mbox:~/imap":                           {"imap", "imap/inbox"},
		"mail_location = maildir:~/.mbox":                       {".mbox"},
		"mail_location = mbox:%h/a/%u:INBOX=~/mbox:INDEX=/i/%u": {"a", "mbox"},
		"mail_location = maildir:/srv/mail/%u":                  nil,
		"mail_location = mbox:~/:INBOX=~/../x":                  {"."},
		"mail_location = mbox:~/:INBOX=/var/mail/%u":            {"."},
		"mail_location = mbox:~/%d/x:INBOX=/var/mail/%u":        nil,
		"mail_location = mbox:~/imap:INBOX=/var/mail/%u\nnamespace {\n prefix = a/\n separator = /\n location = maildir:~/.a:INDEX=~/imap\n}": {"imap", ".a"},
		"": nil,
	} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc/dovecot"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "etc/dovecot/dovecot.conf"), []byte(setting+"\n"), 0o644))
		c, err := dovecotconf.Read(dir, &dovecotconf.Options{Version: "2.3.19"})
		require.NoError(t, err)
		require.Equal(t, want, foldersOf(c.MailPaths()), setting)
	}
	p := &plan{folders: []string{"imap", "mbox"}, trees: []userTree{{0, false, tree.Pair{To: "home/anna"}}, {0, true, tree.Pair{To: "var/mail/anna"}}}}
	for name, want := range map[string]bool{"home/anna/imap": true, "home/anna/imap/a/b": true, "home/anna/mbox": true, "home/anna/imap2": false, "home/anna/x/imap": false, "var/mail/anna": true, "home/bert/imap/a": false} {
		require.Equal(t, want, p.isMail(name), name)
	}
	m := &migration{to: t.TempDir()}
	require.Equal(t, service.Mail{Spools: []string{m.to + "/var/mail"}, Homes: []string{m.to + "/home"}, Below: p.folders}, p.mail(m, 1))
}

// TestMailInFoldersOfItsOwnName is compared message by message as any other.
func TestMailInFoldersOfItsOwnName(t *testing.T) {
	from, to := hosts(t)
	boxes := func() (n int) {
		t.Helper()
		out, err := command("sync", "-json", "-from", from, "-to", to).Output()
		require.NoError(t, err)
		var p struct{ Outcome struct{ Users []userMail } }
		require.NoError(t, json.Unmarshal(out, &p))
		for _, u := range p.Outcome.Users {
			if u.Name == "anna" {
				n = u.Mailboxes
			}
		}
		return n
	}
	before := boxes()
	require.NoError(t, os.Mkdir(filepath.Join(from, "home/anna/imap"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from, "home/anna/imap/Trips"), []byte(lateMessage), 0o600))
	require.Equal(t, before, boxes(), "nobody says that this is mail")
	f, err := os.OpenFile(filepath.Join(from, "etc/dovecot.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("\nmail_location = mbox:~/imap:INBOX=/var/mail/%u\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, before+1, boxes())
}
