package tree

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKey(t *testing.T) {
	var k key
	require.Equal(t, k.sum([]byte("body")), k.sum([]byte("body")))
	require.NotEqual(t, k.sum([]byte("body")), k.sum([]byte("bodz")))
	require.NotEqual(t, k.sum([]byte("body")), new(key).sum([]byte("body")), "every key has sums of its own")
}

// TestKeySum holds the sum against that of the library by another way: sealing nothing.
func TestKeySum(t *testing.T) {
	var k key
	k.once.Do(func() {})
	require.Equal(t, [16]byte{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24}, k.sum(nil),
		"without the cipher: the first half of the SHA-256 of nothing")
	block, err := aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	k.mac, err = cipher.NewGCM(block)
	require.NoError(t, err)
	// GCM test case 1 of its authors: the tag of nothing under the zero key.
	require.Equal(t, [16]byte{0x58, 0xe2, 0xfc, 0xce, 0xfa, 0x7e, 0x30, 0x61, 0x36, 0x7f, 0x1d, 0x57, 0xa4, 0xe7, 0x45, 0x5a}, k.sum(nil))
}
