package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/oracle"
)

// dovecot runs a master without any port, for doveadm asks its auth service who a user is. A doveadm that knows its
// configuration comes first in PATH.
func dovecot(t *testing.T) (home string) {
	t.Helper()
	oracle.Root(t)
	doveadm, master := oracle.Need(t, "doveadm"), oracle.Need(t, "dovecot")
	if out, _ := exec.Command(master, "--version").Output(); !bytes.HasPrefix(out, []byte("2.3.")) {
		t.Skip("the configuration is for 2.3")
	}
	dir, err := os.MkdirTemp("", "spool")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	home = filepath.Join(dir, "home")
	require.NoError(t, os.MkdirAll(filepath.Join(home, "mail"), 0o755))
	conf := filepath.Join(dir, "dovecot.conf")
	require.NoError(t, os.WriteFile(conf, []byte(fmt.Sprintf(`base_dir = %s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols =
ssl = no
first_valid_uid = 1
first_valid_gid = 1
mail_location = mbox:%%h/mail:INBOX=%%h/inbox
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%s allow_all_users=yes
}
`, dir, home)), 0o644))
	var out bytes.Buffer
	cmd := exec.Command(master, "-F", "-c", conf)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	bin := filepath.Join(dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "doveadm"), []byte("#!/bin/sh\nexec "+doveadm+" -c "+conf+" \"$@\"\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.Eventually(t, func() bool { return exec.Command("doveadm", "user", "anna").Run() == nil }, 30*time.Second, 50*time.Millisecond, "%s", &out)
	return home
}

// archived runs spool archive -doveadm and reads its report.
func archived(t *testing.T, args ...string) (r archiveReport) {
	t.Helper()
	var out, errs bytes.Buffer
	c := cli.New("spool", "", append([]string{"-doveadm", "-json"}, args...), &out, &errs)
	require.NoError(t, archive(t.Context(), c), errs.String())
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	return r
}

func TestDoveadm(t *testing.T) {
	home := dovecot(t)
	var src strings.Builder
	for i, year := range []int{2012, 2013, 2013, 2024} {
		fmt.Fprintf(&src, "From a@b Tue Jan  3 00:00:01 %d\nSubject: %d\n\ntext\n\n", year, i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(home, "inbox"), []byte(src.String()), 0o600))
	for _, path := range []string{home, filepath.Join(home, "mail"), filepath.Join(home, "inbox")} {
		require.NoError(t, os.Chown(path, 65534, 65534))
	}
	_, err := exec.Command("doveadm", "flags", "add", "-u", "anna", `\Flagged`, "mailbox", "INBOX", "uid", "2").CombinedOutput()
	require.NoError(t, err)
	uids := func(folder string) string {
		out, err := exec.Command("doveadm", "-f", "flow", "fetch", "-u", "anna", "uid", "mailbox", folder).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.Join(strings.Fields(string(out)), " ")
	}

	args := []string{"-older", "2020-01-01", "-into", "old-%u-%Y", "-keep-flagged"}
	r := archived(t, append(args, "anna")...)
	require.Equal(t, 2, r.Messages)
	require.Equal(t, 2, r.Mailboxes[0].Kept)
	require.Equal(t, []string{"old-anna-2012", "old-anna-2013"}, []string{r.Mailboxes[0].Archives[0].Path, r.Mailboxes[0].Archives[1].Path})
	require.False(t, r.Applied)
	require.Equal(t, "uid=1 uid=2 uid=3 uid=4", uids("INBOX"), "shown only")

	r = archived(t, append(args, "-apply", "anna/INBOX")...)
	require.True(t, r.Applied)
	require.Equal(t, "uid=2 uid=4", uids("INBOX"))
	require.Equal(t, "uid=1", uids("old-anna-2012"))
	require.Equal(t, "uid=1", uids("old-anna-2013"))
	require.Zero(t, archived(t, append(args, "-apply", "anna")...).Messages)
}
