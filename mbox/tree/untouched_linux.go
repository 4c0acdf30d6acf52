package tree

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// Most directories of a later pass are as the last one left them, and all that is below them. untouched finds that out by
// looks alone, for all directories in one at once and on all processors. What it does not recognise the walk goes through.

// manyDirs is how many directories must be in one for that: what it finds changed is walked again.
const manyDirs = 8

// untouched gives the names of those directories in d below which nothing is to be done, and counts what is there.
func (p *pass) untouched(ctx context.Context, d *dir) map[string]bool {
	_, sync := p.do.(*syncer)
	switch {
	case !sync || !p.local() || p.hooks.busy(): // another host was asked for less already
		return nil
	case p.state.tx == nil || !p.state.known || p.state.journal.found() || d.pair.full || d.pair.second:
		return nil
	case d.frame || d.fresh || d.dst < 0 || d.next.segments > 1:
		return nil
	}
	var names []string
	for name, e := range d.book.names {
		if e.isDir() {
			names = append(names, name)
		}
	}
	if len(names) < manyDirs {
		return nil
	}
	return p.lookers(ctx, d, names)
}

// lookers shares the names among the processors.
func (p *pass) lookers(ctx context.Context, d *dir, names []string) map[string]bool {
	same := make(map[string]bool, len(names))
	var mu sync.Mutex
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		all.Go(func() {
			_ = guarded(p.state.path, func() error { // what is damaged the walk meets, too
				return p.state.db.View(func(tx *bbolt.Tx) error {
					l := looker{p: p, pair: d.pair, ctx: ctx, dirs: tx.Bucket(bucketDirs), few: tx.Bucket(bucketFew), names: tx.Bucket(bucketNames)}
					for l.dirs != nil && l.few != nil && l.names != nil && ctx.Err() == nil {
						i := int(next.Add(1)) - 1
						if i >= len(names) {
							break
						}
						if found := l.below(d, names[i]); found != nil {
							mu.Lock()
							same[names[i]] = true
							found.settle(p)
							mu.Unlock()
						}
					}
					return nil
				})
			})
		})
	}
	all.Wait()
	return same
}

// still is a directory below which nothing changed, counted as a walk would count it.
type still struct {
	Report
	owners   map[[2]uint32]int64 // uid and gid -> objects
	uids     map[uint32]bool     // of the directories
	canaries canaries
}

// begin makes it ready for another directory; what it holds is used again.
func (s *still) begin(canaries int) {
	s.Report = Report{}
	if s.owners == nil {
		s.owners, s.uids = map[[2]uint32]int64{}, map[uint32]bool{}
	}
	clear(s.owners)
	clear(s.uids)
	s.canaries.want, s.canaries.list = canaries, s.canaries.list[:0]
}

// settle adds it to what the pass counts.
func (s *still) settle(p *pass) {
	for o, n := range s.owners {
		p.countOwner(o[0], o[1], n)
	}
	for uid := range s.uids {
		p.uids[p.mapID(p.opt.UIDs, uid)] = true
	}
	for _, k := range s.canaries.list {
		p.canaries.draw(k)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rep
	r.Files += s.Files
	r.Dirs += s.Dirs
	r.Bytes += s.Bytes
	r.Unchanged += s.Unchanged
	r.TrustedDirs += s.TrustedDirs
	r.Guarantees.DirUnchanged += s.Guarantees.DirUnchanged
	r.Guarantees.StatEqual += s.Guarantees.StatEqual
}

// looker looks at directories with a view of the state of its own. It changes nothing.
type looker struct {
	p                *pass
	ctx              context.Context
	pair             *pairRun
	dirs, few, names *bbolt.Bucket
	found            still
	desks            []*desk // by depth
}

// desk is what a looker works with in a directory of one depth, for each in turn.
type desk struct {
	rec    dirRecord
	leaves [3]dirRecord // cur, new and tmp of a Maildir
	names  []entry
}

// side is a directory that is open at both sides.
type side struct {
	src, dst   int
	mnt, atMnt stat // of them
	path, from string
	hot        bool
	level      int // below the directory that all this is about
}

// deepest bounds the descriptors that are open at once.
const deepest = 64

// below tells what is below a directory in d, nil when it is not as it was. The answer is good until the next.
func (l *looker) below(d *dir, name string) *still {
	l.found.begin(l.p.canaries.want)
	up := side{src: int(d.src.(localDir)), dst: d.dst, mnt: d.st, atMnt: d.dstMnt, path: d.path, from: d.from, hot: d.hot}
	if !l.dir(&up, name) {
		return nil
	}
	return &l.found
}

// at is the desk for directories of one depth.
func (l *looker) at(level int) *desk {
	for len(l.desks) <= level {
		l.desks = append(l.desks, &desk{})
	}
	return l.desks[level]
}

// record reads what is known of a directory into r.
func (l *looker) record(up *side, name string, r *dirRecord) bool {
	k := keyOf(joinPath(up.path, name))
	b := l.dirs.Get(k[:])
	return b != nil && r.decode(b) == nil && !l.p.state.isPending(bucketDirs, k)
}

// dir tells whether a directory is as it was, and all below it.
func (l *looker) dir(up *side, name string) bool {
	if up.level >= deepest || l.ctx.Err() != nil {
		return false
	}
	rec := &l.at(up.level).rec
	if !l.record(up, name, rec) {
		return false
	}
	src, err := openDir(up.src, name)
	if err != nil {
		return false
	}
	defer closeFd(src)
	dst, err := openDir(up.dst, name)
	if err != nil {
		return false
	}
	defer closeFd(dst)
	st, err1 := statFd(src)
	t, err2 := statFd(dst)
	if err1 != nil || err2 != nil || !l.same(up, rec, &st, &t) {
		return false
	}
	d := &side{src: src, dst: dst, mnt: st, atMnt: t, path: joinPath(up.path, name), from: joinPath(up.from, name), level: up.level + 1,
		hot: up.hot || hotName(name)}
	l.found.Dirs++
	l.found.TrustedDirs++
	l.own(&st)
	l.found.uids[st.uid] = true
	if rec.segments != 1 {
		return false
	}
	return l.content(d, name)
}

// same tells whether both sides of a directory are as recorded, and no mounts.
func (l *looker) same(up *side, rec *dirRecord, st, t *stat) bool {
	return l.p.trusts(l.pair, rec, st, t) && st.sameMount(&up.mnt) && t.sameMount(&up.atMnt) && !st.same(&l.p.dstTop)
}

func (l *looker) own(st *stat) { l.found.owners[[2]uint32{st.uid, st.gid}]++ }

// content looks at all that is in a directory.
func (l *looker) content(d *side, base string) bool {
	k := []byte(keyOf(d.path).segment(0))
	text := l.few.Get(k)
	if text == nil {
		text = l.names.Get(k)
	}
	if text == nil {
		return true
	}
	desk := l.at(d.level)
	es, err := decodeEntries(text, desk.names)
	if err != nil {
		return false
	}
	desk.names = es
	maildir := l.maildir(d, es)
	for i := range es {
		e := &es[i]
		var ok bool
		switch leaf := slices.Index(leafNames[:], e.name); {
		case maildir && leaf >= 0 && l.leaf(d, e.name, &desk.leaves[leaf]):
			ok = true
		case e.isDir():
			ok = l.dir(d, e.name)
		default:
			ok = l.file(d, e, d.hot && !messageDir(base))
		}
		if !ok {
			return false
		}
	}
	return true
}

var leafNames = [3]string{"cur", "new", "tmp"}

// maildir tells whether a directory is one, as isMaildir does, and reads what is known of its three directories.
func (l *looker) maildir(d *side, es []entry) bool {
	n := 0
	for i := range es {
		leaf := slices.Index(leafNames[:], es[i].name)
		if leaf >= 0 && es[i].isDir() && l.record(d, es[i].name, &l.at(d.level).leaves[leaf]) {
			n++
		}
	}
	return n == len(leafNames)
}

// leaf tells whether nobody changed a directory of messages, or an empty one; see unchangedMessages. It is not opened.
func (l *looker) leaf(up *side, name string, rec *dirRecord) bool {
	empty := rec.names == 0 && rec.gone == 0
	if name == "tmp" && !empty {
		return false
	}
	st, err := statAt(up.src, name)
	if err != nil || hasDirs(&st) || name == "tmp" && st.nlink != 2 {
		return false
	}
	t, err := statAt(up.dst, name)
	if err != nil || !l.same(up, rec, &st, &t) {
		return false
	}
	f := &l.found
	if name == "tmp" {
		f.uids[st.uid] = true
	} else {
		f.canaries.offer(up.path, up.from, name)
	}
	l.own(&st)
	for _, o := range rec.owners {
		f.owners[[2]uint32{o.uid, o.gid}] += o.n
	}
	f.Dirs++
	f.TrustedDirs++
	f.Files += rec.names
	f.Bytes += rec.bytes
	f.Unchanged += rec.names
	f.Guarantees.DirUnchanged += rec.names
	return true
}

// file tells whether a name is as it was; hot ones are looked at on both sides. See judge.
func (l *looker) file(d *side, e *entry, hot bool) bool {
	st, err := statAt(d.src, e.name)
	if err != nil || e.racy || e.src != st.tuple() || st.nlink > 1 || st.device() || !st.sameMount(&d.mnt) {
		return false
	}
	w := l.p.want(&st)
	t := stat{mode: e.dst.mode, uid: e.dst.uid, gid: e.dst.gid, mtime: e.dst.mtime}
	if hot {
		if t, err = statAt(d.dst, e.name); err != nil || !e.dst.untouched(&t) || !t.sameMount(&d.atMnt) {
			return false
		}
	}
	if !l.p.metaEqual(&w, &t) {
		return false
	}
	l.own(&st)
	f := &l.found
	f.Files++
	f.Unchanged++
	f.Guarantees.StatEqual++
	if st.regular() {
		f.Bytes += st.size
	}
	return true
}
