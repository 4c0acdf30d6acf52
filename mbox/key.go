package mbox

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"sync"
)

// Key sums chunks for one who compares them within one process, at several times the speed of SHA-256. The zero Key is
// ready: it draws 128 random bits when it is first used. The sum is GMAC (NIST SP 800-38D) of the content: for any two
// contents that were there before the key, whoever made them, the chance of equal sums is below 2^-128 a byte. Sums
// of two keys have nothing in common, and they must not leave the process: who knows some of them can find the key.
type Key struct {
	once sync.Once
	mac  cipher.AEAD // nil: SHA-256 does it
}

// Split is the function Split with the sums of the key; there is no digest.
func (k *Key) Split(ctx context.Context, r io.ReaderAt, size int64, fn func(Chunk) error) error {
	s := splitter{r: r, size: size, window: splitWindow, cutter: cutter{most: ChunkMax}, sum: func(b []byte) (long [sha256.Size]byte) {
		sum := k.Sum(b)
		copy(long[:], sum[:])
		return long
	}}
	_, err := s.run(ctx, fn)
	return err
}

// Sum is the sum of a chunk with the content b.
func (k *Key) Sum(b []byte) (sum [16]byte) {
	k.once.Do(k.draw)
	if k.mac == nil {
		long := sha256.Sum256(b)
		return [16]byte(long[:16])
	}
	return [16]byte(k.mac.Seal(sum[:0], nonce[:], nil, b))
}

// nonce is always the same: another one each time would only hide the sums from others.
var nonce [12]byte

// draw makes the key. What policy forbids in the cipher is left to SHA-256.
func (k *Key) draw() {
	secret := make([]byte, 16)
	rand.Read(secret)
	if block, err := aes.NewCipher(secret); err == nil {
		k.mac, _ = cipher.NewGCM(block)
	}
}
