// Package mirror fetches the small files of a host - accounts, configurations - into a local directory that then is a
// partial root of that host, so that whatever reads a host's file tree reads it as any other.
//
// The host is only read, with what it had in 2010: a POSIX shell, GNU find, xargs and tar. What it sends is not trusted:
// only names that were asked for are taken, nothing is written through a link, and nothing is larger than the limit.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// Most is the largest file, in bytes, that is fetched; the files of a host with 100,000 accounts stay below it.
const Most = 16 << 20

// limits of one Fetch, against a host that never ends.
const (
	mostNames = 1 << 20
	mostBytes = 1 << 30
	rounds    = 40 // links to follow one after the other, as the kernel does
	attempts  = 3  // where a file changed while it was read
)

// Fetch makes the directory into hold what h has of the wanted names below the directory root there, and replaces an
// earlier one as a whole. Names are slash paths below root; a component with *, ? or [ is a pattern, and \ takes the
// meaning of the next character away (see Literal). What is absent is left out.
//
// A symbolic link on the way is kept as one, with a target that leads to the same place below into, and what it leads to is
// fetched as well. A directory is made, but of its contents only what is wanted. Other things than files, links and
// directories are left out. left tells of files that were left out because they are larger than Most, or because a user,
// whose file or directory it is, changed them each time that they were read; a file that is root's alone is an error then.
//
// into is 0700, so that what is below it is the caller's alone, and files are 0600. For root directories keep mode, owner
// and group, and links their owner, because who made a link decides whether it may be followed. Private keys are left out:
// what a pattern matches under a name for such, and any file that holds one.
func Fetch(ctx context.Context, h *hostcmd.Host, root, into string, want ...string) (left []Left, err error) {
	for i := range attempts {
		left, err = fetch(ctx, h, root, into, want, i+1 == attempts)
		if !changed(err) {
			break
		}
	}
	return left, err
}

// Left is a file that was left out.
type Left struct {
	Name string // below the root
	Size int64  // bytes, more than Most; 0: it could not be read as it stood still
}

// changed tells whether the error may be gone at the next attempt: exit status 1 of tar, and 2 where a name vanished.
func changed(err error) bool {
	var exit *exec.ExitError
	return errors.Is(err, errRace) || errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 2)
}

// errRace tells that a name was no longer what the look at it had found.
var errRace = errors.New("changed while it was read")

// fetch is one attempt. last: what users do not let us read is left out.
func fetch(ctx context.Context, h *hostcmd.Host, root, into string, want []string, last bool) ([]Left, error) {
	l, err := look(ctx, h, root, want)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(into)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	stage, err := os.MkdirTemp(dir, "."+filepath.Base(into)+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(stage)
	at, err := os.OpenRoot(stage)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	files, left, err := l.build(at)
	if err == nil && len(files) > 0 {
		var restless map[string]bool
		if restless, err = receive(ctx, h, root, at, files); err == nil {
			for _, name := range slices.Sorted(maps.Keys(restless)) {
				if !last || !l.ofUser(name) {
					return nil, fmt.Errorf("%q: %w", name, errRace)
				}
				left = append(left, Left{Name: name})
			}
		}
	}
	if err == nil {
		err = l.dress(at)
	}
	if err != nil {
		return nil, err
	}
	return left, publish(stage, into)
}

// ofUser tells whether somebody else than root can have changed a file, or put another into its place.
func (l *listing) ofUser(name string) bool {
	for ; name != ""; name = parent(name) {
		if l.seen[name].uid != 0 {
			return true
		}
	}
	return false
}

// publish puts the new directory in place of the earlier one. Nobody finds a half: at worst, for a moment, none.
func publish(stage, into string) error {
	aside := stage + ".old"
	switch err := os.Rename(into, aside); {
	case err == nil:
		defer os.RemoveAll(aside)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.Rename(stage, into); err != nil {
		return errors.Join(err, os.Rename(aside, into))
	}
	return nil
}

// refuse is the answer to what no honest host sends.
func refuse(h *hostcmd.Host, format string, a ...any) error {
	at := h.SSH
	if at == "" {
		at = "this host"
	}
	return fmt.Errorf("%s sent what nobody asked for: %w", at, fmt.Errorf(format, a...))
}
