package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errStopped ends the walk of one pair whose target has no room left.
var errStopped = errors.New("stopped")

// doer is what a walk is for: Sync, Diff or Verify.
type doer interface {
	// dir makes sure that the target has d, opens it as d.dst and says whether to go into it.
	dir(ctx context.Context, d *dir, to string) (bool, error)
	// object deals with everything else.
	object(ctx context.Context, it *item) error
	// wait returns when all that was handed out is done.
	wait()
	// done is called when nothing more will happen below d.
	done(d *dir)
}

// pass is one walk over all pairs.
type pass struct {
	opt        Options
	rep        *Report
	do         doer
	root       bool // may set owners
	euid, egid uint32
	src        source
	dst        int
	srcTop     stat
	dstTop     stat
	pairs      []Pair
	runs       []*pairRun
	byTo       map[string]int // target of a pair -> its place
	state      *state
	links      links
	ownerLost  atomic.Bool
	dents, cmp []byte

	mu       sync.Mutex // rep, and calls of Progress
	pair     atomic.Pointer[pairRun]
	hooks    hooks
	start    time.Time
	seen     time.Time // before the first look at the source, by its clock
	madeMode uint32
	gone     goneSet
	uids     map[uint32]bool // owners at the target of the directories that were met
	intended string          // the last directory that the journal was told of before a name was taken out of it
	canaries canaries
	remapped bool // the id maps are others than at the last pass
	full     bool // saved times mean nothing: the host was started anew, its clock was set, or a canary died
}

// hooks let tests act between two system calls.
type hooks struct {
	listed  func(d *dir)              // after a batch of names was read
	opening func(d *dir, name string) // before an object of the source is opened
}

// busy tells whether a test wants to see each look.
func (h *hooks) busy() bool { return h.listed != nil || h.opening != nil }

// testHooks is nil outside of tests.
var testHooks *hooks

// pairRun is the walk over one pair.
type pairRun struct {
	Pair
	index   int
	known   bool               // an earlier pass copied it
	done    bool               // the first walk
	second  bool               // on the second walk, for names that may be moved from elsewhere
	later   map[string]bool    // directories, below the target root, that want a second walk
	only    map[string]bool    // these and those above them
	wanted  map[inode][]string // files with several names: where the target had them
	full    bool               // saved state says nothing about the source as it is now
	moved   bool               // the source is another directory than before: perhaps another disk, or none
	lacking int                // recorded names that it then lacks: nothing is deleted
	place   string
	stopped atomic.Bool
	holds   atomic.Int32 // with another host: the walk, and what is asked for
	end     func()       // when none is left
	staged  bool         // something was built in staging, which may be inside of the root
	stage   *stage
	beside  []link // opened for staging
	chain   []link // directories of the target from its root to the parent of To
}

// vanished is a recorded name that the source no longer has.
type vanished struct {
	*entry
	dir   string // that held it, below the target root
	from  string // its path below the source root
	frame string // of a pair that is one file: the pair's target
	taken bool   // its file got another name, at the target too
	back  bool   // it is at the source after all
}

func (v *vanished) path() string { return joinPath(v.dir, v.name) }

// goneSet are the vanished names, in the order in which they were missed, and by the file that bore them.
type goneSet struct {
	list []*vanished
	at   map[inode]*vanished
}

func (g *goneSet) add(v *vanished) {
	g.list = append(g.list, v)
	g.file(v)
}

// file notes a name that can have been renamed.
func (g *goneSet) file(v *vanished) {
	if v.src.mode&unix.S_IFMT == unix.S_IFREG {
		if g.at == nil {
			g.at = map[inode]*vanished{}
		}
		g.at[inode{v.src.dev, v.src.ino}] = v
	}
}

func newPass(ctx context.Context, src Source, dst string, opt *Options, idle bool) (p *pass, err error) {
	p = &pass{rep: newReport(), state: noState(), dst: -1, euid: uint32(unix.Geteuid()), egid: uint32(unix.Getegid())}
	if opt != nil {
		p.opt = *opt
	}
	if testHooks != nil {
		p.hooks = *testHooks
	}
	p.root = p.euid == 0
	p.madeMode = madeMode()
	p.start, p.uids = time.Now(), map[uint32]bool{}
	p.seen = p.start
	if p.canaries.want = p.opt.Canaries; p.canaries.want == 0 {
		p.canaries.want = defaultCanaries
	}
	p.dents, p.cmp = make([]byte, 64<<10), make([]byte, 512<<10)
	p.links.at = map[inode]*place{}
	if p.pairs, err = checkPairs(p.opt.Pairs); err != nil {
		return p, err
	}
	if p.dst, err = openTop(dst); err != nil {
		return p, err
	}
	if p.dstTop, err = statFd(p.dst); err != nil {
		return p, pathErr("stat", dst, err)
	}
	if p.state, err = openState(p.opt.State, idle); err != nil {
		p.state = noState()
		return p, err
	}
	if p.src, err = openSource(ctx, src, p); err != nil {
		return p, err
	}
	if p.srcTop, err = lookBelow(p.src, "."); err != nil {
		return p, pathErr("stat", ".", err)
	}
	if p.local() && p.srcTop.same(&p.dstTop) {
		return p, fmt.Errorf("source and target are the same directory: %v, %s", src, dst)
	}
	return p, p.knowState()
}

func checkPairs(pairs []Pair) ([]Pair, error) {
	if pairs == nil {
		return []Pair{{".", "."}}, nil
	}
	for _, p := range pairs {
		for _, s := range []string{p.From, p.To} {
			if !validPath(s) {
				return nil, fmt.Errorf("path %q: wanted a slash path below the root, without dot elements", s)
			}
		}
		if (p.From == ".") != (p.To == ".") {
			return nil, fmt.Errorf("pair %q, %q: a root can only go with a root", p.From, p.To)
		}
	}
	return pairs, nil
}

// validPath is fs.ValidPath for names that are bytes, not UTF-8.
func validPath(s string) bool {
	if s == "." {
		return true
	}
	for c := range strings.SplitSeq(s, "/") {
		if c == "" || c == "." || c == ".." || strings.ContainsRune(c, 0) {
			return false
		}
	}
	return true
}

func (p *pass) close() error {
	var err error
	if p.src != nil {
		err = p.src.close()
	}
	closeFd(p.dst)
	return errors.Join(err, p.state.close())
}

// run walks all pairs. The error is that of the context, of the state file, or of the function given to Diff. Names that
// may be moved from elsewhere are left for a second walk, when all that went away is known.
func (p *pass) run(ctx context.Context) error {
	p.byTo = map[string]int{}
	p.runs = make([]*pairRun, len(p.pairs))
	for i, pr := range p.pairs {
		p.byTo[pr.To] = i
		p.runs[i] = &pairRun{Pair: pr, index: i, later: map[string]bool{}, wanted: map[inode][]string{}}
	}
	for _, second := range []bool{false, true} {
		if second {
			p.do.wait() // for another host: what came of the first
		}
		for _, r := range p.runs {
			if second && !r.again() || !second && r.done {
				continue
			}
			r.done = true
			p.pair.Store(r)
			if err := p.findLinked(r); err != nil {
				return err
			}
			err := p.runPair(ctx, r)
			if err != nil && !errors.Is(err, errStopped) {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), p.state.broken)
}

// again prepares the second walk of a pair and tells whether it needs one.
func (r *pairRun) again() bool {
	if len(r.later) == 0 || r.stopped.Load() {
		return false
	}
	r.second, r.only = true, map[string]bool{}
	for path := range r.later {
		for r.only[path] = true; path != "." && path != r.To; {
			path, _ = splitPath(path)
			r.only[path] = true
		}
	}
	return true
}

// fail lists a problem; one of a full disk stops the pair it belongs to.
func (p *pass) fail(path, op string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	if r := p.pair.Load(); isFull(err) && r != nil && p.local() {
		r.stopped.Store(true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rep.Problems = append(p.rep.Problems, Problem{Path: path, Op: op, Error: err.Error()})
}

func (p *pass) skip(path, op, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rep.Skipped = append(p.rep.Skipped, Problem{Path: path, Op: op, Error: why})
}

// count changes the report and tells Progress.
func (p *pass) count(op Op, path string, change func(*Report)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.rep)
	if p.opt.Progress != nil {
		p.opt.Progress(Event{
			Op: op, Path: path, Pair: p.pairOf(path), Files: p.rep.Files, Bytes: p.rep.CopiedBytes,
			Expected: p.opt.Expect, Elapsed: time.Since(p.start),
		})
	}
}

// pairOf tells which pair an object is dealt with for. From another host it may come when the walk is further on.
func (p *pass) pairOf(path string) int {
	if p.local() || len(p.runs) == 1 {
		return p.pair.Load().index
	}
	for {
		if i, ok := p.byTo[path]; ok || path == "." {
			return i
		}
		path, _ = splitPath(path)
	}
}

func (p *pass) finish(start time.Time) *Report {
	p.rep.OwnershipKept = !p.ownerLost.Load()
	p.rep.Seconds = time.Since(start).Seconds()
	return p.rep
}
