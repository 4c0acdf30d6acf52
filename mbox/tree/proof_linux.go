package tree

import (
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// proof reads a file again behind the one who writes it, and holds it against the sums of what was to be written.
type proof struct {
	key     *key
	fd      int
	written chan []mbox.Chunk // that follow each other
	result  chan error
}

func newProof(key *key, fd int) *proof {
	p := &proof{key: key, fd: fd, written: make(chan []mbox.Chunk, 2), result: make(chan error, 1)}
	go func() {
		var err error
		buf := make([]byte, mbox.ChunkMax)
		for ks := range p.written {
			if err == nil {
				err = p.check(ks, buf)
			}
		}
		p.result <- err
	}()
	return p
}

// end waits for the last chunk. The error is errDigest when the file is not as it should be.
func (p *proof) end() error {
	close(p.written)
	return <-p.result
}

// check reads chunks that follow each other.
func (p *proof) check(ks []mbox.Chunk, buf []byte) error {
	first, end := ks[0].Off, int64(0)
	for len(ks) > 0 {
		n, some := int64(0), 0
		for some < len(ks) && n+ks[some].Len <= int64(len(buf)) {
			n += ks[some].Len
			some++
		}
		if some == 0 {
			return errDigest // no chunk is that long
		}
		b := buf[:n]
		if err := readFull(p.fd, b, ks[0].Off); err != nil {
			return err
		}
		for _, k := range ks[:some] {
			if p.key.sum(b[:k.Len]) != k.Sum {
				return errDigest
			}
			b = b[k.Len:]
		}
		end, ks = ks[0].Off+n, ks[some:]
	}
	// The disk may begin. Whether it does is its own affair: what is durable, only syncfs(2) tells.
	_ = unix.SyncFileRange(p.fd, first, end-first, unix.SYNC_FILE_RANGE_WRITE)
	return nil
}
