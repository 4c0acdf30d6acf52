//go:build !linux

package mbox

import (
	"context"
	"errors"
)

// Plan works on Linux only; elsewhere it gives errors.ErrUnsupported. PlanOf works everywhere.
func (*Archive) Plan(context.Context, string) (*ArchivePlan, error) {
	return nil, errors.ErrUnsupported
}

// Apply works on Linux only; elsewhere it gives errors.ErrUnsupported.
func (*ArchivePlan) Apply(context.Context) (*ArchiveReceipt, error) {
	return nil, errors.ErrUnsupported
}

// Verify works on Linux only; elsewhere it gives errors.ErrUnsupported.
func (*ArchivePlan) Verify(context.Context) error { return errors.ErrUnsupported }

// Recover works on Linux only; elsewhere it gives errors.ErrUnsupported.
func (*Archive) Recover(context.Context) ([]ArchiveRecovery, error) {
	return nil, errors.ErrUnsupported
}
