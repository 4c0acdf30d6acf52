package mx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// sendmail boots a machine with Debian's sendmail. The mc lines are ours; what is around them, an administrator's.
func (w *world) sendmail(lines string, tables map[string]string) *machine {
	t := w.t
	t.Helper()
	root := oracle.Unpacked(t, "sendmail")
	m := w.newMachine(atNames)
	m.write("etc/hosts", "127.0.0.1 localhost\n"+atBackup+" mx2.example.test mx2\n")
	m.write("etc/mail/sendmail.mc", "OSTYPE(`linux')dnl\ndefine(`confDOMAIN_NAME', `mx2.example.test')dnl\n"+
		"FEATURE(`no_default_msa')dnl\nDAEMON_OPTIONS(`Port=smtp,Addr="+atBackup+",Name=MTA')dnl\n"+
		"define(`confDONT_PROBE_INTERFACES', `True')dnl\n"+ // all addresses of the test are this one interface's
		"define(`confREFUSE_LA', `1000')dnl\ndefine(`confQUEUE_LA', `1000')dnl\n"+ // of a busy machine
		"define(`confTO_CONNECT', `5s')dnl\ndefine(`confLOG_LEVEL', `0')dnl\n"+lines+"MAILER(`local')dnl\nMAILER(`smtp')dnl\n")
	m.write("etc/mail/local-host-names", "")
	m.write("etc/mail/aliases", "postmaster: root\n")
	maps := ""
	for name, text := range tables {
		m.write("etc/mail/"+name, text)
		if name != "relay-domains" {
			maps += "$bin/makemap hash /etc/mail/" + name + " </etc/mail/" + name + "\n"
		}
	}
	libs, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	require.NoError(t, err)
	m.env = []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":"), "PATH=" + filepath.Join(root, "usr/libexec/sendmail") + ":" + os.Getenv("PATH")}
	m.boot("bin=" + root + "/usr/libexec/sendmail\nmkdir -p /var/spool/mqueue\nchmod 700 /var/spool/mqueue\ncd /etc/mail\n" +
		root + "/usr/bin/m4 -D_CF_DIR_=" + root + "/usr/share/sendmail/cf/ " + root + "/usr/share/sendmail/cf/m4/cf.m4 sendmail.mc >sendmail.cf\n" +
		maps + "$bin/newaliases >/dev/null\ncd /\nexec $bin/sendmail -bD -q30m")
	w.answers(atBackup + ":25")
	return m
}

// The whole of a move with sendmail as the backup, with the configuration that Check writes.
func TestBackupSendmail(t *testing.T) {
	w, _ := newWide(t)
	primary := w.sink(atPrimary)
	opt := &Options{
		Server: atNames + ":53", Dial: w.dialFrom(atNew), Backup: "mx2.example.test", Old: ip(atPrimary), New: ip(atNew),
		Recipients: []string{"alice", "bob"}, Downtime: 4 * time.Hour, Authority: true,
	}
	before, err := Check(t.Context(), "example.test", opt)
	require.NoError(t, err)
	tables := map[string]string{}
	for name, text := range before.Configs {
		if strings.HasPrefix(name, "sendmail/") && name != "sendmail/sendmail.mc" {
			tables[strings.TrimPrefix(name, "sendmail/")] = text
		}
	}
	m := w.sendmail(before.Configs["sendmail/sendmail.mc"], tables)
	require.Empty(t, m.console(), "the configuration loads without a word")

	opt.Rcpt = "alice@example.test"
	r, err := Check(t.Context(), "example.test", opt)
	require.NoError(t, err)
	require.Equal(t, []string{"SM08 warn"}, rulesOf(r.Findings), "only TLS is not set up: %v", r.Findings)

	opt.Machine, err = Inspect(t.Context(), m.run, "example.test")
	require.NoError(t, err)
	require.Empty(t, opt.Machine.Unseen)
	require.Equal(t, "esmtp:[192.0.2.1]", opt.Machine.Route)
	require.Equal(t, 30*day24, opt.Machine.Lifetime)
	here, err := Inspect(t.Context(), m.run, "mx2.example.test")
	require.NoError(t, err)
	require.Equal(t, "class w", here.Local)
	opt.AskETRN = true
	r, err = Check(t.Context(), "example.test", opt)
	require.NoError(t, err)
	require.Equal(t, []string{"SM08 warn"}, rulesOf(r.Findings), "nor in its own configuration: %v", r.Findings)

	primary.close()
	require.Regexp(t, "^250 ", w.send(atClient, atBackup+":25", "s@client.test", "alice@example.test", note))
	stuckFlush(t, w, m)
	drains(t, w, m, primary)
}
