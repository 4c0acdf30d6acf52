package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// courier gets content from another host: what the walk hands out is gathered, asked for in one go, and comes as a tar
// stream. While one batch is under way the walk fills the next.
//
// A message is never written again under its name and gets its place as it comes. Anything else waits until the batch is
// over and a second look shows that it stood still meanwhile; then it is published, an index after its mailbox.
type courier struct {
	s      *syncer
	r      *remote
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	queue  []request
	bytes  int64
	open   int             // pairs whose end is in the queue
	late   map[string]bool // below the target root: what the batch under way could not publish
	flying chan struct{}   // closed when the batch under way is done; nil: none
}

// request is one step of a batch: an object to fetch, or something to be done after what is before it.
type request struct {
	path     string // below the source root
	uid, gid uint32 // with whose rights it is read
	it       *item
	v        verdict
	dir      *dir          // instead of it: only the attributes of this directory are wanted
	after    func(ok bool) // instead of both; ok: all went well so far
	done     func()        // when it is finished in any way
	tries    int
	link     *place         // that others wait for
	same     bool           // the target has its content
	answered bool           // the program on the other side said something
	old      mbox.ChunkList // of the mailbox at the target, when it is large
}

// What a batch may hold: few enough to hold in memory and to lose when the line breaks, enough to make the round trip cheap.
const (
	batchRequests = 8192
	batchBytes    = 256 << 20
	batchPairs    = 128
)

// errMissing says that the other host did not send what it was asked for, although it is there.
var errMissing = errors.New("the old host did not send it")

// hand takes what a worker would do for a source of this host.
func (c *courier) hand(j job) {
	if j.it != nil {
		c.want(j.d, j.it, &j.v, 0)
	}
	for _, name := range j.names {
		st, err := j.d.src.look(name)
		it := &item{d: j.d, name: name, to: name, st: st, looked: true}
		switch {
		case err != nil:
		case !st.sameMount(&j.d.st):
			c.s.p.failIn(j.d, it.path(), "copy", errors.New("is a mount point; not crossed"))
		case !c.s.p.admit(it):
			j.d.book.fail()
		default:
			c.want(j.d, it, &verdict{op: OpCreate, key: j.d.key.name(name)}, 0)
		}
	}
	if j.names != nil {
		c.then(j.d, func(bool) { c.s.directDone(j.d, 1) })
	}
	c.pace()
}

// want asks for the content of a file.
func (c *courier) want(d *dir, it *item, v *verdict, tries int) {
	q := request{path: joinPath(d.from, it.name), uid: it.st.uid, gid: it.st.gid, it: it, v: *v, tries: tries, done: c.hold(d)}
	if q.uid == 0 {
		q.uid, q.gid = d.owner, d.ownerGID
	}
	if it.st.nlink > 1 && tries == 0 {
		first, pl := c.s.p.links.claim(&it.st)
		if !first {
			q.done()
			c.then(d, func(ok bool) { c.further(ok, d, it, v) })
			return
		}
		q.link = pl
	}
	d.given = true
	c.add(q, it.st.size)
}

// further deals with another name of a file that this pass has fetched.
func (c *courier) further(ok bool, d *dir, it *item, v *verdict) {
	v.from = c.s.p.links.find(inodeOf(&it.st))
	there, err := c.s.p.statBelow(c.s.p.dst, v.from)
	switch {
	case !ok:
		d.book.fail()
	case err == nil && v.from != "" && v.t != nil && there.same(v.t): // it was found to be the same
		v.op = OpUnchanged
		c.s.unchanged(it, v)
	case v.from == "" || !c.s.link(it, v, 1):
		c.want(d, it, v, 1)
	}
}

// attributes asks for those of a directory that is new or changed.
func (c *courier) attributes(d *dir) {
	if c.r.plain && !c.r.m.head.features["xattrs"] {
		return
	}
	c.add(request{path: d.from, uid: d.owner, gid: d.ownerGID, dir: d, done: c.hold(d)}, 0)
}

// then has f called when all that was asked for before is settled.
func (c *courier) then(d *dir, f func(ok bool)) {
	c.add(request{after: f, done: c.hold(d)}, 0)
}

// hold keeps a directory open until the returned function is called.
func (c *courier) hold(d *dir) func() {
	if d == nil {
		return func() {}
	}
	d.pending.Add(1)
	return func() { c.s.p.release(d) }
}

func (c *courier) add(q request, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, q)
	c.bytes += bytes
}

// pace sends for what is gathered when it is enough. The walk calls it; what is done in a flight only gathers.
func (c *courier) pace() {
	c.mu.Lock()
	full := len(c.queue) >= batchRequests || c.bytes >= batchBytes || c.open >= batchPairs
	c.mu.Unlock()
	if full {
		c.launch()
	}
}

// endPair has f called when all of a pair is settled: at once when nothing is under way.
func (c *courier) endPair(f func()) {
	c.mu.Lock()
	idle := len(c.queue) == 0 && c.flying == nil
	c.open++
	c.mu.Unlock()
	if idle {
		f()
		return
	}
	c.then(nil, func(bool) { f() })
	c.pace()
}

// launch sends for what is gathered, after the batch that is under way.
func (c *courier) launch() {
	c.land()
	c.mu.Lock()
	batch := c.queue
	c.queue, c.bytes, c.open = nil, 0, 0
	done := make(chan struct{})
	c.flying = done
	c.mu.Unlock()
	go func() {
		defer close(done)
		c.fly(batch)
	}()
}

// land waits for the batch that is under way.
func (c *courier) land() {
	c.mu.Lock()
	flying := c.flying
	c.mu.Unlock()
	if flying == nil {
		return
	}
	<-flying
	c.mu.Lock()
	if c.flying == flying {
		c.flying = nil
	}
	c.mu.Unlock()
}

// wait returns when nothing is asked for any more.
func (c *courier) wait() {
	for {
		c.land()
		c.mu.Lock()
		left := len(c.queue)
		c.mu.Unlock()
		if left == 0 {
			return
		}
		c.launch()
	}
}

// flight is one batch.
type flight struct {
	*courier
	batch    []request
	at       map[string][]int // path -> places in batch
	got      []bool
	held     hold
	messages []string
	buf      []byte
}

// fly fetches a batch and settles all that is in it.
func (c *courier) fly(batch []request) {
	f := &flight{courier: c, batch: batch, at: map[string][]int{}, got: make([]bool, len(batch)), buf: make([]byte, 256<<10)}
	c.late = map[string]bool{}
	err := c.s.ctx.Err()
	if err == nil {
		err = f.check(c.s.ctx)
	}
	if err == nil {
		err = f.fetch(c.s.ctx)
	}
	if err == nil {
		err = f.settle(c.s.ctx)
	}
	if err != nil {
		c.cancel(err)
		f.held.end(false)
	}
	for i := range batch {
		q := &batch[i]
		switch {
		case q.after != nil:
			q.after(err == nil)
		case !f.got[i] && q.it != nil:
			q.it.d.book.fail()
		}
		if q.link != nil {
			q.link.finish()
		}
		q.done()
	}
}

// check asks for sums where the content is probably the same, and settles what is.
func (f *flight) check(ctx context.Context) error {
	var want []request
	for _, q := range f.batch {
		if q.it != nil && q.v.check {
			want = append(want, q)
		}
	}
	if len(want) == 0 {
		return nil
	}
	sums, err := f.r.sums(ctx, want)
	if err != nil {
		return err
	}
	for i := range f.batch {
		q := &f.batch[i]
		theirs, ok := sums[q.path]
		if q.it == nil || !q.v.check || !ok {
			continue
		}
		fd, err := openSame(q.it.d.dst, q.it.to, q.v.t, openFile)
		if err != nil {
			continue
		}
		ours, err := sumOf(ctx, fd, q.it.st.size, f.buf)
		closeFd(fd)
		if err == nil && ours == theirs {
			f.got[i], q.same = true, true
			q.v.op = OpUnchanged
			f.s.unchanged(q.it, &q.v)
		}
	}
	return nil
}

// fetch receives the content of a batch.
func (f *flight) fetch(ctx context.Context) error {
	if !f.r.plain {
		if err := f.locking(); err != nil {
			return err
		}
	}
	var want []request
	for i, q := range f.batch {
		if q.after == nil && !f.got[i] {
			f.at[q.path] = append(f.at[q.path], i)
			want = append(want, q)
		}
	}
	if len(want) == 0 {
		return nil
	}
	return f.receive(ctx, func() (*archives, error) { return f.r.fetch(ctx, want) }, ".")
}

// receive goes through the objects of one answer; dir is put before their names.
func (f *flight) receive(ctx context.Context, ask func() (*archives, error), dir string) error {
	in, err := ask()
	if err != nil {
		return err
	}
	for {
		h, err := in.next()
		if err != nil {
			err = joinEnd(err, in.close())
			if errors.Is(err, errEnd) {
				f.messages = append(f.messages, in.messages...)
				return nil
			}
			return err
		}
		name := path.Join(dir, path.Clean(h.Name))
		if ok, err := f.heed(name, h, in); err != nil {
			return joinEnd(err, in.close())
		} else if ok {
			continue
		}
		for _, i := range f.at[name] {
			if f.got[i] || f.batch[i].answered {
				continue
			}
			if err := f.take(ctx, i, h, in); err != nil {
				return joinEnd(err, in.close())
			}
			break
		}
	}
}

// take deals with one object. An error means that the stream is broken; what is wrong with the object is listed.
func (f *flight) take(ctx context.Context, i int, h *tar.Header, in *archives) error {
	q := &f.batch[i]
	if !f.r.plain {
		return f.answer(ctx, i, h, in)
	}
	if q.dir != nil {
		if h.Typeflag == tar.TypeDir {
			f.got[i] = true
			src := q.dir.src.(*remoteDir)
			src.as, src.noAttrs = attrsIn(h), false
		}
		return nil
	}
	if q.it.st.device() && (h.Typeflag == tar.TypeBlock || h.Typeflag == tar.TypeChar) {
		f.got[i] = true
		q.it.st.rdev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
		if err := f.s.special(q.it, &q.v); err != nil {
			f.s.failed(q.it, "copy", err)
		}
		return nil
	}
	if h.Typeflag != tar.TypeReg || ctx.Err() != nil || q.it.d.pair.stopped.Load() {
		return ctx.Err()
	}
	f.got[i] = true
	st := q.it.st
	err := f.s.copyOpen(ctx, 1, &streamFile{st: st, in: in, as: attrsIn(h), f: f, q: q}, &st, q.it, &q.v, f.buf)
	if err != nil && !in.broken {
		f.s.p.failIn(q.it.d, q.it.path(), "copy", err)
		err = nil
	}
	return err
}

// settle looks once more at what has to have stood still, and at what did not come.
func (f *flight) settle(ctx context.Context) error {
	if !f.r.plain {
		return f.unanswered()
	}
	if err := f.retry(ctx); err != nil {
		return err
	}
	var look []string
	for i := range f.batch {
		if q := &f.batch[i]; q.it != nil && !q.same && (!f.got[i] || !q.it.d.messages) {
			look = append(look, q.path)
		}
	}
	if len(look) == 0 {
		f.held.end(true)
		return nil
	}
	now, err := f.r.look(ctx, look)
	if err != nil {
		return err
	}
	for i := range f.batch {
		if q := &f.batch[i]; q.it != nil && !q.same && (!f.got[i] || !q.it.d.messages) {
			f.judge(i, q, now)
		}
	}
	f.held.end(true)
	return nil
}

// judge decides what becomes of one object after the second look.
func (f *flight) judge(i int, q *request, now map[string]stat) {
	d := q.it.d
	st, there := now[q.path]
	switch {
	case !there:
		d.book.fail() // its new name may have been missed
		f.got[i] = false
	case f.got[i] && st.still(&q.it.st):
		return
	case st.still(&q.it.st):
		f.s.p.failIn(d, q.it.path(), "copy", f.why(q.path))
	case q.tries+1 >= copyTries || !st.regular() || !st.same(&q.it.st):
		f.s.p.failIn(d, q.it.path(), "copy", errMoving)
	case d.hold != nil: // an older index at the target only makes Dovecot read more
		d.book.fail()
	default:
		again := *q.it
		again.st = st
		f.want(d, &again, &q.v, q.tries+1)
	}
	f.late[q.it.path()] = true
	f.held.drop(q.it)
	d.hold.drop(q.it)
}

// why tells what tar said of an object.
func (f *flight) why(path string) error {
	for _, m := range f.messages {
		if strings.Contains(m, path) {
			return fmt.Errorf("%w: %s", errMissing, m)
		}
	}
	return errMissing
}

// retry asks for what did not come once more, as root: a user can have files that he may not read himself. Root follows no
// link on the way, for it enters the directory first and then makes sure where it is.
func (f *flight) retry(ctx context.Context) error {
	byDir := map[string][]string{}
	for i := range f.batch {
		if q := &f.batch[i]; f.r.plain && q.after == nil && !f.got[i] && q.uid != 0 {
			up, name := splitPath(q.path)
			byDir[up] = append(byDir[up], name)
		}
	}
	for _, up := range sortedKeys(byDir) {
		if err := f.receive(ctx, func() (*archives, error) { return f.r.fetchIn(ctx, up, byDir[up]) }, up); err != nil {
			return err
		}
	}
	return nil
}

var errMoving = fmt.Errorf("changed while it was copied, %d times; the next pass copies it", copyTries)
