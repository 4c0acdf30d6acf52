package tree

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What could not be written out is told when all is made durable, although the kernel tells each descriptor of it but once.
func TestDrainKeepsItsError(t *testing.T) {
	dir, err := openDir(unix.AT_FDCWD, t.TempDir())
	require.NoError(t, err)
	defer closeFd(dir)
	s := &syncer{devs: map[uint64]int{1: -1}} // no descriptor
	s.copied(drainAt)                         // and nothing is written after it
	s.drain.all.Wait()
	s.devs[1] = dir
	require.ErrorIs(t, s.durable(), unix.EBADF)
	require.ErrorIs(t, s.durable(), unix.EBADF, "it stays so for the whole pass")
	require.Equal(t, int64(0), s.drain.copied.Load())
	require.False(t, s.drain.busy.Load())
}

// Little is not worth it.
func TestDrainWaitsForMany(t *testing.T) {
	s := &syncer{devs: map[uint64]int{1: -1}}
	s.wrote.Store(true)
	s.copied(drainAt - 1)
	s.drain.all.Wait()
	s.devs = nil
	require.NoError(t, s.durable())
}
