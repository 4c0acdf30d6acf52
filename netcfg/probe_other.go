//go:build !linux

package netcfg

import (
	"errors"
	"os"
)

func rawSocket(int, uint16) (*os.File, error) { return nil, errors.ErrUnsupported }
