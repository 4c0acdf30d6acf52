package dovecotconf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// places are where dovecot.conf stands below the root of a host: in the packages since 2.0, in those before, and in a
// directory that is a copy of /etc/dovecot.
var places = []string{"etc/dovecot/dovecot.conf", "etc/dovecot.conf", "dovecot.conf"}

// Read reads the configuration that path leads to: the root directory of a host's file tree, which may be a symbolic link
// such as /proc/PID/root; a directory with dovecot.conf; such a file; or a saved dump of dovecot -n or doveconf -n.
// Includes with absolute paths are looked up below the root directory, or on this machine when path is a file. The
// error is fs.ErrNotExist when a directory holds no dovecot.conf.
func Read(path string, opt *Options) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		o := Options{}
		if opt != nil {
			o = *opt
		}
		o.shown = filepath.ToSlash(filepath.VolumeName(abs)) + "/"
		c, err := Load(os.DirFS(filepath.FromSlash(o.shown)), filepath.ToSlash(abs)[len(o.shown):], &o)
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = &fs.PathError{Op: pe.Op, Path: path, Err: pe.Err}
		}
		return c, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	for _, name := range places {
		c, err := Load(root.FS(), name, opt)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: filepath.Join(path, places[0]), Err: fs.ErrNotExist}
}
