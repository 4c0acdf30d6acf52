//go:build !linux

package lockfile

import (
	"context"
	"errors"
	"os"
	"time"
)

// Lock is what Passwd took.
type Lock struct{}

// Passwd works on Linux only; elsewhere it gives errors.ErrUnsupported.
func Passwd(context.Context, *os.Root, time.Duration) (*Lock, error) {
	return nil, errors.ErrUnsupported
}

// Unlock does nothing.
func (*Lock) Unlock() error { return nil }
