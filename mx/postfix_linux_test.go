package mx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Addresses of the tests with real backups.
const (
	atPrimary  = "192.0.2.1"
	atNew      = "192.0.2.99"
	atBackup   = "198.51.100.2"
	atNames    = "192.0.2.53"
	atClient   = "203.0.113.9"
	atStranger = "203.0.113.66"
)

// wide is the zone of those tests: the domain as it should be, one with equal preferences, one whose primary was removed.
const wide = `
@ MX 10 mx1
@ MX 20 mx2
mx1 A 192.0.2.1
mx2 A 198.51.100.2
client.test. MX 10 client.test.
client.test. A 203.0.113.9
equal.test. NS ns.example.test.
equal.test. MX 10 mx1.example.test.
equal.test. MX 10 mx2.example.test.
gone.test. NS ns.example.test.
gone.test. MX 20 mx2.example.test.
pinned.test. NS ns.example.test.
pinned.test. MX 20 mx2.example.test.
`

func newWide(t *testing.T) (*world, *dnsServer) {
	t.Helper()
	var all []string
	for _, a := range []string{atPrimary, atNew, atBackup, atNames, atClient, atStranger} {
		all = append(all, a+"/32")
	}
	w := newWorld(t, all...)
	s := serve(t, wide)
	w.names(atNames, s)
	return w, s
}

// postfixMaster are the services of a backup, none of them in a chroot.
const postfixMaster = `smtp inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`

// postfixSurroundings is what an administrator's main.cf holds besides our lines.
const postfixSurroundings = `compatibility_level = 3.6
myhostname = mx2.example.test
mydomain = example.test
mydestination = localhost
mynetworks = 127.0.0.0/8
inet_interfaces = ` + atBackup + `
inet_protocols = ipv4
maillog_file = /var/log/mail.log
alias_maps =
local_recipient_maps =
smtp_connect_timeout = 5s
`

// postfix boots a machine with this main.cf and the tables.
func (w *world) postfix(main string, tables map[string]string) *machine {
	t := w.t
	t.Helper()
	oracle.Need(t, "postfix")
	m := w.newMachine(atNames)
	conf := filepath.Join(m.dir, "etc/postfix")
	out, err := exec.Command("cp", "-a", "/etc/postfix", conf).CombinedOutput()
	require.NoError(t, err, "%s", out)
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(conf, past, past))
	m.write("etc/postfix/main.cf", main)
	m.write("etc/postfix/master.cf", postfixMaster)
	for name, text := range tables {
		m.write("etc/"+name, text)
	}
	m.boot("mkdir -p /var/lib/postfix /var/spool/postfix\nchown postfix /var/lib/postfix\nexec postfix start-fg")
	w.answers(atBackup + ":25")
	return m
}

const note = "From: s@client.test\nTo: alice@example.test\nSubject: note\n\nfirst line\n.dot\n\nFrom the last\n"

// The whole of a move with Postfix as the backup, with the configuration that Check writes.
func TestBackupPostfix(t *testing.T) {
	w, _ := newWide(t)
	primary := w.sink(atPrimary)
	opt := &Options{
		Server: atNames + ":53", Dial: w.dialFrom(atNew), Backup: "mx2.example.test", Old: ip(atPrimary), New: ip(atNew),
		Recipients: []string{"alice", "bob"}, Rcpt: "alice@example.test", Downtime: 4 * time.Hour, Authority: true,
	}
	before, err := Check(t.Context(), "example.test", &Options{Server: opt.Server, Dial: opt.Dial, Backup: opt.Backup, Old: opt.Old, New: opt.New, Recipients: opt.Recipients})
	require.NoError(t, err)
	tables := map[string]string{}
	for name, text := range before.Configs {
		if strings.HasPrefix(name, "postfix/") && name != "postfix/main.cf" {
			tables[name] = text
		}
	}
	m := w.postfix(postfixSurroundings+before.Configs["postfix/main.cf"], tables)
	complaints, err := m.run(t.Context(), "sh", "-c", "postconf -n 2>&1 >/dev/null; grep -E 'warning|error|fatal' /var/log/mail.log || true")
	require.NoError(t, err)
	require.Empty(t, string(complaints), "the configuration loads without a word")

	r, err := Check(t.Context(), "example.test", opt)
	require.NoError(t, err)
	require.Equal(t, []string{"SM08 warn"}, rulesOf(r.Findings), "only TLS is not set up: %v", r.Findings)

	opt.Machine, err = Inspect(t.Context(), m.run, "example.test")
	require.NoError(t, err)
	require.Empty(t, opt.Machine.Unseen)
	require.Equal(t, "relay:[192.0.2.1]", opt.Machine.Route)
	require.Equal(t, 30*day24, opt.Machine.Lifetime)
	require.Empty(t, opt.Machine.Local)
	require.NotZero(t, opt.Machine.Free)
	opt.FromBackup = w.dialFrom(atBackup)
	opt.AskETRN = true
	opt.New = ip(atPrimary) // the sink that stands there
	r, err = Check(t.Context(), "example.test", opt)
	require.NoError(t, err)
	require.Equal(t, []string{"SM08 warn"}, rulesOf(r.Findings), "nor in its own configuration: %v", r.Findings)

	primary.close()
	require.Regexp(t, "^250 ", w.send(atClient, atBackup+":25", "s@client.test", "alice@example.test", note))
	f := stuckFlush(t, w, m)
	require.Contains(t, f.Left[0].Reason, "Connection refused", "why it is stuck")
	unseen, err := Flush(t.Context(), atBackup, "example.test", &FlushOptions{Dial: w.dialFrom(atNew)})
	require.NoError(t, err)
	require.Equal(t, Unproven, unseen.Status, "the same reply without sight of the queue")
	stranger, err := Flush(t.Context(), atBackup, "example.test", &FlushOptions{Dial: w.dialFrom(atStranger)})
	require.NoError(t, err)
	require.Equal(t, Fail, stranger.Status)
	require.Contains(t, stranger.Detail, "does not allow", "%s", stranger)
	drains(t, w, m, primary)
}

// stuckFlush refuses whom it must, and asks for the queue while the primary is still down.
func stuckFlush(t *testing.T, w *world, m *machine) *FlushResult {
	t.Helper()
	require.Regexp(t, "^[45]50 .*User unknown", w.send(atClient, atBackup+":25", "s@client.test", "mallory@example.test", note))
	require.Regexp(t, "^[45]5[0-9] .*[Rr]elay(ing|access|) ?(access )?denied", w.send(atClient, atBackup+":25", "s@client.test", "x@foreign.test", note))
	f, err := Flush(t.Context(), atBackup, "example.test", &FlushOptions{
		Dial: w.dialFrom(atNew), Queue: QueueOf(m.run), Poll: 100 * time.Millisecond, Again: time.Second, Wait: 3 * time.Second})
	require.NoError(t, err)
	require.Equal(t, Fail, f.Status, "%s", f)
	require.Equal(t, 250, f.Code, "the server says that it started")
	require.Equal(t, 1, *f.Queued)
	require.Contains(t, f.Detail, "not drained")
	require.Contains(t, f.Detail, "Connection refused")
	return f
}

// drains brings the primary back and asks for the queue: the message arrives, once and whole.
func drains(t *testing.T, w *world, m *machine, primary *sink) {
	t.Helper()
	require.Empty(t, primary.taken())
	primary.open(w)
	f, err := Flush(t.Context(), atBackup, "example.test", &FlushOptions{
		Dial: w.dialFrom(atNew), Queue: QueueOf(m.run), Poll: 100 * time.Millisecond, Again: time.Second, Wait: time.Minute})
	require.NoError(t, err)
	require.Equal(t, OK, f.Status, "%s", f)
	require.Zero(t, *f.Queued)
	got := primary.taken()
	require.Len(t, got, 1, "delivered once")
	require.Equal(t, "alice@example.test", got[0].rcpt)
	require.True(t, strings.HasSuffix(got[0].text, note[strings.Index(note, "Subject:"):]), "%q", got[0].text)
}

// What bounces at once with a real Postfix is found by Check before: equal preferences, and the primary gone from the set.
// The pinned route that Check writes stands both.
func TestFaultsBounceWithPostfix(t *testing.T) {
	w, _ := newWide(t)
	client := w.sink(atClient) // where bounces arrive
	m := w.postfix(postfixSurroundings+`relay_domains = equal.test, gone.test, pinned.test
transport_maps = inline:{pinned.test=relay:[192.0.2.1]}
smtpd_relay_restrictions = reject_unauth_destination
`, nil)
	for domain, route := range map[string]string{"equal.test": "", "pinned.test": "relay:[192.0.2.1]"} {
		i, err := Inspect(t.Context(), m.run, domain)
		require.NoError(t, err)
		require.Equal(t, route, i.Route, domain)
	}
	i, err := Inspect(t.Context(), m.run, "localhost")
	require.NoError(t, err)
	require.Equal(t, "mydestination", i.Local)
	before := func(domain string) []string {
		r, err := Check(t.Context(), domain, &Options{Server: atNames + ":53", Dial: w.dialFrom(atNew), Backup: "mx2.example.test", Old: ip(atPrimary)})
		require.NoError(t, err)
		return rulesOf(r.Findings)
	}
	for _, c := range []struct{ domain, rule string }{{"equal.test", "MX07 fail"}, {"gone.test", "MX09 fail"}, {"pinned.test", "MX09 fail"}} {
		require.Contains(t, before(c.domain), c.rule, c.domain)
		require.Regexp(t, "^250 ", w.send(atClient, atBackup+":25", "s@client.test", "alice@"+c.domain, note))
	}
	require.Eventually(t, func() bool { return len(client.taken()) == 2 }, 30*time.Second, 50*time.Millisecond, "two bounces")
	for _, b := range client.taken() {
		require.Empty(t, b.from)
		require.Contains(t, b.text, "Status: 5.4.6", "a permanent failure")
		require.Regexp(t, `mail for (equal|gone)\.test loops back to myself`, b.text)
	}
	left, err := QueueOf(m.run)(t.Context())
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, "alice@pinned.test", left[0].Recipient, "queued by the pinned route, though the set is as bad")
}
