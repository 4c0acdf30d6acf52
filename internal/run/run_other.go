//go:build !unix || aix || solaris || illumos

package run

import (
	"errors"
	"io/fs"
	"os"
)

const hasModes = false

func flock(*os.File) error { return errors.ErrUnsupported }

func ours(fs.FileInfo) bool { return true }

func syncDir(*os.Root) error { return nil }
