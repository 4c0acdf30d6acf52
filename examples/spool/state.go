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
)

// sizes is what a report leaves for the next one.
type sizes struct {
	Version int              `json:"version"` // 1
	Bytes   map[string]int64 `json:"bytes"`   // by path
}

// remember tells each mailbox's growth since the last report, and keeps the sizes for the next. A mailbox that is new has
// grown by all it has. One that could not be read keeps its old size.
func remember(ctx context.Context, file string, r *spoolReport) error {
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(file)
	old, err := atomicfile.Read(dir, name)
	var was sizes
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case json.Unmarshal(old.Data, &was) != nil || was.Version != 1:
		return fmt.Errorf("%s: is not what an earlier report wrote", file)
	}
	now := sizes{Version: 1, Bytes: map[string]int64{}}
	for _, m := range r.Mailboxes {
		before, known := was.Bytes[m.Path]
		if m.failed {
			if known {
				now.Bytes[m.Path] = before
			}
			continue
		}
		now.Bytes[m.Path] = m.Bytes
		if was.Bytes != nil {
			grown := m.Bytes - before
			m.Growth = &grown
		}
	}
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return replace(ctx, dir, name, old, append(data, '\n'), 0o600)
}

// replace writes a file as a whole or not at all. old is what is there now, nil: nothing.
func replace(ctx context.Context, dir *os.Root, name string, old *atomicfile.Snapshot, data []byte, mode fs.FileMode) error {
	change := atomicfile.Change{Name: name, After: data, Mode: mode, UID: -1, GID: -1}
	if old != nil {
		change.Before = old.Data
	}
	_, err := atomicfile.Apply(ctx, dir, []atomicfile.Change{change})
	return err
}
