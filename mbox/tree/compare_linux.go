package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// verifier compares the two sides and changes nothing.
type verifier struct {
	p   *pass
	how How
	ask *asker
}

// Verify compares the target with the source and lists every difference among Problems, with the op "verify". It uses no
// saved state. What only the target has is no difference. Access times are not compared, for reading changes them.
func Verify(ctx context.Context, src Source, dst string, opt *Options, how How) (*Report, error) {
	start := time.Now()
	if how != ByStat && how != ByHash {
		return newReport(), fmt.Errorf("verify %q: wanted %q or %q", how, ByStat, ByHash)
	}
	var o Options
	if opt != nil {
		o = *opt
	}
	o.State = ""
	p, err := newPass(ctx, src, dst, &o, true)
	if err == nil {
		v := &verifier{p, how, p.asks()}
		p.do = v
		if err = p.run(ctx); err == nil && v.ask != nil {
			err = v.ask.answer(ctx)
		}
	}
	p.close()
	return p.finish(start), err
}

func (v *verifier) wait() {}

func (v *verifier) result(path, why string) {
	if why != "" {
		v.p.fail(path, "verify", errors.New(why))
	}
	v.p.count(OpUnchanged, path, func(r *Report) {
		r.Verified++
		if why != "" {
			r.Mismatched++
		}
	})
}

func (v *verifier) dir(_ context.Context, c *dir, to string) (bool, error) {
	t, err := v.p.openTarget(c, to)
	switch {
	case err != nil:
		v.p.fail(c.path, "open", err)
	case t == nil:
		v.result(c.path, "missing at the target")
	case !t.dir():
		v.result(c.path, "is not a directory at the target")
	}
	return c.dst >= 0, nil
}

// done looks at the directory itself; nobody writes to it, so any time is right.
func (v *verifier) done(d *dir) {
	if d.frame || d.dst < 0 {
		return
	}
	w := v.p.want(&d.st)
	t, err := statFd(d.dst)
	if err != nil {
		v.p.fail(d.path, "stat", err)
		return
	}
	why := v.p.metaDiff(&w, &t)
	if same, err := v.p.sameDirAttrs(d); why == "" && (err != nil || !same) {
		why = "extended attributes differ"
	}
	v.result(d.path, why)
}

func (p *pass) metaDiff(w *want, t *stat) string {
	switch {
	case p.root && (w.uid != t.uid || w.gid != t.gid):
		return fmt.Sprintf("owner is %d:%d, wanted %d:%d", t.uid, t.gid, w.uid, w.gid)
	case !w.link && w.perm != t.perm():
		return fmt.Sprintf("mode is %04o, wanted %04o", t.perm(), w.perm)
	case w.mtime != t.mtime:
		return fmt.Sprintf("modification time is %s, wanted %s", t.mtime, w.mtime)
	}
	return ""
}

func (v *verifier) object(ctx context.Context, it *item) error {
	t, err := stat{}, error(unix.ENOENT)
	if it.d.dst >= 0 {
		t, err = statAt(it.d.dst, it.to)
	}
	if errors.Is(err, unix.ENOENT) {
		v.result(it.path(), "missing at the target")
		return nil
	}
	if err != nil {
		v.p.fail(it.path(), "stat", err)
		return nil
	}
	why, err := v.compare(ctx, it, &t)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		why = err.Error()
	}
	if v.ask != nil && why == "" && v.how == ByHash && it.st.regular() && it.st.size > 0 {
		return v.ask.ask(ctx, it, &t, func(same bool) error {
			if !same {
				v.result(it.path(), "content differs, or could not be read")
			} else {
				v.result(it.path(), "")
			}
			return nil
		})
	}
	v.result(it.path(), why)
	return nil
}

func (v *verifier) compare(ctx context.Context, it *item, t *stat) (string, error) {
	st := &it.st
	if st.typ() != t.typ() {
		return fmt.Sprintf("type is %#o, wanted %#o", t.typ(), st.typ()), nil
	}
	if st.regular() && st.size != t.size {
		return fmt.Sprintf("size is %d, wanted %d", t.size, st.size), nil
	}
	w := v.p.want(st)
	if why := v.p.metaDiff(&w, t); why != "" {
		return why, nil
	}
	if !st.regular() {
		if same, err := v.p.sameSpecial(it, t); err != nil || !same {
			return "link text or device number differs", err
		}
		return "", nil
	}
	if !v.p.sameAttrs(it, t) {
		return "extended attributes differ", nil
	}
	if v.how == ByHash && v.ask == nil {
		if same, err := v.p.sameFile(ctx, it, t); err != nil || !same {
			return "content differs", err
		}
	}
	return "", nil
}

// openTarget opens the target's side of a directory when there is one, and returns what is there.
func (p *pass) openTarget(c *dir, to string) (*stat, error) {
	if c.up.dst < 0 || c.up.fresh {
		return nil, nil
	}
	t, err := statAt(c.up.dst, to)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil || !t.dir() {
		return &t, err
	}
	if !c.up.frame && !t.sameMount(&c.up.dstMnt) {
		return nil, errors.New("is a mount point at the target; not crossed")
	}
	c.dstMnt = t
	c.dst, err = openSame(c.up.dst, to, &t, openDir)
	return &t, err
}

func (p *pass) sameDirAttrs(d *dir) (bool, error) {
	a, err1 := d.src.attrs()
	if errors.Is(err1, errNoAttrs) {
		return true, nil
	}
	b, err2 := attrsOf(d.dst, false)
	return attrsEqual(p.mapAttrs(a), b), errors.Join(err1, err2)
}
