package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// lookScript tells of the names on its stdin, each ended by NUL, and of what matches in the pairs of directory and
// pattern, what they are: type, size, owner, group, mode, name and target, each field ended by NUL. What cannot be seen is left out.
const lookScript = `# look at the small files
LC_ALL=C; export LC_ALL
for p in find xargs tar; do
	command -v "$p" >/dev/null 2>&1 || { echo "there is no $p" >&2; exit 127; }
done
cd "$1" || exit 3
shift
xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 -printf "%y\0%s\0%U\0%G\0%m\0%p\0%l\0"' sh 2>/dev/null
while [ $# -gt 1 ]; do
	find "$1" -mindepth 1 -maxdepth 1 -name "$2" -printf '%y\0%s\0%U\0%G\0%m\0%p\0%l\0' 2>/dev/null
	shift 2
done
exit 0`

// object is one thing on the host.
type object struct {
	kind     byte // of find's %y: d, f, l
	size     int64
	uid, gid int
	mode     uint32
	target   string // of a link
}

// glob is a pattern to look for in a directory.
type glob struct{ dir, pattern string }

// listing is what is known of the host. Paths are below the root, without "./" and without links.
type listing struct {
	seen   map[string]object
	asked  map[string]bool
	globs  map[glob]bool
	names  []string // to ask for in the next round
	search []glob
}

// look finds all that is wanted, round by round, as links turn up.
func look(ctx context.Context, h *hostcmd.Host, root string, want []string) (*listing, error) {
	l := &listing{seen: map[string]object{}, asked: map[string]bool{}, globs: map[glob]bool{}}
	for range rounds {
		l.names, l.search = nil, nil
		for _, w := range want {
			parts, err := split(w)
			if err != nil {
				return nil, err
			}
			l.walk("", parts, rounds)
		}
		if len(l.names)+len(l.search) == 0 {
			return l, nil
		}
		if err := l.round(ctx, h, root); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// walk goes from dir, a directory, along the parts as far as things are known, and notes what to ask for to go on.
func (l *listing) walk(dir string, parts []part, links int) {
	for i, p := range parts {
		switch {
		case p.text == "..": // out of a link's target
			dir = parent(dir)
			continue
		case p.pattern:
			l.match(dir, p.text, parts[i+1:], links)
			return
		}
		at := path.Join(dir, p.text)
		o, ok := l.seen[at]
		switch {
		case !ok && l.asked[at]:
			return
		case !ok:
			l.ask(at)
			if i+1 < len(parts) && parts[i+1].text == ".." {
				return // what .. is depends on whether this is a link
			}
		case o.kind == 'l':
			if links == 0 {
				return
			}
			rest, err := split(Literal(o.target))
			if err != nil {
				return
			}
			if path.IsAbs(o.target) {
				dir = ""
			}
			l.walk(dir, append(rest, parts[i+1:]...), links-1)
			return
		case o.kind != 'd':
			return
		}
		dir = at
	}
}

// match goes on with all that matches in a directory.
func (l *listing) match(dir, pattern string, rest []part, links int) {
	g := glob{dir, pattern}
	if !l.globs[g] {
		l.globs[g] = true
		l.search = append(l.search, g)
		return
	}
	for _, at := range l.matches(g) {
		l.walk(dir, append([]part{{text: path.Base(at)}}, rest...), links)
	}
}

// matches sorts, so that each run asks alike.
func (l *listing) matches(g glob) (all []string) {
	for at := range l.seen {
		if parent(at) == g.dir && g.covers(path.Base(at)) {
			all = append(all, at)
		}
	}
	slices.Sort(all)
	return all
}

// covers is as glob(7): a leading dot must be matched by one. What looks like a private key is not matched.
func (g glob) covers(name string) bool {
	if ext := path.Ext(strings.ToLower(name)); ext == ".key" || ext == ".pem" || ext == ".p12" || ext == ".pfx" {
		return false
	}
	ok, err := path.Match(strings.ReplaceAll(g.pattern, "[!", "[^"), name)
	return ok && err == nil && (name[0] != '.' || g.pattern[0] == '.')
}

// searched tells whether the directory was searched, and whether a pattern wants the name. find(1) is more generous than
// glob(7) about leading dots.
func (l *listing) searched(at string) (searched, wanted bool) {
	for g := range l.globs {
		if g.dir == parent(at) {
			searched, wanted = true, wanted || g.covers(path.Base(at))
		}
	}
	return searched, wanted
}

func (l *listing) ask(at string) {
	if !l.asked[at] {
		l.asked[at] = true
		l.names = append(l.names, at)
	}
}

// round asks the host.
func (l *listing) round(ctx context.Context, h *hostcmd.Host, root string) error {
	var in bytes.Buffer
	for _, name := range l.names {
		in.WriteString("./" + name + "\x00")
	}
	args := []string{root}
	for _, g := range l.search {
		args = append(args, "./"+g.dir, g.pattern)
	}
	out, err := h.Shell(ctx, &in, lookScript, args...)
	if err != nil {
		return err
	}
	fields := strings.Split(string(out), "\x00")
	if len(fields)%7 != 1 || len(fields) > 7*mostNames {
		return refuse(h, "a list that is cut")
	}
	for f := range slices.Chunk(fields[:len(fields)-1], 7) {
		if err := l.add(f); err != nil {
			return refuse(h, "%w", err)
		}
	}
	return nil
}

// add takes one line of the list.
func (l *listing) add(f []string) error {
	at, ok := strings.CutPrefix(f[5], "./")
	if !ok || at == "" || path.Clean("/" + at)[1:] != at {
		return fmt.Errorf("the name %q", f[5])
	}
	if !l.asked[at] {
		switch searched, wanted := l.searched(at); {
		case !searched:
			return fmt.Errorf("the name %q", f[5])
		case !wanted:
			return nil
		}
	}
	size, err1 := strconv.ParseInt(f[1], 10, 64)
	uid, err2 := strconv.ParseUint(f[2], 10, 32)
	gid, err3 := strconv.ParseUint(f[3], 10, 32)
	mode, err4 := strconv.ParseUint(f[4], 8, 12)
	if err := errors.Join(err1, err2, err3, err4); err != nil || size < 0 || len(f[0]) != 1 {
		return fmt.Errorf("%q with %q", at, f[:5])
	}
	l.seen[at] = object{f[0][0], size, int(uid), int(gid), uint32(mode), f[6]}
	return nil
}
