package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/mailmove/mailmove/mbox"
	"github.com/mailmove/mailmove/mbox/tree"
)

// compared keeps, of files that the old host may have too, what it lacks: of an mbox the further messages, of another file the
// whole when it differs. What cannot be compared is kept.
func (k *keeper) compared(ctx context.Context, files []kept) error {
	if len(files) == 0 {
		return nil
	}
	old, err := k.c.oldFiles(ctx, files)
	if err != nil {
		return err
	}
	defer old.Close()
	for _, one := range files {
		before := k.c.oldName(one.From)
		switch {
		case one.Kind != "mbox":
			same, err := k.alike(one.From, old, before)
			if err == nil && !same {
				err = k.file(&one)
			}
			if err != nil {
				return err
			}
		default:
			if err := k.surplus(ctx, one, old, before); err != nil {
				return err
			}
		}
	}
	return nil
}

// surplus keeps the messages that the old host's mailbox lacks.
func (k *keeper) surplus(ctx context.Context, one kept, old *os.Root, before string) error {
	if f, err := openPlain(old, before); err == nil {
		f.Close()
	} else { // something else is there, or nothing: it lacks all
		old, before = k.run, "kept/nothing"
	}
	r, w := io.Pipe()
	go func() {
		n, err := mbox.Surplus(ctx, k.new, one.From, old, before, func(m io.Reader) error {
			_, err := io.Copy(w, m)
			return err
		})
		one.Messages = n
		w.CloseWithError(err)
	}()
	defer r.Close()
	err := k.write(&one, r)
	if errors.Is(err, mbox.ErrRefused) {
		k.c.out.Problems = append(k.c.out.Problems, fmt.Sprintf("%q could not be compared with the old host's, so that all of it is kept", one.From))
		return k.file(&one)
	}
	return err
}

// alike compares a file of the new host with one of the old.
func (k *keeper) alike(name string, old *os.Root, before string) (bool, error) {
	a, err := openPlain(k.new, name)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := openPlain(old, before)
	if err != nil {
		return false, nil // another name there, or none
	}
	defer b.Close()
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	if err := errors.Join(err1, err2); err != nil || x.Size() != y.Size() {
		return false, err
	}
	return sameBytes(a, b)
}

func sameBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, _ := io.ReadFull(b, y)
		if n != m || string(x[:n]) != string(y[:m]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// oldName is the path on the old host of one on the new.
func (c *cutover) oldName(name string) string {
	t := c.owner(name)
	return t.From + strings.TrimPrefix(name, t.To)
}

// oldFiles gives the old host's files of these names: where they are, or copied from another machine.
func (c *cutover) oldFiles(ctx context.Context, files []kept) (*os.Root, error) {
	if !c.m.remote() {
		return os.OpenRoot(c.m.from)
	}
	scratch := path.Join(c.dir.Path(), "kept", "old")
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return nil, err
	}
	opt := &tree.Options{Pairs: []tree.Pair{}}
	for _, one := range files {
		name := c.oldName(one.From)
		opt.Pairs = append(opt.Pairs, tree.Pair{From: name, To: name})
	}
	src, err := c.m.source()
	if err == nil {
		_, err = tree.Sync(ctx, src, scratch, opt)
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(scratch)
}
