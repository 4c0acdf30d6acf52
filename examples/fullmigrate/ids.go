package main

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/mailmove/mailmove/internal/run"
)

// ids are the numbers that earlier runs gave, by name on the old host. They stay as they are, as long as the name has the
// number there that it had then: another number is another person.
type ids struct {
	Users  map[string]renumbered `json:"users"`
	Groups map[string]renumbered `json:"groups"`
}

type renumbered struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// nobody is the owner of what belongs to no one: the kernel's overflow id, on all of today's systems nobody's.
const nobody = 65534

// guarded is an id map that gives nothing of one person to another. A number that it does not name, of somebody who stays
// behind, must not turn into whoever has that number on the new host: such files become nobody's there.
func guarded(ids map[uint32]uint32, taken []uint32) map[uint32]uint32 {
	all := maps.Clone(ids)
	for _, id := range append(slices.Collect(maps.Values(ids)), taken...) {
		if _, ok := all[id]; !ok {
			all[id] = nobody
		}
	}
	return all
}

// known reads the ids that earlier runs gave; there need be none.
func (m *migration) known() (known ids, err error) {
	dir, err := run.View(m.runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return known, err
	}
	defer dir.Close()
	if err = dir.Load(fileIDs, &known); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return known, err
}
