package mbox

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

var (
	shownRE    = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE ("[^"]*") RFC822.SIZE (\d+)\)$`)
	validityRE = regexp.MustCompile(`UIDVALIDITY (\d+)`)
	uidNextRE  = regexp.MustCompile(`UIDNEXT (\d+)`)
)

// seen is what clients see of an INBOX: UIDVALIDITY, UIDNEXT, then flags, date and size of each message by UID, then UIDLs.
func seenBy(t *testing.T, d *oracle.Server) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := d.IMAP("EXAMINE INBOX", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)")
	for _, line := range lines {
		note(out, line)
	}
	for _, line := range d.POP3("UIDL") {
		if f := strings.Fields(line); len(f) == 2 && len(f[1]) == 16 {
			out["uidl "+f[1]] = ""
		}
	}
	return out
}

func note(out map[string]string, line string) {
	if m := shownRE.FindStringSubmatch(line); m != nil {
		flags := slices.DeleteFunc(strings.Fields(m[2]), func(f string) bool { return f == `\Recent` })
		slices.Sort(flags)
		out[m[1]] = strings.Join(flags, " ") + " " + m[3] + " " + m[4]
	}
	for key, re := range map[string]*regexp.Regexp{"validity": validityRE, "next": uidNextRE} {
		if m := re.FindStringSubmatch(line); m != nil {
			out[key] = m[1]
		}
	}
}

// inbox is a mailbox that Dovecot has numbered: messages of odd years are old. Flags and keywords of all kinds.
func inbox(t *testing.T) (*oracle.Server, string) {
	t.Helper()
	d := oracle.Dovecot(t)
	var src strings.Builder
	for i := range 12 {
		src.WriteString(strings.Replace(mail(i, strings.Repeat("text\n", i)), "2015\n", fmt.Sprintf("%d\n", 2013+i%2*7), 1))
	}
	box := filepath.Join(d.Home, "inbox")
	require.NoError(t, os.WriteFile(box, []byte(src.String()), 0o600))
	d.Own()
	d.IMAP("SELECT INBOX", "STORE 2,3 +FLAGS.SILENT (\\Seen $Work)", "STORE 4 +FLAGS.SILENT (\\Flagged Later)",
		"STORE 5,6 +FLAGS.SILENT (\\Answered \\Draft)", "STORE 8 +FLAGS.SILENT (\\Deleted)", "STORE 7 +FLAGS.SILENT (\\Flagged)",
		"STORE 1 +FLAGS.SILENT (\\Deleted)", "EXPUNGE", "CHECK")
	return d, box
}

func archiveInbox(t *testing.T, d *oracle.Server, box string, change ...func(*Archive)) *ArchiveReceipt {
	t.Helper()
	a := &Archive{Before: cutoff, Into: filepath.Join(t.TempDir(), "%f"), Journal: filepath.Join(t.TempDir(), "journal"), Location: time.UTC}
	for _, c := range change {
		c(a)
	}
	p, err := a.Plan(t.Context(), box)
	require.NoError(t, err)
	got, err := p.Apply(t.Context())
	require.NoError(t, err)
	return got
}

// remaining is what was seen, without the messages that left.
func remaining(was map[string]string, gone ...string) map[string]string {
	out := map[string]string{}
	for key, v := range was {
		if slices.Contains(gone, key) {
			continue
		}
		var uid, validity uint32
		if n, _ := fmt.Sscanf(key, "uidl %08X%08X", &uid, &validity); n == 2 && slices.Contains(gone, fmt.Sprint(uid)) {
			continue
		}
		out[key] = v
	}
	return out
}

func TestDovecotSeesTheRestAsBefore(t *testing.T) {
	for _, index := range []bool{true, false} {
		for _, keepFlagged := range []bool{false, true} {
			t.Run(fmt.Sprintf("index %t, keep flagged %t", index, keepFlagged), func(t *testing.T) {
				d, box := inbox(t)
				was := seenBy(t, d)
				require.Len(t, was, 2+2*10)
				got := archiveInbox(t, d, box, func(a *Archive) { a.KeepFlagged = keepFlagged })
				gone := []string{"3", "5", "7", "9", "11"}
				if keepFlagged {
					gone = slices.DeleteFunc(gone, func(uid string) bool { return strings.Contains(was[uid], "Flagged") })
				}
				for i := range gone {
					require.Contains(t, was, gone[i])
				}
				require.Equal(t, len(gone), got.Messages)
				if !index {
					require.NoError(t, os.RemoveAll(filepath.Join(d.Home, "mail/.imap")))
				}
				now := seenBy(t, d)
				require.Equal(t, remaining(was, gone...), now)
				require.NotContains(t, d.Log, "Error")
				// Looked at a second time, and by a session that writes.
				d.IMAP("SELECT INBOX", "STORE 1 +FLAGS (\\Answered)", "STORE 1 -FLAGS (\\Answered)", "CHECK")
				require.Equal(t, now["next"], seenBy(t, d)["next"])
			})
		}
	}
}

func TestDovecotKeepsNumbersOfAnEmptiedMailbox(t *testing.T) {
	for _, index := range []bool{true, false} {
		d, box := inbox(t)
		was := seenBy(t, d)
		archiveInbox(t, d, box, func(a *Archive) { a.Before = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) })
		if !index {
			require.NoError(t, os.RemoveAll(filepath.Join(d.Home, "mail/.imap")))
		}
		require.Equal(t, map[string]string{"validity": was["validity"], "next": was["next"]}, seenBy(t, d))
		d.Deliver("Subject: new\n\nbody\n")
		now := seenBy(t, d)
		require.Contains(t, now, was["next"])
		require.Equal(t, was["validity"], now["validity"])
	}
}

// A session is open, has seen a new message that has no X-UID in the file yet, and has set flags that may be in its index
// alone. It goes on as if another client had expunged messages.
func TestDovecotSessionGoesOn(t *testing.T) {
	d, box := inbox(t)
	s := d.Open()
	s.Do("SELECT INBOX")
	d.Deliver("Subject: new\n\nbody\n")
	s.Do("NOOP")
	s.Do("UID STORE 4 +FLAGS.SILENT ($Work)")
	s.Do("UID STORE 6 +FLAGS.SILENT (\\Seen)")
	was := map[string]string{}
	for _, line := range s.Do("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)") {
		note(was, line)
	}
	require.Contains(t, was, "13")
	archiveInbox(t, d, box)
	expunged := 0
	for _, line := range s.Do("NOOP") {
		if strings.HasSuffix(line, "EXPUNGE") {
			expunged++
		}
	}
	require.Equal(t, 5, expunged)
	now := map[string]string{}
	for _, line := range s.Do("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)") {
		note(now, line)
	}
	want := remaining(was, "3", "5", "7", "9", "11")
	require.Equal(t, want, now)
	s.Do("LOGOUT")
	later := seenBy(t, d)
	for uid, v := range want {
		require.Equal(t, v, later[uid], "uid %s in a new session", uid)
	}
}
