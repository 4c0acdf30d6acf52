package mbox

import (
	"crypto/aes"
	"crypto/cipher"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKey(t *testing.T) {
	src := from1 + "A: b\n\n" + strings.Repeat("body\n", ChunkMax/2) + from2 + "A: c\n\nbody\n\n" + from2 + "A: c\n\nbody\n\n"
	var plain, keyed []Chunk
	keep := func(to *[]Chunk) func(Chunk) error {
		return func(c Chunk) error { *to = append(*to, c); return nil }
	}
	_, err := Split(t.Context(), strings.NewReader(src), int64(len(src)), keep(&plain))
	require.NoError(t, err)
	var k Key
	require.NoError(t, k.Split(t.Context(), strings.NewReader(src), int64(len(src)), keep(&keyed)))
	require.Len(t, keyed, len(plain))
	sums := map[[16]byte]string{}
	for i, c := range keyed {
		part := src[c.Off : c.Off+c.Len]
		require.Equal(t, plain[i].Off, c.Off)
		require.Equal(t, plain[i].Len, c.Len)
		require.Equal(t, k.Sum([]byte(part)), c.Sum)
		if other, ok := sums[c.Sum]; ok {
			require.Equal(t, other, part)
		}
		sums[c.Sum] = part
	}
	require.Len(t, sums, len(keyed)-2, "the second and the third message are the same")
	require.NotEqual(t, k.Sum([]byte(src)), new(Key).Sum([]byte(src)), "every key has sums of its own")
	require.ErrorIs(t, k.Split(t.Context(), strings.NewReader(src), int64(len(src))+1, keep(&keyed)), io.ErrUnexpectedEOF)
}

// TestKeySum holds the sum against that of the library by another way: sealing nothing.
func TestKeySum(t *testing.T) {
	var k Key
	k.once.Do(func() {})
	require.Equal(t, [16]byte{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24}, k.Sum(nil),
		"without the cipher: the first half of the SHA-256 of nothing")
	block, err := aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	k.mac, err = cipher.NewGCM(block)
	require.NoError(t, err)
	// GCM test case 1 of its authors: the tag of nothing under the zero key.
	require.Equal(t, [16]byte{0x58, 0xe2, 0xfc, 0xce, 0xfa, 0x7e, 0x30, 0x61, 0x36, 0x7f, 0x1d, 0x57, 0xa4, 0xe7, 0x45, 0x5a}, k.Sum(nil))
}
