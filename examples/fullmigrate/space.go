package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/mailmove/mailmove/mbox/tree"
)

// volume is a file system of the new host that something is copied to.
type volume struct {
	At    string `json:"at"`    // a directory on it
	Bytes int64  `json:"bytes"` // that are to come, in whole blocks
	Free  int64  `json:"free"`  // -1: not known
	Files int64  `json:"files"` // that are to come
	Left  int64  `json:"free_files"`
}

// blockSize is what even the smallest file takes on most file systems.
const blockSize = 4096

// space adds up, file system by file system, what is to be written.
type space struct {
	root    string
	dirs    map[string]*volume // by directory below the root
	devices map[uint64]*volume
}

func newSpace(root string) *space {
	return &space{root, map[string]*volume{}, map[uint64]*volume{}}
}

// add is told of each change.
func (s *space) add(c tree.Change) error {
	switch c.Op {
	case tree.OpCreate, tree.OpUpdate: // an update stands beside the old file before it takes its place
		v := s.volume(path.Dir(c.Path))
		v.Bytes += (c.Bytes + blockSize - 1) / blockSize * blockSize
		v.Files++
	}
	return nil
}

// volume finds the file system of a directory, or of the nearest one above that is there already.
func (s *space) volume(dir string) *volume {
	if v := s.dirs[dir]; v != nil {
		return v
	}
	at := filepath.Join(s.root, filepath.FromSlash(dir))
	var v *volume
	if info, err := os.Lstat(at); err != nil && dir != "." {
		v = s.volume(path.Dir(dir))
	} else {
		dev, free, left := freeAt(at, info)
		if v = s.devices[dev]; v == nil {
			v = &volume{At: path.Join("/", dir), Free: free, Left: left}
			s.devices[dev] = v
		}
	}
	s.dirs[dir] = v
	return v
}

// judgeSpace blocks a copy that the new host has no room for.
func (p *plan) judgeSpace(s *space) {
	for _, v := range s.devices {
		p.Mail.Volumes = append(p.Mail.Volumes, *v)
		if v.Free >= 0 && (v.Bytes > v.Free || v.Files > v.Left) {
			p.block(finding{Part: "mail", Rule: "SPACE", Name: plain(v.At),
				Detail: fmt.Sprintf("%s in %d files are to come to the file system of %s on the new host, which has %s free, and room for %d files", size(v.Bytes), v.Files, plain(v.At), size(v.Free), v.Left),
				Advice: "make room there, or leave users out with -exclude"})
		}
	}
	slices.SortFunc(p.Mail.Volumes, func(a, b volume) int { return cmp.Compare(a.At, b.At) })
}
