package main

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The demo's two hosts: demo/old.tree and demo/new.tree list every object with mode, owner and time, demo/old and
// demo/new hold the contents of the files. The mail was made by Dovecot.
//
//go:embed all:demo
var demoFiles embed.FS

// object is one line of a .tree file.
type object struct {
	kind     string // d directory, f file, l symbolic link, h hard link
	mode     fs.FileMode
	uid, gid int
	time     time.Time
	path     string
	target   string // of a link
}

func parseObject(line string) (o object, err error) {
	var when, mode string
	head, rest := line, ""
	if f := strings.SplitN(line, " ", 5); len(f) == 5 {
		head, rest = strings.Join(f[:4], " "), f[4]
	}
	if _, err = fmt.Sscanf(head, "%s %s %d:%d %s", &o.kind, &mode, &o.uid, &o.gid, &when); err != nil {
		return o, err
	}
	var bits uint32
	if _, err = fmt.Sscanf(mode, "%o", &bits); err != nil {
		return o, err
	}
	o.mode = fs.FileMode(bits & 0o777)
	if bits&0o2000 != 0 {
		o.mode |= fs.ModeSetgid
	}
	o.path, o.target, _ = strings.Cut(rest, " -> ")
	o.time, err = time.Parse(time.RFC3339, when)
	return o, err
}

// build makes the host name ("old" or "new") below dir. Without root's rights every file belongs to the caller, who must
// then be able to read what only root may read.
func build(name, dir string) error {
	list, err := demoFiles.ReadFile(path.Join("demo", name+".tree"))
	if err != nil {
		return err
	}
	var all []object
	for s := bufio.NewScanner(bytes.NewReader(list)); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		o, err := parseObject(s.Text())
		if err == nil {
			err = o.create(name, dir)
		}
		if err != nil {
			return fmt.Errorf("demo host %s: %s: %w", name, o.path, err)
		}
		all = append(all, o)
	}
	slices.Reverse(all) // a directory's time is set after its children were made
	for _, o := range all {
		if err := o.dress(dir); err != nil {
			return fmt.Errorf("demo host %s: %s: %w", name, o.path, err)
		}
	}
	return nil
}

func (o object) create(host, dir string) error {
	at := filepath.Join(dir, filepath.FromSlash(o.path))
	switch o.kind {
	case "d":
		return os.MkdirAll(at, 0o700)
	case "l":
		return os.Symlink(o.target, at)
	case "h":
		return os.Link(filepath.Join(dir, filepath.FromSlash(o.target)), at)
	}
	data, err := demoFiles.ReadFile(path.Join("demo", host, strings.ReplaceAll(o.path, ":", "%3A")))
	if err != nil {
		return err
	}
	return os.WriteFile(at, data, 0o600)
}

// dress sets owner, mode and time, in this order: a change of owner clears the setgid bit.
func (o object) dress(dir string) error {
	at := filepath.Join(dir, filepath.FromSlash(o.path))
	if os.Geteuid() == 0 {
		if err := os.Lchown(at, o.uid, o.gid); err != nil {
			return err
		}
	} else {
		o.mode |= 0o400
	}
	if o.kind == "l" {
		return nil
	}
	if err := os.Chmod(at, o.mode); err != nil {
		return err
	}
	return os.Chtimes(at, o.time, o.time)
}
