//go:build !unix

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

const nonblock = 0

func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func setOwner(*os.File, int, int) error { return nil }

// Without a lock that ends with its process no leftover can be told from a file in use: none is swept.
func tryLock(*os.File) error { return errors.ErrUnsupported }

func busyLock(error) bool { return false }

func syncDir(*os.File) error { return nil }
