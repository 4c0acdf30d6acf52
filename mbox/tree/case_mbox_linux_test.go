package tree_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// caseBox is an inbox of n messages of about 20 KB each, that Dovecot has seen: UIDs, flags and padding are in the headers.
func caseBox(n int) (messages []string) {
	for i := range n {
		base := ""
		if i == 0 {
			base = fmt.Sprintf("X-IMAPbase: 1420070401 %010d\n", n)
		}
		m := caseMessage(i, strings.Repeat(fmt.Sprintf("line of message %d\n", i), 1000))
		messages = append(messages, strings.Replace(m, "\n\n", fmt.Sprintf("\n%sX-UID: %d\nStatus: O           \n\n", base, i+1), 1))
	}
	return messages
}

// case 15: Dovecot sets flags in the padding twice within a second and puts the time back. Only ctime tells.
func TestCaseFlagInPadding(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box, to := filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice")
	text := strings.Join(caseBox(3), "")
	caseWrite(t, box, text)
	caseTimes(t, box, 1420070401, 0)
	caseSync(t, src, dst, opt)
	control := filepath.Join(t.TempDir(), "control")
	rsync := oracle.Need(t, "rsync")
	caseOK(t, rsync, "-a", box, control)
	before := caseStat(t, box)
	for _, flags := range []string{"RO", "RF"} {
		caseEdit(t, box, int64(strings.LastIndex(text, "Status: O"))+8, flags)
		caseTimes(t, box, 1420070401, 0)
		after := caseStat(t, box)
		require.Equal(t, before.Size, after.Size)
		require.Equal(t, before.Mtim, after.Mtim)
		require.Equal(t, before.Ino, after.Ino)
		rep := caseSync(t, src, dst, opt)
		require.EqualValues(t, 1, rep.CopiedFiles)
		require.Equal(t, caseSum(t, box), caseSum(t, to))
		caseOK(t, rsync, "-a", box, control)
		require.NotEqual(t, caseSum(t, box), caseSum(t, control), "rsync noticed: the case does not show what it should")
	}
	caseSame(t, src, dst)
	caseIdle(t, src, dst, opt)
}

// case 16: same size, same second, other nanoseconds; later and earlier.
func TestCaseOtherNanoseconds(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box := filepath.Join(src, "home/alice/mail/Sent")
	caseWrite(t, box, caseMessage(1, "one"))
	for i, nsec := range []int64{500, 501, 0, 999999999} {
		caseEdit(t, box, int64(len(caseMessage(1, "one"))-5), []string{"two", "six", "ten", "one"}[i])
		caseTimes(t, box, 1420070401, nsec)
		caseSync(t, src, dst, opt)
		caseSame(t, src, dst)
	}
}

// cases 17 to 20: what becomes of an mbox between two passes, and what of it is not at the target yet.
func TestCaseMessageDelta(t *testing.T) {
	const n = 100
	header := func(m []string, i int, more string) {
		m[i] = strings.Replace(m[i], "\nStatus:", "\n"+more+"\nStatus:", 1)
	}
	for name, edit := range map[string]func(m []string) []string{
		"17 append":       func(m []string) []string { return append(m, caseMessage(n, "new")) },
		"18 header grows": func(m []string) []string { header(m, 0, "X-Keywords: forty more bytes in the header"); return m },
		"18 all headers": func(m []string) []string {
			for i := range m {
				header(m, i, "X-K: a")
			}
			return m
		},
		"19 first gone": func(m []string) []string {
			m[1] = strings.Replace(m[1], "\nX-UID", "\nX-IMAPbase: 1420070401 0000000100\nX-UID", 1)
			return m[1:]
		},
		"19 middle gone": func(m []string) []string { return append(m[:50], m[51:]...) },
		"19 last gone":   func(m []string) []string { return m[:n-1] },
		"19 every other": func(m []string) (out []string) {
			for i := 0; i < n; i += 2 {
				out = append(out, m[i])
			}
			return out
		},
		"20 all gone": func([]string) []string {
			return []string{"From MAILER-DAEMON Thu Jan  1 00:00:01 2015\nX-IMAP: 1420070401 0000000100\nSubject: DON'T DELETE\n\nThis text is part of the folder.\n\n"}
		},
		"flags": func(m []string) []string {
			for i := range m {
				m[i] = strings.Replace(m[i], "Status: O ", "Status: RO", 1)
			}
			return m
		},
		"all at once": func(m []string) []string {
			header(m, 7, "X-Keywords: $Work")
			m[9] = strings.Replace(m[9], "Status: O ", "Status: RO", 1)
			return append(append(m[:3], m[5:]...), caseMessage(n, "new"))
		},
		"order turned": func(m []string) []string { return append(m[50:], m[:50]...) },
		"one twice":    func(m []string) []string { return append(m, m[3]) },
		"emptied":      func([]string) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			src, dst, opt := caseRoots(t)
			box, to := filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice")
			text := strings.Join(caseBox(n), "")
			caseWrite(t, box, text)
			caseSync(t, src, dst, opt)
			require.NoError(t, os.WriteFile(box, []byte(strings.Join(edit(caseBox(n)), "")), 0o600))
			rep := caseSync(t, src, dst, opt)
			require.Equal(t, caseSum(t, box), caseSum(t, to))
			require.EqualValues(t, 1, rep.CopiedFiles)
			caseSame(t, src, dst)
			caseIdle(t, src, dst, opt)
			if os.Getenv("TREE_SOURCE") != "plain" { // which sends a file whole
				require.Less(t, rep.CopiedBytes, int64(len(text)/20), "literal bytes")
			}
			if os.Getenv("TREE_SOURCE") == "" && name == "flags" { // others send whole headers
				require.EqualValues(t, 2*n, rep.CopiedBytes, "two bytes a flag")
			}
		})
	}
}

// The target's old copy is the base of a delta: it must be what was recorded, else nothing is put together from it.
func TestCaseDeltaBaseMustBeOurs(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box, to := filepath.Join(src, "var/mail/alice"), filepath.Join(dst, "var/mail/alice")
	m := caseBox(20)
	caseWrite(t, box, strings.Join(m, ""))
	caseSync(t, src, dst, opt)
	st := caseStat(t, to)
	caseEdit(t, to, int64(len(m[0])+300), "SOMETHING ELSE")
	caseTimes(t, to, st.Mtim.Sec, st.Mtim.Nsec)
	drifted := caseSum(t, to)
	caseWrite(t, box, strings.Join(append(m, caseMessage(20, "new")), ""))
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Contains(t, caseProblems(rep), `"var/mail/alice"`)
	require.Equal(t, drifted, caseSum(t, to))
}

// Whatever happens to a mailbox, and whatever was in it, the target holds the same bytes after each pass.
func TestCaseRandomEdits(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box := filepath.Join(src, "home/alice/mail/odd")
	rnd := rand.New(rand.NewPCG(4, 20))
	pieces := []string{
		"\n", "\r\n", "From ", "\nFrom a@b Thu Jan  1 00:00:01 2015\n", "From a@b Thu Jan  1 00:00:01 2015\r\n", "\n\n", "\x00", strings.Repeat("\x00", 4096),
		caseMessage(1, "x"), caseMessage(1, "x"), caseMessage(2, strings.Repeat("y", 70000)), strings.Repeat("z", 1<<20), "Content-Length: 99999999999999999999\n",
		strings.ReplaceAll(caseMessage(3, "crlf"), "\n", "\r\n"), "From a@b " + strings.Repeat("q", 9000) + "\n", "\xef\xbb\xbf",
	}
	var text []byte
	require.NoError(t, os.MkdirAll(filepath.Dir(box), 0o755))
	for round := range 60 * caseScale() {
		for range 1 + rnd.IntN(4) {
			at, piece := rnd.IntN(len(text)+1), pieces[rnd.IntN(len(pieces))]
			end := min(len(text), at+rnd.IntN(4)*rnd.IntN(len(piece)+1))
			text = append(append(append([]byte{}, text[:at]...), piece...), text[end:]...)
		}
		if len(text) > 6<<20 {
			text = text[len(text)-4<<20:]
		}
		require.NoError(t, os.WriteFile(box+".new", text, 0o600))
		if round%2 == 0 { // by rename, or in place
			require.NoError(t, os.Rename(box+".new", box))
		} else {
			require.NoError(t, os.Remove(box+".new"))
			require.NoError(t, os.WriteFile(box, text, 0o600))
		}
		caseSync(t, src, dst, opt)
		require.Equal(t, caseSum(t, box), caseSum(t, filepath.Join(dst, "home/alice/mail/odd")), "round %d", round)
	}
	caseSame(t, src, dst)
}

// case 21: replaced by a rename, with the same bytes.
func TestCaseReplacedBySameBytes(t *testing.T) {
	src, dst, opt := caseRoots(t)
	box := filepath.Join(src, "var/mail/alice")
	text := strings.Join(caseBox(20), "")
	caseWrite(t, box, text)
	caseSync(t, src, dst, opt)
	caseWrite(t, box+".new", text)
	caseTimes(t, box+".new", 1420070500, 7)
	require.NoError(t, os.Rename(box+".new", box))
	rep := caseSync(t, src, dst, opt)
	caseSame(t, src, dst)
	caseIdle(t, src, dst, opt)
	require.Zero(t, rep.CopiedBytes)
}

// case 23: an index that is a log alone, appended to in place with its time put back. case 24: both forms of subscriptions.
func TestCaseIndexLogAndSubscriptions(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("alice")
	in := func(n string) string { return filepath.Join(src, "home/alice/mail", n) }
	caseWrite(t, in("Sent"), caseMessage(1, "x"))
	caseWrite(t, in(".imap/Sent/dovecot.index.log"), "log\x00\x01")
	caseWrite(t, in(".imap/dovecot.mailbox.log"), "\x00")
	caseWrite(t, in(".imap/dovecot-uidvalidity.54a48d01"), "")
	require.NoError(t, os.Chmod(in(".imap/dovecot-uidvalidity.54a48d01"), 0o444))
	caseWrite(t, in(".subscriptions"), "Sent\nEntw&APw-rfe\n\xff")
	caseWrite(t, filepath.Join(src, "home/alice/Maildir/subscriptions"), "V\t2\n\nSent\nA\tB")
	caseSync(t, src, dst, opt)
	caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
	f, err := os.OpenFile(in(".imap/Sent/dovecot.index.log"), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString("more\x00")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	caseAge(t, in(".imap/Sent/dovecot.index.log"))
	caseEdit(t, in(".subscriptions"), 0, "Sunt")
	caseAge(t, in(".subscriptions"))
	caseSync(t, src, dst, opt)
	caseSame(t, filepath.Join(src, "home/alice"), filepath.Join(dst, "home/alice"))
}

// Control of the judge: rsync and we agree about everything that rsync can tell.
func TestCaseRsyncFindsNothingToDo(t *testing.T) {
	rsync := oracle.Need(t, "rsync")
	src, dst, opt := caseRoots(t)
	caseFixture(t, filepath.Join(src, "home/alice"), false)
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	out, err := exec.Command(rsync, "-aHAXnic", "--numeric-ids", "--delete", "-@", "-1", src+"/", dst+"/").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}
