package tree

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/mailmove/mailmove/mbox"
)

// oldChunks finds chunks of the old copy by their sums while it is still being read.
type oldChunks struct {
	mu   sync.Mutex
	more *sync.Cond
	at   map[[16]byte]int64
	ring []mbox.Chunk // in the order of the file
	read int64        // up to here it was read
	used int64        // the end of the last chunk that was found
	done bool
	err  error
	wg   sync.WaitGroup
}

// ahead is how far beyond the expected place a chunk is looked for before it counts as new.
const ahead = 32 << 20

func newOldChunks(ctx context.Context, key *mbox.Key, fd int, size int64) *oldChunks {
	c := &oldChunks{at: map[[16]byte]int64{}}
	c.more = sync.NewCond(&c.mu)
	stop := context.AfterFunc(ctx, func() { c.more.Broadcast() })
	c.wg.Go(func() {
		defer stop()
		err := key.Split(ctx, fdReader(fd), size, func(k mbox.Chunk) error { return c.add(ctx, k) })
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done, c.err = true, err
		c.more.Broadcast()
	})
	return c
}

func (c *oldChunks) wait() { c.wg.Wait() }

// add takes the next chunk; when the window is full it waits until the oldest is behind.
func (c *oldChunks) add(ctx context.Context, k mbox.Chunk) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ring) >= deltaWindow {
		if o := c.ring[0]; o.Off < c.used {
			if c.at[o.Sum] == o.Off {
				delete(c.at, o.Sum)
			}
			c.ring = c.ring[1:]
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.more.Broadcast()
		c.more.Wait()
	}
	c.ring = append(c.ring, k)
	c.at[k.Sum] = k.Off
	c.read = k.Off + k.Len
	c.more.Broadcast()
	return nil
}

// find tells where the old copy has a chunk.
func (c *oldChunks) find(k mbox.Chunk) (off int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if off, ok := c.at[k.Sum]; ok {
			c.used = max(c.used, off+k.Len)
			c.more.Broadcast()
			return off, true
		}
		if c.done || len(c.ring) >= deltaWindow || c.read >= max(c.used, k.Off)+ahead {
			return 0, false
		}
		c.more.Wait()
	}
}

// next is the chunk of the old copy after the last one that was found; without length: there is none.
func (c *oldChunks) next() mbox.Chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := slices.BinarySearchFunc(c.ring, c.used, func(k mbox.Chunk, off int64) int { return cmp.Compare(k.Off, off) })
	if !ok {
		return mbox.Chunk{}
	}
	return c.ring[i]
}
