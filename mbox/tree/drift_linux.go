package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Changed tells what is at the target not as the passes left it, by opt.State, and writes nothing: what came (OpCreate), what
// has another content, owner, mode or time (OpUpdate), what got another name and is otherwise as it was left (OpRename, From
// is the name that the pass gave it), what is gone (OpDelete). Of a directory that came or is gone all that is known below it
// is told too; owner, mode and time of directories are not looked at. The paths of opt.Pairs are looked at, in their order; within one, OpDelete comes last. each is called for
// every change; its error ends Changed and is returned.
//
// The state must be there and be about dst. Locks of mailboxes and what dead passes left in staging are not told.
func Changed(ctx context.Context, dst string, opt *Options, each func(Change) error) error {
	if opt == nil || opt.State == "" {
		return errors.New("no state file: what earlier passes left is not known")
	}
	pairs, err := checkPairs(opt.Pairs)
	if err != nil {
		return err
	}
	d := &drifter{ctx: ctx, dents: make([]byte, 64<<10)}
	if d.top, err = openTop(dst); err != nil {
		return err
	}
	defer closeFd(d.top)
	if d.state, err = openState(opt.State, true); err != nil {
		return err
	}
	defer d.state.close()
	if err := d.about(opt.State, dst); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := d.pair(p.To); err != nil {
			return err
		}
		if err := d.tell(each); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), d.state.broken)
}

// drifter holds one target against what is known of it.
type drifter struct {
	ctx   context.Context
	state *state
	top   int
	dents []byte
	came  []arrival // of the pair at hand
	other []Change
	gone  []departure
}

type arrival struct {
	path string
	st   stat
}

type departure struct {
	path string
	dst  tuple
}

// about makes sure that the state is of passes into this target.
func (d *drifter) about(state, dst string) error {
	t, err := statFd(d.top)
	if err != nil {
		return pathErr("stat", dst, err)
	}
	var from, to uint64
	roots := d.state.fact("roots")
	if _, err := fmt.Sscan(roots, &from, &to); roots == "" || err != nil || to != t.ino || d.state.fact("version") != stateVersion {
		return fmt.Errorf("state file %s: knows of no pass into %s", state, dst)
	}
	return nil
}

// pair compares one tree, or one file.
func (d *drifter) pair(to string) error {
	if to == "." {
		return d.dir(dup(d.top), ".", d.state.dir(keyOf(".")))
	}
	known := map[string]*entry{}
	if err := d.state.names(keyOf(to+"\x00"), 0, 1, known); err != nil {
		return err
	}
	above, base := splitPath(to)
	dir, _, err := openBelow(d.top, to)
	if isAbsent(err) {
		if e := known[base]; e != nil {
			return d.lost(to, e)
		}
		if rec := d.state.dir(keyOf(to)); rec != nil {
			return d.lostDir(to, rec)
		}
		return nil
	}
	if err != nil {
		return pathErr("open", above, err)
	}
	defer closeFd(dir)
	e := known[base]
	if rec := d.state.dir(keyOf(to)); e == nil && rec != nil {
		e = &entry{name: base, src: rec.src, dst: rec.dst}
	}
	return d.name(dir, to, base, e)
}

// name compares one name; e is what is known of it, nil when nothing is.
func (d *drifter) name(dir int, path, base string, e *entry) error {
	t, err := statAt(dir, base)
	switch {
	case isAbsent(err) && e != nil:
		return d.lost(path, e)
	case isAbsent(err):
		return nil
	case err != nil:
		return pathErr("stat", path, err)
	case e != nil && e.isDir() && !t.dir(), e != nil && !e.isDir() && t.dir():
		if err := d.lost(path, e); err != nil {
			return err
		}
		e = nil
	}
	switch {
	case t.dir():
		var rec *dirRecord
		if e != nil {
			rec = d.state.dir(keyOf(path))
		}
		if rec == nil {
			d.came = append(d.came, arrival{path, t})
		}
		fd, err := openSame(dir, base, &t, openDir)
		if err != nil {
			return pathErr("open", path, err)
		}
		return d.dir(fd, path, rec)
	case e == nil:
		if !strings.HasSuffix(base, ".lock") || t.size > 64 {
			d.came = append(d.came, arrival{path, t})
		}
	case !d.state.mine(nameKey(path), &e.dst, &t) || e.dst.mode != t.mode || e.dst.uid != t.uid || e.dst.gid != t.gid:
		d.other = append(d.other, Change{Op: OpUpdate, Path: path, Bytes: t.size, seen: t.tuple()})
	}
	return nil
}

// dir compares what is in an open directory, which it closes; rec is nil for one that no pass made.
func (d *drifter) dir(fd int, path string, rec *dirRecord) error {
	defer closeFd(fd)
	known := map[string]*entry{}
	for seg := 0; rec != nil && seg < rec.segments; seg++ {
		if err := d.state.names(keyOf(path), seg, rec.segments, known); err != nil {
			return err
		}
	}
	here := map[string]bool{}
	for {
		ents, err := readDents(fd, d.dents)
		if err != nil {
			return pathErr("read", path, err)
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			here[e.name] = true
		}
	}
	for _, name := range sortedKeys(here) {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if stageName().MatchString(name) {
			continue
		}
		if err := d.name(fd, joinPath(path, name), name, known[name]); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(known) {
		if !here[name] {
			if err := d.lost(joinPath(path, name), known[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost notes a name that is not there. A journal of a dead pass knows names that it never made.
func (d *drifter) lost(path string, e *entry) error {
	if e.dst == (tuple{}) && !e.isDir() {
		return nil
	}
	if rec := d.state.dir(keyOf(path)); e.isDir() && rec != nil {
		return d.lostDir(path, rec)
	}
	d.gone = append(d.gone, departure{path, e.dst})
	return nil
}

func (d *drifter) lostDir(path string, rec *dirRecord) error {
	d.gone = append(d.gone, departure{path, rec.dst})
	for seg := range rec.segments {
		known := map[string]*entry{}
		if err := d.state.names(keyOf(path), seg, rec.segments, known); err != nil {
			return err
		}
		for _, name := range sortedKeys(known) {
			if err := d.lost(joinPath(path, name), known[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell hands out what was found in a pair. What came with the inode, size and time of what is gone is that under another
// name: Dovecot renames a message that gets other flags or another folder.
func (d *drifter) tell(each func(Change) error) error {
	old := map[uint64]int{}
	for i, g := range d.gone {
		if g.dst.mode&unix.S_IFMT == unix.S_IFREG {
			old[g.dst.ino] = i
		}
	}
	moved := map[int]bool{}
	out := d.other
	for _, c := range d.came {
		if i, ok := old[c.st.ino]; ok && !moved[i] && c.st.regular() && d.gone[i].dst.size == c.st.size && d.gone[i].dst.mtime == c.st.mtime {
			moved[i] = true
			out = append(out, Change{Op: OpRename, Path: c.path, From: d.gone[i].path, seen: c.st.tuple()})
			continue
		}
		size := c.st.size
		if !c.st.regular() {
			size = 0
		}
		out = append(out, Change{Op: OpCreate, Path: c.path, Bytes: size, seen: c.st.tuple()})
	}
	slices.SortStableFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	for i, g := range d.gone {
		if !moved[i] {
			out = append(out, Change{Op: OpDelete, Path: g.path})
		}
	}
	d.came, d.other, d.gone = nil, nil, nil
	for _, c := range out {
		if err := each(c); err != nil {
			return err
		}
	}
	return nil
}
