//go:build unix

package run

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestAStepIsJournalledAroundItsEffect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "var/lib/mailmove/old")
	d := open(t, path)
	require.False(t, d.Unfinished("accounts"))
	require.NoError(t, d.Step("accounts", func() error {
		seen, err := View(path)
		require.NoError(t, err)
		defer seen.Close()
		require.True(t, seen.Unfinished("accounts"), "on disk before the effect")
		return nil
	}))
	require.True(t, d.Done("accounts"))
	boom := errors.New("boom")
	require.ErrorIs(t, d.Step("mail", func() error { return boom }), boom)
	require.NoError(t, d.Close())

	d = open(t, path)
	require.True(t, d.Done("accounts"))
	require.True(t, d.Unfinished("mail"))
	require.False(t, d.Done("mail"))
}

func TestJournalCutAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	for _, s := range []string{"accounts", "mail"} {
		require.NoError(t, d.Step(s, func() error { return nil }))
	}
	require.NoError(t, d.Close())
	whole, err := os.ReadFile(filepath.Join(path, journalName))
	require.NoError(t, err)
	for n := 0; n <= len(whole); n++ {
		cut := filepath.Join(t.TempDir(), "run")
		require.NoError(t, os.Mkdir(cut, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(cut, journalName), whole[:n], 0o600))
		d := open(t, cut)
		ended := strings.Count(string(whole[:n]), "\n")
		require.Equal(t, ended == 1, d.Unfinished("accounts"), "cut at %d", n)
		require.Equal(t, ended >= 2, d.Done("accounts"), "cut at %d", n)
		require.Equal(t, ended == 3, d.Unfinished("mail"), "cut at %d", n)
		require.NoError(t, d.Step("mail", func() error { return nil }))
		require.NoError(t, d.Close())
		d = open(t, cut)
		require.True(t, d.Done("mail"), "cut at %d", n)
		require.NoError(t, d.Close())
	}
}

func TestTwoRunsNeverMeet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	_, err := Open(path)
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, d.Close())
	open(t, path)
}

func TestADirectoryThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Mkdir(path, 0o750))
	_, err := Open(path)
	require.ErrorContains(t, err, "mode 0750, want 0700")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	_, err = Open(link)
	require.ErrorContains(t, err, "want a directory")
	_, err = View(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestSave(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	require.NoError(t, d.Save(ctx, "ids.json", map[string]int{"alice": 1001}))
	before, err := os.Stat(filepath.Join(path, "ids.json"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), before.Mode().Perm())
	require.NoError(t, d.Save(ctx, "ids.json", map[string]int{"alice": 1001}))
	after, err := os.Stat(filepath.Join(path, "ids.json"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()), "the same is not written again")

	var got map[string]int
	require.NoError(t, d.Load("ids.json", &got))
	require.Equal(t, map[string]int{"alice": 1001}, got)
	require.ErrorIs(t, d.Load("absent", &got), fs.ErrNotExist)

	require.NoError(t, os.WriteFile(filepath.Join(path, "ids.json"), []byte(`{"alice": "$6$canary"}`), 0o600))
	err = d.Load("ids.json", &got)
	require.ErrorContains(t, err, "not what an earlier run saved")
	require.NotContains(t, err.Error(), "canary")
}

func TestAForeignJournalIsAnErrorWithItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	require.NoError(t, d.Step("mail", func() error { return nil }))
	require.NoError(t, d.Close())
	f, err := os.OpenFile(filepath.Join(path, journalName), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("{}\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = Open(path)
	require.ErrorContains(t, err, "journal:3")
}

func TestKeep(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	require.NoError(t, d.Keep(ctx, "before/old/etc/shadow", []byte("x\n")))
	info, err := os.Stat(filepath.Join(path, "before/old"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	got, err := os.ReadFile(filepath.Join(path, "before/old/etc/shadow"))
	require.NoError(t, err)
	require.Equal(t, "x\n", string(got))
	require.NoError(t, d.Keep(ctx, "before/old/etc/shadow", nil))
	require.NoFileExists(t, filepath.Join(path, "before/old/etc/shadow"))
	require.NoError(t, d.Keep(ctx, "before/old/etc/shadow", nil))
	require.Error(t, d.Keep(ctx, "../outside", []byte("x")))
}

func TestUndoneStepsCountAsNeverBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	d := open(t, path)
	var seen []string
	d.Watch(func(e Entry) {
		v, err := View(path)
		require.NoError(t, err)
		defer v.Close()
		all := v.History()
		require.Equal(t, e, all[len(all)-1], "on disk when it is told")
		seen = append(seen, e.Step+" "+string(e.State))
	})
	require.NoError(t, d.Step("stop", func() error { return nil }))
	require.Error(t, d.Step("pass", func() error { return errors.New("boom") }))
	require.NoError(t, d.Undo("stop", "pass", "never"))
	require.Equal(t, []string{"stop begun", "stop done", "pass begun", "stop undone", "pass undone"}, seen)
	require.NoError(t, d.Close())

	d = open(t, path)
	for _, s := range []string{"stop", "pass", "never"} {
		require.False(t, d.Done(s) || d.Unfinished(s), s)
	}
	require.Len(t, d.History(), 5)
	require.NoError(t, d.Undo("stop"))
	require.Len(t, d.History(), 5, "nothing to undo, nothing written")
	require.NoError(t, d.Step("stop", func() error { return nil }))
	require.True(t, d.Done("stop"))
}
