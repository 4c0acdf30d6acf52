package atomicfile

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTorn: whatever a rewrite leaves when it is cut off is recognised, and nothing else is.
func FuzzTorn(f *testing.F) {
	f.Add([]byte("old tail"), []byte("new"), []byte("new tail"))
	f.Add([]byte("old"), []byte("new and longer"), []byte("new a"))
	f.Add([]byte(""), []byte("x"), []byte(""))
	f.Fuzz(func(t *testing.T, before, after, found []byte) {
		if after == nil {
			after = []byte{}
		}
		possible := false
		for n := range len(after) + 1 {
			cut := bytes.Clone(after[:n])
			if n < len(before) {
				cut = append(cut, before[n:]...)
			}
			require.True(t, torn(cut, before, after), "%q of %q and %q", cut, before, after)
			possible = possible || bytes.Equal(cut, found)
		}
		require.Equal(t, possible, torn(found, before, after), "%q of %q and %q", found, before, after)
	})
}
