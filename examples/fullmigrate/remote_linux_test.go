package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// farHosts builds the demo's hosts and puts the old one behind a real sshd: its commands run in the old host's root, where
// this machine's programs are mounted for them alone.
func farHosts(t *testing.T, settings ...string) (from, to string, s *farHost) {
	t.Helper()
	oracle.Root(t)
	from, to = hosts(t)
	enter := filepath.Join(t.TempDir(), "enter")
	cut := filepath.Join(t.TempDir(), "cut")
	script := "#!/bin/sh\nexport R=" + from + " C=" + cut + "\n" + `if [ -s "$C" ]; then n=$(($(cat "$C") - 1)); echo $n >"$C"; [ $n -gt 0 ] || { : >"$C"; kill -9 $PPID; exit; }; fi
exec unshare -m sh -c '
for d in usr dev proc; do mount --rbind /$d $R/$d || exit 90; done
! [ -e /usr/sbin/dovecot ] || mount --bind /bin/false $R/usr/sbin/dovecot || exit 90
exec chroot $R /bin/sh -c "$SSH_ORIGINAL_COMMAND"'` + "\n"
	require.NoError(t, os.WriteFile(enter, []byte(script), 0o755))
	for _, d := range []string{"usr", "dev", "proc", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(from, d), 0o755))
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + d); err == nil {
			require.NoError(t, os.Symlink(target, filepath.Join(from, d)))
		}
	}
	if out, err := exec.Command("sh", "-c", strings.Replace(script, `"$SSH_ORIGINAL_COMMAND"`, "true", 1)).CombinedOutput(); err != nil {
		t.Skipf("no host can be made of a directory here: %v: %s", err, out)
	}
	return from, to, &farHost{oracle.SSHD(t, append(settings, "ForceCommand "+enter)...), cut}
}

// farHost is an old host behind sshd.
type farHost struct {
	*oracle.SSH
	cut string
}

// cutAfter makes sshd die when it gets that many commands more; 0: not at all.
func (h *farHost) cutAfter(t *testing.T, commands int) {
	t.Helper()
	text := ""
	if commands > 0 {
		text = fmt.Sprintln(commands)
	}
	require.NoError(t, os.WriteFile(h.cut, []byte(text), 0o600))
}

// outcomeOf runs the program and gives what it said.
func outcomeOf(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(args...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// TestPlanThroughSSH: the plan is the one that a look at the old host's own files gives, and the old host is only read.
func TestPlanThroughSSH(t *testing.T) {
	from, to, s := farHosts(t)
	t.Setenv("TMPDIR", t.TempDir())
	require.NoError(t, os.Rename(filepath.Join(from, "home"), filepath.Join(from, "disk2")))
	require.NoError(t, os.Symlink("/disk2", filepath.Join(from, "home")))
	require.NoError(t, os.WriteFile(filepath.Join(from, "var/spool/mail/nobody here"), []byte("From x\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(from, "etc/redhat-release"), []byte("Fedora release 13 (Goddard)\n"), 0o644))
	near, _, code := outcomeOf(t, "plan", "-from", from, "-to", to, "-iface", "eth0")
	require.Equal(t, 0, code)
	before := facts(t, from, true)
	far, errs, code := outcomeOf(t, "plan", "-plain", "-from", s.Dest+":/", "-to", to, "-iface", "eth0")
	require.Equal(t, 0, code, errs)
	require.Equal(t, before, facts(t, from, true))
	body := func(s string) []string {
		var all []string
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, "old host: ") && !strings.HasPrefix(line, "mail: ") && !strings.Contains(line, "crontab -u bert") {
				all = append(all, line)
			}
		}
		return all
	}
	require.Equal(t, body(near), body(far))
	require.Contains(t, far, "500-503 -> 1001-1004")
	require.Contains(t, far, `"nobody here"`)
	require.Contains(t, far, "ssh root@old.test 'cat /var/spool/cron/bert' | crontab -u bert -")
	require.Regexp(t, `^old host: root@old.test:/, Fedora release 13.*, Linux .*, ssh from 127.0.0.1 to 127.0.0.1 port `, far)
	require.NotContains(t, far+errs, "$6$")
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left, "nothing stays")
	require.NoDirExists(t, filepath.Join(to, "var/lib/mailmove"), "a plan writes nothing")
	js, _, _ := outcomeOf(t, "plan", "-json", "-from", s.Dest+":/", "-to", to)
	require.Contains(t, js, `"old_host":{"source":"root@old.test:/"`)
}

func TestNoWayToTheOldHost(t *testing.T) {
	_, to, s := farHosts(t)
	for _, c := range []struct {
		from  string
		spoil func()
		code  int
		said  string
	}{
		{s.Dest + ":/srv", func() {}, 2, "want root@old.test:/"},
		{s.Dest + ":/", func() { s.Know("") }, 2, "hint: connect once by hand"},
		{s.Dest + ":/", func() { s.Know("host"); s.Socket.Close() }, 2, "hint: start sshd there"},
	} {
		c.spoil()
		out, errs, code := outcomeOf(t, "plan", "-from", c.from, "-to", to)
		require.Equal(t, c.code, code)
		require.Empty(t, out)
		require.Contains(t, errs, "fullmigrate: error: ")
		require.Contains(t, errs, c.said)
	}
}

func TestTheOldHostIsThisOne(t *testing.T) {
	oracle.Root(t)
	_, to := hosts(t)
	s := oracle.SSHD(t)
	_, errs, code := outcomeOf(t, "plan", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "root@old.test:/ is this host")
}

func TestDestination(t *testing.T) {
	for _, c := range []struct {
		src, dest, dir string
		remote         bool
	}{
		{"/mnt/old", "", "/mnt/old", false}, {"old", "", "old", false}, {"old:/", "old", "/", true}, {"root@old:/", "root@old", "/", true},
		{"./a:b", "", "./a:b", false}, {"/a:/", "", "/a:/", false}, {":/", "", ":/", false}, {"old:", "old", "", true},
		{"[2001:db8::1]:/", "2001:db8::1", "/", true}, {"root@[::1]:/", "root@::1", "/", true},
	} {
		dest, dir, remote := hostcmd.Destination(c.src)
		require.Equal(t, c.dest, dest, c.src)
		require.Equal(t, c.dir, dir, c.src)
		require.Equal(t, c.remote, remote, c.src)
	}
}

func TestNoRoomOnTheNewHost(t *testing.T) {
	oracle.Root(t)
	from, to := hosts(t)
	home := filepath.Join(to, "home")
	if err := unix.Mount("tmpfs", home, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mount: " + err.Error())
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(home, unix.MNT_DETACH)) })
	out, _, code := outcomeOf(t, "plan", "-from", from, "-to", to)
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^BLOCKS  mail SPACE /home: [0-9.]+ KiB in \d+ files .* which has 64.0 KiB free`, out)
}
