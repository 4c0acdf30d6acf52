package tree

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A list of names that grows long, and short again, is found once and whole, saved or not.
func TestListsGrowAndShrink(t *testing.T) {
	s, err := openState(filepath.Join(t.TempDir(), "state"), false)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	k := keyOf("home/u/Maildir")
	for _, n := range []int{3, 300, 2, 0, 400, 0, 1} {
		names := map[string]*entry{}
		for i := range n {
			e := &entry{name: fmt.Sprintf("%d.M%dP1.host", i, n), src: tuple{ino: uint64(i + 1), mode: 0o100600}}
			names[e.name] = e
		}
		var v []byte
		if n > 0 {
			v = encodeNames(names)
		}
		s.putList(k, 0, v, false)
		for _, when := range []string{"pending", "saved"} {
			if when == "saved" {
				require.NoError(t, s.flush(func() error { return nil }))
			}
			got := map[string]*entry{}
			require.NoError(t, s.names(k, 0, 1, got))
			require.Equal(t, names, got, "%d names, %s", n, when)
			require.Len(t, s.sample(k, 0, 1000), n, "%s", when)
		}
		inFew, inNames := s.fromFile(bucketFew, k.segment(0)), s.fromFile(bucketNames, k.segment(0))
		require.Equal(t, n > 0 && n < 10, inFew != nil, "%d names in the one", n)
		require.Equal(t, n >= 10, inNames != nil, "%d names in the other", n)
	}
}
