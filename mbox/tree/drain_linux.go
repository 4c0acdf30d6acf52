package tree

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// drain has what is copied written out beside the copying. Else the disk waits while the processors work, and they wait for it when
// all is made durable in the end: that was a sixth of a first copy through ssh.
type drain struct {
	copied atomic.Int64 // since it began last
	busy   atomic.Bool
	all    sync.WaitGroup
	mu     sync.Mutex // held while anything is written out
	err    error      // the kernel tells it once only
}

// drainAt is how many bytes are copied between two. With half of it journals of file systems were written too often.
var drainAt int64 = 64 << 20

// copied counts bytes that were written to the target, and begins to write them out when they are many.
func (s *syncer) copied(n int64) {
	d := &s.drain
	if d.copied.Add(n) < drainAt || !d.busy.CompareAndSwap(false, true) {
		return
	}
	d.copied.Store(0)
	d.all.Go(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			d.err = s.syncAll()
		}
		d.busy.Store(false)
	})
}

// syncAll writes out the file systems of the target.
func (s *syncer) syncAll() error {
	s.mu.Lock()
	devs := make([]int, 0, len(s.devs))
	for _, fd := range s.devs {
		devs = append(devs, fd)
	}
	s.mu.Unlock()
	for _, fd := range devs {
		if err := unix.Syncfs(fd); err != nil {
			return pathErr("syncfs", ".", err)
		}
	}
	return nil
}

// durable has every file system of the target written out that this pass wrote to. What could not be written out once is lost to this
// pass, whatever a later call says.
func (s *syncer) durable() error {
	d := &s.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.wrote.Swap(false) && d.err == nil {
		d.err = s.syncAll()
	}
	return d.err
}
