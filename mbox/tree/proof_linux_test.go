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
		last  int64
		want  error
	}{
		"as it should be": {func(*os.File) error { return nil }, int64(len(text)), nil},
		"first byte":      {func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 0); return err }, int64(len(text)), errDigest},
		"last byte":       {func(f *os.File) error { _, err := f.WriteAt([]byte("x"), int64(len(text))-1); return err }, int64(len(text)), errDigest},
		"too short":       {func(f *os.File) error { return f.Truncate(int64(len(text)) - 1) }, int64(len(text)), errDigest},
		"end not written": {func(*os.File) error { return nil }, int64(len(text)) - 1, errDigest},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			require.NoError(t, err)
			defer f.Close()
			_, err = f.Write(text)
			require.NoError(t, err)
			require.NoError(t, c.spoil(f))
			p := newProof(new(mbox.Key), int(f.Fd()))
			for off := int64(0); off < int64(len(text)); {
				n := min(int64(len(text))-off, mbox.ChunkMax/2+off, mbox.ChunkMax)
				p.expect(mbox.Chunk{Off: off, Len: n, Sum: p.key.Sum(text[off : off+n])})
				off += n
			}
			p.written(mbox.ChunkMax)
			p.written(c.last)
			require.ErrorIs(t, unexpected(p.end()), c.want)
		})
	}
}

// No chunk is longer than ChunkMax; one that says so is no reason to look at it for ever.
func TestProofOfAChunkTooLong(t *testing.T) {
	p := newProof(new(mbox.Key), -1)
	p.expect(mbox.Chunk{Len: mbox.ChunkMax + 1})
	p.written(mbox.ChunkMax + 1)
	require.ErrorIs(t, p.end(), errDigest)
}

// Of a header that changed, the bytes are taken from the source that differ.
func TestPatchTakesWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		taken   int64
	}{
		"flag":            {"A: b\nStatus: O \nC: d\n\n", "A: b\nStatus: RO\nC: d\n\n", 2},
		"longer":          {"A: b\nC: d\n\n", "A: b\nX-K: new\nC: d\n\n", int64(len("X-K: new\n"))},
		"shorter":         {"A: b\nX-K: old\nC: d\n\n", "A: b\nC: d\n\n", 0},
		"a repetition":    {"aaaa", "aaaaaaa", 3},
		"nothing alike":   {"aaaa", "bbb", 3},
		"nothing to take": {"", "bbb", 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var fd [3]int
			for i, text := range []string{c.was, c.is, ""} {
				f, err := os.Create(filepath.Join(dir, "f"))
				require.NoError(t, err)
				defer f.Close()
				require.NoError(t, os.Remove(f.Name()))
				_, err = f.WriteString(text)
				require.NoError(t, err)
				fd[i] = int(f.Fd())
			}
			w := patch{ctx: t.Context(), out: fd[2], old: fd[0], in: fd[1], buf: make([]byte, 1024), proof: newProof(new(mbox.Key), fd[2])}
			w.proof.expect(mbox.Chunk{Len: int64(len(c.is)), Sum: w.proof.key.Sum([]byte(c.is))})
			require.NoError(t, w.edited(mbox.Chunk{Len: int64(len(c.is))}, mbox.Chunk{Len: int64(len(c.was))}))
			require.NoError(t, w.flush())
			require.NoError(t, w.proof.end())
			require.Equal(t, c.taken, w.taken)
		})
	}
}
