package mbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// split cuts src into strings, with chunks of at most most bytes and a window of size window; 0 is what Split uses.
// It checks that sums and digest are those of the chunks.
func split(t *testing.T, src string, most, window int) ([]string, Digest) {
	t.Helper()
	s := splitter{r: strings.NewReader(src), size: int64(len(src)), window: splitWindow, cutter: cutter{most: ChunkMax}}
	if most > 0 {
		s.cutter.most, s.window = most, max(window, most+fromLook+4)
	}
	parts := []string{}
	all, off := sha256.New(), int64(0)
	digest, err := s.run(t.Context(), func(c Chunk) error {
		if c.Off != off || c.Len < 1 || c.Len > int64(s.cutter.most) {
			require.Fail(t, "no such chunk", "%d+%d after %d", c.Off, c.Len, off)
		}
		part := src[off : off+c.Len]
		sum := sha256.Sum256([]byte(part))
		if !bytes.Equal(sum[:16], c.Sum[:]) {
			require.Fail(t, "wrong sum", "%d+%d", c.Off, c.Len)
		}
		all.Write(binary.LittleEndian.AppendUint64(nil, uint64(c.Len)))
		all.Write(sum[:])
		off += c.Len
		parts = append(parts, part)
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, len(src), off)
	require.Equal(t, all.Sum(nil), digest[:])
	return parts, digest
}

// splitPlainly is the rule, line by line.
func splitPlainly(src string, most int) []string {
	parts, start, header := []string{}, 0, false
	cut := func(at int) {
		for ; at-start > most; start += most {
			parts = append(parts, src[start:start+most])
		}
		if at > start {
			parts = append(parts, src[start:at])
		}
		start = at
	}
	for pos := 0; pos < len(src); {
		end := len(src)
		if n := strings.IndexByte(src[pos:], '\n'); n >= 0 {
			end = pos + n + 1
		}
		line := src[pos:end]
		switch {
		case strings.HasPrefix(line, "From ") && isFrom([]byte(src[pos:min(pos+fromLook, len(src))])):
			cut(pos)
			header = true
		case header && (line == "\n" || line == "\r\n"):
			cut(end)
			header = false
		}
		pos = end
	}
	cut(len(src))
	return parts
}

const from1, from2 = "From a@b Thu Jan  1 00:00:01 2015\n", "From c@d Fri Jan  2 00:00:01 2015\n"

func TestSplit(t *testing.T) {
	for name, want := range map[string][]string{
		"empty file":           {},
		"no mailbox":           {"\nSome text\nFrom here on\n"},
		"two messages":         {from1 + "A: b\n\n", "body\n\n", from2 + "A: c\n\n", "body\n\n"},
		"crlf":                 {from1[:len(from1)-1] + "\r\nA: b\r\n\r\n", "body\r\n\r\n", from2 + "A: c\n\n", "\n"},
		"no body":              {from1 + "A: b\n\n", from2 + "A: c\n\n"},
		"no header":            {from1 + "\n", "body\n", from2},
		"header without end":   {from1 + "A: b\n", from2 + "C: d"},
		"From_ after From_":    {from1, from2, from1},
		"no blank line before": {from1 + "\n", "body\n", from2 + "\n"},
		"text before":          {"\n", from1 + "\n", "body\n\n\n"},
		"not a From_ line":     {from1 + "\n", "body\nFrom here on\n\nFrom there\n"},
		"hidden":               {from1 + "Content-Length: 100\n\n", "body\n\n", from2 + "\n", "more\n"},
		"blank in body":        {from1 + "A: b\n\n", "\n\nA: b\n\n"},
		"last line cut":        {from1 + "\n", "body\n" + from2[:len(from2)-1]},
		"bare CR":              {from1 + "A: b\n\rC: d\n\n", "\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Join(want, "")
			got, _ := split(t, src, 0, 0)
			require.Equal(t, want, got)
			require.Equal(t, want, splitPlainly(src, ChunkMax))
		})
	}
}

// TestSplitLong cuts what is longer than a chunk.
func TestSplitLong(t *testing.T) {
	long := strings.Repeat("x", 2*ChunkMax+5)
	parts, _ := split(t, long, 0, 0)
	require.Equal(t, splitPlainly(long, ChunkMax), parts)
	require.Len(t, parts, 3)
	src := from1 + "A: " + long + "\n\n" + long + "\n\n" + from2 + "\n" + strings.Repeat("y\n", ChunkMax/2)
	parts, _ = split(t, src, 0, 0)
	require.Equal(t, splitPlainly(src, ChunkMax), parts)
	require.Len(t, parts, 8)
	many := strings.Repeat(from1, 3*splitChunks)
	parts, _ = split(t, many, 0, 0)
	require.Len(t, parts, 3*splitChunks)
	// Where the buffers end changes nothing.
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		var b strings.Builder
		for b.Len() < 80_000 {
			b.WriteString(randomBox(rng))
		}
		src, most := b.String(), 200+rng.IntN(9000)
		parts, _ := split(t, src, most, most+fromLook+4+rng.IntN(20_000))
		require.Equal(t, splitPlainly(src, most), parts)
	}
}

// FuzzSplit: the chunks are the file, equal files have equal chunks, and a change within a header that neither makes
// nor takes a line changes no other chunk.
func FuzzSplit(f *testing.F) {
	seeds(f, func(src string) { f.Add([]byte(src), uint16(7), uint16(40)) })
	f.Fuzz(func(t *testing.T, data []byte, most, at uint16) {
		src := string(data)
		parts, digest := split(t, src, int(most)+1, 0)
		require.Equal(t, splitPlainly(src, int(most)+1), parts)
		whole, digest1 := split(t, src, 0, 0)
		require.Equal(t, strings.Join(parts, ""), strings.Join(whole, ""))
		other, digest2 := split(t, strings.Clone(src), 0, 0)
		require.Equal(t, whole, other)
		require.Equal(t, digest1, digest2)
		require.Equal(t, len(parts) == len(whole), digest == digest1)
		i := min(int(at), len(data)-1)
		if i < 0 || data[i] == '\n' || data[i] == '\r' || data[i] == 'x' || aboutFrom(src, i) {
			return
		}
		changed := bytes.Clone(data)
		changed[i] = 'x'
		again, digest3 := split(t, string(changed), 0, 0)
		require.NotEqual(t, digest1, digest3)
		require.Len(t, again, len(whole))
		off := 0
		for k := range whole {
			inside := i >= off && i < off+len(whole[k])
			require.Equal(t, inside, whole[k] != again[k])
			off += len(whole[k])
		}
	})
}

// aboutFrom tells whether the byte at i may decide whether there is a From_ line. Dovecot's weekday is any four bytes,
// so that a date may reach into the next lines.
func aboutFrom(src string, i int) bool {
	first := strings.LastIndexByte(src[:max(i-40, 0)], '\n') + 1
	line := strings.LastIndexByte(src[:i], '\n') + 1
	return i-line < len(fromPrefix) || strings.Contains("\n"+src[first:i], string(separator))
}

func TestSplitErrors(t *testing.T) {
	box := strings.Repeat(from1+"A: b\n\nbody\n\n", 1<<18)
	size := int64(len(box))
	stop := errors.New("enough")
	n := 0
	digest, err := Split(t.Context(), strings.NewReader(box), size, func(Chunk) error {
		if n++; n == 100 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Zero(t, digest)
	require.Equal(t, 100, n)

	none := func(Chunk) error { return nil }
	_, err = Split(t.Context(), strings.NewReader(box), size+1, none)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = Split(t.Context(), strings.NewReader(box), -1, none)
	require.Error(t, err)
	_, err = Split(t.Context(), noReader{stop}, 10, none)
	require.ErrorIs(t, err, stop)

	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	digest, err = Split(ctx, strings.NewReader(box), size, func(Chunk) error { n++; cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, digest)
	require.Less(t, n, 1<<19)
}

type noReader struct{ err error }

func (f noReader) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestSplitSlowReader reads byte by byte.
func TestSplitSlowReader(t *testing.T) {
	src := strings.Repeat(from1+"A: b\n\nbody\n\n", 100)
	want, _ := split(t, src, 0, 0)
	got := []string{}
	_, err := Split(t.Context(), oneByte{strings.NewReader(src)}, int64(len(src)), func(c Chunk) error {
		got = append(got, src[c.Off:c.Off+c.Len])
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

type oneByte struct{ r io.ReaderAt }

func (o oneByte) ReadAt(b []byte, off int64) (int, error) {
	n, err := iotest.OneByteReader(io.NewSectionReader(o.r, off, int64(len(b)))).Read(b)
	return n, err
}

// TestSplitLive splits a file that others write, lengthen and shorten meanwhile: an error or a mix, never a panic.
func TestSplitLive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "box")
	box := strings.Repeat(from1+"A: b\n\nbody\n\n", 1<<12) + strings.Repeat("z", 2*ChunkMax)
	require.NoError(t, os.WriteFile(name, []byte(box), 0o600))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			at := rng.Int64N(int64(len(box)))
			switch rng.IntN(3) {
			case 0:
				f.Truncate(at)
			case 1:
				f.WriteAt([]byte(from2), at)
			default:
				f.WriteAt([]byte(box[at:]), at)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		off := int64(0)
		_, err := Split(t.Context(), f, int64(len(box)), func(c Chunk) error {
			require.Equal(t, off, c.Off)
			off += c.Len
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		} else {
			require.EqualValues(t, len(box), off)
		}
	}
}

func FuzzChunkList(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{200, 1}, make([]byte, 16)...))
	f.Add(append([]byte{0x80, 0x80, 0x40}, make([]byte, 16)...))
	f.Add(bytes.Repeat([]byte{0x81}, 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		var again ChunkList
		off := int64(0)
		for c, err := range ChunkList(data).All() {
			if err != nil {
				require.ErrorIs(t, err, ErrChunkList)
				require.Zero(t, c)
				return
			}
			require.Equal(t, off, c.Off)
			require.True(t, c.Len > 0 && c.Len <= ChunkMax)
			off += c.Len
			again.Add(c)
		}
		// A length may be written in more bytes than it needs; read again it is the same.
		require.LessOrEqual(t, len(again), len(data))
		n := 0
		for _, err := range again.All() {
			require.NoError(t, err)
			n++
		}
		require.LessOrEqual(t, len(again), 19*n)
	})
}

func TestChunkList(t *testing.T) {
	src := strings.Repeat(from1+"A: b\n\nbody\n\n", 100) + strings.Repeat("z", 3*ChunkMax)
	var want []Chunk
	var list ChunkList
	_, err := Split(t.Context(), strings.NewReader(src), int64(len(src)), func(c Chunk) error {
		want = append(want, c)
		list.Add(c)
		return nil
	})
	require.NoError(t, err)
	var got []Chunk
	for c, err := range list.All() {
		require.NoError(t, err)
		got = append(got, c)
	}
	require.Equal(t, want, got)
	for c := range list.All() { // leaving early is fine
		require.Zero(t, c.Off)
		break
	}
	for _, bad := range []ChunkList{list[:len(list)-1], append([]byte{0}, list...), {0x81, 0x80, 0x80}, append(ChunkList{0x81, 0x80, 0x40}, list...)} {
		var last error
		for _, err := range bad.All() {
			last = err
		}
		require.ErrorIs(t, last, ErrChunkList)
	}
}
