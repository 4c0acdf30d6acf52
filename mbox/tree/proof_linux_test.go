package tree

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox"
)

// A copy that was put together is proved byte by byte before it gets its name.
func TestProof(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), (3*mbox.ChunkMax+512)/16)
	for name, c := range map[string]struct {
		spoil func(f *os.File) error
		want  error
	}{
		"as it should be": {func(*os.File) error { return nil }, nil},
		"first byte":      {func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 0); return err }, errDigest},
		"last byte":       {func(f *os.File) error { _, err := f.WriteAt([]byte("x"), int64(len(text))-1); return err }, errDigest},
		"too short":       {func(f *os.File) error { return f.Truncate(int64(len(text)) - 1) }, errDigest},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			require.NoError(t, err)
			defer f.Close()
			_, err = f.Write(text)
			require.NoError(t, err)
			require.NoError(t, c.spoil(f))
			p := newProof(new(key), int(f.Fd()))
			var chunks []mbox.Chunk
			for off := int64(0); off < int64(len(text)); {
				n := min(int64(len(text))-off, mbox.ChunkMax/2+off, mbox.ChunkMax)
				chunks = append(chunks, mbox.Chunk{Off: off, Len: n, Sum: p.key.sum(text[off : off+n])})
				off += n
			}
			p.written <- chunks[:2]
			p.written <- chunks[2:]
			require.ErrorIs(t, unexpected(p.end()), c.want)
		})
	}
}

// No chunk is longer than ChunkMax; one that says so is no reason to look at it for ever.
func TestProofOfAChunkTooLong(t *testing.T) {
	p := newProof(new(key), -1)
	p.written <- []mbox.Chunk{{Len: mbox.ChunkMax + 1}}
	require.ErrorIs(t, p.end(), errDigest)
}
