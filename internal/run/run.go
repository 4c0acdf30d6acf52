// Package run keeps the directory of one migration: what was planned, how far it came, and a lock so that two runs never
// meet. The directory is 0700 and its files 0600, for the saved plan holds what the hosts' shadow files hold.
//
// A step is written to the journal, and the journal to stable storage, before the step's first effect and after its last.
// A step that began and is not done is Unfinished: the next run loads what was saved for it and goes through it again,
// which every step allows because it finds what is already as wanted. A run that finds nothing to do writes nothing.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// ErrBusy says that another run holds the directory.
var ErrBusy = errors.New("another run is at work here")

// Dir is an open run directory. It belongs to one goroutine.
type Dir struct {
	path    string
	root    *os.Root
	lock    *os.File
	journal *journal
	watch   func(Entry)
}

// Open opens the run directory at path, making it where it is absent, and locks it against other runs until Close.
// A directory that others may enter, or that somebody else owns, is refused. The error is ErrBusy while another run has it.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, root: root}
	if d.lock, err = root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		err = flock(d.lock)
	}
	if err == nil {
		d.journal, err = readJournal(root)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("run directory %s: %w", path, err)
	}
	return d, nil
}

// View opens an existing run directory for reading: no lock is taken and nothing is written.
// An absent one is fs.ErrNotExist.
func View(path string) (*Dir, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, root: root}
	if d.journal, err = readJournal(root); err != nil {
		d.Close()
		return nil, fmt.Errorf("run directory %s: %w", path, err)
	}
	return d, nil
}

// private refuses a directory that is a link, or that others could have prepared or may read.
func private(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s: want a directory", path)
	case info.Mode().Perm()&0o077 != 0 && hasModes:
		return fmt.Errorf("%s: mode %04o, want 0700: others could read what it keeps", path, info.Mode().Perm())
	case !ours(info):
		return fmt.Errorf("%s: belongs to another user", path)
	}
	return nil
}

// Path tells where the directory is.
func (d *Dir) Path() string { return d.path }

// Close releases the lock.
func (d *Dir) Close() error {
	if d.lock != nil {
		d.lock.Close()
	}
	return d.root.Close()
}

// Keep writes data to the file name, mode 0600, as a whole or not at all; its directories are made. It is on stable
// storage when Keep returns. A file that holds the same already is left alone. nil data removes the file.
func (d *Dir) Keep(ctx context.Context, name string, data []byte) error {
	change := atomicfile.Change{Name: filepath.ToSlash(name), After: data, Mode: 0o600, UID: os.Geteuid(), GID: os.Getegid()}
	old, err := atomicfile.Read(d.root, change.Name)
	switch {
	case err == nil:
		change.Before = old.Data
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case data == nil:
		return nil
	default:
		if err := d.root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
	}
	_, err = atomicfile.Apply(ctx, d.root, []atomicfile.Change{change})
	return err
}

// Save keeps v as JSON.
func (d *Dir) Save(ctx context.Context, name string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, name), err)
	}
	return d.Keep(ctx, name, append(data, '\n'))
}

// Load reads what Save wrote. An absent file is fs.ErrNotExist.
func (d *Dir) Load(name string, v any) error {
	old, err := atomicfile.Read(d.root, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(old.Data, v); err != nil {
		// The cause may quote what it stumbled on, and these files hold secrets.
		return fmt.Errorf("%s: not what an earlier run saved", filepath.Join(d.path, name))
	}
	return nil
}

// Step runs fn between two lines of the journal. When fn fails the step stays unfinished.
func (d *Dir) Step(name string, fn func() error) error {
	if err := d.note(name, Begun); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return d.note(name, Done)
}

// Undo notes that the effects of the steps were taken back: they are neither unfinished nor done then. Steps that never
// began are passed over.
func (d *Dir) Undo(steps ...string) error {
	for _, s := range steps {
		if d.Done(s) || d.Unfinished(s) {
			if err := d.note(s, Undone); err != nil {
				return err
			}
		}
	}
	return nil
}

// Watch has fn called after each line of the journal that this Dir adds, when it is on stable storage.
func (d *Dir) Watch(fn func(Entry)) { d.watch = fn }

func (d *Dir) note(step string, state State) error {
	if err := d.journal.add(d.root, step, state); err != nil {
		return err
	}
	if d.watch != nil {
		d.watch(d.journal.all[len(d.journal.all)-1])
	}
	return nil
}

// History lists the journal, the oldest line first.
func (d *Dir) History() []Entry { return slices.Clone(d.journal.all) }

// Unfinished tells whether the step began and has not ended since.
func (d *Dir) Unfinished(step string) bool { return d.journal.state[step] == Begun }

// Done tells whether the step ended.
func (d *Dir) Done(step string) bool { return d.journal.state[step] == Done }
