package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// planned gives the findings of a plan, of the old host with some more lines of configuration, that are about places and users.
func planned(t *testing.T, from, to, config string) (told []string) {
	t.Helper()
	conf := filepath.Join(from, "etc/dovecot.conf")
	before, err := os.ReadFile(conf)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(conf, append(before, config...), 0o644))
	out, _ := command("plan", "-json", "-from", from, "-to", to).Output() // exit code 1 where something must be settled
	require.NoError(t, os.WriteFile(conf, before, 0o644))
	var p struct{ Findings []finding }
	require.NoError(t, json.Unmarshal(out, &p), "%s", out)
	for _, f := range p.Findings {
		if f.Rule == "ELSEWHERE" || f.Rule == "USERDB" || f.Rule == "HOME-IS-MAIL" {
			require.NotContains(t, f.Detail+f.Name+f.At, "secret")
			told = append(told, strings.Join([]string{f.Rule, f.Severity, f.Name, filepath.Base(filepath.Dir(f.At)) + "/" + filepath.Base(f.At), f.Detail}, " | "))
		}
	}
	return told
}

// Where the old server keeps mail that nobody copies, and whom it has from elsewhere, a plan says with file and line.
func TestPlanTellsOfOtherPlaces(t *testing.T) {
	from, to := hosts(t)
	b, err := os.ReadFile(filepath.Join(from, "etc/dovecot.conf"))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(b), "\n"))
	base := strings.Count(string(b), "\n")
	at := func(line int) string {
		return "etc/dovecot.conf:" + string(rune('0'+(base+line)/10)) + string(rune('0'+(base+line)%10))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(from, "etc/dovecot"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(from, "etc/dovecot/users"), []byte("# users\nanna:{PLAIN}secret:::::\ncarla:secret::::::userdb_mail=maildir:~/box\nbert:secret::::::userdb_mail=maildir:/home/bert/box\nsales@x:secret\nshop:secret::::/srv/shop::userdb_mail=mbox:/srv/shop/mail\n"), 0o600))
	const elsewhere = "the old server keeps mail in a place that is neither a home nor /var/mail"
	for config, want := range map[string][]string{
		"mail_location = mbox:~/mail:INBOX=/var/mail/%u\n":                  nil,
		"mail_location = maildir:/home/%u/Maildir\n":                        nil,
		"mail_location = maildir:/home/%Lu/Maildir\n":                       nil,
		"mail_location = mbox:~/:INBOX=/var/spool/mail/%u\n":                {"HOME-IS-MAIL | info | %{home} | " + at(1) + " | the old server takes all that is in a home for mail"},
		"mail_location = maildir:/home/vmail/%u\n":                          {"ELSEWHERE | loss | /home/vmail/%{user} | " + at(1) + " | " + elsewhere},
		"mail_location = mbox:~/mail:INBOX=/var/mail/%1n/%u\n":              {"ELSEWHERE | loss | /var/mail/%1n/%{user} | " + at(1) + " | " + elsewhere},
		"namespace public {\n prefix = p/\n location = maildir:/srv/p\n}\n": {"ELSEWHERE | loss | /srv/p | " + at(3) + " | " + elsewhere},
		"auth default {\n userdb sql {\n  args = /etc/sql.conf\n }\n}\n": {"USERDB | warn | /etc/sql.conf | " + at(2) +
			" | the old server has users from sql, which is not read here: whoever has no account does not move, and where it says that mail is, is not known"},
		"auth default {\n passdb passwd-file {\n  args = /etc/dovecot/users\n }\n userdb passwd-file {\n  args = /etc/dovecot/users\n }\n}\n": {
			"USERDB | loss | /etc/dovecot/users | dovecot/users:5 | 2 users of the old server without an account: sales@x, shop",
			"ELSEWHERE | loss | /srv/shop/mail | dovecot/users:6 | " + elsewhere},
	} {
		got := planned(t, from, to, config)
		require.ElementsMatch(t, want, got, config)
	}
}
