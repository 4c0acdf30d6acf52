package tree

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAbsentIsSaidInASentence: it is as usual as a user without mail.
func TestAbsentIsSaidInASentence(t *testing.T) {
	r := newReport()
	for _, name := range []string{"var/mail/anna", "home/b\x1b", "var/mail/c"} {
		r.Skipped = append(r.Skipped, Problem{name, "absent", "absent at the source"})
	}
	require.Contains(t, r.String(), "\nthe source has no \"var/mail/anna\", nor 2 more that were asked for: nothing to copy there")
	require.NotContains(t, r.String(), "skipped")
}

func TestReportString(t *testing.T) {
	r := newReport()
	require.Equal(t, "0 files, 0 directories, 0 B (0.0 s)", r.String())
	r.Files, r.Dirs, r.Bytes, r.CopiedFiles, r.CopiedBytes, r.Unchanged, r.Renamed = 3, 1, 5<<20, 1, 1536, 1, 1
	r.Verified, r.Mismatched, r.OwnershipKept = 4, 1, false
	r.Skipped = []Problem{{"a", "copy", "socket"}, {"b", "absent", "absent at the source"}, {"c", "copy", "socket"}}
	r.Full = []string{"another boot"}
	r.UnmappedUIDs, r.UnmappedGIDs = map[uint32]int64{501: 2, 7: 1}, map[uint32]int64{0: 1}
	for i := range 23 {
		r.Problems = append(r.Problems, Problem{fmt.Sprintf("dir/%d\n\x1b[2J", i), "open", "no \x1b[2J\nsuch file"})
	}
	lines := strings.Split(r.String(), "\n")
	require.Equal(t, []string{
		"3 files, 1 directory, 5.0 MiB: 1 copied (1.5 KiB), 1 unchanged, 1 renamed (0.0 s)",
		"compared 4 objects: 1 differ",
		`the source has no "b": nothing to copy there`,
		"skipped: 2 socket",
		"saved state was not trusted, all was compared: another boot",
		"uids that keep their number, for the map does not name them: 7 (1 object), 501 (2 objects)",
		"gids that keep their number, for the map does not name them: 0 (1 object)",
		"owners were not kept: only root can set them",
		`problem: "dir/0\n\x1b[2J": open: no ?[2J?such file`,
	}, lines[:9])
	require.Equal(t, "and 3 more", lines[len(lines)-1])
	require.Len(t, lines, 8+problemsShown+1)
}
