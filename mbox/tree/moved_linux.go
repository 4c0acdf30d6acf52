package tree

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// judgeNew: nothing is at the target. A file that was known under another name is renamed or linked.
func (p *pass) judgeNew(it *item, v verdict) (verdict, error) {
	if !it.st.regular() {
		return v, nil
	}
	if it.st.nlink > 1 {
		return p.judgeLinked(it, v)
	}
	r := it.d.pair
	if !p.state.known || r.full || !it.d.messages || !r.known {
		return v, nil
	}
	if e := it.d.book.inode(it.st.dev, it.st.ino); e != nil && e.name != it.to && e.sameMessage(it) && p.leftBy(it.d.src, e.name) {
		return p.judgeMoved(v, &vanished{entry: e, dir: it.d.path}, it.d)
	}
	if !r.second {
		return p.leave(it, v)
	}
	if g := p.gone.at[inodeOf(&it.st)]; g != nil && !g.taken && g.sameMessage(it) {
		return p.judgeMoved(v, g, nil)
	}
	return v, nil
}

// judgeFlagged recognises a message that got other flags in a directory that nobody else changed at the target, without a look
// at the new name there: it is one of most, when a user marks all as read.
func (p *pass) judgeFlagged(it *item, v verdict) (verdict, bool) {
	d, r := it.d, it.d.pair
	if v.old != nil || it.careful || !p.local() || !d.kept || !d.messages || !it.st.regular() || it.st.nlink > 1 ||
		!p.state.known || !r.known || r.full || p.state.journal.found() {
		return v, false
	}
	e := d.book.inode(it.st.dev, it.st.ino)
	if e == nil || e.name == it.to || !e.sameMessage(it) { // a file of one name, and that is the new one
		return v, false
	}
	v, err := p.judgeMoved(v, &vanished{entry: e, dir: d.path}, d)
	v.blind = true
	return v, err == nil && v.op == OpRename
}

// leave puts an object off to the second walk of its pair.
func (p *pass) leave(it *item, v verdict) (verdict, error) {
	it.d.pair.later[it.d.path] = true
	it.d.book.fail()
	v.op = opLater
	return v, nil
}

// leftBy tells whether a name is gone from the source.
func (p *pass) leftBy(dir folder, name string) bool {
	_, err := dir.look(name)
	return errors.Is(err, unix.ENOENT)
}

// sameMessage recognises a Maildir message that got other flags or went to another folder: the same inode with the same
// size and time, and the same name up to the colon. A message is never written again under its name.
func (e *entry) sameMessage(it *item) bool {
	s := &it.st
	return e.src.dev == s.dev && e.src.ino == s.ino && e.src.size == s.size && e.src.mtime == s.mtime && e.src.nlink == 1 &&
		messageBase(e.name) == messageBase(it.to)
}

// judgeMoved decides on a rename at the target; from is the directory of the old name when that is the one being walked.
func (p *pass) judgeMoved(v verdict, g *vanished, from *dir) (verdict, error) {
	var t stat
	var err error
	if from != nil {
		if from.dst < 0 {
			return v, nil
		}
		t, err = statAt(from.dst, g.name)
	} else {
		t, err = p.statBelow(p.dst, g.path())
	}
	key := keyOf(g.dir).name(g.name)
	if err != nil || !p.state.mine(key, &g.dst, &t) {
		if p.state.mine(key, &g.dst, nil) {
			return v, nil
		}
		return v, errors.New("its copy was renamed or changed at the target since; left alone")
	}
	if t.locked() {
		return v, nil
	}
	v.op, v.from, v.fromDir, v.moved, v.gone, v.old = OpRename, g.path(), from, &t, g, g.entry
	return v, nil
}

func messageBase(name string) string {
	base, _, _ := strings.Cut(name, ":")
	return base
}

// judgeLinked: a new name of a file with several. Where the target has another of them it is linked.
func (p *pass) judgeLinked(it *item, v verdict) (verdict, error) {
	i, r := inodeOf(&it.st), it.d.pair
	if v.from = p.links.find(i); v.from != "" {
		v.op = OpLink
		return v, nil
	}
	if !r.known || r.full || !p.state.known {
		return v, nil
	}
	if !r.second {
		r.wanted[i] = nil
		return p.leave(it, v)
	}
	for paths := r.wanted[i]; len(paths) > 0; paths = paths[1:] {
		if p.stillLinked(paths[0], it) {
			v.op, v.from = OpLink, paths[0]
			break
		}
		r.wanted[i] = paths[1:] // it went, perhaps with a folder that was renamed, and does not come back: no other name tries it again
	}
	return v, nil
}

// stillLinked tells whether a recorded name is still one of the file, and its copy ours.
func (p *pass) stillLinked(path string, it *item) bool {
	s, err := lookBelow(p.src, p.sourceOf(path))
	if err != nil || !s.same(&it.st) {
		return false
	}
	t, err := p.statBelow(p.dst, path)
	return err == nil && t.size == s.size && t.mtime == s.mtime
}

// findLinked looks up where the files that got further names are known: once, through all that is recorded of a pair.
func (p *pass) findLinked(r *pairRun) error {
	if !r.second || len(r.wanted) == 0 {
		return nil
	}
	var err error
	each := p.state.each(r.To, func(d *dirRecord) {
		for seg := range d.segments {
			names := map[string]*entry{}
			err = errors.Join(err, p.state.names(keyOf(d.path), seg, d.segments, names))
			for name, e := range names {
				i := inode{e.src.dev, e.src.ino}
				if at, ok := r.wanted[i]; ok && !e.isDir() && !e.racy {
					r.wanted[i] = append(at, joinPath(d.path, name))
				}
			}
		}
	})
	return errors.Join(err, each)
}

// sourceOf turns a path below the target root into that below the source root.
func (p *pass) sourceOf(to string) string {
	for _, pr := range p.pairs {
		switch pr.To {
		case ".":
			return to
		case to:
			return pr.From
		}
		if rest, ok := strings.CutPrefix(to, pr.To+"/"); ok {
			return pr.From + "/" + rest
		}
	}
	return to
}

// missing finds the recorded names of d that the source no longer has.
func (p *pass) missing(d *dir) {
	if !p.state.known || d.frame {
		return
	}
	for _, e := range d.book.unmet() {
		if _, err := d.src.look(e.name); !errors.Is(err, unix.ENOENT) {
			continue
		}
		if d.pair.moved {
			d.pair.lacking++
			continue
		}
		p.gone.add(&vanished{entry: e, dir: d.path, from: joinPath(d.from, e.name)})
		if e.isDir() {
			p.goneBelow(d.join(e.name), joinPath(d.from, e.name))
		}
	}
}

// goneBelow notes the files of a directory that vanished whole: it may have got another name.
func (p *pass) goneBelow(path, from string) {
	rec := p.state.dir(keyOf(path))
	if rec == nil {
		return
	}
	for seg := range rec.segments {
		names := map[string]*entry{}
		if err := p.state.names(keyOf(path), seg, rec.segments, names); err != nil {
			return
		}
		for name, e := range names {
			if e.isDir() {
				p.goneBelow(joinPath(path, name), joinPath(from, name))
			} else {
				p.gone.file(&vanished{entry: e, dir: path, from: joinPath(from, name)})
			}
		}
	}
}
