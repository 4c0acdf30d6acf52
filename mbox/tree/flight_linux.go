package tree

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// flight is one batch of a courier.
type flight struct {
	*courier
	batch  []request
	worker int              // that receives it
	at     map[string][]int // path -> places in batch; tar answers by paths
	held   hold
	missed map[string]bool // late, once it is being settled
	says   map[int]string  // what tar said of an object
	body   streamFile      // that is being received
	buf    []byte
}

func (c *courier) newFlight(batch []request, worker int) *flight {
	f := &flight{courier: c, batch: batch, worker: worker, missed: map[string]bool{}, says: map[int]string{}, buf: make([]byte, 256<<10)}
	if !c.r.plain {
		return f
	}
	f.at = make(map[string][]int, len(batch))
	for i := range batch {
		if batch[i].after == nil {
			f.at[batch[i].path] = append(f.at[batch[i].path], i)
		}
	}
	return f
}

// steps makes one after the other. An error ends the pass.
func (f *flight) steps(steps ...func(context.Context) error) error {
	err := f.s.ctx.Err()
	for _, step := range steps {
		if err == nil {
			err = step(f.s.ctx)
		}
	}
	if err != nil {
		f.cancel(err)
	}
	return err
}

// finish settles all that is in a batch, when those before it are settled.
func (f *flight) finish(err error) {
	f.late = f.missed
	if err == nil {
		err = f.steps(f.settle)
	}
	f.held.end(err == nil)
	for i := range f.batch {
		q := &f.batch[i]
		if q.after != nil {
			q.after(err == nil)
		}
		if q.it != nil && q.state != arrived && q.state != asIs {
			q.it.d.book.fail()
		}
		if q.link != nil {
			q.link.finish()
		}
		q.done()
	}
}

// check asks for sums where the content is probably the same, and settles what is.
func (f *flight) check(ctx context.Context) error {
	want := f.those(func(q *request) bool { return q.it != nil && q.v.check })
	if len(want) == 0 {
		return nil
	}
	sums, err := f.r.sums(ctx, want)
	if err != nil {
		return err
	}
	for i := range f.batch {
		q := &f.batch[i]
		if q.it == nil || !q.v.check {
			continue
		}
		theirs, ok := sums[q.path]
		same, err := ok && hasSum(ctx, q.it.d.dst, q.it.to, q.v.t, theirs, f.buf), ctx.Err()
		if err != nil {
			return err
		}
		f.checked(q, same)
	}
	return nil
}

// hasSum tells whether a file of the target has that sum, and still is what was looked at.
func hasSum(ctx context.Context, dir int, name string, t *stat, sum [sha256.Size]byte, buf []byte) bool {
	fd, err := openSame(dir, name, t, openFile)
	if err != nil {
		return false
	}
	defer closeFd(fd)
	ours, err := sumOf(ctx, fd, t.size, buf)
	return err == nil && ours == sum
}

// checked goes on with an object whose content was compared.
func (f *flight) checked(q *request, same bool) {
	q.v.check = false
	switch {
	case !same && q.v.otherwise != nil:
		q.state = failed
		f.s.p.failIn(q.it.d, q.it.path(), "compare", q.v.otherwise)
	case !same:
		q.v.op, q.v.hashed = OpUpdate, false
	case q.v.attrs:
		q.v.hashed = true // they come with the content
	default:
		q.state, q.v.hashed = asIs, true
		if q.v.op == OpMetadata {
			f.s.metadata(q.it, &q.v)
		} else {
			f.s.unchanged(q.it, &q.v)
		}
	}
}

// fetch receives the content of a batch.
func (f *flight) fetch(ctx context.Context) error {
	if !f.r.plain {
		if err := f.locking(); err != nil {
			return err
		}
	}
	wants := func(q *request) bool { return (q.it != nil || q.dir != nil) && q.state == wanted }
	list := f.apart()
	err := f.receive(ctx, f.those(wants))
	if err == nil && len(list) > 0 {
		if err = f.rebuild(ctx, list); err == nil {
			err = f.receive(ctx, f.those(wants))
		}
	}
	return err
}

// those gives the requests of a batch that are meant.
func (f *flight) those(meant func(q *request) bool) []*request {
	list := make([]*request, 0, len(f.batch))
	for i := range f.batch {
		if q := &f.batch[i]; meant(q) {
			list = append(list, q)
		}
	}
	return list
}

// receive goes through the objects of one answer.
func (f *flight) receive(ctx context.Context, want []*request) error {
	if len(want) == 0 {
		return nil
	}
	out, err := f.r.fetch(ctx, want)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(out, 256<<10)
	if f.r.plain {
		return f.unpack(ctx, &archives{in: in, out: out, dir: "."})
	}
	return f.unwrap(ctx, want, &parcels{in: in, out: out})
}

// unpack goes through tar archives.
func (f *flight) unpack(ctx context.Context, in *archives) error {
	for {
		h, err := in.next()
		if err != nil {
			if err = joinEnd(err, in.close()); errors.Is(err, errEnd) {
				return f.hear(in.messages)
			}
			return err
		}
		name := joinPath(in.dir, path.Clean(h.Name))
		i := f.next(name)
		if i < 0 { // a tar that its user traces can say anything; what is said for others they say themselves
			return joinEnd(in.fail(fmt.Errorf("the old host sent %q twice, or unasked", name)), in.close())
		}
		if err := f.take(ctx, i, h, in); err != nil {
			return joinEnd(err, in.close())
		}
	}
}

// next gives the place of the first request for a path that has no answer yet; -1: there is none.
func (f *flight) next(name string) int {
	for _, i := range f.at[name] {
		if f.batch[i].state == wanted {
			return i
		}
	}
	return -1
}

// take deals with one object. An error means that the stream is broken; what is wrong with the object is listed.
func (f *flight) take(ctx context.Context, i int, h *tar.Header, in *archives) error {
	q := &f.batch[i]
	switch {
	case q.dir != nil:
		if h.Typeflag == tar.TypeDir {
			q.state = arrived
			src := q.dir.src.(*remoteDir)
			src.as, src.noAttrs = attrsIn(h), false
		}
		return nil
	case q.it == nil || ctx.Err() != nil || q.it.d.pair.stopped.Load():
		return ctx.Err()
	case q.it.st.device() && (h.Typeflag == tar.TypeBlock || h.Typeflag == tar.TypeChar):
		q.state = arrived
		q.it.st.rdev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
		if err := f.s.special(q.it, &q.v); err != nil {
			q.state = failed
			f.s.failed(q.it, "copy", err)
		}
		return nil
	case h.Typeflag != tar.TypeReg || !sameHeader(h, &q.it.st):
		q.state = stale
		return nil
	}
	q.state = arrived
	op := "copy"
	var err error
	if as := attrsIn(h); q.dressed() {
		op = "set metadata"
		if _, err = io.Copy(io.Discard, in); err == nil {
			err = f.s.dress(q.it, &q.v, &q.it.st, as)
		}
	} else {
		st := q.it.st
		f.body = streamFile{st: st, in: in, as: as, f: f, q: q}
		err = f.s.copyOpen(ctx, f.worker, &f.body, &st, q.it, &q.v, f.buf)
	}
	if err != nil && !in.broken() {
		q.state = failed
		f.s.p.failIn(q.it.d, q.it.path(), op, err)
		err = nil
	}
	return err
}

// dressed tells whether the target has the content, and only attributes are wanted.
func (q *request) dressed() bool {
	return q.it != nil && !q.v.check && q.v.attrs && (q.v.op == OpMetadata || q.v.op == OpUnchanged)
}

// sameHeader tells whether an object is what the manifest says. tar has no room for a time before 1970 or after 2242.
func sameHeader(h *tar.Header, st *stat) bool {
	if h.Size != st.size || uint32(h.Uid) != st.uid || uint32(h.Gid) != st.gid || uint32(h.Mode)&0o7777 != st.perm() {
		return false
	}
	return st.mtime.sec < 0 || st.mtime.sec >= 1<<33 || h.ModTime.Unix() == st.mtime.sec
}

// hear takes what tar said of objects. It sends zeros for what it cannot read, and for what a file lost meanwhile.
func (f *flight) hear(messages []string) error {
	for _, m := range messages {
		text, ok := strings.CutPrefix(unescape(m), "tar: ")
		if !ok {
			continue
		}
		if strings.HasSuffix(text, "Error is not recoverable: exiting now") {
			return fmt.Errorf("%w: %s", errCut, strings.Join(messages, "; "))
		}
		known := false
		for at := 0; !known && at < len(text); at++ {
			if n := strings.Index(text[at:], ": "); n < 0 {
				break
			} else if at += n; strings.HasPrefix(text, "./") {
				known = f.said(text[2:at], m)
			}
		}
		if !known && (strings.Contains(text, "padding with zeros") || strings.Contains(text, "ead error")) {
			return fmt.Errorf("tar at the old host: %q", text)
		}
	}
	return nil
}

// said notes what tar said of a path or, where it was in the directory, of a name.
func (f *flight) said(name, text string) (found bool) {
	mark := func(i int) {
		found, f.says[i] = true, text
		if q := &f.batch[i]; q.state == arrived {
			q.state = warned
		}
	}
	for _, i := range f.at[name] {
		mark(i)
	}
	if strings.Contains(name, "/") {
		return found
	}
	for i := range f.batch {
		if _, base := splitPath(f.batch[i].path); f.batch[i].in && base == name {
			mark(i)
		}
	}
	return found
}

// unescape undoes how tar writes the bytes of a name: \ooo, \n and the like.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	const letters, bytes = "abfnrtv", "\a\b\f\n\r\t\v"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if k := strings.IndexByte(letters, s[i]); k >= 0 {
			b.WriteByte(bytes[k])
			continue
		}
		n, v := 0, 0
		for ; n < 3 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7'; n++ {
			v = v*8 + int(s[i+n]-'0')
		}
		if n == 0 {
			b.WriteByte(s[i])
			continue
		}
		b.WriteByte(byte(v))
		i += n - 1
	}
	return b.String()
}
