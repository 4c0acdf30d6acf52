package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMailboxes(t *testing.T) {
	dir := t.TempDir()
	const message = "From a@b Thu Jan  1 00:00:01 2015\nSubject: x\n\nbody\n"
	for name, text := range map[string]string{
		"var/mail/anna":                               message,
		"var/mail/empty":                              "",
		"var/mail/notes":                              "no mailbox\n",
		"home/anna/mail/Sent":                         message,
		"home/anna/mail/Empty":                        "",
		"home/anna/mail/.subscriptions":               "Sent\n",
		"home/anna/mail/.lock":                        "",
		"home/anna/mail/.hidden":                      message,
		"home/anna/mail/a/b/Deep":                     message,
		"home/anna/mail/.imap/Sent/dovecot.index.log": "From nowhere",
		"home/anna/outside":                           message,
		"home/carla/Maildir/cur/1.x:2,S":              "Subject: x\n\n",
		"home/carla/Maildir/dovecot-uidlist":          "3 V1 N2\n",
		"home/carla/Maildir/.Sent/cur/2.x:2,":         "Subject: x\n\n",
	} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if filepath.Separator != '/' {
			t.Skip("names that this system does not have")
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
	}
	for _, d := range []string{"new", "tmp", ".Sent/new", ".Sent/tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "home/carla/Maildir", d), 0o755))
	}
	require.NoError(t, os.Symlink("Sent", filepath.Join(dir, "home/anna/mail/Link")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	for name, want := range map[string][]string{
		"var/mail/anna":  {"var/mail/anna"},
		"var/mail/empty": {"var/mail/empty"},
		"var/mail/notes": nil,
		"var/mail/gone":  nil,
		"home/anna":      {"home/anna/mail/.hidden", "home/anna/mail/Empty", "home/anna/mail/Sent", "home/anna/mail/a/b/Deep"},
		"home/carla":     {"home/carla/Maildir", "home/carla/Maildir/.Sent"},
		"var":            {"var/mail/anna", "var/mail/empty"},
	} {
		var got []string
		for box, err := range Mailboxes(root, name) {
			require.NoError(t, err)
			got = append(got, box)
		}
		require.Equal(t, want, got, name)
	}
	var all []string
	for box, err := range Mailboxes(root, "home/anna", ".") {
		require.NoError(t, err)
		all = append(all, box)
	}
	require.Equal(t, []string{"home/anna/mail/.hidden", "home/anna/mail/Empty", "home/anna/mail/Sent", "home/anna/mail/a/b/Deep", "home/anna/outside"}, all)
	var got []string
	for box, err := range Mailboxes(root, "home/anna", "outside", "absent", "mail/a") {
		require.NoError(t, err)
		got = append(got, box)
	}
	require.Equal(t, []string{"home/anna/mail/.hidden", "home/anna/mail/Empty", "home/anna/mail/Sent", "home/anna/mail/a/b/Deep", "home/anna/outside"}, got)
	for box := range Mailboxes(root, "home") { // a caller may stop at once
		require.Equal(t, "home/anna/mail/.hidden", box)
		break
	}
}
