package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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
func (c *cutover) keep(ctx context.Context) (err error) {
	if c.changes, err = c.changed(ctx); err != nil {
		return err
	}
	k, err := c.newKeeper(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	defer os.RemoveAll(filepath.Join(c.dir.Path(), "kept", "old"))
	var known []kept // that the old host may have too
	for _, ch := range c.changes {
		t := c.owner(ch.Path)
		if t == nil || ch.Op != tree.OpCreate && ch.Op != tree.OpUpdate || isIndex(ch.Path) {
			continue
		}
		one := kept{User: t.User, From: ch.Path, At: path.Join(k.top, t.User, ch.Path)}
		switch kind, err := k.kind(ch.Path); {
		case errors.Is(err, errNotPlain), errors.Is(err, fs.ErrNotExist), err == nil && kind == "":
		case err != nil:
			return err
		case kind == "mbox", ch.Op == tree.OpUpdate:
			one.Kind = kind
			known = append(known, one)
		default:
			one.Kind = kind
			if err := k.file(&one); err != nil {
				return err
			}
		}
	}
	if err := k.compared(ctx, known); err != nil {
		return err
	}
	if err := k.sync(); err != nil {
		return err
	}
	c.m.say1("  %s", keptText(k.all))
	var earlier []kept // of another cutover, or of a run that was cut off
	if err := c.dir.Load(fileKept, &earlier); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range earlier {
		if !slices.ContainsFunc(k.all, func(one kept) bool { return one.At == e.At }) {
			k.all = append(k.all, e)
		}
	}
	slices.SortFunc(k.all, func(a, b kept) int { return strings.Compare(a.At, b.At) })
	return c.dir.Save(ctx, fileKept, k.all)
}

// changed lists what is on the new host not as the last pass left it.
func (c *cutover) changed(ctx context.Context) (all []tree.Change, err error) {
	err = tree.Changed(ctx, c.m.to, c.treeOptions(), func(ch tree.Change) error {
		all = append(all, ch)
		return nil
	})
	return all, err
}

// treeOptions are those by which the trees of the cutover were copied.
func (c *cutover) treeOptions() *tree.Options {
	opt := &tree.Options{State: filepath.Join(c.dir.Path(), fileState), Pairs: []tree.Pair{}}
	for _, t := range c.rec.Trees {
		opt.Pairs = append(opt.Pairs, t.Pair)
	}
	return opt
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
