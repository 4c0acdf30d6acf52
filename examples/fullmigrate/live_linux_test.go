package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

// onNewHost runs the program with the new host's tree as its root, and the old one's at /mnt/old.
func onNewHost(t *testing.T, from, to string, args ...string) (out string, code int) {
	t.Helper()
	oracle.Root(t)
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Chmod(to, 0o755)) // as a root directory is
	for _, d := range []string{"usr", "dev", "proc", "mnt/old", "mnt/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(to, d), 0o755))
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + d); err == nil {
			os.Remove(filepath.Join(to, d))
			require.NoError(t, os.Symlink(target, filepath.Join(to, d)))
		}
	}
	c := exec.Command("unshare", append([]string{"-m", "sh", "-c", `to=$1 old=$2 bin=$3 name=$4; shift 4
for d in usr dev proc; do mount --rbind /$d $to/$d || exit 90; done
! [ -e /usr/bin/doveadm ] || mount --bind /bin/false $to/usr/bin/doveadm || exit 90
mount --bind $old $to/mnt/old && mount --bind $bin $to/mnt/bin || exit 90
exec chroot $to /bin/bash -c 'exec -a fullmigrate "$@"' bash /mnt/bin/$name "$@"`, "sh", to, from, filepath.Dir(self), filepath.Base(self)}, args...)...)
	b, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() == 90 || c.ProcessState.ExitCode() == 1 && strings.HasPrefix(string(b), "unshare:") {
		t.Skipf("no host can be made of a directory here: %v: %s", err, b)
	}
	return string(b), c.ProcessState.ExitCode()
}

func TestVerifyOnTheNewHost(t *testing.T) {
	from, to := hosts(t)
	b, err := command("-from", from, "-to", to, "-apply").CombinedOutput()
	require.NoError(t, err, string(b))
	require.NoError(t, os.WriteFile(filepath.Join(to, "etc/nsswitch.conf"), []byte("passwd: files\ngroup: files\n"), 0o644))
	verify := func(args ...string) (string, int) {
		return onNewHost(t, from, to, append([]string{"verify", "-from", "/mnt/old", "-to", "/"}, args...)...)
	}
	out, code := verify()
	require.Equal(t, 0, code, out)
	require.Regexp(t, `(?m)^asked this host: 4 accounts and 5 groups by libc, 0 accounts by Dovecot, \d\d mailboxes and directories`, out)

	for _, c := range []struct{ name, spoil, mend, want string }{
		{"libc", "mv etc/nsswitch.conf etc/nss; echo 'passwd: db' >etc/nsswitch.conf", "mv etc/nss etc/nsswitch.conf", "anna: libc does not know the account (getent passwd)"},
		{"home", "chown 0:0 home/bert", "chown 1002:1002 home/bert", "bert: /home/bert cannot be read and written by its user (uid 1002, gid 1002): it is drwx------ 0:0"},
		{"folder", "chmod 0440 home/anna/mail/Sent", "chmod 0660 home/anna/mail/Sent", "anna: /home/anna/mail/Sent cannot be read and written by its user"},
		{"maildir", "chmod 0500 home/carla/Maildir/new", "chmod 0700 home/carla/Maildir/new", "carla: /home/carla/Maildir/new cannot be"},
		{"inbox", "chown 0 var/spool/mail/dora", "chown 1004 var/spool/mail/dora", ""}, // group mail may still write, but dora is not in it
		{"spool", "sed -i.bak 's/^mbox_write_locks.*/mbox_write_locks = dotlock fcntl/' etc/dovecot/conf.d/10-mail.conf; chmod 0755 var/spool/mail", "mv etc/dovecot/conf.d/10-mail.conf.bak etc/dovecot/conf.d/10-mail.conf; chmod 0775 var/spool/mail", "/var/spool/mail: Dovecot cannot make its lock files there for"},
		{"groups", "mv etc/nsswitch.conf etc/nss; printf 'passwd: files\\ngroup: db\\n' >etc/nsswitch.conf", "mv etc/nss etc/nsswitch.conf", "sales: libc does not know the group with gid 1011"},
	} {
		sh := func(script string) {
			s := exec.Command("sh", "-ec", script)
			s.Dir = to
			b, err := s.CombinedOutput()
			require.NoError(t, err, string(b))
		}
		sh(c.spoil)
		out, code := verify()
		require.Equal(t, 1, code, "%s: %s", c.name, out)
		require.Contains(t, out, c.want, c.name)
		sh(c.mend)
	}
	out, code = verify()
	require.Equal(t, 0, code, out)

	out, code = verify("-yes", "-login", "anna")
	require.Equal(t, 2, code)
	require.Contains(t, out, "-login needs the account's password")
	require.Contains(t, out, "hint: in a file")
	require.NoError(t, os.WriteFile(filepath.Join(to, "pw"), []byte("CANARY\n"), 0o600))
	out, code = verify("-login", "anna", "-password-file", "/pw")
	require.Equal(t, 2, code)
	require.Contains(t, out, "does not serve yet")
	out, code = verify("-yes", "-login", "anna", "-password-file", "/pw", "-imap", "127.0.0.1:1", "-pop3", "127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, out, "problem: anna: IMAP at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused")
	require.NotContains(t, out, "CANARY")
	out, code = verify("-yes", "-login", "nobody-here", "-password-file", "/pw")
	require.Equal(t, 2, code)
	require.Contains(t, out, "no such user moves")
}

const hangUp = "hang up" // after the text before

// speak answers one connection: each line that comes in is answered by the next of the texts, the first text is the greeting.
// It reads a line after each text.
func speak(t *testing.T, texts ...string) (addr string, heard func() []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan []string, 1)
	go func() {
		var lines []string
		defer func() { done <- lines }()
		c, err := l.Accept()
		l.Close()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for i, s := range texts {
			last := i+1 < len(texts) && texts[i+1] == hangUp
			fmt.Fprint(c, s)
			if last {
				return
			}
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
	}()
	return l.Addr().String(), func() []string { return <-done }
}

func TestClients(t *testing.T) {
	ctx := context.Background()
	c := &mailClient{user: "al ice", password: `p"\w`}
	addr, heard := speak(t, "* OK hi\r\n", "+ go\r\n", "+ go\r\n", "* CAPABILITY X\r\na OK in\r\n", "* 3 EXISTS\r\n* 0 RECENT\r\nb OK [READ-ONLY] done\r\n")
	n, err := c.imap(ctx, addr)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []string{"a LOGIN {6}", "al ice {4}", `p"\w`, "b EXAMINE INBOX", "c LOGOUT"}, heard())

	addr, heard = speak(t, "+OK hi\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n1 aa\r\n2 b b\r\n.\r\n", "+OK bye\r\n")
	uidls, err := c.pop3(ctx, addr)
	require.NoError(t, err)
	require.Equal(t, []string{"aa", "b b"}, uidls)
	require.Equal(t, []string{"USER al ice", `PASS p"\w`, "UIDL", "QUIT"}, heard())

	for _, texts := range [][]string{{"* BYE no\r\n"}, {"* OK\r\n", "a BAD no\r\n"}, {"* OK\r\n", "+ \r\n", "+ \r\n", "a NO [AUTHENTICATIONFAILED] no\r\n"}, {"* OK\r\n", "+ \r\n", "+ \r\n", "a OK\r\n", "b NO gone\r\n"}} {
		addr, _ = speak(t, append(texts, hangUp)...)
		_, err = c.imap(ctx, addr)
		require.Error(t, err, texts)
		require.NotContains(t, err.Error(), c.password)
	}
	for _, texts := range [][]string{{"-ERR busy\r\n"}, {"+OK\r\n", "+OK\r\n", "-ERR [AUTH] no\r\n"}, {"+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n1 aa\r\n"}} {
		addr, _ = speak(t, append(texts, hangUp)...)
		_, err = c.pop3(ctx, addr)
		require.Error(t, err, texts)
	}
}

func TestThePasswordStaysOnThisHost(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.IsLinkLocalUnicast() {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ip.IP.String(), "0"))
		require.NoError(t, err)
		defer l.Close()
		_, err = (&mailClient{user: "a", password: "p"}).pop3(context.Background(), l.Addr().String())
		require.ErrorContains(t, err, "is not on this host")
		return
	}
	t.Skip("no address but loopback")
}

func TestSameCount(t *testing.T) {
	require.Equal(t, 2, sameCount([]string{"a", "b", "c"}, []string{"a", "x", "c", "d"}))
	require.Zero(t, sameCount(nil, []string{"a"}))
}
