package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// trusts tells whether both sides of a directory are as the last pass saw and left them. Then no name in it was added,
// removed or renamed since. It says nothing about what is in the files, nor about directories in it.
func (p *pass) trusts(r *pairRun, rec *dirRecord, st, t *stat) bool {
	if rec == nil || r.full || rec.racy || p.state.journal.found() || p.opt.Delete && rec.gone > 0 {
		return false
	}
	w := p.want(st)
	return rec.src == st.tuple() && rec.dst == t.tuple() && p.metaEqual(&w, t)
}

// unchangedMessages deals with a whole directory of messages that nobody changed, at the price of one look at each side:
// messages are never written again under their name.
func (p *pass) unchangedMessages(d *dir, it *item, rec *dirRecord) bool {
	if d.dst < 0 || d.fresh || !p.isMaildir(d) {
		return false
	}
	t, err := statAt(d.dst, it.to)
	if err != nil || !p.trusts(d.pair, rec, &it.st, &t) || !t.sameMount(&d.dstMnt) {
		return false
	}
	p.canaries.offer(d.path, d.from, it.name)
	p.countIDs(&it.st)
	for _, o := range rec.owners {
		p.countOwner(o.uid, o.gid, o.n)
	}
	p.count(OpUnchanged, it.path(), func(r *Report) {
		r.Dirs++
		r.TrustedDirs++
		r.Files += rec.names
		r.Bytes += rec.bytes
		r.Unchanged += rec.names
		r.Guarantees.DirUnchanged += rec.names
	})
	return true
}

// isMaildir tells whether a directory is a Maildir, as far as earlier passes know.
func (p *pass) isMaildir(d *dir) bool {
	if d.maildir == 0 {
		d.maildir = -1
		if inMaildir(d.join("cur"), func(path string) bool { return p.state.dir(keyOf(path)) != nil }) {
			d.maildir = 1
		}
	}
	return d.maildir > 0
}

// openBooks prepares what is known of the names of d and what will be saved of them.
func (p *pass) openBooks(d *dir) error {
	n, err := p.segments(d)
	if err != nil {
		return err
	}
	if p.state.broken != nil {
		return p.state.broken
	}
	d.next = &dirRecord{path: d.path, segments: n}
	d.book, err = p.state.openBook(d.bookKey(), d.rec, 0, n)
	return err
}

// bookKey is where the names of d are saved. The parent of a pair's top has none of its own, only the pair's: ten thousand
// inboxes in one spool are ten thousand pairs.
func (d *dir) bookKey() dirKey {
	if d.frame {
		return keyOf(d.pair.To + "\x00")
	}
	return d.key
}

// turn goes to the next segment of a large directory.
func (p *pass) turn(d *dir, seg int) (err error) {
	p.do.wait()
	d.close(p.state)
	d.book, err = p.state.openBook(d.bookKey(), d.rec, seg, d.next.segments)
	return err
}

// close hands the names of the segment at hand to the state.
func (d *dir) close(s *state) {
	if d.book.keep(s, d.next) {
		d.next.hard = true
	}
}

// save makes what was recorded so far durable when there is much of it. d and what is above it are under way; all else is
// finished then, so that the journal has nothing more to say.
func (p *pass) save(d *dir) error {
	s, ok := p.do.(*syncer)
	if !ok || !p.state.full() {
		return nil
	}
	s.wait()
	for c := d; c != nil && c.next != nil && !d.pair.second; c = c.up {
		c.keepPart(p.state)
	}
	if err := p.state.flush(s.durable); err != nil {
		return err
	}
	for c := d; c != nil; c = c.up {
		c.told.Store(false)
	}
	p.intended = ""
	return p.state.journal.restart()
}

// keepPart saves what is known of a directory that is still being walked.
func (d *dir) keepPart(s *state) {
	if d.hidden != nil && !d.hidden.shown.Load() || d.dst < 0 {
		return
	}
	t, err := statFd(d.dst)
	if err != nil {
		return
	}
	part := &dirRecord{path: d.path, src: d.st.tuple(), dst: t.tuple(), segments: d.next.segments, racy: true}
	d.book.keep(s, part)
	if !d.frame {
		s.put(bucketDirs, string(d.key[:]), part.encode(), false)
	}
}

// bytesPerName tells from which size on a directory is worth counting; a name takes some 20 bytes on tmpfs and 60 on ext4.
const bytesPerName = 20

// segments tells in how many pieces the names of d are to be kept.
func (p *pass) segments(d *dir) (int, error) {
	if !p.state.saved() || d.frame {
		return 1, nil
	}
	if d.trusted {
		return d.rec.segments, nil
	}
	if d.st.size < int64(segmentNames*bytesPerName) && (d.rec == nil || d.rec.segments == 1) {
		return 1, nil
	}
	n := 1
	for count := 0; ; {
		ents, err := d.src.list(p.dents)
		if err != nil || len(ents) == 0 {
			break // who lists it will say so
		}
		for count += len(ents); count > n*segmentNames; {
			n *= 2
		}
	}
	return n, d.src.rewind()
}

// failIn lists a problem with a name of d. Neither is then to be trusted: d may be as it was left, without that name.
func (p *pass) failIn(d *dir, path, op string, err error) {
	_, name := splitPath(path)
	d.book.doubt(name)
	d.book.fail()
	if isFull(err) {
		d.pair.stopped.Store(true)
	}
	p.fail(path, op, err)
}

var errDeep = fmt.Errorf("deeper than %d directories", maxDepth)

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
