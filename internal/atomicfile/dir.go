package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// A directory in which files are replaced. What we create in it for a moment is named .mailmove-TOKEN-N, TOKEN being
// random and N counting from 0. Number 0 is the marker: an empty file that is created first, removed last and locked
// (flock) all the time in between. As the kernel drops the lock of a dead process, a set of such files whose marker can
// be locked, or has gone, belongs to nobody. This holds across containers and for reused process ids, where a pid in the
// name or an age would not, and a set whose marker we may not open is not ours.
type dir struct {
	path   string // below the root
	root   *os.Root
	file   *os.File // the directory itself
	marker *os.File // nil until something is staged
	token  string
	names  []string // what we created, in order, the marker first
	made   int      // how many names were given out
}

var tempPattern = regexp.MustCompile(`^\.mailmove-([A-Z2-7]{26})-[0-9]+$`)

func tempName(token string, n int) string { return fmt.Sprintf(".mailmove-%s-%d", token, n) }

func openDir(root *os.Root, name string) (*dir, error) {
	r, err := root.OpenRoot(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	f, err := r.Open(".")
	if err != nil {
		r.Close()
		return nil, pathError("open", name, err)
	}
	return &dir{path: name, root: r, file: f}, nil
}

func (d *dir) full(base string) string {
	if d.path == "." {
		return base
	}
	return d.path + "/" + base
}

// mark creates and locks the marker. A sweeper may have got hold of it before the lock was ours, then another is made.
func (d *dir) mark() error {
	for range 10 {
		token := rand.Text()
		name := tempName(token, 0)
		if err := at("create", d.full(name)); err != nil {
			return err
		}
		f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return pathError("create", d.full(name), err)
		}
		d.names = append(d.names, name)
		// A umask of 0777 would keep our own next run from opening it.
		if err := doing("chmod", d.full(name), func() error { return f.Chmod(0o600) }); err != nil {
			f.Close()
			return err
		}
		ours, err := f.Stat()
		if err == nil && !busyLock(tryLock(f)) {
			if now, err := d.root.Lstat(name); err == nil && os.SameFile(ours, now) {
				d.marker, d.token = f, token
				return nil
			}
		}
		f.Close()
	}
	return pathError("lock", d.path, errors.New("staged files are removed by another process"))
}

// temp gives out the next name. The caller creates it.
func (d *dir) temp() (string, error) {
	if d.marker == nil {
		if err := d.mark(); err != nil {
			return "", err
		}
	}
	d.made++
	name := tempName(d.token, d.made)
	d.names = append(d.names, name)
	return name, nil
}

// sweep removes what killed processes left. It is an act of tidiness: what cannot be removed stays.
func (d *dir) sweep() {
	entries, err := d.file.ReadDir(-1)
	if err != nil {
		return
	}
	sets := map[string][]string{}
	for _, e := range entries {
		if m := tempPattern.FindStringSubmatch(e.Name()); m != nil && e.Type().IsRegular() {
			sets[m[1]] = append(sets[m[1]], e.Name())
		}
	}
	for token, names := range sets {
		d.sweepSet(tempName(token, 0), names)
	}
}

func (d *dir) sweepSet(marker string, names []string) {
	f, _, err := openRegular(d.root, marker, d.full(marker), os.O_RDWR)
	switch {
	case err == nil:
		defer f.Close()
		if tryLock(f) != nil {
			return
		}
	case !errors.Is(err, fs.ErrNotExist):
		return
	}
	for _, name := range names {
		if name != marker {
			_ = d.remove(name)
		}
	}
	if f != nil {
		_ = d.remove(marker)
	}
}

func (d *dir) remove(name string) error {
	if err := at("remove", d.full(name)); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pathError("remove", d.full(name), err)
	}
	return nil
}

func (d *dir) sync() error {
	if err := at("fsync", d.path); err != nil {
		return err
	}
	if err := syncDir(d.file); err != nil {
		return pathError("fsync", d.path, err)
	}
	return nil
}

// close removes what is left of ours, the marker last.
func (d *dir) close() error {
	var errs []error
	for i := len(d.names) - 1; i >= 0; i-- {
		if d.marker != nil && d.names[i] == tempName(d.token, 0) {
			d.marker.Close() // an open file cannot be removed everywhere
		}
		errs = append(errs, d.remove(d.names[i]))
	}
	d.file.Close()
	d.root.Close()
	return errors.Join(errs...)
}
