package tree

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// cksum is the sum of cksum(1): the CRC of POSIX, which is that of Ethernet with the bits of each byte in the other order, begun
// with 0, and with the length behind the text.
type cksum struct {
	reg  uint32
	n    uint64
	turn []byte
}

func newCksum() *cksum { return &cksum{reg: ^uint32(0), turn: make([]byte, 4096)} }

func (c *cksum) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		part := c.turn[:min(len(rest), len(c.turn))]
		turnBits(part, rest)
		c.reg = crc32.Update(c.reg, crc32.IEEETable, part)
		rest = rest[len(part):]
	}
	c.n += uint64(len(b))
	return len(b), nil
}

// turnBits writes the bytes of b, as many as dst has, with their bits in the other order.
func turnBits(dst, b []byte) {
	i := 0
	for ; i+8 <= len(dst); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], bits.ReverseBytes64(bits.Reverse64(binary.LittleEndian.Uint64(b[i:]))))
	}
	for ; i < len(dst); i++ {
		dst[i] = bits.Reverse8(b[i])
	}
}

func (c *cksum) sum() uint32 {
	reg := c.reg
	for n := c.n; n > 0; n >>= 8 {
		reg = crc32.Update(reg, crc32.IEEETable, []byte{bits.Reverse8(byte(n))})
	}
	return bits.Reverse32(reg)
}
