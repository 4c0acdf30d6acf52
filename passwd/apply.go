package passwd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/lockfile"
)

// Receipt tells what an Apply did, for Revert. It holds no content and may be stored as JSON.
type Receipt struct {
	Version int           `json:"version"` // 1
	Files   []FileReceipt `json:"files"`   // in the order in which they were renamed; never nil

	BackupDir string `json:"backup_dir"` // that of Options, absolute; "" when there is none
}

// FileReceipt is one file of a Receipt.
type FileReceipt struct {
	Name   string `json:"name"`   // "etc/passwd"
	Before string `json:"before"` // SHA-256 of the old content in hex, "" when there was no such file
	After  string `json:"after"`  // the same of the new content
	Backup string `json:"backup"` // where the old content is, "etc/passwd-"
}

// order is that of the renames: an account becomes visible when all it needs is there. Whatever a crash leaves is
// harmless, a group or a password without account.
var order = []string{"etc/gshadow", "etc/group", "etc/shadow", "etc/subuid", "etc/subgid", "etc/passwd"}

// Apply writes the plan, and what more plans for the same host want, in one commit below root: under the locks of
// lckpwdf(3) and shadow-utils, all files staged before the first rename, gshadow first and passwd last. The old contents
// go to "etc/passwd-" and so on, and to a set of their own when Options has a BackupDir; modes, owners and attributes
// stay. When root is the running host's own, nscd(8) and sss_cache(8) are told afterwards, where they are installed.
//
// Each file must be as its plan saw it or already as wanted, else the error wraps ErrDrift and nothing is written; so
// an Apply that was cut short is completed by calling it again, which also removes what it left behind. A plan without
// changes touches nothing and takes no lock. Other errors: ErrConflict while the plan has conflicts, ErrLocked, ErrValue
// when a new text would lose a line, be empty, hold a NUL byte or lack root's line; those of the file system are
// *fs.PathError, also for a symbolic link in the place of a file.
//
// The receipt covers every file of the plans, those that an earlier call completed included. It comes beside an error
// when files are new all the same: a directory could not be synced, a lock file not removed, a file not put back, a
// cache not told.
func (p *Plan) Apply(ctx context.Context, root string, more ...Edits) (*Receipt, error) {
	if !p.merged {
		return nil, errNotMerged
	}
	if n := len(p.Conflicts); n > 0 {
		return nil, fmt.Errorf("%w: %d, the first: %s", ErrConflict, n, p.Conflicts[0])
	}
	changes, err := p.changes(more)
	if err != nil {
		return nil, err
	}
	receipt := &Receipt{Version: 1, Files: []FileReceipt{}}
	for _, c := range changes {
		receipt.Files = append(receipt.Files, FileReceipt{c.Name, digest(c.Before), digest(c.After), c.Backup})
	}
	if p.backupDir != "" {
		if receipt.BackupDir, err = filepath.Abs(p.backupDir); err != nil {
			return nil, err
		}
	}
	if len(changes) == 0 {
		return receipt, nil
	}
	set := ""
	stands, err := commit(ctx, root, p.timeout, func(r *os.Root) (_ []atomicfile.Change, err error) {
		if receipt.BackupDir != "" {
			set, err = keepSet(r, receipt.BackupDir, changes, time.Now())
		}
		return changes, err
	})
	if stands {
		return receipt, err
	}
	if set != "" {
		err = errors.Join(err, os.RemoveAll(set))
	}
	return nil, err
}

// changes joins the edits of all plans in the order of the renames, each of them checked.
func (p *Plan) changes(more []Edits) ([]atomicfile.Change, error) {
	var changes []atomicfile.Change
	seen := map[string]bool{}
	for _, e := range append([]Edits{p}, more...) {
		for name, text := range e.Edits() {
			before, after := text[0], text[1]
			switch {
			case seen[name]:
				return nil, fmt.Errorf("%s: two plans change it", name)
			case !slices.Contains(order, name):
				return nil, fmt.Errorf("%s: not one of the account files %s", name, strings.Join(order, " "))
			case before == nil && after == nil:
				return nil, fmt.Errorf("%s: no content: %w", name, errNotMerged)
			case before != nil && after != nil && bytes.Equal(before, after):
				continue
			}
			if err := p.checkEdit(name, before, after); err != nil {
				return nil, err
			}
			if name == "etc/passwd" {
				if err := p.checkAccounts(Parse(name, before), Parse(name, after)); err != nil {
					return nil, err
				}
			}
			seen[name] = true
			c := atomicfile.Change{Name: name, Before: before, After: after, Mode: 0o644, UID: -1, GID: -1}
			if before != nil {
				c.Backup = name + "-"
			} else {
				p.newFile(&c)
			}
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b atomicfile.Change) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
	return changes, nil
}

// newFile sets mode and owner of a file that the target did not have: as Debian does when there is a group for the
// readers of shadow, else as Red Hat does. Who is not root must be able to read it again, and nobody else.
func (p *Plan) newFile(c *atomicfile.Change) {
	secret := c.Name == "etc/shadow" || c.Name == "etc/gshadow"
	if os.Geteuid() != 0 {
		if secret {
			c.Mode = 0o600
		}
		return
	}
	c.UID, c.GID = 0, 0
	switch {
	case secret && p.readers != 0:
		c.Mode, c.GID = 0o640, int(p.readers)
	case secret:
		c.Mode = 0
	}
}

// commit applies what plan gives under the locks. stands tells whether files are new because of it, or all were already.
func commit(ctx context.Context, root string, timeout time.Duration, plan func(*os.Root) ([]atomicfile.Change, error)) (stands bool, err error) {
	stands, err = commitFiles(ctx, root, timeout, plan)
	if stands {
		err = errors.Join(err, tellCaches(ctx, root))
	}
	return stands, err
}

func commitFiles(ctx context.Context, root string, timeout time.Duration, plan func(*os.Root) ([]atomicfile.Change, error)) (stands bool, err error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return false, err
	}
	defer r.Close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", root, err)
		}
	}()
	lock, err := lockfile.Passwd(ctx, r, timeout)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	changes, err := plan(r)
	if err != nil {
		return false, err
	}
	written, err := atomicfile.Apply(ctx, r, changes)
	return err == nil || len(written) > 0, err
}

func digest(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
