package mbox

import (
	"encoding/binary"
	"errors"
	"iter"
)

// ChunkList is the chunks of one file in their order, as bytes to keep: at most 19 a chunk. A chunk is its length, as a
// varint of encoding/binary, and its Sum; Off follows from the lengths before.
type ChunkList []byte

// Add appends c, which must stand where the chunk before it ends.
func (l *ChunkList) Add(c Chunk) {
	*l = append(binary.AppendUvarint(*l, uint64(c.Len)), c.Sum[:]...)
}

// ErrChunkList is the error of a ChunkList that Add did not make.
var ErrChunkList = errors.New("chunk list is damaged")

// All yields the chunks in order. Bytes that are no list end with ErrChunkList, yielded once, last; no chunk that is
// yielded has a Len outside 1 to ChunkMax, but neither its Len nor its Sum need be those of any file.
func (l ChunkList) All() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		off := int64(0)
		for len(l) > 0 {
			n, used := binary.Uvarint(l)
			if used <= 0 || n == 0 || n > ChunkMax || len(l)-used < len(Chunk{}.Sum) {
				yield(Chunk{}, ErrChunkList)
				return
			}
			c := Chunk{Off: off, Len: int64(n)}
			l = l[used+copy(c.Sum[:], l[used:]):]
			if off += c.Len; !yield(c, nil) {
				return
			}
		}
	}
}
