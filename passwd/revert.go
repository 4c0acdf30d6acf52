package passwd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// Revert undoes the Apply of the receipt, passwd first and gshadow last, under the same locks. The old contents come
// from the backups, known by their hash: "etc/passwd-" or, where another program has replaced that since, a set in the
// receipt's BackupDir. A file that is neither as Apply left it nor as it was before, or whose old content is nowhere,
// gives an error that wraps ErrDrift, and nothing is written. Modes and owners stay as they are. Reverting
// twice does nothing the second time. It waits 15 seconds for locks, or as long as ctx allows when that is less.
func Revert(ctx context.Context, root string, receipt *Receipt) error {
	if receipt.Version != 1 {
		return fmt.Errorf("receipt of version %d, want 1", receipt.Version)
	}
	for _, f := range receipt.Files {
		if !slices.Contains(order, f.Name) {
			return fmt.Errorf("%s: not one of the account files", f.Name)
		}
		if f.Before != "" && f.Backup != f.Name+"-" {
			return fmt.Errorf("%s: backup %s, want %s-", f.Name, quote(f.Backup), f.Name)
		}
	}
	if len(receipt.Files) == 0 {
		return nil
	}
	_, err := commit(ctx, root, 0, func(r *os.Root) (changes []atomicfile.Change, err error) {
		for _, f := range slices.Backward(receipt.Files) {
			c, err := undo(r, f, receipt.BackupDir)
			if err != nil {
				return nil, err
			}
			if c != nil {
				changes = append(changes, *c)
			}
		}
		return changes, nil
	})
	return err
}

// undo plans the way back of one file; nil when it is as before already.
func undo(r *os.Root, f FileReceipt, sets string) (*atomicfile.Change, error) {
	now, err := contents(r, f.Name)
	if err != nil {
		return nil, err
	}
	switch digest(now) {
	case f.Before:
		return nil, nil
	case f.After:
	default:
		return nil, fmt.Errorf("%s: %w", f.Name, ErrDrift)
	}
	c := &atomicfile.Change{Name: f.Name, Before: now}
	if f.Before == "" {
		return c, nil
	}
	c.After, err = contents(r, f.Backup)
	if err == nil && digest(c.After) == f.Before {
		return c, nil
	}
	if sets != "" {
		if c.After = fromSets(sets, f); c.After != nil {
			return c, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s: not the content from before: %w", f.Backup, ErrDrift)
	}
	return nil, err
}

// contents reads a file, nil when there is none.
func contents(r *os.Root, name string) ([]byte, error) {
	s, err := atomicfile.Read(r, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case s.Data == nil:
		return []byte{}, nil
	}
	return s.Data, nil
}
