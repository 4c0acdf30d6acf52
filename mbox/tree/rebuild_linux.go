package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// Without a program on the other host, too, only what the target lacks is asked for of a large file that changed. What the target
// has is guessed: an mbox is laid over its old copy by the lines that grep finds (overlay), anything else by its offsets; the rest
// comes. A SHA-256 of the file on the other host says whether the guess was right. When it was not, sums of blocks say where it
// was wrong (mend), and when that does not help either, the file is sent whole. Like all that comes, the result is published only
// when the file is found unchanged afterwards.

// largeFrom is the size from which that pays: a few processes more on the other host.
var largeFrom int64 = 1 << 20

// rebuilding is one such file.
type rebuilding struct {
	f     *flight
	q     *request
	in    *told
	parts []part // known
	unit  int64  // of ranges
	want  []extent

	taken   bool  // what came was read
	broken  error // of a stream
	writing error // of the new file
}

// apart takes out of a batch what is not to be sent whole.
func (f *flight) apart() []*request {
	if !f.r.plain || slices.ContainsFunc(partsNeed, func(program string) bool { return !f.r.m.head.features[program] }) {
		return nil
	}
	list := f.those(func(q *request) bool { return q.state == wanted && q.large() })
	for _, q := range list {
		q.state = apart
	}
	return list
}

// large tells whether the target has an older copy of a file, and both are large. Messages are never written again, indexes have
// to be read before their mailbox, and what has holes is sent without them.
func (q *request) large() bool {
	return q.it != nil && q.it.st.regular() && q.v.op == OpUpdate && !q.v.check && !q.bare() && q.v.t != nil && q.v.t.regular() &&
		!q.it.d.messages && !q.it.d.index && q.it.st.size >= largeFrom && q.v.t.size >= largeFrom && q.it.st.blocks*512 >= q.it.st.size
}

// rebuild makes those that were taken out; what it cannot make is wanted whole. An error means that the stream is broken.
func (f *flight) rebuild(ctx context.Context, list []*request) error {
	defer func() {
		for _, q := range list {
			if q.state == apart {
				q.state = wanted
			}
		}
	}()
	todo, err := f.guess(ctx, list)
	if err != nil || len(todo) == 0 {
		return err
	}
	var questions bytes.Buffer
	for _, r := range todo {
		r.q.question(&questions, "parts", r.unit, total(r.want), r.want)
	}
	in, err := f.r.parts(ctx, questions.Bytes())
	if err != nil {
		return err
	}
	for _, r := range todo {
		r.in = in
		if err = r.receive(ctx); err != nil {
			break
		}
	}
	return in.end(err)
}

// guess finds for each file what the target has of it, and leaves out those of which it has little.
func (f *flight) guess(ctx context.Context, list []*request) (todo []*rebuilding, err error) {
	var boxes, all []*rebuilding
	var questions bytes.Buffer
	for _, q := range list {
		r := &rebuilding{f: f, q: q}
		r.parts = []part{{n: min(r.q.it.st.size, r.q.v.t.size)}}
		if all = append(all, r); r.box() {
			boxes = append(boxes, r)
			r.q.question(&questions, "marks", 0, maxMarks, nil)
		}
	}
	if len(boxes) > 0 {
		in, err := f.r.parts(ctx, questions.Bytes())
		if err != nil {
			return nil, err
		}
		for _, r := range boxes {
			text := in.text(maxMarks)
			r.lay(ctx, text)
			if err = text.done(); err != nil {
				break
			}
		}
		if err = in.end(err); err != nil {
			return nil, err
		}
	}
	for _, r := range all {
		if r.plan() {
			todo = append(todo, r)
		}
	}
	return todo, ctx.Err()
}

// box tells whether the old copy is an mbox.
func (r *rebuilding) box() bool {
	old, err := r.old()
	if err != nil {
		return false
	}
	defer closeFd(old)
	b := make([]byte, len("From "))
	return readFull(old, b, 0) == nil && string(b) == "From "
}

// old opens the old copy.
func (r *rebuilding) old() (int, error) {
	return openSame(r.q.it.d.dst, r.q.it.to, r.q.v.t, openFile)
}

// lay lays the marks of an mbox over those of its old copy, which is read while they come. One that has more of them than can be kept
// may still have got mail at its end only.
func (r *rebuilding) lay(ctx context.Context, text io.Reader) {
	var was *marks
	var unread error
	var wg sync.WaitGroup
	wg.Go(func() {
		old, err := r.old()
		if err != nil {
			unread = err
			return
		}
		defer closeFd(old)
		was, unread = scanMarks(ctx, fdReader(old), r.q.v.t.size)
	})
	now, err := readMarks(text, r.q.it.st.size)
	wg.Wait()
	switch {
	case errors.Is(err, errMarks) || errors.Is(unread, errMarks):
	case err != nil || unread != nil:
		r.parts = nil
	default:
		r.parts = layOver(was, now)
	}
}

// plan says what to ask for; false: it is as good as the whole.
func (r *rebuilding) plan() bool {
	size := r.q.it.st.size
	r.unit = 512
	if r.want = missing(r.parts, size, r.unit); total(r.want) > 8<<20 {
		r.unit = 64 << 10
		r.want = missing(r.parts, size, r.unit)
	}
	return total(r.want) <= size/4*3
}

// receive takes what comes of one file. An error means that the stream is broken.
func (r *rebuilding) receive(ctx context.Context) error {
	q, f := r.q, r.f
	st, known, as := q.it.st, true, []attr(nil)
	if f.r.carriesAttrs() {
		var err error
		if as, known, err = r.in.attrs(&st); err != nil {
			return err
		}
	}
	if !known || ctx.Err() != nil || q.it.d.pair.stopped.Load() {
		return errors.Join(r.pass(), ctx.Err())
	}
	err := f.s.copyOpen(ctx, f.worker, &streamFile{st: st, as: as, f: f, q: q, rebuilt: r}, &st, q.it, &q.v, f.buf)
	switch {
	case r.broken != nil:
		return r.broken
	case err == nil:
		q.state = arrived
	case !errors.Is(err, errDigest):
		q.state = failed
		f.s.p.failIn(q.it.d, q.it.path(), "copy", err)
	}
	if !r.taken { // there was no place for it
		return r.pass()
	}
	return nil
}

// pass passes over what comes.
func (r *rebuilding) pass() error {
	if _, err := io.CopyN(io.Discard, r.in.in, total(r.want)); err != nil {
		return cut(err)
	}
	_, err := r.in.sum()
	return err
}
