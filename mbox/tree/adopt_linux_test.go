package tree_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox/tree"
)

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
	n, err := tree.Adopt(t.Context(), dst, opt)
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
