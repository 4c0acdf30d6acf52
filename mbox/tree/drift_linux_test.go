package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox/tree"
)

// drift lists what Changed tells.
func drift(t testing.TB, dst string, opt *tree.Options) []tree.Change {
	t.Helper()
	out := []tree.Change{}
	require.NoError(t, tree.Changed(t.Context(), dst, opt, func(c tree.Change) error {
		out = append(out, tree.Change{Op: c.Op, Path: c.Path, From: c.From, Bytes: c.Bytes})
		return nil
	}))
	return out
}

func TestChanged(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("anna", "bert")
	for _, u := range []string{"anna", "bert"} {
		caseWrite(t, filepath.Join(src, "var/mail", u), caseMessage(1, "one"))
		caseWrite(t, filepath.Join(src, "home", u, "mail/Sent"), caseMessage(2, "two"))
		caseWrite(t, filepath.Join(src, "home", u, "Maildir/cur/1.x:2,"), "three")
		caseWrite(t, filepath.Join(src, "home", u, "Maildir/new/2.x"), "four")
		caseWrite(t, filepath.Join(src, "home", u, "old/a/b"), "five")
	}
	caseSync(t, src, dst, opt)
	require.Empty(t, drift(t, dst, opt))

	at := func(name string) string { return filepath.Join(dst, name) }
	app := func(name, text string) {
		f, err := os.OpenFile(at(name), os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	late := caseMessage(9, "late")
	app("var/mail/anna", late)
	app("home/anna/mail/Sent", late)
	caseWrite(t, at("home/anna/mail/New"), late)
	require.NoError(t, os.Rename(at("home/anna/Maildir/cur/1.x:2,"), at("home/anna/Maildir/cur/1.x:2,S")))
	require.NoError(t, os.Rename(at("home/anna/Maildir/new/2.x"), at("home/anna/Maildir/cur/2.x:2,S")))
	caseWrite(t, at("home/anna/Maildir/.Trash/cur/3.x:2,"), "six")
	require.NoError(t, os.RemoveAll(at("home/anna/old")))
	caseWrite(t, at("home/anna/mail/Sent.lock"), "1")
	require.NoError(t, os.Remove(at("var/mail/bert")))
	n := int64(len(late) + len(caseMessage(1, "one")))
	all := drift(t, dst, opt)
	for i := range all {
		if all[i].Op == tree.OpCreate && all[i].Bytes != 3 && all[i].Bytes != int64(len(late)) {
			all[i].Bytes = 0
		}
	}
	require.Equal(t, []tree.Change{
		{Op: tree.OpCreate, Path: "home/anna/Maildir/.Trash"},
		{Op: tree.OpCreate, Path: "home/anna/Maildir/.Trash/cur"},
		{Op: tree.OpCreate, Path: "home/anna/Maildir/.Trash/cur/3.x:2,", Bytes: 3},
		{Op: tree.OpRename, Path: "home/anna/Maildir/cur/1.x:2,S", From: "home/anna/Maildir/cur/1.x:2,"},
		{Op: tree.OpRename, Path: "home/anna/Maildir/cur/2.x:2,S", From: "home/anna/Maildir/new/2.x"},
		{Op: tree.OpCreate, Path: "home/anna/mail/New", Bytes: int64(len(late))},
		{Op: tree.OpUpdate, Path: "home/anna/mail/Sent", Bytes: n},
		{Op: tree.OpDelete, Path: "home/anna/old"},
		{Op: tree.OpDelete, Path: "home/anna/old/a"},
		{Op: tree.OpDelete, Path: "home/anna/old/a/b"},
		{Op: tree.OpUpdate, Path: "var/mail/anna", Bytes: n},
		{Op: tree.OpDelete, Path: "var/mail/bert"},
	}, all)

	stop := errors.New("enough")
	require.ErrorIs(t, tree.Changed(t.Context(), dst, opt, func(tree.Change) error { return stop }), stop)
}

// TestChangedInPlace: a rewrite that keeps size and time shows by the change time, and so do owner and mode.
func TestChangedInPlace(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("anna")
	caseWrite(t, filepath.Join(src, "var/mail/anna"), caseMessage(1, "one"))
	caseWrite(t, filepath.Join(src, "home/anna/mail/Sent"), caseMessage(2, "two"))
	caseSync(t, src, dst, opt)
	box := filepath.Join(dst, "var/mail/anna")
	caseEdit(t, box, int64(len(caseMessage(1, "one")))-3, "x")
	caseAge(t, box)
	require.NoError(t, os.Chmod(filepath.Join(dst, "home/anna/mail/Sent"), 0o644))
	var names []string
	for _, c := range drift(t, dst, opt) {
		require.Equal(t, tree.OpUpdate, c.Op)
		names = append(names, c.Path)
	}
	require.Equal(t, []string{"home/anna/mail/Sent", "var/mail/anna"}, names)
}

// TestChangedAfterAKill: what a dead pass was making is not somebody's change.
func TestChangedAfterAKill(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs = casePairs("anna")
	caseWrite(t, filepath.Join(src, "var/mail/anna"), caseMessage(1, "one"))
	caseSync(t, src, dst, opt)
	require.NoError(t, os.MkdirAll(filepath.Join(dst, "home/anna/.mailmove-0123456789abcdef"), 0o700))
	require.Equal(t, []tree.Change{{Op: tree.OpCreate, Path: "home/anna"}}, drift(t, dst, opt))
}

func TestChangedOfWhatIsNotKnown(t *testing.T) {
	src, dst, opt := caseRoots(t)
	none := func(tree.Change) error { return nil }
	require.ErrorContains(t, tree.Changed(t.Context(), dst, nil, none), "no state file")
	require.ErrorContains(t, tree.Changed(t.Context(), dst, opt, none), "knows of no pass")
	require.NoFileExists(t, opt.State)
	caseWrite(t, filepath.Join(src, "f"), "f")
	caseSync(t, src, dst, opt)
	require.Empty(t, drift(t, dst, opt))
	require.ErrorContains(t, tree.Changed(t.Context(), src, opt, none), "knows of no pass into "+src)
	// A link in the place of a directory of the target leads nowhere.
	opt.Pairs = casePairs("anna")
	outside := t.TempDir()
	caseWrite(t, filepath.Join(outside, "anna/secret"), "x")
	require.NoError(t, os.Symlink(outside, filepath.Join(dst, "home")))
	require.Empty(t, drift(t, dst, opt))
}
