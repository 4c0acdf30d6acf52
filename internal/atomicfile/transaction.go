package atomicfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// transaction is one call of Apply.
type transaction struct {
	root  *os.Root
	dirs  []*dir
	jobs  []*job    // what has to be written
	steps []*action // what that comes to, backups first
}

// job is a change that was found necessary.
type job struct {
	*Change
	dir  *dir
	base string
	was  *loaded // nil: there is no such file
}

// dir returns the open directory name. Two paths to the same directory give the same one.
func (t *transaction) dir(name string) (*dir, error) {
	for _, d := range t.dirs {
		if d.path == name {
			return d, nil
		}
	}
	d, err := openDir(t.root, name)
	if err != nil {
		return nil, err
	}
	info, err := d.file.Stat()
	if err != nil {
		return nil, errors.Join(pathError("stat", name, err), d.close())
	}
	for _, other := range t.dirs {
		if known, err := other.file.Stat(); err == nil && os.SameFile(info, known) {
			return other, d.close()
		}
	}
	d.sweep()
	t.dirs = append(t.dirs, d)
	return d, nil
}

// examine gives the three answers and notes what has to be written.
func (t *transaction) examine(ctx context.Context, changes []Change) error {
	type place struct {
		dir  *dir
		base string
	}
	taken := map[place]bool{}
	claim := func(name string) (*dir, error) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		d, err := t.dir(path.Dir(name))
		if err != nil {
			return nil, pathError("open", name, err)
		}
		p := place{d, path.Base(name)}
		if taken[p] {
			return nil, fmt.Errorf("%s: named twice in one set of changes", name)
		}
		taken[p] = true
		return d, nil
	}
	for i := range changes {
		c := &changes[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := claim(c.Name)
		if errors.Is(err, fs.ErrNotExist) && c.After == nil {
			continue // no directory, hence no file, as wanted
		}
		if err != nil {
			return err
		}
		j, err := answer(d, c)
		if err != nil {
			return err
		}
		if j != nil {
			t.jobs = append(t.jobs, j)
		}
		if c.Backup != "" {
			if _, err := claim(c.Backup); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer tells what c asks of the file as it is now: a job, nothing, or ErrDrift.
func answer(d *dir, c *Change) (*job, error) {
	base := path.Base(c.Name)
	was, err := load(d.root, base, c.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		switch {
		case c.After == nil:
			return nil, nil
		case c.Before == nil:
			return &job{c, d, base, nil}, nil
		}
		return nil, fmt.Errorf("%s: no such file: %w", c.Name, ErrDrift)
	case err != nil:
		return nil, err
	case c.After != nil && bytes.Equal(was.Data, c.After):
		return nil, nil
	case c.Before != nil && (bytes.Equal(was.Data, c.Before) || c.InPlace && torn(was.Data, c.Before, c.After)):
		return &job{c, d, base, was}, nil
	}
	return nil, fmt.Errorf("%s: found %d bytes: %w", c.Name, len(was.Data), ErrDrift)
}

// torn tells whether found is what a rewrite of before into after leaves when it is cut off: a beginning of after and the
// rest of before.
func torn(found, before, after []byte) bool {
	if after == nil {
		return false
	}
	same := 0 // bytes found as in after
	for same < len(found) && same < len(after) && found[same] == after[same] {
		same++
	}
	if same >= len(before) {
		return len(found) == same
	}
	return len(found) == len(before) && bytes.Equal(found[same:], before[same:])
}

// stage creates everything that is going to be renamed and everything a rollback needs.
func (t *transaction) stage(ctx context.Context) error {
	var backups, targets []*action
	for _, j := range t.jobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		target := &action{dir: j.dir, base: j.base, name: j.Name, was: j.was, change: j.Change}
		if err := target.stage(j.After, j.attrs()); err != nil {
			return err
		}
		targets = append(targets, target)
		if j.Backup != "" && j.was != nil {
			b, err := t.backup(j, target)
			if err != nil {
				return err
			}
			backups = append(backups, b)
		}
	}
	t.steps = slices.Concat(backups, targets)
	return nil
}

func (t *transaction) backup(j *job, target *action) (*action, error) {
	d, err := t.dir(path.Dir(j.Backup))
	if err != nil {
		return nil, err
	}
	b := &action{dir: d, base: path.Base(j.Backup), name: j.Backup, of: target}
	b.was, err = load(d.root, b.base, j.Backup)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	a := attrsOf(j.was)
	a.mtime = j.was.Info.ModTime()
	return b, b.stage(j.Before, a)
}

func (j *job) attrs() attrs {
	if j.was != nil {
		return attrsOf(j.was)
	}
	return attrs{mode: j.Mode, uid: j.UID, gid: j.GID}
}

// unchanged looks once more, directly before the first rename, whether the files still are those that were read.
func (t *transaction) unchanged() error {
	for _, j := range t.jobs {
		info, err := j.dir.root.Lstat(j.base)
		switch {
		case errors.Is(err, fs.ErrNotExist) && j.was == nil:
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return pathError("lstat", j.Name, err)
		case err != nil || j.was == nil || !sameState(info, j.was.Info):
			return fmt.Errorf("%s: changed meanwhile: %w", j.Name, ErrDrift)
		}
	}
	return nil
}

func sameState(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

func (t *transaction) close() error {
	var errs []error
	for _, d := range t.dirs {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}
