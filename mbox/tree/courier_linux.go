package tree

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// courier gets content from another host: what the walk hands out is gathered, asked for in one go, and comes as a tar
// stream. Two batches are received at a time, each by a goroutine that writes what comes, so that neither the line nor the disk
// waits for the other; meanwhile the walk fills the next.
//
// What comes waits until the batch is over: only then tar tells which files it could not read to their end, and sent zeros for
// the rest of. A message is never written again under its name; of anything else a second look must show that it stood still
// meanwhile. Then it is published, an index after its mailbox. Batches are settled one after the other, in the order of asking.
type courier struct {
	s      *syncer
	r      *remote
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	queue []request
	spare [][]request // memory of batches that are done: a batch takes megabytes
	bytes int64
	open  int // pairs that were walked since the last batch was sent for

	late    map[string]bool // below the target root: what the batch that is being settled could not publish
	lanes   chan int        // numbers of workers that receive nothing
	batches chan struct{}   // one for each batch that is not done
	last    chan struct{}   // closed when the batch that was launched last is done, and all before it; nil: none
}

// newCourier makes one that has nothing to do.
func newCourier(s *syncer, r *remote, cancel context.CancelCauseFunc) *courier {
	c := &courier{s: s, r: r, cancel: cancel, lanes: make(chan int, workerCount), batches: make(chan struct{}, workerCount+1)}
	for i := range workerCount {
		c.lanes <- i + 1
	}
	return c
}

// request is one step of a batch: an object to fetch, or something to be done after what is before it.
type request struct {
	path string // below the source root
	rights
	it    *item
	v     verdict
	dir   *dir          // instead of it: only the attributes of this directory are wanted
	watch *stat         // instead of both: a mailbox that must be as this says, or its index is of no use; box
	box   string        // its path at the target
	after func(ok bool) // instead of all: ok: all went well so far
	done  func()        // when it is finished in any way
	tries int
	link  *place // that others wait for
	state fate

	answered bool           // the program on the other side said something
	old      mbox.ChunkList // of the mailbox at the target, when it is large
}

// fate is what became of a request.
type fate int

const (
	wanted  fate = iota
	arrived      // received
	stale        // it changed since the manifest; received, but of no use
	warned       // received, and tar said something about it
	failed       // a problem was listed
	asIs         // the target has its content: nothing was fetched
	apart        // parts of it are asked for, see rebuild
)

// What a batch may hold: few enough to hold in memory and to lose when the line breaks, enough to make the round trip cheap.
var batchRequests = 8192

const (
	batchBytes = 128 << 20
	batchPairs = 64
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

// want asks for the content of a file, or for its sum first.
func (c *courier) want(d *dir, it *item, v *verdict, tries int) {
	q := request{path: joinPath(d.from, it.name), rights: c.r.rightsFor(d, &it.st), it: it, v: *v, tries: tries, done: c.hold(d)}
	if it.st.nlink > 1 && tries == 0 {
		first, pl := c.s.p.links.claim(&it.st)
		if !first {
			q.done()
			own := *v
			c.then(d, func(ok bool) { c.further(ok, d, it, &own) })
			return
		}
		q.link = pl
	}
	if tries == 0 {
		d.given = true
	}
	c.add(q, it.st.size)
}

// further deals with another name of a file that this pass has dealt with.
func (c *courier) further(ok bool, d *dir, it *item, v *verdict) {
	if ok && d.delay(it) {
		return
	}
	v.from = c.s.p.links.find(inodeOf(&it.st))
	if ok && v.from != "" && v.t != nil {
		if l, err := c.s.p.statBelow(c.s.p.dst, v.from); err == nil && l.same(v.t) {
			v.t, v.hashed = &l, v.hashed || v.check
			c.s.unchanged(it, v)
			return
		}
	}
	switch {
	case !ok:
		d.book.fail()
	case v.from == "" || !c.s.link(it, v, 1):
		c.want(d, it, v, 1)
	}
}

// rightsFor says what a file is to be read with. Who can put another directory or file in its place must not be able to lead us
// where he may not read himself.
func (s *remote) rightsFor(d *dir, st *stat) rights {
	switch {
	case !s.plain:
		return rights{}
	case d.owner == 0 && (st.uid != 0 || !d.shared || d.st.perm()&unix.S_ISVTX != 0):
		return rights{uid: st.uid}
	case d.shared || st.uid != 0 && st.uid != d.owner:
		return rights{in: true}
	}
	return rights{uid: d.owner}
}

// attributes asks for those of a directory that is new or changed.
func (c *courier) attributes(d *dir) {
	if !c.r.carriesAttrs() {
		return
	}
	c.add(request{path: d.from, rights: c.r.rightsFor(d, &d.st), dir: d, done: c.hold(d)}, 0)
}

// then has f called when all that was asked for before is settled.
func (c *courier) then(d *dir, f func(ok bool)) {
	c.add(request{after: f, done: c.hold(d)}, 0)
}

// watch makes sure that a mailbox which was not asked for is still as it was seen when its index has come.
func (c *courier) watch(d *dir, box, from string, st *stat) {
	c.add(request{path: from, watch: st, box: box, done: c.hold(d)}, 0)
}

// hold keeps a directory and its pair open until the returned function is called.
func (c *courier) hold(d *dir) func() {
	d.pending.Add(1)
	d.pair.holds.Add(1)
	return func() {
		c.s.p.release(d)
		d.pair.release()
	}
}

// release ends a pair when all that was asked for in it is settled.
func (r *pairRun) release() {
	if r.holds.Add(-1) == 0 {
		r.end()
	}
}

func (c *courier) add(q request, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.queue); n == cap(c.queue) && n >= batchRequests/32 { // it will be many: not to be copied again and again
		c.queue = slices.Grow(c.queue, batchRequests)
	}
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
func (c *courier) endPair(r *pairRun, f func()) {
	r.end = f
	c.mu.Lock()
	c.open++
	c.mu.Unlock()
	r.release()
	c.pace()
}

// alone tells whether a batch must not be received while another one is. The program on the other side locks mailboxes, one at
// a time; an index must be read before its mailbox, which may be in the next batch.
func (c *courier) alone(batch []request) bool {
	return slices.ContainsFunc(batch, func(q request) bool {
		if q.watch != nil {
			return true
		}
		d := q.dir
		if q.it != nil {
			d = q.it.d
		}
		return d != nil && !d.messages && (d.mail || d.below || d.index || d.hold != nil)
	})
}

// launch sends for what is gathered when there is room for one more batch. Only the walk calls it.
func (c *courier) launch() {
	c.mu.Lock()
	batch := c.queue
	c.queue, c.bytes, c.open = nil, 0, 0
	if n := len(c.spare) - 1; n >= 0 {
		c.queue, c.spare = c.spare[n], c.spare[:n]
	}
	c.mu.Unlock()
	c.batches <- struct{}{}
	lanes := []int{<-c.lanes}
	if c.alone(batch) {
		for len(lanes) < workerCount {
			lanes = append(lanes, <-c.lanes)
		}
	}
	before, done := c.last, make(chan struct{})
	c.last = done
	go func() {
		f := c.newFlight(batch, lanes[0])
		err := f.steps(f.check, f.fetch)
		for _, lane := range lanes {
			c.lanes <- lane
		}
		if before != nil {
			<-before
		}
		f.finish(err)
		clear(batch)
		c.mu.Lock()
		c.spare = append(c.spare, batch[:0])
		c.mu.Unlock()
		<-c.batches
		close(done)
	}()
}

// wait returns when nothing is asked for any more. Only the walk calls it.
func (c *courier) wait() {
	for {
		if c.last != nil {
			<-c.last
		}
		c.mu.Lock()
		left := len(c.queue)
		c.mu.Unlock()
		if left == 0 {
			return
		}
		c.launch()
	}
}
