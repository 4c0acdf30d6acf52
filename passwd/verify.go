package passwd

import (
	"context"
	"errors"
	"fmt"
	"path"
)

// Verify reads the account files below root and tells whether the plan holds there: every person is found by name
// with the planned ids, home and an existing primary group, every group has its gid and its members, and nobody but the
// people who shared one before shares a uid that was given. Later changes by others that leave this true are fine.
// The error lists all that is not so.
func (p *Plan) Verify(ctx context.Context, root string) error {
	if !p.merged {
		return errNotMerged
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := ReadHost(root)
	if err != nil {
		return err
	}
	var errs []error
	miss := func(file *table, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", root, file.name, fmt.Sprintf(format, args...)))
	}
	given := map[uint32]uint32{} // new uid -> old uid
	planned := map[string]bool{}
	for u := range p.Migrated() {
		planned[u.To] = true
		if u.Action != ActionPresent {
			given[u.ToUID] = u.FromUID
		}
		got, ok := h.Passwd.Lookup(u.To)
		switch {
		case !ok:
			miss(&h.Passwd.table, "no account %s", quote(u.To))
			continue
		case got.UID != u.ToUID || got.GID != u.ToGID:
			miss(&h.Passwd.table, "account %s has %d:%d, want %d:%d", quote(u.To), got.UID, got.GID, u.ToUID, u.ToGID)
		case u.ToHome != "" && path.Clean(got.Home) != u.ToHome:
			miss(&h.Passwd.table, "account %s has home %s, want %s", quote(u.To), quote(got.Home), quote(u.ToHome))
		}
		if _, ok := h.Group.LookupID(got.GID); !ok && u.Action != ActionPresent {
			miss(&h.Group.table, "no group with gid %d, the primary one of %s", got.GID, quote(u.To))
		}
	}
	for _, u := range p.Users {
		if u.Action == ActionPresent {
			delete(given, u.ToUID) // who shares it there did so before
		}
	}
	for u := range h.Passwd.Users() {
		if old, ok := given[u.UID]; ok && !planned[u.Name] {
			miss(&h.Passwd.table, "account %s has uid %d, which was given for the old %d", quote(u.Name), u.UID, old)
		}
	}
	for _, g := range p.Groups {
		if g.Action != ActionConflict {
			verifyGroup(h.Group, g, miss)
		}
	}
	return errors.Join(errs...)
}

func verifyGroup(f *GroupFile, g GroupChange, miss func(*table, string, ...any)) {
	got, ok := f.Lookup(g.To)
	switch {
	case !ok:
		if g.Action != ActionPresent {
			miss(&f.table, "no group %s", quote(g.To))
		}
		return
	case got.GID != g.ToGID:
		miss(&f.table, "group %s has gid %d, want %d", quote(g.To), got.GID, g.ToGID)
	}
	have := map[string]bool{}
	for _, n := range got.Members {
		have[n] = true
	}
	for _, n := range g.MembersAdded {
		if !have[n] {
			miss(&f.table, "group %s lacks member %s", quote(g.To), quote(n))
		}
	}
}
