package mbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// message is number i of a program; body and subject tell it from all others.
func message(who string, i int) string {
	return fmt.Sprintf("Subject: %s %d\nMessage-ID: <%s-%d@x>\n\ntoken-%s-%d-end\n%s\n", who, i, who, i, who, i, strings.Repeat("more text\n", i%50))
}

// against lets each program deliver its share of n messages to box while old ones are archived from there over and over.
// What was delivered is of today; therefore all leaves that has arrived before a round began. The result tells how often
// each message is in the mailbox or an archive.
func against(t *testing.T, box string, n int, programs map[string]func(i int)) (count func() map[string]int) {
	t.Helper()
	var wg sync.WaitGroup
	done := make(chan string, n)
	for who, deliverOne := range programs {
		wg.Go(func() {
			for i := range n / len(programs) {
				deliverOne(i)
				done <- who
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	into := t.TempDir()
	a := &Archive{Into: filepath.Join(into, "%f-%Y"), Journal: filepath.Join(t.TempDir(), "journal"), Location: time.Local, Wait: time.Minute}
	rounds, left, delivered := 0, 0, 0
	for range done {
		if delivered++; delivered%20 != 0 { // the others go on meanwhile
			continue
		}
		a.Before = time.Now().Truncate(time.Second)
		p, err := a.Plan(t.Context(), box)
		require.NoError(t, err)
		got, err := p.Apply(t.Context())
		if err != nil {
			require.ErrorIs(t, err, ErrDrift)
			continue
		}
		left += got.Messages
		rounds++
	}
	t.Logf("%d rounds moved %d messages", rounds, left)
	require.Positive(t, left)
	return func() map[string]int {
		files, err := filepath.Glob(filepath.Join(into, "*"))
		require.NoError(t, err)
		out := map[string]int{}
		for _, name := range append(files, box) {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, token := range regexp.MustCompile(`token-\w+-\d+-end`).FindAllString(string(b), -1) {
				out[token]++
			}
		}
		return out
	}
}

// deliveries is how many messages come: a few in every run, a thousand when MAILMOVE_SOAK is set.
func deliveries() int {
	if os.Getenv("MAILMOVE_SOAK") != "" {
		return 1000
	}
	return 100
}

func TestDeliveriesAgainstArchiving(t *testing.T) {
	d, box := inbox(t)
	rc := filepath.Join(d.Home, "procmailrc")
	require.NoError(t, os.WriteFile(rc, []byte("LOGFILE=/dev/null\nLOCKSLEEP=0\n:0:\n"+box+"\n"), 0o644))
	d.Own()
	procmail := oracle.Need(t, "procmail")
	programs := map[string]func(i int){
		"lda":      func(i int) { d.Deliver(message("lda", i)) },
		"procmail": func(i int) { d.As(message("procmail", i), procmail, rc) },
	}
	n := deliveries()
	count := against(t, box, n, programs)()
	for who := range programs {
		for i := range n / len(programs) {
			require.Equal(t, 1, count[fmt.Sprintf("token-%s-%d-end", who, i)], "%s %d", who, i)
		}
	}
	require.Contains(t, seenBy(t, d), "next")
	leftover, err := filepath.Glob(box + ".lock")
	require.NoError(t, err)
	require.Empty(t, leftover)
}

// postfix runs a Postfix without any port: mail enters by sendmail(1) and ends in the mailbox of the user nobody.
func postfix(t *testing.T) (box string, send func(message string)) {
	t.Helper()
	oracle.Root(t)
	control, sendmail := oracle.Need(t, "postfix"), oracle.Need(t, "sendmail")
	dir, err := os.MkdirTemp("", "postfix")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, mode := range map[string]os.FileMode{".": 0o755, "conf": 0o755, "queue": 0o755, "data": 0o755, "mail": 0o777 | os.ModeSticky} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for name, text := range map[string]string{
		"main.cf": "compatibility_level = 3.6\nqueue_directory = " + dir + "/queue\ndata_directory = " + dir + "/data\nmail_owner = postfix\n" +
			"setgid_group = postdrop\ninet_interfaces = loopback-only\nmyhostname = test.invalid\nmydestination = test.invalid\n" +
			"alias_maps =\nalias_database =\nlocal_recipient_maps =\nmail_spool_directory = " + dir + "/mail\n" +
			"mailbox_delivery_lock = fcntl, dotlock\nmaillog_file = " + dir + "/log\nmaillog_file_prefixes = " + dir + "\n",
		"master.cf": `postlog unix-dgram n - n - 1 postlogd
pickup  unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
local   unix - n n - - local
error   unix - - n - - error
retry   unix - - n - - error
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "conf", name), []byte(text), 0o644))
	}
	ctl := func(verb string) ([]byte, error) {
		cmd := exec.Command(control, "-c", filepath.Join(dir, "conf"), verb)
		log, err := os.Create(filepath.Join(dir, verb+".out")) // a pipe would stay open in the daemons
		require.NoError(t, err)
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Run()
		said, _ := os.ReadFile(log.Name())
		return said, err
	}
	t.Cleanup(func() { _, _ = ctl("stop") })
	out, err = ctl("start")
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "mail/nobody"), func(message string) {
		cmd := exec.Command(sendmail, "-C", filepath.Join(dir, "conf"), "-f", "a@test.invalid", "nobody@test.invalid")
		cmd.Stdin = strings.NewReader(message)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

func TestPostfixAgainstArchiving(t *testing.T) {
	box, send := postfix(t)
	require.NoError(t, os.WriteFile(box, []byte(dated(2012, base, "X-UID: 1")), 0o600))
	require.NoError(t, os.Chown(box, 65534, 65534))
	n := deliveries() / 2
	count := against(t, box, n, map[string]func(i int){"postfix": func(i int) { send(message("postfix", i)) }})
	require.Eventually(t, func() bool { return len(count()) >= n }, 2*time.Minute, 100*time.Millisecond, "all are out of the queue")
	for i := range n {
		require.Equal(t, 1, count()[fmt.Sprintf("token-postfix-%d-end", i)], "%d", i)
	}
	left, err := os.ReadFile(box)
	require.NoError(t, err)
	_, sum := scan(t, string(left), nil)
	require.EqualValues(t, 1420070401, sum.UIDValidity)
}
