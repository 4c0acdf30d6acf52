package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A folder is renamed in which there is another name of a message: it is linked to the name that stayed, though the directory of that
// one is trusted without a look, and not to the one that went, which is recorded as well.
func TestLinkInARenamedFolder(t *testing.T) {
	for kind, source := range map[string]func(src string) Source{
		"dir":    func(src string) Source { return Dir(src) },
		"plain":  func(src string) Source { return here(src) },
		"helper": func(src string) Source { return new(lineTo).helper(src) },
	} {
		t.Run(kind, func(t *testing.T) {
			src, dst := roots(t)
			in := func(n string) string { return filepath.Join(src, "h/Maildir", n) }
			for _, folder := range []string{"", ".Archive", ".Sent", ".Trash"} {
				for _, d := range []string{"cur", "new", "tmp"} {
					require.NoError(t, os.MkdirAll(filepath.Join(in(folder), d), 0o700))
				}
			}
			write(t, in("cur/1.M1.h:2,"), "a message")
			for _, n := range []string{".Archive/cur/2.M2.h:2,S", ".Sent/cur/3.M3.h:2,S", ".Trash/cur/4.M4.h:2,T"} {
				require.NoError(t, os.Link(in("cur/1.M1.h:2,"), in(n)))
			}
			opt := &Options{State: filepath.Join(t.TempDir(), "state"), Canaries: -1, Delete: true}
			pass := func() *Report {
				t.Helper()
				rep, err := Sync(t.Context(), source(src), dst, opt)
				require.NoError(t, err)
				require.Empty(t, rep.Problems)
				return rep
			}
			pass()
			settled(t, in("cur/1.M1.h:2,"))
			pass()
			pass()
			for _, n := range []string{".Archive", ".Sent", ".Trash"} {
				require.NoError(t, os.Rename(in(n), in(n+"2")))
			}
			rep := pass()
			require.Zero(t, rep.CopiedBytes)
			var st unix.Stat_t
			require.NoError(t, unix.Stat(filepath.Join(dst, "h/Maildir/cur/1.M1.h:2,"), &st))
			require.EqualValues(t, 4, st.Nlink)
			pass()
			sameTrees(t, src, dst, nil)
		})
	}
}
