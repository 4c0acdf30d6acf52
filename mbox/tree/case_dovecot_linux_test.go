package tree_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// The two kinds of stores, laid out as on an old host.
const (
	caseMboxStore    = "mail_location = mbox:%h/home/alice/mail:INBOX=%h/var/mail/alice"
	caseMaildirStore = "mail_location = maildir:%h/home/alice/Maildir"
)

// caseServer is a Dovecot over a root of our own making, which is a host's file tree.
func caseServer(t testing.TB, settings ...string) *oracle.Server {
	t.Helper()
	d := oracle.Dovecot(t, settings...)
	for _, dir := range []string{"home/alice/mail", "var/mail"} {
		require.NoError(t, os.MkdirAll(filepath.Join(d.Home, dir), 0o755))
	}
	d.Own()
	return d
}

// caseSession is one imap process that is talked to step by step.
type caseSession struct {
	t   testing.TB
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
}

func caseOpen(t testing.TB, d *oracle.Server) *caseSession {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(oracle.Need(t, "/usr/lib/dovecot/imap"), "-c", filepath.Join(filepath.Dir(d.Home), "dovecot.conf"))
	cmd.Env = []string{"HOME=" + d.Home, "USER=tester", "PATH=/usr/bin:/bin"}
	cmd.Dir, cmd.Stdin = d.Home, r
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r.Close()
	s := &caseSession{t: t, cmd: cmd, in: w, out: bufio.NewReaderSize(out, 1<<20)}
	t.Cleanup(func() { w.Close(); cmd.Process.Kill(); cmd.Wait() })
	s.do("NOOP")
	return s
}

func (s *caseSession) do(command string) (lines []string) {
	s.t.Helper()
	_, err := s.in.WriteString("x " + command + "\r\n")
	require.NoError(s.t, err)
	for {
		line, err := s.out.ReadString('\n')
		require.NoError(s.t, err, "%s", command)
		if strings.HasPrefix(line, "x ") {
			require.True(s.t, strings.HasPrefix(line, "x OK"), "%s: %s", command, line)
			return lines
		}
		lines = append(lines, line)
	}
}

// read is how many bytes the process has read so far, from wherever.
func (s *caseSession) read() (n int64) {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.cmd.Process.Pid))
	require.NoError(s.t, err)
	_, err = fmt.Sscanf(string(b), "rchar: %d", &n)
	require.NoError(s.t, err)
	return n
}

var caseNoise = regexp.MustCompile(`(?m)^(t\d+ OK|\* PREAUTH|\* BYE|\* OK \[HIGHESTMODSEQ|\+OK|\* OK \[READ-ONLY).*$`)

// caseView is all that a client can see: folders, subscriptions, and of each message UID, flags, keywords, date and
// content; then the UIDLs.
func caseView(t testing.TB, d *oracle.Server, boxes ...string) string {
	t.Helper()
	commands := []string{`LIST "" "*"`, `LSUB "" "*"`}
	for _, b := range boxes {
		commands = append(commands, fmt.Sprintf("EXAMINE %q", b), "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
	}
	lines := d.IMAP(commands...)
	slices.Sort(lines[:slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "t1 OK") })])
	lines = append(lines, d.POP3("UIDL")...)
	return caseNoise.ReplaceAllString(strings.Join(lines, "\n"), "")
}

// case 38: clients see the same before and after, also what Dovecot had not written to the mailbox yet when it was
// killed; and again after a second pass over a store that was worked in.
func TestCaseClientsSeeTheSame(t *testing.T) {
	for name, store := range map[string]string{"mbox": caseMboxStore, "Maildir": caseMaildirStore} {
		t.Run(name, func(t *testing.T) {
			old, moved := caseServer(t, store), caseServer(t, store)
			opt := &tree.Options{State: filepath.Join(t.TempDir(), "state"), Delete: true, Pairs: casePairs("alice")}
			if name == "mbox" {
				var text string
				for i := range 8 {
					text += caseMessage(i, fmt.Sprint("body ", i))
				}
				caseWrite(t, filepath.Join(old.Home, "var/mail/alice"), text)
			} else {
				caseMaildir(t, filepath.Join(old.Home, "home/alice/Maildir"), 8)
			}
			old.Own()
			s := caseOpen(t, old)
			for _, c := range []string{
				"CREATE Sub", "CREATE Empty", "CREATE Entw&APw-rfe", "SUBSCRIBE Sub", "SUBSCRIBE Entw&APw-rfe", "SELECT INBOX", `STORE 1,3 +FLAGS (\Seen $Work)`,
				`STORE 2 +FLAGS (\Deleted)`, "EXPUNGE", "COPY 2:3 Sub", "CHECK", `STORE 4 +FLAGS (\Flagged Later)`, `STORE 5 +FLAGS (\Deleted \Answered)`,
			} {
				s.do(c)
			}
			s.cmd.Process.Kill() // the last flags are in the index alone
			s.cmd.Wait()
			caseMoved(t, old, moved, store, opt)
			s = caseOpen(t, old)
			for _, c := range []string{
				"SELECT INBOX", `STORE 1:3 -FLAGS (\Seen)`, "UID COPY 3 Entw&APw-rfe", "EXPUNGE", "DELETE Empty", "RENAME Sub Gesendet", "CHECK", `STORE 2 +FLAGS (\Draft)`,
			} {
				s.do(c)
			}
			s.cmd.Process.Kill()
			s.cmd.Wait()
			caseMoved(t, old, moved, store, opt)
		})
	}
}

// caseMoved copies and compares views. What is looked at is a copy of the target, which must not be touched.
func caseMoved(t testing.TB, old, moved *oracle.Server, store string, opt *tree.Options) {
	t.Helper()
	caseSync(t, old.Home, moved.Home, opt)
	look := caseServer(t, store)
	caseOK(t, "cp", "-a", moved.Home+"/.", look.Home)
	boxes := []string{"INBOX", "Entw&APw-rfe"}
	for _, b := range []string{"Sent", "Sub", "Empty", "Gesendet"} {
		if slices.ContainsFunc(look.IMAP(`LIST "" `+b), func(l string) bool { return strings.HasPrefix(l, "* LIST") }) {
			boxes = append(boxes, b)
		}
	}
	got := caseView(t, look, boxes...)
	caseNoComplaint(t, look)
	require.Equal(t, caseView(t, old, boxes...), got)
	require.Contains(t, got, "Later")
}

func caseNoComplaint(t testing.TB, d *oracle.Server) {
	t.Helper()
	for _, w := range []string{"Error:", "Warning:", "Panic:", "Fatal:"} {
		require.NotContains(t, d.Log, w)
	}
}

// case 35: somebody tried the new server between two passes. His Dovecot changed mailbox and index there; nothing of
// that is overwritten, and it is said.
func TestCaseLoginAtTheTarget(t *testing.T) {
	for name, store := range map[string]string{"mbox": caseMboxStore, "Maildir": caseMaildirStore} {
		t.Run(name, func(t *testing.T) {
			old, moved := caseServer(t, store), caseServer(t, store)
			opt := &tree.Options{State: filepath.Join(t.TempDir(), "state"), Delete: true, Pairs: casePairs("alice")}
			caseWrite(t, filepath.Join(old.Home, "var/mail/alice"), caseMessage(1, "one")+caseMessage(2, "two"))
			b := caseMaildir(t, filepath.Join(old.Home, "home/alice/Maildir"), 4)
			old.Own()
			old.IMAP("SELECT INBOX", `STORE 1 +FLAGS (\Answered)`)
			caseSync(t, old.Home, moved.Home, opt)
			moved.IMAP("SELECT INBOX", `STORE 1:2 +FLAGS (\Seen $Mine)`, "CHECK")
			before := caseTree(t, moved.Home)
			old.IMAP("SELECT INBOX", `STORE 2 +FLAGS (\Flagged)`, "CHECK")
			rep, err := tree.Sync(t.Context(), tree.From(old.Home), moved.Home, opt)
			require.NoError(t, err)
			after := caseTree(t, moved.Home)
			if name == "mbox" {
				require.Regexp(t, `"var/mail/alice"|INBOX`, caseProblems(rep)) // one unit: it may be the index that tells
				require.Equal(t, before["var/mail/alice"], after["var/mail/alice"])
				require.Equal(t, before["home/alice/mail/.imap/INBOX/dovecot.index.log"], after["home/alice/mail/.imap/INBOX/dovecot.index.log"])
			} else {
				require.Contains(t, caseProblems(rep), b[1])
				require.Equal(t, caseBases(t, filepath.Join(old.Home, "home/alice/Maildir")), caseBases(t, filepath.Join(moved.Home, "home/alice/Maildir")))
			}
			mine := 0
			for _, l := range moved.IMAP("SELECT INBOX", "FETCH 1:* FLAGS") {
				if strings.Contains(l, "FETCH") && strings.Contains(l, "$Mine") {
					mine++
				}
			}
			require.Equal(t, 2, mine, "his flags are gone")
			caseNoComplaint(t, moved)
		})
	}
}

// case 37: the first SELECT at the target reads next to nothing of a large mailbox. It is 300 MB at scale 5.
func TestCaseFirstSelectIsCheap(t *testing.T) {
	old, moved := caseServer(t, caseMboxStore), caseServer(t, caseMboxStore)
	var text strings.Builder
	for i := range 60 * caseScale() {
		text.WriteString(caseMessage(i, strings.Repeat("a line of the body, as long as they use to be in mail\n", 18000)))
	}
	caseWrite(t, filepath.Join(old.Home, "var/mail/alice"), text.String())
	old.Own()
	old.IMAP("SELECT INBOX", `STORE 1 +FLAGS (\Seen)`)
	old.IMAP("SELECT INBOX")
	opt := &tree.Options{State: filepath.Join(t.TempDir(), "state"), Pairs: casePairs("alice")}
	caseSync(t, old.Home, moved.Home, opt)
	s := caseOpen(t, moved)
	before := s.read()
	s.do("SELECT INBOX")
	require.Less(t, s.read()-before, int64(64<<10))
	s.do("LOGOUT")
	require.NoError(t, os.RemoveAll(filepath.Join(moved.Home, "home/alice/mail/.imap"))) // what it would have read else
	s = caseOpen(t, moved)
	before = s.read()
	s.do("SELECT INBOX")
	require.Greater(t, s.read()-before, int64(1<<20), "the case does not measure what it should")
}

// case 37: nor is a large cur/ listed, for its time is right to the nanosecond. The kernel tells who reads it.
func TestCaseFirstSelectListsNothing(t *testing.T) {
	old, moved := caseServer(t, caseMaildirStore), caseServer(t, caseMaildirStore)
	caseMaildir(t, filepath.Join(old.Home, "home/alice/Maildir"), 2000*caseScale())
	for _, d := range []string{"cur", "new"} { // else Dovecot finds that it changed a moment ago, and looks again
		caseAge(t, filepath.Join(old.Home, "home/alice/Maildir", d))
	}
	old.Own()
	old.IMAP("SELECT INBOX")
	old.IMAP("SELECT INBOX")
	opt := &tree.Options{State: filepath.Join(t.TempDir(), "state"), Pairs: casePairs("alice")}
	caseSync(t, old.Home, moved.Home, opt)
	cur := filepath.Join(moved.Home, "home/alice/Maildir/cur")
	require.Zero(t, caseListings(t, cur, func() { moved.IMAP("SELECT INBOX") }))
	st := caseStat(t, cur)
	caseTimes(t, cur, st.Mtim.Sec, 0)
	require.Positive(t, caseListings(t, cur, func() { moved.IMAP("SELECT INBOX") }), "the case does not measure what it should")
}

// caseListings counts the reads of a directory during do.
func caseListings(t testing.TB, dir string, do func()) (n int) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_ACCESS|unix.IN_ONLYDIR)
	require.NoError(t, err)
	do()
	b := make([]byte, 64<<10)
	got, err := unix.Read(fd, b)
	if err == unix.EAGAIN {
		return 0
	}
	require.NoError(t, err)
	for off := 0; off < got; { // struct inotify_event: wd, mask, cookie, len, name
		mask := uint32(b[off+4]) | uint32(b[off+5])<<8 | uint32(b[off+6])<<16 | uint32(b[off+7])<<24
		if mask&unix.IN_ISDIR != 0 && b[off+12] == 0 {
			n++
		}
		off += unix.SizeofInotifyEvent + int(b[off+12])
	}
	return n
}

// case 49: while a store is copied, Dovecot at the target lists its folders and nothing else, in both layouts.
func TestCaseStagingIsNotListed(t *testing.T) {
	for name, settings := range map[string][]string{
		"mbox":      {"mail_location = mbox:%h/home/alice/mail:INBOX=%h/var/mail/alice:INDEX=MEMORY"},
		"Maildir":   {"mail_location = maildir:%h/home/alice/Maildir:INDEX=MEMORY"},
		"mbox home": {"mail_location = mbox:%h/home/alice:INBOX=%h/var/mail/alice:INDEX=MEMORY"},
		"var mail":  {"mail_location = mbox:%h/var/mail:INBOX=%h/inbox:INDEX=MEMORY"},
	} {
		t.Run(name, func(t *testing.T) {
			src, _, opt := caseRoots(t)
			opt.Pairs = casePairs("alice")
			d := caseServer(t, append(settings, "mailbox_list_index = no")...)
			for i := range 60 {
				caseWrite(t, filepath.Join(src, fmt.Sprintf("home/alice/mail/folder%d", i)), strings.Repeat(caseMessage(i, strings.Repeat("x", 3000)), 30))
				caseWrite(t, filepath.Join(src, fmt.Sprintf("home/alice/Maildir/.folder%d/cur/1:2,", i)), strings.Repeat("y", 30000))
			}
			caseMaildir(t, filepath.Join(src, "home/alice/Maildir"), 30)
			caseWrite(t, filepath.Join(src, "var/mail/alice"), strings.Repeat(caseMessage(1, strings.Repeat("x", 3000)), 3000))
			d.Own()
			done := make(chan error, 1)
			go func() {
				_, err := tree.Sync(t.Context(), tree.From(src), d.Home, opt)
				done <- err
			}()
			for lists, busy := 0, true; busy; lists++ {
				select {
				case err := <-done:
					require.NoError(t, err)
					busy = false
					t.Logf("%d lists", lists)
				default:
				}
				for _, l := range d.IMAP(`LIST "" "*"`) {
					require.NotContains(t, l, "mailmove")
					require.NotContains(t, l, ".tmp")
					require.NotContains(t, l, ".lock")
				}
			}
		})
	}
}
