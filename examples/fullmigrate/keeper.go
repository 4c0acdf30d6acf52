package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/mailmove/mailmove/mbox"
)

// keeper copies files of the new host into the run directory.
type keeper struct {
	c        *cutover
	new, run *os.Root
	top      string // below the run directory
	all      []kept
	dirs     map[string]bool // in which something was kept
}

func (c *cutover) newKeeper(context.Context) (*keeper, error) {
	k := &keeper{c: c, top: path.Join("kept", c.rec.Began.UTC().Format("20060102T150405Z")), all: []kept{}, dirs: map[string]bool{".": true}}
	var err error
	if k.new, err = os.OpenRoot(c.m.to); err != nil {
		return nil, err
	}
	if k.run, err = os.OpenRoot(c.dir.Path()); err != nil {
		k.new.Close()
		return nil, err
	}
	return k, k.run.MkdirAll(path.Dir(part), 0o700)
}

func (k *keeper) close() {
	k.new.Close()
	k.run.Close()
}

// kind tells what a file is; "" for an empty one, of which there is nothing to keep.
func (k *keeper) kind(name string) (string, error) {
	f, err := openPlain(k.new, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return "", err
	}
	if dir := path.Base(path.Dir(name)); dir == "cur" || dir == "new" {
		return "message", nil
	}
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	if mbox.IsMbox(head[:n]) {
		return "mbox", nil
	}
	return "file", nil
}

// file keeps a whole file as it is.
func (k *keeper) file(one *kept) error {
	f, err := openPlain(k.new, one.From)
	if err != nil {
		return err
	}
	defer f.Close()
	if one.Kind == "message" {
		one.Messages = 1
	}
	return k.write(one, f)
}

// part is a file that is being written: users choose the names of all others.
const part = "kept/part"

// write puts a file into the run directory, as a whole or not at all.
func (k *keeper) write(one *kept, r io.Reader) error {
	f, err := k.run.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	one.Bytes, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil || one.Bytes == 0 {
		return errors.Join(err, k.run.Remove(part))
	}
	if err := k.place(one); err != nil {
		return err
	}
	k.all = append(k.all, *one)
	return nil
}

// place gives the file its name. An earlier run may have kept a directory under it, or a file under that of its directory: both
// stay, and this one goes beside them.
func (k *keeper) place(one *kept) error {
	below := strings.TrimPrefix(one.At, k.top)
	for n := 2; ; n++ {
		err := k.run.MkdirAll(path.Dir(one.At), 0o700)
		if err == nil {
			err = k.run.Rename(part, one.At)
		}
		if err == nil {
			for dir := path.Dir(one.At); !k.dirs[dir]; dir = path.Dir(dir) {
				k.dirs[dir] = true
			}
			return nil
		}
		if n > 9 || !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.EISDIR) && !errors.Is(err, fs.ErrExist) {
			return err
		}
		one.At = fmt.Sprintf("%s-%d%s", k.top, n, below)
	}
}

// sync has all names on stable storage: what they are kept of goes next.
func (k *keeper) sync() error {
	for dir := range k.dirs {
		f, err := k.run.Open(dir)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
