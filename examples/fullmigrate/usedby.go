package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/mbox/tree"
)

// usedBy lists what a user's mail needs, and the inbox when it is an mbox outside of the home.
func (p *plan) usedBy(root *os.Root, user int) (names []string, inbox string) {
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, t := range p.trees {
		info, err := root.Lstat(t.To)
		if t.user != user || err != nil {
			continue
		}
		if info.IsDir() {
			add("d:/" + t.To)
		} else {
			inbox = "/" + t.To
		}
		for box, err := range tree.Mailboxes(root, t.To, p.folders...) {
			if err != nil {
				continue // the comparison tells of it
			}
			if info, err := root.Lstat(box); err != nil || !info.IsDir() {
				add("f:/" + box)
				if box != t.To {
					add("d:/" + path.Dir(box))
				}
				continue
			}
			for _, dir := range []string{"", "/cur", "/new", "/tmp"} {
				add("d:/" + box + dir)
			}
		}
	}
	return names, inbox
}

func modeOf(root, name string) string {
	info, err := os.Lstat(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "it is not there"
	}
	if err != nil {
		return err.Error()
	}
	uid, _ := ownerOf(info)
	gid, _ := groupOf(info)
	return fmt.Sprintf("it is %v %d:%d", info.Mode(), uid, gid)
}
