package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/mailmove/mailmove/mbox/tree"
	"github.com/mailmove/mailmove/passwd"
)

// findTrees pairs homes and inboxes. A path of a host is followed through the administrator's own symbolic links.
func (p *plan) findTrees(ctx context.Context, m *migration) error {
	from, err1 := spool(m.from)
	to, err2 := spool(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for i, u := range p.Users {
		if !u.Moves() {
			continue
		}
		if u.Home != "" {
			home, err1 := homeAt(m.from, u.Home)
			toHome, err2 := homeAt(m.to, u.ToHome)
			if err := errors.Join(err1, err2, freeFor(m.to, toHome, u.ToUID)); err != nil {
				p.block(finding{Part: "mail", Rule: "HOME", Name: u.Name, Detail: err.Error(), Advice: "put the home in order, or leave the user out with -exclude"})
				continue
			}
			p.trees = append(p.trees, userTree{i, false, tree.Pair{From: home, To: toHome}})
		}
		inbox := tree.Pair{From: path.Join(from, u.Name), To: path.Join(to, u.To)}
		if err := freeFor(m.to, inbox.To, u.ToUID); err != nil {
			p.block(finding{Part: "mail", Rule: "INBOX", Name: u.Name, Detail: err.Error(), Advice: "find out whose it is, and move it away"})
			continue
		}
		p.trees = append(p.trees, userTree{i, true, inbox})
	}
	return p.judgeSpool(ctx, m, from)
}

// freeFor refuses a place on the new host that belongs to somebody else. What is root's may be taken, for so is what a run
// that was cut off left. Without root's rights everything belongs to the caller.
func freeFor(root, name string, uid uint32) error {
	info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil || os.Geteuid() != 0 {
		return nil // there is nothing yet, or the copy will say what it cannot do
	}
	owner, ok := ownerOf(info)
	if !ok || owner == uid || owner == 0 {
		return nil
	}
	return fmt.Errorf("/%s on the new host belongs to uid %d", name, owner)
}

// homeAt finds a home below a host's root.
func homeAt(root, home string) (string, error) {
	at, err := tree.Resolve(root, home)
	if err == nil && passwd.SystemDir(path.Join("/", at)) {
		err = &fs.PathError{Op: "copy", Path: home, Err: errors.New("leads to /" + at + ", a directory of the system")}
	}
	return at, err
}

// spool finds the directory of the inboxes below a host's root: /var/mail, often a link to /var/spool/mail.
func spool(root string) (string, error) {
	for _, name := range []string{"var/mail", "var/spool/mail"} {
		at, err := tree.Resolve(root, name)
		if err != nil {
			return "", err
		}
		if info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(at))); err == nil && info.IsDir() {
			return at, nil
		}
	}
	return "var/mail", nil
}
