package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"
)

// canary is a directory that a pass took as unchanged without listing it.
type canary struct {
	path, from string // below the target root, below the source root
}

// canaries is a random sample of the trusted directories: each draws a number, and the least are in it.
type canaries struct {
	want int
	list []drawn // the least number first
}

type drawn struct {
	number uint64
	canary
}

// offer lets one more directory draw: name, in a directory of these two paths.
func (c *canaries) offer(path, from, name string) {
	if n := rand.Uint64(); c.takes(n) {
		c.draw(drawn{n, canary{joinPath(path, name), joinPath(from, name)}})
	}
}

func (c *canaries) takes(number uint64) bool {
	return len(c.list) < c.want || c.want > 0 && number < c.list[len(c.list)-1].number
}

// draw takes a directory in, in the place of another when there are enough.
func (c *canaries) draw(d drawn) {
	if !c.takes(d.number) {
		return
	}
	if len(c.list) == c.want {
		c.list = c.list[:c.want-1]
	}
	i, _ := slices.BinarySearchFunc(c.list, d.number, func(e drawn, n uint64) int { return cmp.Compare(e.number, n) })
	c.list = slices.Insert(c.list, i, d)
}

const defaultCanaries = 2

// checkCanaries looks at the sample, and where one is dead walks over everything again, trusting nothing.
func (s *syncer) checkCanaries(ctx context.Context) error {
	p := s.p
	s.wait()
	path, err := p.canaries.dead(ctx, p)
	if path == "" || err != nil {
		return err
	}
	p.rep = p.rep.copied()
	p.rep.Full = append(p.rep.Full, fmt.Sprintf("%q %v", path, errCanary))
	p.full, p.gone, p.canaries = true, goneSet{}, canaries{}
	if r, far := p.src.(*remote); far {
		if err := r.list(ctx, tops(p.pairs), nil); err != nil { // all that was left out
			return err
		}
	}
	return p.run(ctx)
}

// Of each piece of a canary so many files are looked at, and so many compared byte by byte: what is wrong with the times of a
// source or a target is wrong with more than one.
const (
	canaryLooks = 64
	canaryFiles = 4
)

var errCanary = errors.New("is not as recorded, though its directory did not change")

// dead looks at the sample file by file, and returns the first name that was changed unnoticed, "" for none. Another host is
// asked once for the names, and once for all sums.
func (c *canaries) dead(ctx context.Context, p *pass) (path string, err error) {
	r, far := p.src.(*remote)
	if far {
		var whole []string
		for _, k := range c.list {
			whole = append(whole, k.from)
		}
		if err := r.listPassedOver(ctx, whole); err != nil {
			return "", err
		}
	}
	var sums []canarySum
	for _, k := range c.list {
		if path, err = p.lookAtCanary(ctx, k.canary, &sums); path != "" || err != nil {
			return path, err
		}
	}
	if len(sums) == 0 {
		return "", nil
	}
	return p.deadSum(ctx, r, sums)
}

// canarySum is a file of which another host is asked for the sum.
type canarySum struct {
	from, path string
	t          stat
}

func (p *pass) deadSum(ctx context.Context, r *remote, list []canarySum) (path string, err error) {
	var want []*request
	for _, c := range list {
		want = append(want, &request{path: c.from, rights: rights{in: r.plain}})
	}
	sums, err := r.sums(ctx, want)
	if err != nil {
		return "", err
	}
	for _, c := range list {
		sum, ok := sums[c.from]
		if !ok {
			continue // gone since
		}
		dir, name, err := openBelow(p.dst, c.path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.path, err)
		}
		same := hasSum(ctx, dir, name, &c.t, sum, p.cmp)
		closeFd(dir)
		if !same {
			return c.path, ctx.Err()
		}
	}
	return "", nil
}

func (p *pass) lookAtCanary(ctx context.Context, c canary, sums *[]canarySum) (path string, err error) {
	src, err1 := enterBelow(p.src, c.from)
	dst, err2 := openBelowDir(p.dst, c.path)
	defer closeFolder(src)
	defer closeFd(dst)
	rec := p.state.dir(keyOf(c.path))
	if err1 != nil || err2 != nil || rec == nil {
		return "", nil // changed since; the next pass sees it
	}
	d := &dir{src: src, dst: dst, path: c.path, from: c.from, key: keyOf(c.path)}
	for seg := range rec.segments {
		files := canaryFiles
		for _, e := range p.state.sample(d.key, seg, canaryLooks) {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			ok, err := p.canaryLives(ctx, d, e.name, &e, files > 0, sums)
			if err != nil {
				return "", fmt.Errorf("%s: %w", d.join(e.name), err)
			}
			if !ok {
				return d.join(e.name), nil
			}
			files--
		}
	}
	return "", p.state.broken
}

// canaryLives tells whether both sides of a name are as recorded and, when asked for, of the same bytes. What came or went
// since the directory was looked at is no failure of the record. What another host must be asked for is added to sums.
func (p *pass) canaryLives(ctx context.Context, d *dir, name string, e *entry, content bool, sums *[]canarySum) (bool, error) {
	if e.isDir() {
		return true, nil
	}
	st, err := d.src.look(name)
	if errors.Is(err, unix.ENOENT) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	t, err := statAt(d.dst, name)
	if err != nil || st.tuple() != e.src || !e.dst.untouched(&t) {
		return false, nil
	}
	if !content || !st.regular() {
		return true, nil
	}
	if !p.local() {
		if st.size == t.size && st.size > 0 {
			*sums = append(*sums, canarySum{joinPath(d.from, name), d.join(name), t})
		}
		return st.size == t.size, nil
	}
	same, err := p.sameFile(ctx, &item{d: d, name: name, to: name, st: st}, &t)
	if errors.Is(err, unix.ENOENT) {
		return true, nil // gone since
	}
	return same, err
}

// openBelowDir opens a directory below a root without following links.
func openBelowDir(root int, slash string) (int, error) {
	dir, name, err := openBelow(root, slash)
	if err != nil {
		return -1, err
	}
	defer closeFd(dir)
	return openDir(dir, name)
}
