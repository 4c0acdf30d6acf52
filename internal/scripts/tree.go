package scripts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// tree is a file tree at one moment, by slash path below its top.
type tree map[string]object

type object struct {
	info    fs.FileInfo
	content string // hash of a file, target of a link, "" of what may not be read
}

// equal leaves the access time out, and nothing else that a program can see without root's rights.
func (o object) equal(p object) bool {
	return os.SameFile(o.info, p.info) && o.like(p) && o.info.ModTime().Equal(p.info.ModTime())
}

// like compares what an administrator would call the file: content and mode.
func (o object) like(p object) bool {
	return o.info.Mode() == p.info.Mode() && o.content == p.content && (o.info.IsDir() || o.info.Size() == p.info.Size())
}

func look(top string) (tree, error) {
	t := tree{}
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) && e != nil && e.IsDir() {
			return fs.SkipDir // its own line stands already
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		o := object{info: info}
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
			if err == nil {
				o.content = fmt.Sprintf("%x", sha256.Sum256(data))
			}
		case info.Mode()&fs.ModeSymlink != 0:
			if o.content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		t[filepath.ToSlash(rel)] = o
		return nil
	})
	return t, err
}

// since lists what became of a tree: "+path" came, "-path" went, "~path" differs.
func (t tree) since(before tree, alike func(a, b object) bool) []string {
	var all []string
	for name, o := range t {
		if b, ok := before[name]; !ok {
			all = append(all, "+"+name)
		} else if !alike(o, b) {
			all = append(all, "~"+name)
		}
	}
	for name := range before {
		if _, ok := t[name]; !ok {
			all = append(all, "-"+name)
		}
	}
	slices.Sort(all)
	return all
}

type treesKey struct{}

func trees(ts *testscript.TestScript) map[string]tree { return ts.Value(treesKey{}).(map[string]tree) }

func snap(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: snap TREE...")
	}
	for _, name := range args {
		t, err := look(ts.MkAbs(name))
		ts.Check(err)
		trees(ts)[name] = t
	}
}

func difference(ts *testscript.TestScript, name string, alike func(a, b object) bool) []string {
	before, ok := trees(ts)[name]
	if !ok {
		ts.Fatalf("%s: no snap of it", name)
	}
	now, err := look(ts.MkAbs(name))
	ts.Check(err)
	return now.since(before, alike)
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: same TREE...")
	}
	for _, name := range args {
		if d := difference(ts, name, object.equal); len(d) > 0 {
			ts.Fatalf("%s has changed: %s", name, strings.Join(d, " "))
		}
	}
}

func changed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: changed TREE [+-~]PATH...")
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if have := difference(ts, args[0], object.like); !slices.Equal(have, want) {
		ts.Fatalf("%s: changed %q, want %q", args[0], have, want)
	}
}
