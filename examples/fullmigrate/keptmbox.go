package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mailmove/mailmove/mbox"
	"github.com/mailmove/mailmove/mbox/tree"
)

// errNotPlain says that a name is no regular file, or that a link leads to it.
var errNotPlain = errors.New("no regular file, or reached through a link")

// openPlain opens a regular file for reading. No part of the name may be a link: the trees belong to users, who could have
// us read what is not theirs.
func openPlain(root *os.Root, name string) (*os.File, error) {
	dir := root
	for {
		head, rest, below := strings.Cut(name, "/")
		before, err := dir.Lstat(head)
		if err == nil && below && !before.IsDir() || err == nil && !below && !before.Mode().IsRegular() {
			err = &fs.PathError{Op: "open", Path: head, Err: errNotPlain}
		}
		var next *os.Root
		var f *os.File
		if err == nil && below {
			next, err = dir.OpenRoot(head)
		} else if err == nil {
			f, err = dir.Open(head)
		}
		if err == nil && f == nil {
			f, err = next.Open(".")
		}
		if dir != root {
			dir.Close()
		}
		if err == nil {
			var after fs.FileInfo
			if after, err = f.Stat(); err == nil && !os.SameFile(before, after) {
				err = &fs.PathError{Op: "open", Path: head, Err: errNotPlain}
			}
		}
		if err == nil && !below {
			return f, nil
		}
		if f != nil {
			f.Close()
		}
		if err != nil {
			if next != nil {
				next.Close()
			}
			return nil, err
		}
		dir, name = next, rest
	}
}

// mailboxes keeps of each changed mbox the messages that the old host's does not have. What cannot be compared is kept whole.
func (k *keeper) mailboxes(ctx context.Context, boxes []kept) error {
	if len(boxes) == 0 {
		return nil
	}
	old, err := k.c.oldMail(ctx, boxes)
	if err != nil {
		return err
	}
	defer old.Close()
	for _, one := range boxes {
		t := k.c.owner(one.From)
		have := map[[sha256.Size]byte]int{}
		err := eachMessage(ctx, old, t.From+strings.TrimPrefix(one.From, t.To), func(sum [sha256.Size]byte, _ io.Reader) error {
			have[sum]++
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.c.out.Problems = append(k.c.out.Problems, fmt.Sprintf("%q of the old host could not be compared, so all of the new one's is kept: %v", t.From, err))
			clear(have)
		}
		if err := k.lacking(ctx, one, have); err != nil {
			return err
		}
	}
	return nil
}

// lacking keeps the messages that are not among those of the old host.
func (k *keeper) lacking(ctx context.Context, one kept, have map[[sha256.Size]byte]int) error {
	r, w := io.Pipe()
	one.Kind = "mbox"
	go func() {
		w.CloseWithError(eachMessage(ctx, k.new, one.From, func(sum [sha256.Size]byte, whole io.Reader) error {
			if have[sum] > 0 {
				have[sum]--
				return nil
			}
			one.Messages++
			_, err := io.Copy(w, whole)
			return err
		}))
	}()
	first := make([]byte, 1)
	n, err := io.ReadFull(r, first)
	if errors.Is(err, io.EOF) {
		return nil // flags alone changed, or messages went away
	}
	if err != nil {
		return err
	}
	return k.write(&one, io.MultiReader(bytes.NewReader(first[:n]), r))
}

// eachMessage goes through an mbox: fn gets a digest that stays when a mail server notes flags and numbers in the header, and
// the message with its From_ line.
func eachMessage(ctx context.Context, root *os.Root, name string, fn func([sha256.Size]byte, io.Reader) error) error {
	f, err := openPlain(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum, err := mbox.Scan(ctx, f, info.Size(), nil, func(m mbox.Message) error {
		if m.Pseudo {
			return nil
		}
		digest, err := digestOf(f, m)
		if err != nil {
			return err
		}
		return fn(digest, io.NewSectionReader(f, m.Offset, m.Next-m.Offset))
	})
	if err == nil && sum.Refused && info.Size() > 0 {
		err = &fs.PathError{Op: "read", Path: path.Base(name), Err: mbox.ErrRefused}
	}
	return err
}

// oldMail gives the old host's mailboxes of these names: where they are, or copied from another machine.
func (c *cutover) oldMail(ctx context.Context, boxes []kept) (*os.Root, error) {
	if !c.m.remote() {
		return os.OpenRoot(c.m.from)
	}
	scratch := path.Join(c.dir.Path(), "kept", "old-mail")
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return nil, err
	}
	opt := &tree.Options{}
	for _, one := range boxes {
		t := c.owner(one.From)
		from := t.From + strings.TrimPrefix(one.From, t.To)
		opt.Pairs = append(opt.Pairs, tree.Pair{From: from, To: from})
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
