package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// settle looks once more at what has to have stood still, and at what did not come. What its owner cannot read is asked for once
// more, as root.
func (f *flight) settle(ctx context.Context) error {
	now, err := f.look(ctx, func(q *request) bool {
		return q.watch != nil || f.r.plain && q.it != nil && (q.state == wanted || q.state == stale || q.state == warned ||
			q.state == arrived && (!q.it.d.messages || q.in))
	})
	if err != nil {
		return err
	}
	if !f.r.plain {
		for i := range f.batch {
			f.watched(&f.batch[i], now)
		}
		return f.unanswered()
	}
	retried := map[int]bool{}
	var again []*request
	for i := range f.batch {
		q := &f.batch[i]
		if q.state != wanted || q.it == nil && q.dir == nil || !f.r.plain || q.in || q.uid == 0 {
			continue
		}
		if st, ok := now[q.path]; q.dir != nil || ok && st.still(&q.it.st) && !q.it.d.pair.stopped.Load() {
			q.in, retried[i] = true, q.it != nil
			again = append(again, q)
		}
	}
	if err := f.receive(ctx, again); err != nil {
		return err
	}
	if len(again) > 0 {
		more, err := f.lookAt(ctx, func(i int) bool { return retried[i] })
		if err != nil {
			return err
		}
		for path := range f.at {
			if st, ok := more[path]; ok {
				now[path] = st
			}
		}
	}
	for i := range f.batch {
		f.judge(i, now)
	}
	return nil
}

func (f *flight) look(ctx context.Context, wants func(*request) bool) (map[string]stat, error) {
	return f.lookAt(ctx, func(i int) bool { return f.batch[i].after == nil && wants(&f.batch[i]) })
}

func (f *flight) lookAt(ctx context.Context, wants func(int) bool) (map[string]stat, error) {
	var paths []string
	for i := range f.batch {
		if wants(i) {
			paths = append(paths, f.batch[i].path)
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	now, messages, err := f.r.look(ctx, paths)
	for _, m := range messages {
		f.s.p.fail(".", "look", errors.New(m))
	}
	return now, err
}

// watched holds an unchanged mailbox against what was seen of it.
func (f *flight) watched(q *request, now map[string]stat) {
	if q.watch == nil {
		return
	}
	if st, there := now[q.path]; !there || !st.still(q.watch) {
		f.missed[q.box] = true
	}
}

// judge decides what becomes of one object after the second look.
func (f *flight) judge(i int, now map[string]stat) {
	q := &f.batch[i]
	st, there := now[q.path]
	switch {
	case q.watch != nil:
		f.watched(q, now)
		return
	case q.it == nil || q.state == asIs || q.state == failed:
		return
	case q.state == arrived && q.it.d.messages && !q.in, q.state == arrived && there && st.still(&q.it.st):
		return
	}
	d := q.it.d
	switch {
	case d.pair.stopped.Load() || !there: // its new name may have been missed
	case st.still(&q.it.st) && q.state != stale:
		f.s.p.failIn(d, q.it.path(), "copy", f.why(i))
	case q.tries+1 >= copyTries || !st.regular() || !st.same(&q.it.st):
		f.s.p.failIn(d, q.it.path(), "copy", errMoving)
	case d.hold != nil: // an older index at the target only makes Dovecot read more
	default:
		again := *q.it
		again.st = st
		v := q.v
		if v.op = OpUpdate; v.t == nil {
			v.op = OpCreate
		}
		f.want(d, &again, &v, q.tries+1)
	}
	q.state = failed
	f.missed[q.it.path()] = true
	f.held.drop(q.it)
	d.hold.drop(q.it)
}

// why tells what tar said of an object.
func (f *flight) why(i int) error {
	if m := f.says[i]; m != "" {
		return fmt.Errorf("%w: %s", errMissing, strings.TrimPrefix(m, "tar: "))
	}
	return errMissing
}

var errMoving = fmt.Errorf("changed while it was copied, %d times; the next pass copies it", copyTries)
