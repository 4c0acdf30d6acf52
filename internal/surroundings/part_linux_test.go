package surroundings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/mirror"
)

// TestFromAPart finds the same in what Wanted and Further name as in the whole.
func TestFromAPart(t *testing.T) {
	old, new := root(t, with(centos6, "home/anna/secret", "x", "etc/shadow", "y")), root(t, debian13)
	move := &Move{Users: []User{{Name: "anna", To: "anna", Home: "/home/anna", ToHome: "/home/anna"}}}
	whole, err := Find(t.Context(), old, new, move)
	require.NoError(t, err)
	into := filepath.Join(t.TempDir(), "part")
	fetch := func(want []string) *os.Root {
		_, err := mirror.Fetch(t.Context(), &hostcmd.Host{}, old.Name(), into, want...)
		require.NoError(t, err)
		r, err := os.OpenRoot(into)
		require.NoError(t, err)
		t.Cleanup(func() { r.Close() })
		return r
	}
	want := Wanted(move.Users)
	part, err := Find(t.Context(), fetch(append(want, Further(fetch(want))...)), new, move)
	require.NoError(t, err)
	for i := range part {
		part[i].Advice = strings.ReplaceAll(part[i].Advice, into, old.Name())
	}
	require.Equal(t, whole, part)
	require.NoFileExists(t, filepath.Join(into, "home/anna/secret"))
	require.NoFileExists(t, filepath.Join(into, "etc/shadow"))
}
