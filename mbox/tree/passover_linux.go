package tree

import (
	"encoding/binary"
	"strings"
)

// Directories of messages that are as the last pass saw and left them need not be listed. The program on the other host is told
// what is known, and lists the others. find is asked for directories first, and then for the names in those that are not as known.

// knownDirs is what a state knows of directories of messages that are at the target as it says.
type knownDirs struct {
	boot, clock string // of the other host, that it is about
	list        []knownDir
}

type knownDir struct {
	path string // below the source root
	src  tuple
}

// knownDirs gives nothing where nothing would be trusted.
func (p *pass) knownDirs() (k knownDirs) {
	s := p.state
	boot, there, ok := strings.Cut(s.fact("boot_id"), " ")
	if !s.saved() || !ok || boot != bootID() || s.journal.found() || s.fact("version") != stateVersion || s.fact("ids") != p.idsFact() {
		return k
	}
	k.boot, k.clock = there, s.fact("clock")
	all := map[string]bool{}
	var dirs []*dirRecord
	err := s.each(".", func(r *dirRecord) {
		all[r.path] = true
		if _, base := splitPath(r.path); !messageDir(base) || r.racy || p.opt.Delete && r.gone > 0 {
			return
		}
		dirs = append(dirs, r)
	})
	if err != nil {
		return knownDirs{} // all are listed
	}
	for _, r := range dirs {
		if !inMaildir(r.path, func(path string) bool { return all[path] }) {
			continue
		}
		if t, err := p.statBelow(p.dst, r.path); err == nil && t.tuple() == r.dst {
			k.list = append(k.list, knownDir{p.sourceOf(r.path), r.src})
		}
	}
	return k
}

// inMaildir tells whether a directory named cur or new is one of a Maildir: its neighbours are known, too. Others may have any
// directory of that name, with files that are written again.
func inMaildir(path string, known func(path string) bool) bool {
	up, _ := splitPath(path)
	return known(joinPath(up, "cur")) && known(joinPath(up, "new")) && known(joinPath(up, "tmp"))
}

func (k *knownDirs) encode() (b []byte) {
	if len(k.list) == 0 {
		return nil
	}
	text := func(v string) { b = append(binary.AppendUvarint(b, uint64(len(v))), v...) }
	text(k.boot)
	text(k.clock)
	for _, d := range k.list {
		text(d.path)
		b = d.src.encode(b)
	}
	return b
}

// partial is a directory whose names find was not asked for, as it is now.
type partial struct {
	path string
	st   stat
}

// unproven gives those of the directories whose names must be asked for, none below another.
func (m *manifest) unproven(k *knownDirs) (ask []string) {
	known := map[string]tuple{}
	if k.boot == m.head.boot && !clockStepped(k.clock, m.head.clock) { // else times mean nothing
		for _, d := range k.list {
			known[d.path] = d.src
		}
	}
	for _, d := range m.partial {
		if n := len(ask); n > 0 && below(d.path, ask[n-1]) {
			continue
		}
		if src, ok := known[d.path]; !ok || src != d.st.tuple() || hasDirs(&d.st) {
			ask = append(ask, d.path)
		}
	}
	return ask
}

// hasDirs tells whether there certainly are directories in one: where links are counted, each ".." is one.
func hasDirs(st *stat) bool { return st.dir() && st.nlink > 2 }

// isPartial tells whether the names in a directory are left out by listScript when it is asked for less.
func isPartial(path string) bool {
	for c := range strings.SplitSeq(path, "/") {
		if messageDir(c) {
			return true
		}
	}
	return false
}
