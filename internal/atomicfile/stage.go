package atomicfile

import (
	"io/fs"
	"os"
	"time"
)

// attrs is what a staged file bears besides its content.
type attrs struct {
	mode     fs.FileMode
	uid, gid int       // -1: as created
	mtime    time.Time // zero: now
	xattrs   []xattr
}

func attrsOf(f *loaded) attrs {
	uid, gid := ownerOf(f.Info)
	return attrs{mode: f.Info.Mode(), uid: uid, gid: gid, xattrs: f.xattrs}
}

const specialBits = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// chmodMode accepts the special bits in both spellings and drops everything that is not permission.
func chmodMode(m fs.FileMode) fs.FileMode {
	out := m & (fs.ModePerm | specialBits)
	for bit, special := range map[fs.FileMode]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			out |= special
		}
	}
	return out
}

// create writes data to a new file in d and returns its name. The file is 0600 until content, owner and attributes are
// in place, and only then gets its mode: nobody reads it who may not read it in the end, and chown(2), which clears
// setuid and setgid, comes before chmod. The name is d's to remove, also on an error.
func (d *dir) create(data []byte, a attrs) (string, error) {
	name, err := d.temp()
	if err != nil {
		return "", err
	}
	full := d.full(name)
	if err := at("create", full); err != nil {
		return "", err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", pathError("create", full, err)
	}
	if err := fill(f, full, data, a); err != nil {
		f.Close()
		return "", err
	}
	if !a.mtime.IsZero() {
		if err := doing("chtimes", full, func() error { return d.root.Chtimes(name, time.Time{}, a.mtime) }); err != nil {
			f.Close()
			return "", err
		}
	}
	if err := doing("fsync", full, f.Sync); err != nil {
		f.Close()
		return "", err
	}
	return name, doing("close", full, f.Close)
}

func fill(f *os.File, full string, data []byte, a attrs) error {
	for _, s := range []struct {
		op string
		do func() error
	}{
		{"write", func() error { _, err := f.Write(data); return err }},
		{"chown", func() error { return setOwner(f, a.uid, a.gid) }},
		{"setxattr", func() error { return writeXattrs(f, a.xattrs) }},
		{"chmod", func() error { return f.Chmod(chmodMode(a.mode)) }},
	} {
		if err := doing(s.op, full, s.do); err != nil {
			return err
		}
	}
	return nil
}

func doing(op, name string, do func() error) error {
	if err := at(op, name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return pathError(op, name, err)
	}
	return nil
}

// keep gives base a second name, so that a rollback can put back the very same file. Where there can be no second link
// (a mount point, a file system without links) it is a copy.
func (d *dir) keep(base string, was *loaded) (string, error) {
	name, err := d.temp()
	if err != nil {
		return "", err
	}
	if err := doing("link", d.full(base), func() error { return d.root.Link(base, name) }); err != nil {
		a := attrsOf(was)
		a.mtime = was.Info.ModTime()
		return d.create(was.Data, a)
	}
	return name, nil
}
