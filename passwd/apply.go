package passwd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/lines"
	"github.com/mailmove/mailmove/internal/lockfile"
)

// Receipt tells what an Apply did, for Revert. It holds no content and may be stored as JSON.
type Receipt struct {
	Version int           `json:"version"` // 1
	Files   []FileReceipt `json:"files"`   // in the order in which they were renamed; never nil
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
// go to "etc/passwd-" and so on; modes, owners and attributes stay.
//
// Each file must be as its plan saw it or already as wanted, else the error wraps ErrDrift and nothing is written; so
// an Apply that was cut short is completed by calling it again. When nothing is to be done no file is touched,
// no lock taken. Other errors: ErrConflict while the plan has conflicts, ErrLocked, ErrValue when the new text
// would lose a line, be empty or lack uid 0; those of the file system are *fs.PathError, also for a symbolic link in
// the place of a file. The receipt covers every file of the plans, those that an earlier call completed included.
func (p *Plan) Apply(ctx context.Context, root string, more ...Edits) (*Receipt, error) {
	if n := len(p.Conflicts); n > 0 {
		return nil, fmt.Errorf("%w: %d, the first: %s", ErrConflict, n, p.Conflicts[0])
	}
	if err := p.selfCheck(); err != nil {
		return nil, err
	}
	changes, err := p.changes(more)
	if err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if !done(r, changes) {
		if err := commit(ctx, r, changes, p.timeout); err != nil {
			return nil, fmt.Errorf("%s: %w", root, err)
		}
	}
	receipt := &Receipt{Version: 1, Files: []FileReceipt{}}
	for _, c := range changes {
		receipt.Files = append(receipt.Files, FileReceipt{c.Name, digest(c.Before), digest(c.After), c.Backup})
	}
	return receipt, nil
}

// changes joins the edits of all plans in the order of the renames.
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
			case len(after) == 0:
				return nil, fmt.Errorf("%s: %w: it would be empty", name, ErrValue)
			case bytes.Equal(before, after) && before != nil:
				continue
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
// readers of shadow, else as Red Hat does.
func (p *Plan) newFile(c *atomicfile.Change) {
	if os.Geteuid() == 0 {
		c.UID, c.GID = 0, 0
	}
	if c.Name != "etc/shadow" && c.Name != "etc/gshadow" {
		return
	}
	c.Mode = 0
	if g, ok := p.group.Lookup("shadow"); ok {
		c.Mode = 0o640
		if os.Geteuid() == 0 {
			c.GID = int(g.GID)
		}
	}
}

// done tells whether every file is as wanted already.
func done(r *os.Root, changes []atomicfile.Change) bool {
	for _, c := range changes {
		s, err := atomicfile.Read(r, c.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || (err != nil) != (c.After == nil) {
			return false
		}
		if err == nil && !bytes.Equal(s.Data, c.After) {
			return false
		}
	}
	return true
}

func commit(ctx context.Context, r *os.Root, changes []atomicfile.Change, timeout time.Duration) (err error) {
	lock, err := lockfile.Passwd(ctx, r, timeout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	_, err = atomicfile.Apply(ctx, r, changes)
	return err
}

// selfCheck reads the plan's own output again: it must re-parse, hold every old line in its place, and keep uid 0.
func (p *Plan) selfCheck() error {
	for _, e := range p.edits {
		if err := keeps(e, e.name == "etc/group"); err != nil {
			return err
		}
		if e.name != "etc/passwd" {
			continue
		}
		before, after := Parse(e.name, e.before), Parse(e.name, e.after)
		if _, had := before.LookupID(0); had {
			if _, has := after.LookupID(0); !has {
				return fmt.Errorf("%s: %w: uid 0 would be gone", e.name, ErrValue)
			}
		}
		for u := range p.Migrated() {
			if got, ok := after.Lookup(u.To); !ok || got.UID != u.ToUID || got.GID != u.ToGID {
				return fmt.Errorf("%s: %w: %s would not be found with uid %d and gid %d", e.name, ErrValue, quote(u.To), u.ToUID, u.ToGID)
			}
		}
	}
	return nil
}

// keeps refuses an edit that loses or changes a line. grown allows a line to get members behind it.
func keeps(e edit, grown bool) error {
	// A CR before the end of a file without newline becomes a part of the line end: it is none of the text.
	text := func(l lines.Line) []byte { return bytes.TrimSuffix(l.Text, []byte("\r")) }
	after := lines.Split(e.after)
	i := 0
	for n, l := range lines.Split(e.before) {
		old := text(l)
		for ; i < len(after); i++ {
			got := text(after[i])
			if bytes.Equal(got, old) || grown && bytes.HasPrefix(got, old) && bytes.Count(got, []byte(":")) == 3 {
				break
			}
		}
		if i == len(after) {
			return fmt.Errorf("%s:%d: %w: the line would be lost", e.name, n+1, ErrValue)
		}
		i++
	}
	return nil
}

func digest(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
