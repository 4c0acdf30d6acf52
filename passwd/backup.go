package passwd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// manifestName is the file of a backup set that tells what the others were.
const manifestName = "manifest.json"

// manifest lists the files of a backup set. Each stands beside it under the last element of its path, mode 0600.
type manifest struct {
	Version int      `json:"version"` // 1
	Files   []keptAs `json:"files"`
}

// keptAs is what a file of a backup set was on the host.
type keptAs struct {
	Path   string    `json:"path"`   // "etc/passwd"
	SHA256 string    `json:"sha256"` // in hex
	Mode   string    `json:"mode"`   // octal, "0644"
	UID    int       `json:"uid"`    // -1 where files have no owner
	GID    int       `json:"gid"`
	MTime  time.Time `json:"mtime"`
	data   []byte
}

// keepSet writes a set of what the changes are about to replace, synced to disk, and gives its path; "" when there is
// nothing to keep. Files that are as wanted already are not in it: the call that wrote them kept them.
func keepSet(r *os.Root, dir string, changes []atomicfile.Change, now time.Time) (string, error) {
	m := manifest{Version: 1}
	for _, c := range changes {
		s, err := atomicfile.Read(r, c.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", err
		case bytes.Equal(s.Data, c.After):
			continue
		case !bytes.Equal(s.Data, c.Before):
			return "", fmt.Errorf("%s: %w", c.Name, ErrDrift)
		}
		uid, gid := owner(s.Info)
		mode := fmt.Sprintf("%04o", s.Info.Mode().Perm())
		m.Files = append(m.Files, keptAs{c.Name, digest(s.Data), mode, uid, gid, s.Info.ModTime().UTC(), s.Data})
	}
	if len(m.Files) == 0 {
		return "", nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	name, err := makeSet(root, now.UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", err
	}
	set := path.Join(dir, name)
	if err := m.write(root, name); err != nil {
		return "", errors.Join(err, os.RemoveAll(set))
	}
	return set, nil
}

// makeSet makes the directory of that date; a second one within the second gets a number.
func makeSet(root *os.Root, date string) (string, error) {
	for n := 1; ; n++ {
		name := date
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		switch err := root.Mkdir(name, 0o700); {
		case err == nil:
			return name, root.Chmod(name, 0o700) // whatever the umask took
		case !errors.Is(err, fs.ErrExist):
			return "", err
		}
	}
}

// write puts the files into the set, the manifest last, and syncs all of it.
func (m *manifest) write(root *os.Root, set string) error {
	for _, f := range m.Files {
		if err := writeSynced(root, path.Join(set, path.Base(f.Path)), f.data); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err == nil {
		err = writeSynced(root, path.Join(set, manifestName), append(data, '\n'))
	}
	for _, dir := range []string{set, "."} {
		if err == nil {
			err = syncDir(root, dir)
		}
	}
	return err
}

func writeSynced(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
}

// fromSets looks for the old content of a file in the backup sets of a directory, the newest first; nil when none has
// it.
func fromSets(dir string, f FileReceipt) []byte {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	sets, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil
	}
	for _, set := range slices.Backward(sets) {
		if data, err := contents(root, path.Join(set.Name(), path.Base(f.Name))); err == nil && digest(data) == f.Before {
			return data
		}
	}
	return nil
}
