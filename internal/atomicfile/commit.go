package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// action is one rename of a commit, or one removal.
type action struct {
	dir    *dir
	base   string
	name   string  // of the file, for people
	was    *loaded // what it replaces, nil: nothing
	change *Change // nil: this is a backup
	of     *action // the target a backup belongs to

	fresh     string // staged file, "": the file is to be removed
	kept      string // the file as it was, "": there was none
	rewritten bool   // in place, not renamed
	stuck     bool   // could not be put back
}

func (a *action) stage(data []byte, as attrs) (err error) {
	if data != nil {
		if a.fresh, err = a.dir.create(data, as); err != nil {
			return err
		}
	}
	if a.was != nil {
		a.kept, err = a.dir.keep(a.base, a.was)
	}
	return err
}

func (a *action) do() error {
	if a.fresh == "" {
		return doing("remove", a.name, func() error { return a.dir.root.Remove(a.base) })
	}
	err := doing("rename", a.name, func() error { return a.dir.root.Rename(a.fresh, a.base) })
	if !errors.Is(err, syscall.EBUSY) || a.change == nil || !a.change.InPlace || a.was == nil {
		return err
	}
	if err := a.rewrite(a.change.After); err != nil {
		if back := a.rewrite(a.was.Data); back != nil {
			a.stuck = true
			return fmt.Errorf("%w (and it could not be put back: %w)", err, back)
		}
		return err
	}
	a.rewritten = true
	return nil
}

// rewrite overwrites the file itself. The length is cut last, so that a crash leaves a mixture torn knows.
func (a *action) rewrite(data []byte) error {
	f, info, err := openRegular(a.dir.root, a.base, a.name, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if !os.SameFile(info, a.was.Info) {
		return fmt.Errorf("%s: changed meanwhile: %w", a.name, ErrDrift)
	}
	if err := doing("write", a.name, func() error { _, err := f.WriteAt(data, 0); return err }); err != nil {
		return err
	}
	if err := doing("truncate", a.name, func() error { return f.Truncate(int64(len(data))) }); err != nil {
		return err
	}
	return doing("fsync", a.name, f.Sync)
}

func (a *action) undo() error {
	switch {
	case a.rewritten:
		return a.rewrite(a.was.Data)
	case a.kept == "":
		return doing("remove", a.name, func() error { return a.dir.root.Remove(a.base) })
	}
	return doing("rename", a.name, func() error { return a.dir.root.Rename(a.kept, a.base) })
}

func (t *transaction) commit() (written []string, err error) {
	for i, a := range t.steps {
		if err := a.do(); err != nil {
			return t.rollback(t.steps[:i+1], err)
		}
	}
	for _, a := range t.steps {
		if a.change != nil {
			written = append(written, a.name)
		}
	}
	return written, t.sync()
}

// sync also covers the directories of files that already were as wanted: the process that wrote those may have died
// before it came to this.
func (t *transaction) sync() error {
	var errs []error
	for _, d := range t.dirs {
		errs = append(errs, d.sync())
	}
	return errors.Join(errs...)
}

// rollback puts back what was done, in reverse. The last of done is the one that failed. The backup of a file that could
// not be put back stays, since it holds what that file has lost.
func (t *transaction) rollback(done []*action, cause error) (left []string, err error) {
	var faults []error
	last := len(done) - 1
	if done[last].stuck {
		left = append(left, done[last].name)
	}
	for i := last - 1; i >= 0; i-- {
		a := done[i]
		if a.of != nil && a.of.stuck {
			continue
		}
		if err := a.undo(); err != nil {
			a.stuck = true
			faults = append(faults, err)
			if a.change != nil {
				left = append([]string{a.name}, left...)
			}
		}
	}
	if err := t.sync(); err != nil {
		faults = append(faults, err)
	}
	if len(left) == 0 && len(faults) == 0 {
		return nil, fmt.Errorf("%w; all files are as before", cause)
	}
	state := "all files are as before"
	if len(left) > 0 {
		state = "these are not as before: " + strings.Join(left, ", ")
	}
	return left, fmt.Errorf("%w; %s: %w", cause, state, errors.Join(faults...))
}
