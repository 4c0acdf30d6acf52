package mbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
)

// ChunkMax is the most bytes of a Chunk.
const ChunkMax = 1 << 20

// Chunk is one piece of a file, found again by its content wherever it stands.
type Chunk struct {
	Off int64    // from the beginning of the file
	Len int64    // 1 to ChunkMax
	Sum [16]byte // the first half of its SHA-256
}

// Digest stands for the whole content of a file: files of equal digest are equal, as far as SHA-256 can tell. It is the
// SHA-256 over length (8 bytes, little endian) and full SHA-256 of each chunk, and not the SHA-256 of the file: so all
// processors can work on one file, and each byte is hashed once.
type Digest [sha256.Size]byte

// Split cuts the file r of size bytes where messages begin and where their headers end, and hands the chunks to fn in
// order. They are the whole file without a gap, whatever is in it; equal files have equal chunks. What Dovecot does to
// an mbox changes few of them: a flag one header, an expunge none, a delivery only adds some.
//
// A message begins at each line "From sender date" whose date can be read, even where a Content-Length hides it; a
// header ends with the first empty line. What is longer than ChunkMax is cut into pieces of that size, and so is a file
// without messages.
//
// Bytes that r gains beyond size are not read; if it ends before size, the error is io.ErrUnexpectedEOF. An error of fn,
// of r or of ctx ends the work and is returned as it is. The memory is below 16 MiB. r is read by one goroutine at a
// time, and by none when Split returns. While the file is changed by others the chunks are a mix of old and new:
// the digest tells, but only a lock prevents it.
func Split(ctx context.Context, r io.ReaderAt, size int64, fn func(Chunk) error) (Digest, error) {
	s := splitter{r: r, size: size, window: splitWindow, cutter: cutter{most: ChunkMax}}
	return s.run(ctx, fn)
}

const (
	// splitWindow holds a chunk, and a From_ line that may follow, with room to read much at a time.
	splitWindow = 2 << 20
	// splitChunks bounds what is cut before it is hashed: messages can be as short as 30 bytes.
	splitChunks = 8 << 10
	// splitWorkers is the most goroutines that hash. More would wait for the one that reads.
	splitWorkers = 3
)

// batch is some whole chunks on their way through reading, hashing and delivery.
type batch struct {
	off    int64
	buf    []byte
	ends   []int // of the chunks in buf; what follows the last belongs to the next batch
	sums   [][sha256.Size]byte
	err    error         // of reading
	hashed chan struct{} // one token
}

type splitter struct {
	r      io.ReaderAt
	size   int64
	window int
	cutter cutter
}

func (s *splitter) run(ctx context.Context, fn func(Chunk) error) (Digest, error) {
	if s.size < 0 {
		return Digest{}, fmt.Errorf("file size %d: want 0 or more", s.size)
	}
	ctx, cancel := context.WithCancel(ctx)
	// More batches than the file fills would only cost memory.
	workers := int(min(int64(min(runtime.GOMAXPROCS(0), splitWorkers)), s.size/ChunkMax+1))
	batches := workers + 2
	free, work, order := make(chan *batch, batches), make(chan *batch, batches), make(chan *batch, batches)
	for range batches {
		free <- &batch{hashed: make(chan struct{}, 1)}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(work)
		defer close(order)
		s.produce(ctx, free, func(b *batch) { work <- b; order <- b })
	})
	for range workers {
		wg.Go(func() {
			for b := range work {
				b.hash()
			}
		})
	}
	whole := sha256.New()
	for b := range order {
		<-b.hashed
		if err := b.deliver(whole, fn); err != nil {
			return Digest{}, err
		}
		free <- b
	}
	if err := ctx.Err(); err != nil {
		return Digest{}, err
	}
	return Digest(whole.Sum(nil)), nil
}

// produce reads and cuts the file, batch by batch. It ends early after an error, which the last batch holds.
func (s *splitter) produce(ctx context.Context, free <-chan *batch, put func(*batch)) {
	var rest []byte // after the last chunk; in the batch before
	for off := int64(0); off < s.size; {
		var b *batch
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		b.off = off
		// The batch before is still being read by others, but rest is not written by anybody until b is sent.
		b.read(s, rest)
		if b.err == nil {
			b.err = ctx.Err()
		}
		if b.err != nil {
			b.ends = b.ends[:0]
			put(b)
			return
		}
		b.ends = s.cutter.cut(b.buf, off+int64(len(b.buf)) == s.size, b.ends[:0])
		end := b.ends[len(b.ends)-1]
		rest = b.buf[end:]
		off += int64(end)
		put(b)
	}
}

// read fills b with rest and what follows it in the file.
func (b *batch) read(s *splitter, rest []byte) {
	if b.buf == nil {
		b.buf = make([]byte, 0, min(int64(s.window), s.size))
	}
	n := copy(b.buf[:cap(b.buf)], rest)
	b.buf = b.buf[:min(int64(cap(b.buf)), s.size-b.off)]
	for n < len(b.buf) {
		got, err := readAt(s.r, b.buf[n:], b.off+int64(n))
		if err != nil {
			b.err = err
			return
		}
		n += got
	}
}

func (b *batch) hash() {
	b.sums = b.sums[:0]
	start := 0
	for _, end := range b.ends {
		b.sums = append(b.sums, sha256.Sum256(b.buf[start:end]))
		start = end
	}
	b.hashed <- struct{}{}
}

// deliver hands the chunks to whole and fn.
func (b *batch) deliver(whole hash.Hash, fn func(Chunk) error) error {
	start := 0
	for i, end := range b.ends {
		sum := b.sums[i]
		c := Chunk{Off: b.off + int64(start), Len: int64(end - start), Sum: [16]byte(sum[:16])}
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(c.Len))
		whole.Write(n[:])
		whole.Write(sum[:])
		if err := fn(c); err != nil {
			return err
		}
		start = end
	}
	return b.err
}
