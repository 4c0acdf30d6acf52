package tree

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// workerCount bounds how many files are copied at once besides the walk: more only wait for each other's directories.
const workerCount = 2

// syncer makes the target like the source.
type syncer struct {
	p       *pass
	ctx     context.Context
	jobs    chan job
	busy    sync.WaitGroup // jobs handed out
	live    sync.WaitGroup // workers
	workers int
	parents []parent
	wrote   atomic.Bool
	drain   drain
	mu      sync.Mutex
	links   map[string][]string // directory -> names of files that got further names
	devs    map[uint64]int      // device of the target -> a descriptor on it, for syncfs
	swept   map[inode]bool
	buf     []byte
	courier *courier // with another host as the source: there are no workers
}

// job is work for a worker: one file, or a batch of new ones that nobody looked at yet.
type job struct {
	d     *dir
	it    *item
	v     verdict
	names []string
}

// batchFiles is how many new files are handed to a worker at once.
const batchFiles = 64

// Sync copies what src has and dst lacks, in the order of opt.Pairs, and returns when it is durable. src and dst are
// directories; only these two names may be symbolic links. What could not be done is in the report's Problems; the
// error is that of ctx, of the roots, of the options or of the state file. A cancelled or killed pass leaves every
// name with its old or its new object, and the next one completes it.
func Sync(ctx context.Context, src Source, dst string, opt *Options) (*Report, error) {
	start := time.Now()
	p, err := newPass(ctx, src, dst, opt, false)
	if err != nil {
		p.close()
		return p.finish(start), err
	}
	s := &syncer{p: p, ctx: ctx, workers: workerCount, jobs: make(chan job, 256), devs: map[uint64]int{}, swept: map[inode]bool{}, buf: make([]byte, 256<<10)}
	p.do = s
	if r, ok := p.src.(*remote); ok {
		var cancel context.CancelCauseFunc
		s.ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		ctx, s.courier = s.ctx, newCourier(s, r, cancel)
	} else {
		for i := 1; i <= s.workers; i++ {
			s.live.Add(1)
			go s.work(i)
		}
	}
	s.sweepLocks()
	err = p.run(ctx)
	if err == nil {
		err = s.checkCanaries(ctx)
	}
	s.wait()
	close(s.jobs)
	s.live.Wait()
	if err == nil {
		err = errors.Join(s.recordLinked(), s.deleteVanished(ctx), ctx.Err())
	}
	if why := context.Cause(ctx); errors.Is(err, context.Canceled) && why != nil {
		err = why // the line to the other host
	}
	s.endParents()
	s.checkQuotas()
	err = errors.Join(err, s.end(err == nil && p.state.broken == nil))
	s.drain.all.Wait()
	for _, fd := range s.devs {
		closeFd(fd)
	}
	return p.finish(start), errors.Join(err, p.close())
}

// end makes all durable and then says so in the state file.
func (s *syncer) end(complete bool) error {
	if complete {
		s.p.saveFacts()
	}
	if err := s.p.state.flush(s.durable); err != nil {
		return err
	}
	if complete && s.p.state.saved() {
		if err := s.p.state.journal.clear(); err != nil {
			return err
		}
	}
	return s.durable()
}

func (s *syncer) noteDev(d *dir, st *stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.devs[st.dev]; !ok && d.dst >= 0 {
		s.devs[st.dev] = dup(d.dst)
	}
}

func (s *syncer) wait() {
	if s.courier != nil {
		s.courier.wait()
	}
	s.busy.Wait()
}

func (s *syncer) work(n int) {
	defer s.live.Done()
	buf := make([]byte, 256<<10)
	for j := range s.jobs {
		if j.it != nil {
			s.copyFile(s.ctx, n, j.it, &j.v, buf)
		}
		for _, name := range j.names {
			it := item{d: j.d, name: name, to: name}
			s.copyFile(s.ctx, n, &it, &verdict{op: OpCreate, key: j.d.key.name(name)}, buf)
		}
		if j.names != nil {
			s.directDone(j.d, n)
		}
		s.p.release(j.d)
		s.busy.Done()
	}
}

func (s *syncer) hand(j job) {
	if h := j.d.hidden; h != nil && j.names != nil {
		h.direct.Add(1)
		h.given += len(j.names)
	}
	if s.courier != nil {
		s.courier.hand(j)
		return
	}
	j.d.pending.Add(1)
	s.busy.Add(1)
	s.jobs <- j
}

func (s *syncer) object(ctx context.Context, it *item) error {
	if it.st.nlink > 1 && s.courier == nil {
		s.wait() // a worker may be making another name of this file
	}
	v, err := s.p.judge(ctx, it)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			it.d.vanished = true
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.p.failIn(it.d, it.path(), "compare", err)
		return nil
	}
	if v.check || v.attrs && (v.op == OpUnchanged || v.op == OpMetadata) {
		s.hand(job{d: it.d, it: it, v: v})
		return nil
	}
	switch v.op {
	case opLater:
	case OpUnchanged:
		s.unchanged(it, &v)
	case OpMetadata:
		s.metadata(it, &v)
	case OpRename:
		return s.rename(ctx, it, &v)
	case OpLink:
		if !s.link(it, &v, 0) {
			s.hand(job{d: it.d, it: it, v: v})
		}
	default:
		return s.replace(ctx, it, &v)
	}
	return nil
}

// replace copies the object whole.
func (s *syncer) replace(ctx context.Context, it *item, v *verdict) error {
	if v.t != nil && v.t.dir() {
		if err := s.clearDir(it.d, it.to, v.t); err != nil {
			s.p.failIn(it.d, it.path(), "replace directory", err)
			return nil
		}
		v.t, v.old = nil, nil
		it.d.book.drop(it.to)
	}
	if s.courier != nil && !it.st.regular() && (it.st.device() || !s.courier.r.plain) {
		s.hand(job{d: it.d, it: it, v: *v}) // find does not tell the number of a device, nor a manifest the attributes of a link
		return nil
	}
	if !it.st.regular() {
		if err := s.special(it, v); err != nil {
			s.failed(it, "copy", err)
		}
		return nil
	}
	if s.p.local() && s.p.mailbox(it) {
		s.wait()
		return s.copyMailbox(ctx, it, v)
	}
	s.hand(job{d: it.d, it: it, v: *v})
	return nil
}

// failed lists what went wrong with an object, but a source that vanished in between is the life of a mail store.
func (s *syncer) failed(it *item, op string, err error) {
	if errors.Is(err, unix.ENOENT) {
		if _, e := it.d.src.look(it.name); errors.Is(e, unix.ENOENT) {
			it.d.book.fail() // its new name may have been missed
			return
		}
	}
	s.p.failIn(it.d, it.path(), op, err)
}

func (s *syncer) unchanged(it *item, v *verdict) {
	s.p.links.settle(&it.st, it.path())
	if !it.again {
		s.p.count(OpUnchanged, it.path(), v.unchanged())
	}
	if v.asSaved {
		return
	}
	if v.old == nil || v.old.src != it.st.tuple() || !s.p.state.mine("", &v.old.dst, v.t) || v.refresh {
		s.record(it, v, &it.st, v.t, false)
	}
}

// record keeps what is now known of a name; st is the source as it was before it was read.
func (s *syncer) record(it *item, v *verdict, st, t *stat, soft bool) {
	if !s.p.state.saved() {
		return
	}
	if g := v.gone; g != nil {
		g.taken = true
		if v.fromDir != nil {
			v.fromDir.book.drop(g.name)
		}
	}
	it.d.book.put(&entry{name: it.to, src: st.tuple(), dst: t.tuple(), racy: st.regular() && racy(st, s.p.now())}, soft)
}

// touch notes that the target's side of d is about to change.
func (s *syncer) touch(d *dir) error {
	s.wrote.Store(true)
	d.touched.Store(true)
	if d.told.Swap(true) {
		return nil
	}
	st, err := statFd(d.dst)
	if err != nil {
		return err
	}
	s.noteDev(d, &st)
	if err := s.unlock(d); err != nil {
		return err
	}
	if d.frame || !s.p.state.saved() {
		return nil
	}
	return s.p.state.journal.intend(dirName(d), &st)
}

// dirName is what the journal calls a directory.
func dirName(d *dir) string { return nameKey(d.path) }

// nameKey is what the journal calls the object at a path.
func nameKey(path string) string {
	up, base := splitPath(path)
	return keyOf(up).name(base)
}

// splitPath gives the parent of a path below a root, "." for the root, and the last name.
func splitPath(path string) (up, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return ".", path
}

// metadata sets owner, mode, attributes and times of a file whose content is right.
func (s *syncer) metadata(it *item, v *verdict) {
	src, err := openSourceFile(it.d.src, it.name, &it.st)
	if err == nil {
		var st stat
		var attrs []attr
		if st, err = src.stat(); err == nil {
			attrs, err = src.attrs()
		}
		src.close()
		switch {
		case errors.Is(err, errNoAttrs):
			err = s.dressWith(it, v, &st, nil, false)
		case err == nil:
			err = s.dress(it, v, &st, attrs)
		}
	}
	if err != nil {
		s.failed(it, "set metadata", err)
	}
}

// dress gives a file of the target the metadata and the attributes of its source.
func (s *syncer) dress(it *item, v *verdict, st *stat, attrs []attr) error {
	return s.dressWith(it, v, st, s.p.mapAttrs(attrs), true)
}

// dressWith leaves the attributes alone when those of the source are not known.
func (s *syncer) dressWith(it *item, v *verdict, st *stat, attrs []attr, all bool) error {
	dst, err := openSame(it.d.dst, it.to, v.t, openFile)
	if err != nil {
		return err
	}
	defer closeFd(dst)
	has, err := attrsOf(dst, false)
	if err != nil {
		return err
	}
	attrs = s.p.carried(attrs, has, all)
	w := s.p.want(st)
	if s.p.metaEqual(&w, v.t) && attrsEqual(attrs, has) {
		s.unchanged(it, v)
		return nil
	}
	if s.p.state.saved() {
		next := *v.t
		next.mtime = w.mtime
		if err := s.p.state.journal.intend(v.key, &next); err != nil {
			return err
		}
	}
	s.wrote.Store(true)
	s.noteDev(it.d, v.t)
	if err := s.p.apply(target{fd: dst}, &w, attrs, v.t); err != nil {
		return err
	}
	t, err := statFd(dst)
	if err != nil {
		return err
	}
	s.record(it, v, st, &t, false)
	s.p.links.settle(&it.st, it.path())
	s.p.count(OpMetadata, it.path(), tally(OpMetadata, 0))
	return nil
}

// carried gives the attributes that an object of the target shall have: those of the source, but what the way from there cannot
// carry stays as it is.
func (p *pass) carried(attrs, has []attr, all bool) []attr {
	r, far := p.src.(*remote)
	switch {
	case !all:
		return has
	case !far || !r.plain:
		return attrs
	}
	for _, a := range has {
		if a.name == flagsAttr {
			attrs = append(attrs, a)
		}
	}
	return attrs
}
