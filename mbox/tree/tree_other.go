//go:build !linux

package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var errLinuxOnly = fmt.Errorf("copying trees needs Linux: %w", errors.ErrUnsupported)

// Sync needs Linux; here it returns errors.ErrUnsupported.
func Sync(ctx context.Context, src Source, dst string, opt *Options) (*Report, error) {
	return newReport(), errLinuxOnly
}

// Verify needs Linux; here it returns errors.ErrUnsupported.
func Verify(ctx context.Context, src Source, dst string, opt *Options, how How) (*Report, error) {
	return newReport(), errLinuxOnly
}

// Diff needs Linux; here it returns errors.ErrUnsupported.
func Diff(ctx context.Context, src Source, dst string, opt *Options, each func(Change) error) (*Report, error) {
	return newReport(), errLinuxOnly
}

// Changed needs Linux; here it returns errors.ErrUnsupported.
func Changed(ctx context.Context, dst string, opt *Options, each func(Change) error) error {
	return errLinuxOnly
}

// Adopt needs Linux; here it returns errors.ErrUnsupported.
func Adopt(ctx context.Context, dst string, opt *Options, changes []Change) (int, error) {
	return 0, errLinuxOnly
}

type tuple struct{}

// Serve needs Linux; here it returns errors.ErrUnsupported.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return errLinuxOnly
}
