package tree

import (
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

// unwrap goes through what the program sends upon a fetch.
func (f *flight) unwrap(ctx context.Context, want []*request, in *parcels) error {
	var p parcel
	locked := lockable(want)
	for {
		err := in.next(&p)
		if errors.Is(err, errEnd) {
			return in.close()
		}
		if err == nil && p.kind == parcelNow {
			if !locked[p.text] {
				return joinEnd(in.fail(fmt.Errorf("the old host tells of the directory %q twice, or unasked", p.text)), in.close())
			}
			delete(locked, p.text)
			f.heed(&p)
			continue
		}
		if err == nil && (p.place >= uint64(len(want)) || want[p.place].answered) {
			err = in.fail(fmt.Errorf("the old host answers request %d of %d twice, or unasked", p.place, len(want)))
		}
		if err == nil {
			err = f.answer(ctx, want[p.place], &p, in)
		}
		if err != nil {
			return joinEnd(err, in.close())
		}
	}
}

// lockable are the directories in which the other side may lock what is wanted: it has no others to tell of.
func lockable(want []*request) map[string]bool {
	dirs := map[string]bool{}
	for _, q := range want {
		if up, _ := splitPath(q.path); q.it != nil {
			dirs[up] = true
		}
	}
	return dirs
}

// heed takes the times of a directory in which a mailbox was locked.
func (f *flight) heed(p *parcel) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.after[p.text] = p.st
}

// answer deals with one answer of the program. An error means that the stream is broken; what is wrong with the object is
// listed.
func (f *flight) answer(ctx context.Context, q *request, p *parcel, in *parcels) error {
	q.answered = true
	if p.kind == parcelRefused {
		f.refused(q, p.text)
		return nil
	}
	as, err := carriedAttrs(p.attrs)
	if err != nil {
		return in.fail(fmt.Errorf("object %q: %w", q.path, err))
	}
	if q.dir != nil {
		if src := q.dir.src.(*remoteDir); p.st.same(&q.dir.st) {
			q.state = arrived
			src.as, src.noAttrs = as, false
		}
		return nil
	}
	if ctx.Err() != nil || q.it.d.pair.stopped.Load() {
		return ctx.Err()
	}
	if q.dressed() && !p.st.still(&q.it.st) {
		f.giveUp(q)
		q.v.op = OpUpdate
		f.want(q.it.d, q.it, &q.v, q.tries+1)
		return nil
	}
	if err = f.admitted(q.it, &p.st); err == nil {
		err = f.put(ctx, q, p, as, in)
	}
	switch {
	case err == nil:
		q.state = arrived
	case in.torn:
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
func (f *flight) put(ctx context.Context, q *request, p *parcel, as []attr, in *parcels) error {
	if q.dressed() {
		return f.s.dress(q.it, &q.v, &q.it.st, as)
	}
	if !q.it.st.regular() {
		q.it.d.src.(*remoteDir).keep(q.it.name, as)
		return f.s.special(q.it, &q.v)
	}
	if p.skipped != "" {
		f.s.p.skip(q.it.path(), "dotlock", "copied under the kernel's locks alone: "+p.skipped)
	}
	body := &f.body
	*body = streamFile{st: q.it.st, in: in, as: as, f: f, q: q, helper: true, pieces: p.digest, body: p.body}
	if body.pieces == "" && p.body != body.st.size+1 || p.body < 1 {
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
