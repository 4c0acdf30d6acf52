package tree

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"
)

// A mailbox and its index directory are one unit. An index that is newer than its mailbox makes Dovecot give every later
// message a new UID and write it into the mailbox; an older one only makes it read more. So the index is read before the
// mailbox and gets its place after it, or not at all.

// hold keeps the copies of index files in staging until their mailbox has its place.
type hold struct {
	mu   sync.Mutex
	list []held
}

type held struct {
	it  *item
	end func(publish bool)
}

func (h *hold) add(it *item, end func(publish bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, held{it, end})
}

// drop throws a copy away.
func (h *hold) drop(it *item) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = slices.DeleteFunc(h.list, func(x held) bool {
		if x.it == it {
			x.end(false)
		}
		return x.it == it
	})
}

// end publishes the copies, or throws them away.
func (h *hold) end(publish bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.list {
		x.end(publish)
	}
	h.list = nil
}

// holds tells whether d is the index directory of one mailbox: directly in .imap.
func (d *dir) holds() bool {
	return d.up != nil && d.up.base == ".imap" && d.up.up != nil && d.up.up.next.segments == 1 && !d.pair.second
}

// unit copies the mailbox of the index directory c and then lets the index follow.
func (s *syncer) unit(ctx context.Context, c *dir) error {
	if s.courier != nil {
		return s.unitFrom(ctx, c)
	}
	s.wait()
	if len(c.hold.list) == 0 {
		return nil
	}
	box, err := s.boxOf(ctx, c)
	s.wait()
	s.follows(c, box, err == nil)
	return err
}

// unitFrom does the same with another host: the index was asked for before its mailbox is, and follows it when both are here.
func (s *syncer) unitFrom(ctx context.Context, c *dir) error {
	if !c.given {
		return nil
	}
	box, err := s.boxOf(ctx, c)
	if from := s.p.sourceOf(box); box != "" {
		if st, err := lookBelow(s.p.src, from); err == nil {
			s.courier.watch(c, box, from, &st)
		}
	}
	s.courier.then(c, func(ok bool) { s.follows(c, box, ok && err == nil && !s.courier.late[box]) })
	return err
}

// follows lets the index have its place when its mailbox has its own.
func (s *syncer) follows(c *dir, box string, ok bool) {
	ok = ok && !s.p.failedOn(box)
	if !ok {
		c.book.fail()
	}
	c.hold.end(ok)
}

// boxOf copies the mailbox that c is the index of and tells its path at the target.
func (s *syncer) boxOf(ctx context.Context, c *dir) (string, error) {
	home := c.up.up
	if st, err := home.src.look(c.base); err == nil && st.regular() {
		if home.early == nil {
			home.early = map[string]bool{}
		}
		home.early[c.base] = true
		return home.join(c.base), s.p.entry(ctx, home, dent{name: c.base, to: c.base}, false)
	}
	if inbox := s.p.inboxAfter(c.pair); inbox != nil && c.base == "INBOX" {
		defer func(r *pairRun) { s.p.pair.Store(r) }(s.p.pair.Load())
		s.p.pair.Store(inbox)
		inbox.done = true
		err := s.p.runPair(ctx, inbox)
		if errors.Is(err, errStopped) {
			err = nil
		}
		return inbox.To, err
	}
	return "", nil
}

// inboxAfter gives the pair after a home when that is its inbox: a file in a directory named mail.
func (p *pass) inboxAfter(r *pairRun) *pairRun {
	if r.index+1 >= len(p.runs) {
		return nil
	}
	next := p.runs[r.index+1]
	if next.done || path.Base(path.Dir(next.From)) != "mail" {
		return nil
	}
	return next
}

// failedOn tells whether there was a problem with a path.
func (p *pass) failedOn(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.rep.Problems) - 1; i >= 0; i-- {
		if p.rep.Problems[i].Path == path {
			return true
		}
	}
	return false
}
