package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"github.com/mailmove/mailmove/mbox"
)

// keeper copies files of the new host into the run directory.
type keeper struct {
	c        *cutover
	new, run *os.Root
	top      string // below the run directory
	all      []kept
}

func (c *cutover) newKeeper(context.Context) (*keeper, error) {
	k := &keeper{c: c, top: path.Join("kept", c.rec.Began.UTC().Format("20060102T150405Z")), all: []kept{}}
	var err error
	if k.new, err = os.OpenRoot(c.m.to); err != nil {
		return nil, err
	}
	if k.run, err = os.OpenRoot(c.dir.Path()); err != nil {
		k.new.Close()
		return nil, err
	}
	return k, nil
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

// write puts a file into the run directory, as a whole or not at all.
func (k *keeper) write(one *kept, r io.Reader) error {
	if err := k.run.MkdirAll(path.Dir(one.At), 0o700); err != nil {
		return err
	}
	f, err := k.run.OpenFile(one.At+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	one.Bytes, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil || one.Bytes == 0 {
		return errors.Join(err, k.run.Remove(one.At+".part"))
	}
	if err := k.run.Rename(one.At+".part", one.At); err != nil {
		return err
	}
	k.all = append(k.all, *one)
	return nil
}
