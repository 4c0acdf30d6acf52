package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
)

// The program itself answers each request of a batch, in the order of asking, and what it sends is known to be of one moment, or
// not: no second look is needed, and each object gets its place as it comes.

// bare tells whether only what describes the object is wanted.
func (q *request) bare() bool {
	return q.dir != nil || q.dressed()
}

// errAgain says that a file changed while it was sent, and can be asked for once more.
var errAgain = errors.New("changed while it was sent")

// kinds are the letters of a manifest for the types that the program sends.
var kinds = map[byte]byte{tar.TypeReg: 'f', tar.TypeDir: 'd', tar.TypeSymlink: 'l', tar.TypeFifo: 'p', tar.TypeChar: 'c', tar.TypeBlock: 'b'}

// heed takes the times of a directory in which a mailbox was locked. False: the header is of something else.
func (f *flight) heed(name string, h *tar.Header, in *archives) (bool, error) {
	text, ok := h.PAXRecords[paxNow]
	if !ok || f.r.plain {
		return false, nil
	}
	var k known
	if err := k.parse('d', text); err != nil {
		return true, in.fail(fmt.Errorf("directory %q: %w", name, err))
	}
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.after[name] = k.st
	return true, nil
}

// answer deals with one answer of the program. An error means that the stream is broken; what is wrong with the object is
// listed.
func (f *flight) answer(ctx context.Context, i int, h *tar.Header, in *archives) error {
	q := &f.batch[i]
	q.answered = true
	if why, ok := h.PAXRecords[paxRefused]; ok {
		f.refused(q, why)
		return nil
	}
	var k known
	if err := k.parse(kinds[h.Typeflag], h.PAXRecords[paxNumbers]); err != nil {
		return in.fail(fmt.Errorf("object %q: %w", q.path, err))
	}
	if q.dir != nil {
		if src := q.dir.src.(*remoteDir); k.st.same(&q.dir.st) {
			q.state = arrived
			src.as, src.noAttrs = attrsIn(h), false
		}
		return nil
	}
	if ctx.Err() != nil || q.it.d.pair.stopped.Load() {
		return ctx.Err()
	}
	if q.dressed() && !k.st.still(&q.it.st) {
		f.giveUp(q)
		q.v.op = OpUpdate
		f.want(q.it.d, q.it, &q.v, q.tries+1)
		return nil
	}
	err := f.admitted(q.it, &k.st)
	if err == nil {
		err = f.put(ctx, q, h, in)
	}
	switch {
	case err == nil:
		q.state = arrived
	case in.broken:
		return err
	case errors.Is(err, errDigest) && len(q.old) > 0 && q.tries == 0, // the old copy changed meanwhile: all of it, then
		errors.Is(err, errAgain) && q.it.d.hold == nil:
		f.giveUp(q)
		f.want(q.it.d, q.it, &q.v, q.tries+1)
	case errors.Is(err, errAgain): // an older index at the target only makes Dovecot read more
		f.giveUp(q)
	case errors.Is(err, errUnsteady):
		f.missed[q.it.path()] = true
		f.s.p.failIn(q.it.d, q.it.path(), "copy", err)
	default:
		f.giveUp(q)
		f.s.p.failIn(q.it.d, q.it.path(), "copy", err)
	}
	return nil
}

// admitted takes over what the object is by now, unless it must not be copied.
func (f *flight) admitted(it *item, st *stat) error {
	switch {
	case st.typ() != it.st.typ():
		return errSwapped
	case st.dev != it.d.st.dev && !it.d.frame:
		return errors.New("is a mount point; not crossed")
	}
	it.st = *st
	return f.s.p.planted(it)
}

// put gives the target what has come.
func (f *flight) put(ctx context.Context, q *request, h *tar.Header, in *archives) error {
	as := attrsIn(h)
	if q.dressed() {
		return f.s.dress(q.it, &q.v, &q.it.st, as)
	}
	if !q.it.st.regular() {
		q.it.d.src.(*remoteDir).keep(q.it.name, as)
		return f.s.special(q.it, &q.v)
	}
	if why := h.PAXRecords[paxSkipped]; why != "" {
		f.s.p.skip(q.it.path(), "dotlock", "copied under the kernel's locks alone: "+why)
	}
	body := &streamFile{st: q.it.st, in: in, as: as, f: f, q: q, helper: true, pieces: h.PAXRecords[paxPieces], body: h.Size}
	if body.pieces == "" && h.Size != body.st.size+1 || h.Size < 1 {
		return in.fail(errors.New("a body that does not add up"))
	}
	st := body.st
	return f.s.copyOpen(ctx, f.worker, body, &st, q.it, &q.v, f.buf)
}

// refused notes why an object was not sent.
func (f *flight) refused(q *request, why string) {
	if q.it == nil {
		return
	}
	f.giveUp(q)
	if why != gone { // else its new name may have been missed
		f.s.p.failIn(q.it.d, q.it.path(), "copy", errors.New(why))
	}
}

// giveUp leaves the target as it is, with an index that belongs to it.
func (f *flight) giveUp(q *request) {
	f.missed[q.it.path()] = true
	q.it.d.hold.drop(q.it)
}

// unanswered lists what the other side passed over.
func (f *flight) unanswered() error {
	for i := range f.batch {
		q := &f.batch[i]
		if q.it == nil || q.answered || q.state != wanted {
			continue
		}
		f.giveUp(q)
		if !q.it.d.pair.stopped.Load() {
			f.s.p.failIn(q.it.d, q.it.path(), "copy", errMissing)
		}
	}
	return nil
}

// locking tells the journal which mailboxes the other side is going to lock, and the other side what is here of them.
func (f *flight) locking() error {
	for i := range f.batch {
		q := &f.batch[i]
		if q.it == nil || q.bare() || !q.it.st.regular() || !q.it.d.mail && !q.it.d.below || q.it.d.index || q.it.d.messages {
			continue
		}
		if q.tries == 0 {
			q.old = f.s.oldList(q.it, &q.v)
		}
		if err := f.s.p.state.journal.intendLock(q.path); err != nil {
			return err
		}
	}
	return nil
}
