package main

import (
	"io/fs"
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeAt tells the device of a directory and what is free there: bytes, and files. -1: not known.
func freeAt(dir string, info fs.FileInfo) (dev uint64, free, left int64) {
	if info != nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			dev = uint64(st.Dev) //nolint:unconvert // 32 bits on some machines
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return dev, -1, -1
	}
	left = math.MaxInt64 // btrfs and others count no inodes
	if st.Files > 0 {
		left = int64(min(st.Ffree, math.MaxInt64))
	}
	return dev, int64(min(st.Bavail, math.MaxInt64/uint64(st.Bsize)) * uint64(st.Bsize)), left
}
