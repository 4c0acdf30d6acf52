package lockfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// dovecot gives a function that has the real Dovecot, as an ordinary user, append a message to the inbox,
// waiting so many seconds for a lock.
func dovecot(t *testing.T, locks string, patience int) (inbox string, save func() (string, error)) {
	oracle.Root(t)
	doveadm := oracle.Need(t, "doveadm")
	version, err := exec.Command(oracle.Need(t, "dovecot"), "--version").Output()
	require.NoError(t, err)
	home, err := os.MkdirTemp("/tmp", "inbox") // below directories that an ordinary user may enter
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	inbox = filepath.Join(home, "inbox")
	location := fmt.Sprintf("mail_location = mbox:%s/mail:INBOX=%s\n", home, inbox)
	if !strings.HasPrefix(string(version), "2.3") {
		v := strings.Fields(string(version))[0]
		location = fmt.Sprintf("dovecot_config_version = %s\ndovecot_storage_version = %s\nmail_driver = mbox\nmail_path = %s/mail\nmail_inbox_path = %s\n", v, v, home, inbox)
	}
	conf := filepath.Join(home, "dovecot.conf")
	require.NoError(t, os.WriteFile(conf, []byte(location+fmt.Sprintf(`
mbox_read_locks = %s
mbox_write_locks = %s
mbox_lock_timeout = %d secs
mail_uid = %d
mail_gid = %d
base_dir = %s/run
log_path = /dev/stderr
`, locks, locks, patience, nobody, nobody, home)), 0o644))
	require.NoError(t, os.WriteFile(inbox, nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(home, "mail"), 0o700))
	for _, path := range []string{home, inbox, filepath.Join(home, "mail")} {
		require.NoError(t, os.Chown(path, nobody, nobody))
	}
	return inbox, func() (string, error) {
		cmd := exec.Command(doveadm, "-c", conf, "save", "-m", "INBOX")
		cmd.Env = []string{"HOME=" + home, "USER=nobody", "PATH=/usr/bin:/bin"}
		cmd.Stdin = strings.NewReader("Subject: x\n\nbody\n")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func TestDovecotRespectsEachOfOurLocks(t *testing.T) {
	for _, locks := range []string{"dotlock", "fcntl", "flock"} {
		inbox, save := dovecot(t, locks, 1)
		dir, f := reopen(t, inbox)
		lock, err := Mailbox(dir, "inbox", f, true)
		require.NoError(t, err)
		out, err := save()
		require.Error(t, err, locks)
		require.Contains(t, strings.ToLower(out), "timeout", locks)
		require.NoError(t, lock.Unlock())
		out, err = save()
		require.NoError(t, err, out)
	}
}

// A sticky directory, where an ordinary user removes nothing of root: what a killed process of ours leaves must not lock
// the owner of the mailbox out.
func TestDovecotTakesOverTheDotlockOfTheDead(t *testing.T) {
	inbox, save := dovecot(t, "dotlock", 20)
	require.NoError(t, os.Chown(filepath.Dir(inbox), 0, 0))
	require.NoError(t, os.Chmod(filepath.Dir(inbox), 0o777|os.ModeSticky))
	kill(t, "mailbox", inbox)
	require.FileExists(t, inbox+".lock")
	out, err := save()
	require.NoError(t, err, out)
	require.NoFileExists(t, inbox+".lock")
}

func TestMailboxTakesOverTheDotlockOfTheDead(t *testing.T) {
	b := newBox(t)
	kill(t, "mailbox", b.path)
	require.Equal(t, []string{"alice", "alice.lock"}, b.names(t))
	lock, err := b.lock(true)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock())
	b.nothingKept(t, "alice")
}
