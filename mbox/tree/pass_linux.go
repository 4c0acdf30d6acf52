package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
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
	// quick takes a regular file that was not even looked at, for nothing can be there at the target; false: not done.
	quick(it *item) bool
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
	src, dst   int
	srcTop     stat
	dstTop     stat
	pairs      []Pair
	state      *state
	links      links
	ownerLost  atomic.Bool
	dents, cmp []byte

	mu     sync.Mutex // rep, and calls of Progress
	pair   *pairRun
	hooks  hooks
	change []vanished
	// the id maps are others than at the last pass
	remapped bool
}

// hooks let tests act between two system calls.
type hooks struct {
	listed  func(d *dir)              // after a batch of names was read
	opening func(d *dir, name string) // before an object of the source is opened
}

// testHooks is nil outside of tests.
var testHooks *hooks

// pairRun is the walk over one pair.
type pairRun struct {
	Pair
	index   int
	full    bool // saved state says nothing about the source as it is now
	moved   bool // the source is another directory than before: perhaps another disk, or none
	lacking int  // recorded names that it then lacks: nothing is deleted
	place   string
	stopped atomic.Bool
	stage   *stage
	chain   []link // directories of the target from its root to the parent of To
}

// vanished is a recorded name that the source no longer has.
type vanished struct {
	key  string
	path string // below the target root
	from string // below the source root
	pair int
}

func newPass(src, dst string, opt *Options, idle bool) (p *pass, err error) {
	p = &pass{rep: newReport(), state: noState(), src: -1, dst: -1, euid: uint32(unix.Geteuid()), egid: uint32(unix.Getegid())}
	if opt != nil {
		p.opt = *opt
	}
	if testHooks != nil {
		p.hooks = *testHooks
	}
	p.root = p.euid == 0
	p.dents, p.cmp = make([]byte, 64<<10), make([]byte, 512<<10)
	p.links.at = map[inode]*place{}
	if p.pairs, err = checkPairs(p.opt.Pairs); err != nil {
		return p, err
	}
	if p.src, err = openTop(src); err != nil {
		return p, err
	}
	if p.dst, err = openTop(dst); err != nil {
		return p, err
	}
	if p.srcTop, err = statFd(p.src); err != nil {
		return p, pathErr("stat", src, err)
	}
	if p.dstTop, err = statFd(p.dst); err != nil {
		return p, pathErr("stat", dst, err)
	}
	if p.srcTop.same(&p.dstTop) {
		return p, fmt.Errorf("source and target are the same directory: %s, %s", src, dst)
	}
	if p.state, err = openState(p.opt.State, idle); err != nil {
		p.state = noState()
		return p, err
	}
	return p, p.knowState()
}

// knowState decides whether the saved passes were about these two roots, on this boot of this host.
func (p *pass) knowState() error {
	if !p.state.saved() {
		return nil
	}
	s := p.state
	roots := fmt.Sprintf("%d %d %d", p.srcTop.ino, p.dstTop.ino, p.euid)
	boot := bootID()
	old := s.fact("roots")
	p.remapped = old != "" && s.fact("ids") != p.idsFact()
	s.known = old != "" || s.journal.found()
	switch {
	case old == "":
		p.saveFacts()
	case old != roots:
		p.rep.Full = append(p.rep.Full, "the state file is about other directories or another user")
		s.known = false
		if err := s.forget(); err != nil {
			return err
		}
	case s.fact("boot_id") != boot:
		p.rep.Full = append(p.rep.Full, "this host was started anew since the last pass, or the state is another host's")
	}
	return nil
}

// saveFacts notes what knowState will ask for.
func (p *pass) saveFacts() {
	p.state.setFact("roots", fmt.Sprintf("%d %d %d", p.srcTop.ino, p.dstTop.ino, p.euid))
	p.state.setFact("boot_id", bootID())
	p.state.setFact("ids", p.idsFact())
}

// idsFact changes with the id maps, which stand inside ACLs too.
func (p *pass) idsFact() string {
	h := sha256.New()
	for _, m := range []map[uint32]uint32{p.opt.UIDs, p.opt.GIDs} {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(h, "%d %d,", id, m[id])
		}
		fmt.Fprintln(h, m == nil)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// trust decides whether the records of one pair say anything about its source: top is the directory, or the one that the
// file is in. What another directory lacks has not been deleted by anybody.
func (p *pass) trust(r *pairRun, top *stat) {
	r.place = placeFact(top)
	old := p.state.fact("place " + r.To)
	r.full = p.remapped || len(p.rep.Full) > 0 && p.state.known && p.state.fact("boot_id") != bootID()
	if old == "" || old == r.place {
		return
	}
	r.moved = true
	if dev, _, _ := strings.Cut(old, " "); dev != strconv.FormatUint(top.dev, 10) {
		r.full = true
	}
	p.rep.Full = append(p.rep.Full, fmt.Sprintf("%q: the source is another directory than at the last pass; nothing is deleted there", r.To))
}

// settle remembers the source of a pair, but for one that lacks what an earlier one had.
func (p *pass) settle(r *pairRun) {
	switch {
	case r.place == "":
	case r.lacking == 0:
		p.state.setFact("place "+r.To, r.place)
	default:
		p.fail(r.To, "delete", fmt.Errorf("the source is another directory than at the last pass and lacks %d names of it; their copies were left", r.lacking))
	}
}

func placeFact(st *stat) string { return fmt.Sprintf("%d %d", st.dev, st.ino) }

// bootID changes with each start of the kernel; clocks and device numbers mean nothing across it.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

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
	closeFd(p.src)
	closeFd(p.dst)
	return p.state.close()
}

// run walks all pairs. The error is that of the context, of the state file, or of the function given to Diff.
func (p *pass) run(ctx context.Context) error {
	for i, pr := range p.pairs {
		r := &pairRun{Pair: pr, index: i}
		p.pair = r
		err := p.runPair(ctx, r)
		if err != nil && !errors.Is(err, errStopped) {
			return err
		}
	}
	return ctx.Err()
}

// fail lists a problem; one of a full disk stops the pair it belongs to.
func (p *pass) fail(path, op string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	if isFull(err) && p.pair != nil {
		p.pair.stopped.Store(true)
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
		p.opt.Progress(Event{Op: op, Path: path, Pair: p.pair.index, Files: p.rep.Files, Bytes: p.rep.CopiedBytes})
	}
}

func (p *pass) finish(start time.Time) *Report {
	p.rep.OwnershipKept = !p.ownerLost.Load()
	p.rep.Seconds = time.Since(start).Seconds()
	return p.rep
}
