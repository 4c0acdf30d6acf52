package netcfg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// backupDir is outside of every directory that a network daemon scans: initscripts start an ifcfg-eth0.save.
const backupDir = "var/lib/mailmove/netcfg"

const manifestName = "manifest.json"

// Receipt says what Apply did.
type Receipt struct {
	Backup  string   `json:"backup"`  // directory below the root, for Revert; "" when nothing had to be written
	Written []string `json:"written"` // never null
}

// manifest describes a backup. Hashes are SHA-256 in hex, "" for a file that does not exist.
type manifest struct {
	Version int            `json:"version"`
	Files   []manifestFile `json:"files"`
}

type manifestFile struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"` // permission bits; 0 for a file that did not exist
	Before string      `json:"before"`
	After  string      `json:"after"`
}

// Apply writes the files of the plan below root. Each file is either as the plan saw it and is written, or already as
// wanted and left alone; if any is something else nothing is written and the error wraps ErrDrift. Mode, owner and
// attributes stay; the old files go to a new directory below var/lib/mailmove/netcfg (0700) with their modes and hashes.
// The error wraps ErrConflict while a finding of severity Fail stands.
func (p *Plan) Apply(ctx context.Context, root string) (*Receipt, error) {
	if b := p.Blockers(); len(b) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrConflict, b[0])
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	done := &Receipt{Written: []string{}}
	m, err := p.manifest(ctx, r)
	if err != nil || len(m.Files) == 0 {
		return done, err
	}
	backup, err := p.backup(ctx, r, m)
	if err != nil {
		return nil, err
	}
	var changes []atomicfile.Change
	for _, f := range p.Files {
		changes = append(changes, atomicfile.Change{Name: f.Path, Before: f.Before, After: f.After, Mode: freshMode(f.Path), UID: -1, GID: -1, InPlace: f.Path == hostsPath})
	}
	written, err := atomicfile.Apply(ctx, r, changes)
	if err != nil && len(written) == 0 {
		return nil, errors.Join(err, r.RemoveAll(backup))
	}
	done.Backup, done.Written = backup, written
	return done, err
}

// freshMode is that of a file which did not exist: netplan and NetworkManager want theirs unreadable to others.
func freshMode(path string) fs.FileMode {
	if strings.HasPrefix(path, netplanDir) || strings.HasPrefix(path, keyfileDir) {
		return 0o600
	}
	return 0o644
}

// manifest describes all files of the plan, none when nothing has to be written.
func (p *Plan) manifest(ctx context.Context, r *os.Root) (*manifest, error) {
	m := &manifest{Version: 1}
	pending := false
	for _, f := range p.Files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, mode, err := current(r, f.Path)
		if err != nil {
			return nil, err
		}
		pending = pending || !same(data, f.After)
		// of hosts, which may be written in place, atomicfile knows what a crash leaves
		if !same(data, f.After) && !same(data, f.Before) && f.Path != hostsPath {
			return nil, fmt.Errorf("%s: %w", f.Path, ErrDrift)
		}
		m.Files = append(m.Files, manifestFile{f.Path, mode, hash(f.Before), hash(f.After)})
	}
	if !pending {
		m.Files = nil
	}
	return m, nil
}

// current reads a file; nil when it does not exist.
func current(r *os.Root, name string) ([]byte, fs.FileMode, error) {
	snap, err := atomicfile.Read(r, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return snap.Data, snap.Info.Mode().Perm(), nil
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func hash(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// savedName is where a backup keeps a file: a flat name, so that nothing has to be made below the backup.
func savedName(backup, name string) string {
	return backup + "/" + strings.ReplaceAll(strings.ReplaceAll(name, "%", "%25"), "/", "%2f")
}

// backup makes the next numbered directory and saves the manifest and the bytes that the plan replaces in it.
func (p *Plan) backup(ctx context.Context, r *os.Root, m *manifest) (string, error) {
	for _, dir := range []string{"var", "var/lib"} {
		if err := r.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	if err := r.MkdirAll(backupDir, 0o700); err != nil {
		return "", err
	}
	n, err := lastBackup(r)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	dir := path.Join(backupDir, strconv.Itoa(n+1))
	if err := r.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	var saved []atomicfile.Change
	for i, f := range p.Files {
		if f.Before != nil {
			saved = append(saved, atomicfile.Change{Name: savedName(dir, f.Path), After: f.Before, Mode: m.Files[i].Mode, UID: -1, GID: -1})
		}
	}
	saved = append(saved, atomicfile.Change{Name: dir + "/" + manifestName, After: append(text, '\n'), Mode: 0o600, UID: -1, GID: -1})
	if _, err := atomicfile.Apply(ctx, r, saved); err != nil {
		return "", errors.Join(err, r.RemoveAll(dir))
	}
	return dir, nil
}

func lastBackup(r *os.Root) (int, error) {
	dir, err := r.Open(backupDir)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	last := 0
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			last = max(last, n)
		}
	}
	return last, err
}

// Verify tells whether the files below root are as the plan wants them. The error wraps ErrDrift and names the first one
// that is not.
func (p *Plan) Verify(ctx context.Context, root string) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range p.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, _, err := current(r, f.Path)
		if err != nil {
			return err
		}
		if !same(data, f.After) {
			return fmt.Errorf("%s: %w", f.Path, ErrDrift)
		}
	}
	return nil
}

// Revert puts back the bytes and modes that Apply saved in backup, a directory such as var/lib/mailmove/netcfg/1 below
// root, with or without a leading slash. Files that did not exist are removed. A file that is as before is left alone; one
// that was changed since Apply wrote it is ErrDrift and nothing is written.
func Revert(ctx context.Context, root, backup string) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	backup = strings.Trim(path.Clean("/"+backup), "/")
	if path.Dir(backup) != backupDir {
		return fmt.Errorf("backup %q: want a directory in %s", backup, backupDir)
	}
	m, err := readManifest(r, backup)
	if err != nil {
		return err
	}
	var changes []atomicfile.Change
	for _, f := range m.Files {
		c, err := f.restore(r, backup)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	if _, err := atomicfile.Apply(ctx, r, changes); err != nil {
		return err
	}
	for _, f := range m.Files {
		if f.Before == "" {
			continue
		}
		if err := r.Chmod(f.Path, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

func readManifest(r *os.Root, backup string) (*manifest, error) {
	name := backup + "/" + manifestName
	snap, err := atomicfile.Read(r, name)
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(snap.Data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("%s: version %d: want 1", name, m.Version)
	}
	for _, f := range m.Files {
		if !fs.ValidPath(f.Path) || !strings.HasPrefix(f.Path, "etc/") || f.Mode&^fs.ModePerm != 0 {
			return nil, fmt.Errorf("%s: file %q with mode %v: want one below etc", name, f.Path, f.Mode)
		}
	}
	return m, nil
}

// restore makes the change that undoes one file.
func (f manifestFile) restore(r *os.Root, backup string) (atomicfile.Change, error) {
	c := atomicfile.Change{Name: f.Path, Mode: f.Mode, UID: -1, GID: -1, InPlace: f.Path == hostsPath}
	now, _, err := current(r, f.Path)
	if err != nil {
		return c, err
	}
	if hash(now) == f.Before { // never written, or put back already
		c.Before, c.After = now, now
		return c, nil
	}
	if hash(now) != f.After {
		return c, fmt.Errorf("%s: changed since: %w", f.Path, ErrDrift)
	}
	c.Before = now
	if f.Before == "" {
		return c, nil
	}
	snap, err := atomicfile.Read(r, savedName(backup, f.Path))
	if err != nil {
		return c, err
	}
	if hash(snap.Data) != f.Before {
		return c, fmt.Errorf("%s: not the bytes that the manifest names", savedName(backup, f.Path))
	}
	c.After = snap.Data
	return c, nil
}
