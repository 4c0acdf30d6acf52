package tree

import (
	"context"
	"crypto/sha256"
)

// asker gathers the files of another host whose content is to be compared, and asks for many sums at once. What is told of
// objects keeps its order: a word about one that waits for its sum holds up all that come after.
type asker struct {
	r       *remote
	p       *pass
	waiting []question
	files   int
}

type question struct {
	it   *item
	t    *stat
	path string
	tell func(same bool) error // nil: then
	then func() error
}

// ask has tell called with what the comparison says.
func (a *asker) ask(ctx context.Context, it *item, t *stat, tell func(same bool) error) error {
	a.waiting = append(a.waiting, question{it: it, t: t, path: joinPath(it.d.from, it.name), tell: tell})
	if a.files++; a.files < batchRequests {
		return nil
	}
	return a.answer(ctx)
}

// next has f called when all that was asked for before is told.
func (a *asker) next(f func() error) error {
	if len(a.waiting) == 0 {
		return f()
	}
	a.waiting = append(a.waiting, question{then: f})
	return nil
}

// answer asks for the sums and tells.
func (a *asker) answer(ctx context.Context) (err error) {
	list := a.waiting
	a.waiting, a.files = nil, 0
	var want []*request
	for _, q := range list {
		if q.tell != nil {
			want = append(want, &request{path: q.path, it: q.it, rights: a.r.rightsFor(q.it.d, &q.it.st)})
		}
	}
	if len(want) == 0 {
		return nil
	}
	sums, err := a.r.sums(ctx, want)
	for _, q := range list {
		switch {
		case q.tell != nil:
			if sum, ok := sums[q.path]; err == nil {
				err = q.tell(ok && a.has(ctx, &q, sum))
			}
		case err == nil:
			err = q.then()
		}
	}
	return err
}

// has looks for the copy by its path: its directory may be closed by now.
func (a *asker) has(ctx context.Context, q *question, sum [sha256.Size]byte) bool {
	dir, name, err := openBelow(a.p.dst, q.it.path())
	if err != nil {
		return false
	}
	defer closeFd(dir)
	return hasSum(ctx, dir, name, q.t, sum, a.p.cmp)
}

// asks gives the asker of a pass over another host's tree; nil: the source is here.
func (p *pass) asks() *asker {
	r, ok := p.src.(*remote)
	if !ok {
		return nil
	}
	return &asker{r: r, p: p}
}
