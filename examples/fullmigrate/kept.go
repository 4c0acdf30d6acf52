package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/mbox"
	"github.com/mailmove/mailmove/mbox/tree"
)

// kept is what was found on the new host and not on the old one.
type kept struct {
	User     string `json:"user"`
	From     string `json:"from"` // its path on the new host
	At       string `json:"at"`   // below the run directory
	Kind     string `json:"kind"` // mbox: the messages that the old host lacks; message: a file of a Maildir; file: anything else
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

const fileKept = "kept.json"

// keep copies what the new host has and the old one lacks into the run directory, and deletes nothing. It can be run
// again: the same goes to the same place.
func (c *cutover) keep(ctx context.Context) error {
	opt := &tree.Options{State: filepath.Join(c.dir.Path(), fileState)}
	for _, t := range c.rec.Trees {
		opt.Pairs = append(opt.Pairs, t.Pair)
	}
	var changes []tree.Change
	if err := tree.Changed(ctx, c.m.to, opt, func(ch tree.Change) error {
		changes = append(changes, ch)
		return nil
	}); err != nil {
		return err
	}
	k, err := c.newKeeper(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	var boxes []kept
	for _, ch := range changes {
		t := c.owner(ch.Path)
		if t == nil || ch.Op != tree.OpCreate && ch.Op != tree.OpUpdate || isIndex(ch.Path) {
			continue
		}
		one := kept{User: t.User, From: ch.Path, At: path.Join(k.top, t.User, ch.Path)}
		switch kind, err := k.kind(ch.Path); {
		case errors.Is(err, errNotPlain), errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case kind == "mbox":
			boxes = append(boxes, one)
		default:
			one.Kind = kind
			if err := k.file(&one); err != nil {
				return err
			}
		}
	}
	if err := k.mailboxes(ctx, boxes); err != nil {
		return err
	}
	slices.SortFunc(k.all, func(a, b kept) int { return strings.Compare(a.At, b.At) })
	c.m.say1("  %s", keptText(k.all))
	return c.dir.Save(ctx, fileKept, k.all)
}

func keptText(all []kept) string {
	messages, files := 0, 0
	for _, k := range all {
		messages += k.Messages
		if k.Kind == "file" {
			files++
		}
	}
	return fmt.Sprintf("%d messages and %d other files", messages, files)
}

// owner finds the tree that a path on the new host belongs to.
func (c *cutover) owner(name string) *ownTree {
	for i, t := range c.rec.Trees {
		if name == t.To || strings.HasPrefix(name, t.To+"/") {
			return &c.rec.Trees[i]
		}
	}
	return nil
}

// isIndex tells of what Dovecot makes by itself and anew.
func isIndex(name string) bool {
	base := path.Base(name)
	return strings.Contains("/"+name, "/.imap/") || strings.HasPrefix(base, "dovecot.index") || strings.HasPrefix(base, "dovecot.list.index") ||
		strings.HasPrefix(base, "dovecot-uid") || base == "dovecot.mailbox.log" || base == "dovecot-keywords" || base == "maildirfolder"
}

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

// kind tells what a file is.
func (k *keeper) kind(name string) (string, error) {
	f, err := openPlain(k.new, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
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
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := k.run.Rename(one.At+".part", one.At); err != nil {
		return err
	}
	k.all = append(k.all, *one)
	return nil
}
