package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/mbox/tree"
)

// switched is when the cutover let the new host serve: nothing was copied after that. Zero: it did not.
func (m *migration) switched() (at time.Time) {
	dir, err := run.View(m.runDir)
	if err != nil {
		return at
	}
	defer dir.Close()
	if !dir.Done(stepCutover) {
		return at
	}
	for _, e := range dir.History() {
		switch {
		case e.Step != stepSwitch:
		case e.State == run.Undone:
			at = time.Time{}
		case at.IsZero():
			at = e.Time // of one that was cut the first try: mail may have come since
		}
	}
	return at
}

// leaveUsed takes out of a comparison what was changed on the new host since it serves, as users and deliveries do, and
// counts it. What differs and was not touched since stays.
func (m *migration) leaveUsed(r *tree.Report) (used int) {
	since := m.switched()
	if since.IsZero() {
		return 0
	}
	r.Problems = slices.DeleteFunc(r.Problems, func(pr tree.Problem) bool {
		if pr.Op != "verify" || m.touched(pr.Path).Before(since) {
			return false
		}
		used++
		return true
	})
	r.Mismatched -= int64(used)
	return used
}

// used tells of a mailbox whether it was changed since then.
func (m *migration) used(box string, since time.Time) bool {
	return !since.IsZero() && slices.ContainsFunc([]string{box, box + "/cur", box + "/new"}, func(name string) bool {
		return !m.touched(name).Before(since)
	})
}

// touched is when an object of the new host was last changed; of one that is gone, when something was last made in or taken
// out of the directory that held it.
func (m *migration) touched(name string) time.Time {
	for {
		info, err := os.Lstat(filepath.Join(m.to, filepath.FromSlash(name)))
		if err == nil {
			return info.ModTime()
		}
		if !errors.Is(err, fs.ErrNotExist) || name == "." {
			return time.Time{}
		}
		name = path.Dir(name)
	}
}
