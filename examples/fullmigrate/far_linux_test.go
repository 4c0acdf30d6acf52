package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSyncThroughSSH: what comes through ssh is what comes from the old host's own files, first by this program there, then
// by find and tar; a second pass copies what is new, and verify compares byte by byte.
func TestSyncThroughSSH(t *testing.T) {
	from, to, s := farHosts(t)
	near := filepath.Join(t.TempDir(), "new")
	require.NoError(t, build("new", near))
	out, errs, code := outcomeOf(t, "sync", "-from", from, "-to", near)
	require.Equal(t, 0, code, out+errs)
	t.Setenv("TMPDIR", t.TempDir())
	out, errs, code = outcomeOf(t, "sync", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 0, code, out+errs)
	require.Regexp(t, `(?m)^anna +500 -> 1001 +5 +7 .* 7 of 7$`, out)
	require.NotContains(t, out+errs, "$6$")
	require.Equal(t, facts(t, near, false), facts(t, to, false))
	require.DirExists(t, filepath.Join(to, "var/lib/mailmove/old.test"))
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)

	inbox := filepath.Join(from, "var/spool/mail/bert")
	data, err := os.ReadFile(inbox)
	require.NoError(t, err)
	data = append(data, "From c@example.net Tue Jun 15 10:00:00 2010\nSubject: late\n\nCANARY\n\n"...)
	require.NoError(t, os.WriteFile(inbox, data, 0o660))
	out, errs, code = outcomeOf(t, "sync", "-plain", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 0, code, out+errs)
	require.Regexp(t, `(?m)^bert .* 5 +8 `, out)
	require.NotContains(t, out+errs, "CANARY")
	copied, err := os.ReadFile(filepath.Join(to, "var/spool/mail/bert"))
	require.NoError(t, err)
	require.Equal(t, string(data), string(copied))

	out, errs, code = outcomeOf(t, "verify", "-plain", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 0, code, out+errs)
	offer := filepath.Join(to, "home/bert/offers/114.txt")
	info, err := os.Stat(offer)
	require.NoError(t, err)
	text, err := os.ReadFile(offer)
	require.NoError(t, err)
	text[0] ^= 1
	require.NoError(t, os.WriteFile(offer, text, 0o600))
	require.NoError(t, os.Chtimes(offer, info.ModTime(), info.ModTime()))
	out, _, code = outcomeOf(t, "verify", "-plain", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 1, code)
	require.Contains(t, out, "home/bert/offers/114")
}

// TestCutInTheMiddleOfASync: the connection is lost; what is there is whole, and the same command goes on.
func TestCutInTheMiddleOfASync(t *testing.T) {
	from, to, s := farHosts(t)
	want := filepath.Join(t.TempDir(), "new")
	require.NoError(t, build("new", want))
	_, _, code := outcomeOf(t, "sync", "-from", from, "-to", want)
	require.Equal(t, 0, code)
	cuts := 0
	for _, after := range []int{3, 7, 9, 11} { // commands that ran before the cut
		c := command("sync", "-plain", "-from", s.Dest+":/", "-to", to)
		var errs strings.Builder
		c.Stderr = &errs
		s.cutAfter(t, after)
		err := c.Run()
		s.cutAfter(t, 0)
		if err == nil {
			break
		}
		cuts++
		require.Equal(t, 2, c.ProcessState.ExitCode(), errs.String())
		require.Contains(t, errs.String(), "the connection was lost")
		require.Contains(t, errs.String(), "hint: run the same command again")
	}
	require.Positive(t, cuts)
	out, errs, code := outcomeOf(t, "sync", "-plain", "-from", s.Dest+":/", "-to", to)
	require.Equal(t, 0, code, out+errs)
	require.Equal(t, facts(t, want, false), facts(t, to, false))
}

// TestAnOldHostWithoutTar: said at once, and nothing is written on either side.
func TestAnOldHostWithoutTar(t *testing.T) {
	_, to, s := farHosts(t, "SetEnv PATH=/nothing:/usr/sbin HOME=/")
	before := facts(t, to, true)
	for _, verb := range []string{"plan", "sync"} {
		_, errs, code := outcomeOf(t, verb, "-from", s.Dest+":/", "-to", to)
		require.Equal(t, 2, code)
		require.Contains(t, errs, "fullmigrate: error: ")
	}
	require.Equal(t, before, facts(t, to, true))
}

func TestWhatAKilledRunLeftIsSweptAway(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, name := range []string{fmt.Sprint("mailmove-old-", 1<<30, "-1"), fmt.Sprint("mailmove-old-", os.Getpid(), "-2"), "mailmove-old-x"} {
		require.NoError(t, os.MkdirAll(filepath.Join(tmp, name, "root/etc"), 0o700))
	}
	require.NoError(t, os.Symlink("/", filepath.Join(tmp, fmt.Sprint("mailmove-old-", 1<<30, "-3"))))
	sweep()
	require.NoDirExists(t, filepath.Join(tmp, fmt.Sprint("mailmove-old-", 1<<30, "-1")))
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Len(t, left, 3)
}

func TestClock(t *testing.T) {
	for ahead, want := range map[float64]string{7.25: "7.2 s ahead of", -3: "3.0 s behind", 1.5: ""} {
		p := &plan{}
		p.judgeHost(&migration{src: "old:/", from: t.TempDir(), host: oldHost{Clock: ahead}})
		if want == "" {
			require.Empty(t, p.Findings)
			continue
		}
		require.Len(t, p.Findings, 1)
		require.Equal(t, "CLOCK", p.Findings[0].Rule)
		require.Contains(t, p.Findings[0].Detail, want)
	}
}
