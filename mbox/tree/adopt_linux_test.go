package tree_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox/tree"
)

// changes are what Changed tells, as Adopt takes it.
func changes(t *testing.T, dst string, opt *tree.Options) (all []tree.Change) {
	t.Helper()
	require.NoError(t, tree.Changed(t.Context(), dst, opt, func(c tree.Change) error {
		all = append(all, c)
		return nil
	}))
	return all
}

// What was changed again since Changed told of it is not adopted: nobody has kept that.
func TestAdoptLeavesWhatCameSince(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs, opt.Delete = casePairs("anna"), true
	caseWrite(t, filepath.Join(src, "var/mail/anna"), caseMessage(1, "one"))
	for _, name := range []string{"mail/Sent", "mail/Gone", "mail/Back", "notes"} {
		caseWrite(t, filepath.Join(src, "home/anna", name), caseMessage(2, "two"))
	}
	caseSync(t, src, dst, opt)
	at := func(name string) string { return filepath.Join(dst, name) }
	late := caseMessage(8, "late")
	caseWrite(t, at("var/mail/anna"), late)
	caseWrite(t, at("home/anna/mail/Sent"), late)
	caseWrite(t, at("home/anna/mail/New"), late)
	caseWrite(t, at("home/anna/mail/Other"), late)
	require.NoError(t, os.Remove(at("home/anna/mail/Gone")))
	require.NoError(t, os.Remove(at("home/anna/mail/Back")))
	told := changes(t, dst, opt)
	later := caseMessage(9, "even later")
	for _, name := range []string{"var/mail/anna", "home/anna/mail/New", "home/anna/mail/Last", "home/anna/mail/Back", "home/anna/notes"} {
		caseWrite(t, at(name), later)
	}
	require.NoError(t, os.Remove(at("home/anna/mail/Other")))

	_, err := tree.Adopt(t.Context(), dst, opt, told)
	require.NoError(t, err)
	want := []string{"home/anna/mail/Back", "home/anna/mail/Last", "home/anna/mail/New", "home/anna/notes", "var/mail/anna"}
	var names []string
	for _, c := range drift(t, dst, opt) {
		names = append(names, c.Path)
	}
	require.Equal(t, want, names)
	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.NotEmpty(t, rep.Problems)
	for _, name := range want {
		text, err := os.ReadFile(at(name))
		require.NoError(t, err)
		require.Equal(t, later, string(text), name)
	}
	require.NoFileExists(t, at("home/anna/mail/Other"))
	text, err := os.ReadFile(at("home/anna/mail/Sent"))
	require.NoError(t, err)
	require.Equal(t, caseMessage(2, "two"), string(text), "kept and adopted")
	require.FileExists(t, at("home/anna/mail/Gone"))
	_, err = tree.Adopt(t.Context(), dst, opt, changes(t, dst, opt))
	require.NoError(t, err)
	caseSync(t, src, dst, opt)
	caseSync(t, src, dst, opt) // the first has put directories in order in which it found somebody's changes
	caseSame(t, filepath.Join(src, "home/anna"), filepath.Join(dst, "home/anna"))
}

// After Adopt the next pass makes the target like the source again, whatever was done there.
func TestAdopt(t *testing.T) {
	src, dst, opt := caseRoots(t)
	opt.Pairs, opt.Delete = casePairs("anna", "bert"), true
	for _, u := range []string{"anna", "bert"} {
		caseWrite(t, filepath.Join(src, "var/mail", u), caseMessage(1, "one"))
		caseWrite(t, filepath.Join(src, "home", u, "mail/Sent"), caseMessage(2, "two"))
		caseWrite(t, filepath.Join(src, "home", u, "Maildir/cur/1.x:2,"), "three")
		caseWrite(t, filepath.Join(src, "home", u, "Maildir/new/2.x"), "four")
		caseWrite(t, filepath.Join(src, "home", u, "old/a/b"), "five")
	}
	caseSync(t, src, dst, opt)
	at := func(name string) string { return filepath.Join(dst, name) }
	caseWrite(t, at("var/mail/anna"), caseMessage(1, "one")+caseMessage(9, "late"))
	caseWrite(t, at("home/anna/mail/New"), caseMessage(9, "late"))
	require.NoError(t, os.Rename(at("home/anna/Maildir/cur/1.x:2,"), at("home/anna/Maildir/cur/1.x:2,S")))
	require.NoError(t, os.Rename(at("home/anna/Maildir/new/2.x"), at("home/anna/Maildir/cur/2.x:2,S")))
	caseWrite(t, at("home/anna/Maildir/.Trash/cur/3.x:2,"), "six")
	require.NoError(t, os.RemoveAll(at("home/anna/old")))
	require.NoError(t, os.Remove(at("home/bert/old/a/b")))
	require.NoError(t, os.WriteFile(at("home/bert/old/a"+"/c"), nil, 0o600))
	require.NoError(t, os.Remove(at("var/mail/bert")))
	require.NoError(t, os.Chmod(at("home/bert/mail/Sent"), 0o644))
	caseWrite(t, at("home/bert/mail/x"), "")
	require.NoError(t, os.Remove(at("home/bert/mail/x"))) // only the time of the directory tells

	rep, err := tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.NotEmpty(t, rep.Problems, "what changed there is left alone")
	n, err := tree.Adopt(t.Context(), dst, opt, changes(t, dst, opt))
	require.NoError(t, err)
	require.Greater(t, n, 5)
	require.Empty(t, drift(t, dst, opt))
	caseSync(t, src, dst, opt)
	for _, u := range []string{"anna", "bert"} {
		caseSame(t, filepath.Join(src, "home", u), filepath.Join(dst, "home", u))
		require.Equal(t, caseSum(t, filepath.Join(src, "var/mail", u)), caseSum(t, at("var/mail/"+u)))
	}
	rep, err = tree.Sync(t.Context(), tree.From(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.Zero(t, rep.CopiedFiles+rep.Deleted+rep.Renamed)
}
