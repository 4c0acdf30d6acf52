package mbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// findDepth bounds how deep Find goes, and so how many directories it holds open.
const findDepth = 32

// Find calls fn for each mailbox below root, in no order. A mailbox is
//   - a file directly in root, or in a directory named mail, whatever it holds, for that is how a damaged mailbox is found;
//     not a lock, nor one whose name begins with a dot
//   - any other file that begins with "From "
//   - a Maildir, or a dbox; Maildir++ folders are part of theirs
//
// name is a slash path; "." when root itself is a Maildir. Symbolic links, FIFOs and devices are passed over and not opened,
// directories with a dot before their name are not entered, nor are any below 32 levels. What cannot be read is handed to
// fn with its error. An error of fn ends the search.
func Find(ctx context.Context, root *os.Root, fn func(name string, kind Kind, err error) error) error {
	f := &finder{ctx: ctx, fn: fn}
	kind, err := Detect(root, ".")
	if err == nil && kind != None {
		return fn(".", kind, nil)
	}
	return f.dir(root, ".", true, 0)
}

type finder struct {
	ctx context.Context
	fn  func(name string, kind Kind, err error) error
}

// dir looks through the directory dir, named name below the root. spool: each file in it is a mailbox.
func (f *finder) dir(dir *os.Root, name string, spool bool, depth int) error {
	var ours error
	err := eachEntry(f.ctx, dir, ".", func(e fs.DirEntry) error {
		ours = f.entry(dir, name, e, spool, depth)
		return ours
	})
	if err == nil || ours != nil || f.ctx.Err() != nil {
		return err
	}
	return f.fn(name, None, located(err, name))
}

func (f *finder) entry(dir *os.Root, in string, e fs.DirEntry, spool bool, depth int) error {
	base, name := e.Name(), path.Join(in, e.Name())
	hidden := strings.HasPrefix(base, ".")
	switch {
	case e.IsDir():
		return f.sub(dir, base, name, hidden, depth)
	case !e.Type().IsRegular() || hidden || strings.HasSuffix(base, ".lock"):
		return nil
	case spool:
		return f.fn(name, Mbox, nil)
	}
	kind, err := Detect(dir, base)
	if errors.Is(err, fs.ErrNotExist) || err == nil && kind == None {
		return nil
	}
	return f.fn(name, kind, located(err, name))
}

func (f *finder) sub(dir *os.Root, base, name string, hidden bool, depth int) error {
	kind, err := Detect(dir, base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return f.fn(name, None, located(err, name))
	case kind != None:
		return f.fn(name, kind, nil)
	case hidden || depth == findDepth:
		return nil
	}
	sub, err := descend(dir, base)
	if err != nil {
		return f.fn(name, None, located(err, name))
	}
	defer sub.Close()
	return f.dir(sub, name, base == "mail", depth+1)
}
