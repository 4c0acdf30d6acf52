package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
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
			f, err = dir.OpenFile(head, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a FIFO by now
		}
		if err == nil && f == nil {
			f, err = next.Open(".")
		}
		if err == nil {
			var after fs.FileInfo
			if after, err = f.Stat(); err == nil && (!os.SameFile(before, after) || !below && planted(dir, after)) {
				err = &fs.PathError{Op: "open", Path: head, Err: errNotPlain}
			}
		}
		if dir != root {
			dir.Close()
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

// planted tells of a further name of a file that is somebody else's than the directory: who made it may not read that file.
func planted(dir *os.Root, info fs.FileInfo) bool {
	if !linked(info) {
		return false
	}
	up, err := dir.Stat(".")
	if err != nil {
		return true
	}
	owner, ok := ownerOf(info)
	if dir, _ := ownerOf(up); dir != 0 {
		return ok && owner != dir
	}
	return ok && owner == 0 && up.Mode().Perm()&0o022 != 0 // a spool: inboxes are their users'
}
