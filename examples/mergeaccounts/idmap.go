package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/passwd"
)

// idMap is what copymail reads: old number -> new number.
type idMap struct {
	UID map[uint32]uint32 `json:"uid"`
	GID map[uint32]uint32 `json:"gid"`
}

// mapFile is the file of an idMap, nil when none is wanted. It is opened before the accounts are written, so that what
// is wrong with it is known in time.
type mapFile struct {
	dir    *os.Root
	name   string
	before []byte // nil: there is no such file yet
	ids    idMap
}

func openMap(file string) (*mapFile, error) {
	if file == "" {
		return nil, nil
	}
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	m := &mapFile{dir: dir, name: filepath.Base(file)}
	s, err := atomicfile.Read(dir, m.name)
	if err == nil {
		m.before = s.Data
		err = json.Unmarshal(s.Data, &m.ids)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%s: %w", file, err), dir.Close())
	}
	return m, nil
}

func (m *mapFile) close() {
	if m != nil {
		_ = m.dir.Close()
	}
}

// recall takes the ids that an earlier run gave from the map that it wrote.
func (m *mapFile) recall(old *passwd.Host, opt *passwd.Options) {
	if m == nil {
		return
	}
	opt.UIDs, opt.GIDs = map[string]uint32{}, map[string]uint32{}
	for u := range old.Passwd.Users() {
		if id, ok := m.ids.UID[u.UID]; ok {
			opt.UIDs[u.Name] = id
		}
	}
	for g := range old.Group.Groups() {
		if id, ok := m.ids.GID[g.GID]; ok {
			opt.GIDs[g.Name] = id
		}
	}
}

// remember writes the maps as a whole or not at all; a file that says the same already is left alone.
func (m *mapFile) remember(ctx context.Context, p *passwd.Plan) error {
	if m == nil {
		return nil
	}
	data, err := json.MarshalIndent(idMap{UID: p.UIDMap, GID: p.GIDMap}, "", " ")
	if err == nil {
		change := atomicfile.Change{Name: m.name, Before: m.before, After: append(data, '\n'), Mode: 0o644, UID: -1, GID: -1}
		_, err = atomicfile.Apply(ctx, m.dir, []atomicfile.Change{change})
	}
	if err != nil {
		return &cli.Hinted{Err: err, Hint: "the accounts are written; the same command again writes the map"}
	}
	return nil
}
