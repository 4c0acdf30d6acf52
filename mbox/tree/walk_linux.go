package tree

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// dir is a directory that is open on both sides while anything below it is under way.
type dir struct {
	up       *dir
	src, dst int    // dst -1: not at the target (Diff, Verify)
	st       stat   // of the source as opened
	dstMnt   stat   // of the target as opened
	path     string // below the target root, "." for the root itself
	from     string // below the source root
	key      dirKey
	pair     *pairRun
	frame    bool // parent of a pair's top: not copied itself, and its mounts may be crossed
	fresh    bool // made by this pass and not visible before: nothing is in it
	kept     bool // at the target as an earlier pass left it
	drift    bool // changed at the target by somebody else
	owner    uint32
	depth    int
	base     string
	mail     bool // named mail: its files are mailboxes
	below    bool // somewhere below a directory named mail
	hot      bool // index files and mailboxes: equal size and time prove nothing
	messages bool // cur or new of a Maildir
	index    bool // .imap or below it

	pending  atomic.Int32
	touched  atomic.Bool
	vanished bool // a name went away between listing and looking
	hits     int  // recorded names that were met
}

// item is one object of the source that is not a directory.
type item struct {
	d        *dir
	name, to string
	st       stat
	looked   bool // st is known
	again    bool // met before in this pass: do not count it twice
}

func (d *dir) join(name string) string { return joinPath(d.path, name) }

func joinPath(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	return dir + "/" + name
}

func (it *item) path() string { return it.d.join(it.to) }

// release says that one thing below d is finished; the last one closes d, and so on upwards.
func (p *pass) release(d *dir) {
	for d != nil && d.pending.Add(-1) == 0 {
		up := d.up
		p.do.done(d)
		closeFd(d.src)
		closeFd(d.dst)
		d = up
	}
}

// kind sets what the names of a directory say about its content.
func (d *dir) kind() {
	d.mail = d.base == "mail"
	d.hot = d.mail || d.base == ".imap" || d.base == "Maildir"
	d.index = d.base == ".imap"
	d.messages = d.base == "cur" || d.base == "new"
	if d.up != nil {
		d.below = d.up.below || d.up.mail
		d.hot = d.hot || d.up.hot
		d.index = d.index || d.up.index
		if d.owner = d.up.owner; d.owner == 0 {
			d.owner = d.st.uid
		}
		d.depth = d.up.depth + 1
	} else {
		d.owner = d.st.uid
	}
	d.key = keyOf(d.path)
}

// walk goes through one directory. A directory in which names went away while we looked is listed again: a message
// that was renamed meanwhile may have been met under neither name.
func (p *pass) walk(ctx context.Context, d *dir) error {
	first := ""
	if d.mail {
		// An index newer than its mailbox makes Dovecot renumber messages; an older one is harmless.
		first = ".imap"
		if st, err := statAt(d.src, first); err == nil && st.dir() {
			if err := p.entry(ctx, d, dent{name: first, to: first}, false); err != nil {
				return err
			}
			p.do.wait()
		}
	}
	for try := 0; ; try++ {
		d.vanished = false
		err := p.list(ctx, d, first, try > 0)
		if err != nil {
			return err
		}
		if !d.vanished || try == 2 {
			break
		}
		p.do.wait()
		if _, err := unix.Seek(d.src, 0, 0); err != nil {
			break
		}
	}
	p.missing(d)
	return nil
}

// list takes the names batch by batch, so that memory does not grow with the directory.
func (p *pass) list(ctx context.Context, d *dir, but string, again bool) error {
	for {
		ents, err := readDents(d.src, p.dents)
		if err != nil {
			p.fail(d.path, "read directory", err)
			d.hits = -1 << 31 // what was not listed has not vanished
			return nil
		}
		if len(ents) == 0 {
			return nil
		}
		sort.Slice(ents, func(i, j int) bool { return ents[i].name < ents[j].name })
		if p.hooks.listed != nil {
			p.hooks.listed(d)
		}
		for _, e := range ents {
			if e.name == but && but != "" {
				continue
			}
			if err := p.entry(ctx, d, e, again); err != nil {
				return err
			}
		}
		if err := p.save(); err != nil {
			return err
		}
	}
}

// entry deals with one name of a directory.
func (p *pass) entry(ctx context.Context, d *dir, e dent, again bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.pair.stopped.Load() {
		return errStopped
	}
	it := &item{d: d, name: e.name, to: e.to, again: again}
	if e.typ == unix.DT_REG && !again && !d.below && !d.mail && p.do.quick(it) {
		return nil
	}
	if p.hooks.opening != nil {
		p.hooks.opening(d, e.name)
	}
	st, err := statAt(d.src, e.name)
	if errors.Is(err, unix.ENOENT) && !d.frame {
		d.vanished = true
		return nil
	}
	if err != nil {
		p.fail(it.path(), "stat", err)
		return nil
	}
	it.st, it.looked = st, true
	if stageName.MatchString(e.name) && st.dir() && st.uid == p.euid {
		p.skip(it.path(), "copy", "staging directory of another run")
		return nil
	}
	if !d.frame && !st.sameMount(&d.st) {
		p.fail(it.path(), "copy", errors.New("is a mount point; not crossed"))
		return nil
	}
	if st.dir() {
		return p.enter(ctx, d, it)
	}
	return p.leaf(ctx, it)
}

// leaf counts an object, refuses what must not be copied, and hands the rest on.
func (p *pass) leaf(ctx context.Context, it *item) error {
	if !p.admit(it) {
		return nil
	}
	return p.do.object(ctx, it)
}

// admit counts an object of which st is known, and tells whether it is to be copied.
func (p *pass) admit(it *item) bool {
	st := &it.st
	if it.again {
		return st.typ() != unix.S_IFSOCK && p.planted(it) == nil && !lockName(it)
	}
	p.mu.Lock()
	p.rep.Files++
	if st.regular() {
		p.rep.Bytes += st.size
	}
	p.mu.Unlock()
	p.countIDs(st)
	if st.typ() == unix.S_IFSOCK {
		p.skip(it.path(), "copy", "socket")
		return false
	}
	if lockName(it) {
		if s, ok := p.do.(*syncer); !ok || !s.clearLock(it) {
			p.skip(it.path(), "copy", "lock of a mail program")
		}
		return false
	}
	if err := p.planted(it); err != nil {
		p.fail(it.path(), "copy", err)
		return false
	}
	return true
}

// planted refuses a hard link that somebody may have made in his own directory to a file of another: copied by root, it
// would become a second copy of what he may not read. Kernels before 3.6 let anybody do that.
func (p *pass) planted(it *item) error {
	owner := it.d.owner
	switch typ := it.st.typ(); {
	case owner == 0:
	case it.st.regular() && it.st.nlink > 1 && it.st.uid != owner:
		return fmt.Errorf("hard link to a file of uid %d in a tree of uid %d", it.st.uid, owner)
	case typ == unix.S_IFBLK || typ == unix.S_IFCHR:
		// It may be harmless where it is, on a file system mounted nodev, and open a disk where it comes to.
		return fmt.Errorf("a device in a tree of uid %d", owner)
	}
	return nil
}

// lockName recognises dotlocks: carried to the target they would keep mailboxes locked there.
func lockName(it *item) bool {
	return it.st.regular() && it.st.size < 256 && strings.HasSuffix(it.name, ".lock") &&
		(it.d.mail || it.d.below || strings.HasPrefix(it.name, "dovecot"))
}

// enter opens a directory of the source and walks it.
func (p *pass) enter(ctx context.Context, d *dir, it *item) error {
	if it.again {
		if t, err := statAt(d.dst, it.to); d.dst >= 0 && err == nil && t.dir() {
			return nil
		}
	}
	fd, err := openDir(d.src, it.name)
	if errors.Is(err, unix.ENOENT) {
		d.vanished = true
		return nil
	}
	if err != nil {
		p.fail(it.path(), "open", err)
		return nil
	}
	st, err := statFd(fd)
	if err != nil || !st.same(&it.st) {
		closeFd(fd)
		if err == nil {
			err = errSwapped
		}
		p.fail(it.path(), "open", err)
		return nil
	}
	if st.same(&p.dstTop) {
		closeFd(fd)
		p.skip(it.path(), "copy", "is the target itself")
		return nil
	}
	c := &dir{up: d, src: fd, dst: -1, st: st, path: it.path(), from: joinPath(d.from, it.name), pair: d.pair, base: it.to}
	d.pending.Add(1)
	return p.into(ctx, c, it.to)
}

// into makes the target's side of c and walks c; c counts as one thing below its parent.
func (p *pass) into(ctx context.Context, c *dir, to string) error {
	c.pending.Store(1)
	defer p.release(c)
	c.kind()
	if c.depth > maxDepth {
		p.fail(c.path, "open", fmt.Errorf("deeper than %d directories", maxDepth))
		return nil
	}
	p.mu.Lock()
	p.rep.Dirs++
	p.mu.Unlock()
	p.countIDs(&c.st)
	ok, err := p.do.dir(ctx, c, to)
	if err != nil || !ok {
		return err
	}
	return p.walk(ctx, c)
}

// errSwapped says that a name meant another object when it was opened than when it was looked at.
var errSwapped = errors.New("was replaced by another object while it was opened")

// maxDepth bounds how many directories are open at once: two descriptors a level.
var maxDepth = func() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur < 256 {
		return 64
	}
	return int(min(l.Cur/2-64, 100_000))
}()

// save makes what was recorded so far durable when there is much of it.
func (p *pass) save() error {
	if !p.state.full() {
		return nil
	}
	if s, ok := p.do.(*syncer); ok {
		return p.state.flush(s.durable)
	}
	return nil
}

// missing finds the recorded names of d that the source no longer has.
func (p *pass) missing(d *dir) {
	if !p.state.known || d.hits < 0 || d.hits >= p.state.count(d.key) {
		return
	}
	p.state.children(d.key, func(name string) {
		key := d.key.name(name)
		if p.state.get(key) == nil {
			return
		}
		if _, err := statAt(d.src, name); errors.Is(err, unix.ENOENT) {
			if d.pair.moved {
				d.pair.lacking++
				return
			}
			p.change = append(p.change, vanished{key, d.join(name), joinPath(d.from, name), d.pair.index})
		}
	})
}
