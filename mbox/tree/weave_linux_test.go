package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// weaveTexts writes is over a copy that was, and gives what came out and how many bytes the source gave.
func weaveTexts(t *testing.T, was, is []byte) (out []byte, taken int64) {
	t.Helper()
	dir := t.TempDir()
	var fd [3]int
	for i, text := range [][]byte{was, is, nil} {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		require.NoError(t, err)
		defer f.Close()
		_, err = f.Write(text)
		require.NoError(t, err)
		fd[i] = int(f.Fd())
	}
	k := new(key)
	v := weave{ctx: t.Context(), size: int64(len(is)), oldSize: int64(len(was)), key: k,
		w: newPatch(t.Context(), k, fd[2], fd[0], fd[1], make([]byte, 64<<10))}
	require.NoError(t, v.run())
	require.NoError(t, v.w.end())
	out, err := os.ReadFile(filepath.Join(dir, "2"))
	require.NoError(t, err)
	return out, v.w.taken
}

// weaveMail is a mailbox of about size bytes, of messages up to longest.
func weaveMail(rnd *rand.Rand, size, longest int) (messages [][]byte) {
	for n := 0; n < size; {
		m := fmt.Appendf(nil, "From s%d@b Thu Jan  1 00:00:01 2015\nSubject: %d\nX-UID: %d\nStatus: O \nX-Keywords:            \n\n", rnd.Int(), rnd.Int(), n)
		for most := rnd.IntN(longest); most > 0; most -= 60 {
			m = fmt.Appendf(m, "%060x\n", rnd.Uint64())
		}
		messages = append(messages, append(m, '\n'))
		n += len(m)
	}
	return messages
}

// Little more is taken from the source than what a mail program changed: headers are alike for some lines.
func TestWeaveTakesWhatDiffers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	flag := func(ms [][]byte, i int) {
		ms[i] = bytes.Replace(ms[i], []byte("Status: O "), []byte("Status: RO"), 1)
	}
	for name, c := range map[string]struct {
		change func(ms [][]byte) [][]byte
		most   int64
	}{
		"nothing":        {func(ms [][]byte) [][]byte { return ms }, 0},
		"a flag":         {func(ms [][]byte) [][]byte { flag(ms, 7); return ms }, 2},
		"the first flag": {func(ms [][]byte) [][]byte { flag(ms, 0); return ms }, 2},
		"all flags": {func(ms [][]byte) [][]byte {
			for i := range ms {
				flag(ms, i)
			}
			return ms
		}, 2 * 1000},
		"an expunge":            {func(ms [][]byte) [][]byte { return slices.Delete(ms, 5, 6) }, 200},
		"many expunges":         {func(ms [][]byte) [][]byte { return slices.Delete(slices.Delete(ms, 20, 25), 0, 3) }, 400},
		"the last expunged":     {func(ms [][]byte) [][]byte { return ms[:len(ms)-1] }, 0},
		"a delivery":            {func(ms [][]byte) [][]byte { return append(ms, []byte("From x\n\nnew\n\n")) }, 13},
		"a flag and an expunge": {func(ms [][]byte) [][]byte { flag(ms, 6); return slices.Delete(ms, 5, 6) }, 200},
		"a longer header": {func(ms [][]byte) [][]byte {
			ms[3] = bytes.Replace(ms[3], []byte("X-Keywords:"), []byte("X-New: 12345\nX-Keywords:"), 1)
			return ms
		}, 13},
		"all gone": {func([][]byte) [][]byte { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			messages := weaveMail(rnd, 3<<20, 200<<10)
			was := bytes.Join(messages, nil)
			is := bytes.Join(c.change(slices.Clone(messages)), nil)
			out, taken := weaveTexts(t, was, is)
			require.True(t, bytes.Equal(is, out))
			require.LessOrEqual(t, taken, c.most)
		})
	}
}

// Whatever the two are, the new one comes out.
func TestWeaveOfAnything(t *testing.T) {
	lines := strings.Repeat("From a@b Thu Jan  1 00:00:01 2015\n", 30_000)
	for _, c := range [][2]string{
		{"", ""}, {"a", ""}, {"", "a"}, {"a", "b"}, {"aaaa", "aaaaaaa"}, {lines, lines[:weaveBlock]}, {lines[:weaveBlock], lines},
		{lines, "x" + lines}, {lines, lines[1:]}, {lines, lines[:weaveBlock-1] + "x" + lines[weaveBlock:]},
		{lines, lines[:weaveBlock] + "x" + lines[weaveBlock:]}, {strings.Repeat("\x00", 3*weaveBlock), strings.Repeat("\x00", 2*weaveBlock+1) + "x"},
	} {
		out, _ := weaveTexts(t, []byte(c[0]), []byte(c[1]))
		require.True(t, c[1] == string(out))
	}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		was := weaveMail(rnd, rnd.IntN(1<<20), 1+rnd.IntN(300<<10))
		is := slices.Clone(was)
		for range rnd.IntN(20) {
			i := rnd.IntN(len(is) + 1)
			switch rnd.IntN(5) {
			case 0:
				is = slices.Insert(is, i, weaveMail(rnd, 1, 3000)...)
			case 1:
				is = slices.Delete(is, i, min(i+rnd.IntN(3), len(is)))
			case 2:
				rnd.Shuffle(len(is), func(a, b int) { is[a], is[b] = is[b], is[a] })
			default:
				if i < len(is) {
					m := slices.Clone(is[i])
					for range rnd.IntN(9) {
						m[rnd.IntN(len(m))] ^= 1
					}
					is[i] = m[rnd.IntN(len(m)):]
				}
			}
		}
		want := bytes.Join(is, nil)
		out, _ := weaveTexts(t, bytes.Join(was, nil), want)
		require.True(t, bytes.Equal(want, out), "seed %d", seed)
	}
}
