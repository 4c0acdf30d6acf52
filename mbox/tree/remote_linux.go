package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// remote is another host's tree during one pass.
type remote struct {
	*Remote
	ctx   context.Context // of the pass: folders ask the other host, too
	m     *manifest
	plain bool
	wait  time.Duration // for a mailbox that others keep locked
	attrs bool          // the manifest tells attributes

	end func() // of keeping the program there

	mu    sync.Mutex
	after map[string]stat // directories in which mailboxes were locked, as they were afterwards
}

// errNoAttrs says that the attributes of an object are not known: it did not change, or the way to the other host has none.
var errNoAttrs = errors.New("attributes are not known")

// openRemote gets the manifest of all that the pairs name.
func openRemote(ctx context.Context, r *Remote, p *pass) (*remote, error) {
	s := &remote{Remote: r, ctx: ctx, plain: len(r.Helper) == 0, wait: p.opt.LockWait, after: map[string]stat{}}
	s.attrs = !s.plain && !p.state.saved() // else a changed one shows in the time of change
	if s.wait == 0 {
		s.wait = defaultLockWait
	}
	if r.Start == nil {
		return nil, errors.New("a remote source without Start")
	}
	m, err := newManifest()
	if err != nil {
		return nil, err
	}
	s.m, s.end = m, r.Keep()
	if err = s.list(ctx, tops(p.pairs), p); err != nil {
		return s, errors.Join(err, s.close())
	}
	for _, need := range []string{"find", "tar", "head", "xargs", "chroot", "sha256sum"} {
		if s.plain && !m.head.features[need] {
			return s, errors.Join(fmt.Errorf("the old host has no %s", need), s.close())
		}
	}
	for _, l := range m.messages {
		p.fail(".", "list", errors.New(l))
	}
	return s, nil
}

// tops are what the pairs name, and the directories on the way to them.
func tops(pairs []Pair) (t listed) {
	seen := map[string]bool{}
	for _, pr := range pairs {
		for up := pr.From; up != "."; {
			up, _ = splitPath(up)
			if !seen[up] {
				seen[up] = true
				t.ways = append(t.ways, up)
			}
		}
		t.whole = append(t.whole, pr.From)
	}
	return t
}

// listed is what a manifest is asked for: single objects, and whole trees.
type listed struct{ ways, whole []string }

// listScript makes a manifest: root, bytes of the names of single objects on stdin; those of trees follow; "less" leaves out what is
// in directories named cur and new, but for directories: find need not look at it. The time since boot is
// told by the kernel's word of when that was: two clocks that are read one after the other differ on a busy host.
const listScript = `# list homes and mail
LC_ALL=C; export LC_ALL
cd -- "$1" || { [ ! -e "$1" ] || echo "$1: not a directory" >&2; exit 9; }
exec 3>&1
boot=; btime=0; f=
boot=$(cat /proc/sys/kernel/random/boot_id)
while read -r k v rest; do [ "$k" != btime ] || btime=$v; done </proc/stat
now=$(date +%s.%N)
for p in find tar head xargs chroot sha256sum base64 cksum dd grep; do command -v "$p" >/dev/null 2>&1 && f="$f $p"; done
tar --help 2>/dev/null | grep -q -e --xattrs-include && f="$f xattrs"
printf 'H%s\0%s\0%s\0%s\0' "$boot" "$now" "$((${now%.*} - btime)).${now#*.}" "$f"
F='%y%D %i %m %n %U %G %s %b %A@ %T@ %C@\0%p\0%l\0'
e=$({
	head -c "$2" | xargs -0 -r sh -c 'F=$1; shift; exec find "$@" -maxdepth 0 -printf "$F"' sh "$F"
	if [ "$3" = less ]; then xargs -0 -r sh -c 'F=$1; shift; exec find "$@" -xdev \( -type d -o ! -path "*/cur/*" ! -path "*/new/*" \) -printf "$F"' sh "$F"
	else xargs -0 -r sh -c 'F=$1; shift; exec find "$@" -xdev -printf "$F"' sh "$F"; fi
} 2>&1 >&3)
printf 'E%s\0%s\0' "$?" "$e"`

// list asks for a manifest and adds it.
func (s *remote) list(ctx context.Context, t listed, p *pass) error {
	ways, whole := names(t.ways), names(t.whole)
	in, args := append(ways, whole...), []string{s.top(), fmt.Sprint(len(ways))}
	if !s.plain {
		what := "-"
		if s.attrs {
			what = "attrs"
		}
		args = append(args, fmt.Sprint(len(whole)), what)
		if p != nil {
			k := p.knownDirs()
			in = append(in, k.encode()...)
		}
	}
	less := false
	var known knownDirs
	if s.plain && p != nil {
		if known = p.knownDirs(); len(known.list) > 0 {
			less, args = true, append(args, "less")
		}
	}
	out, err := s.start(ctx, in, "manifest", listScript, args...)
	if err != nil {
		return err
	}
	s.m.less, s.m.partial = less, nil
	err = joinEnd(s.m.add(out), out.Close())
	if s.m.less = false; err != nil || !less {
		return err
	}
	if ask := s.m.unproven(&known); len(ask) > 0 {
		return s.list(ctx, listed{whole: ask}, nil)
	}
	return nil
}

// joinEnd prefers what the command said of its end to the cut stream that it left.
func joinEnd(err, end error) error {
	if end != nil && (err == nil || errors.Is(err, errCut) || isEOF(err)) {
		return end
	}
	return err
}

func (s *remote) top() string {
	if s.Root == "" {
		return "/"
	}
	return s.Root
}

// start runs a script of ours, or asks the helper for the same.
func (s *remote) start(ctx context.Context, stdin []byte, verb, script string, args ...string) (io.ReadCloser, error) {
	if s.plain {
		return s.Start(ctx, bytes.NewReader(stdin), script, args...)
	}
	return s.ask(ctx, stdin, append([]string{verb}, args...)...)
}

// names writes paths as find and tar take them: none looks like an option.
func names(paths []string) []byte {
	var b bytes.Buffer
	for _, p := range paths {
		if p != "." {
			b.WriteString("./")
		}
		b.WriteString(p)
		b.WriteByte(0)
	}
	return b.Bytes()
}

func (s *remote) root() (folder, error) {
	names, err := s.m.read(".")
	if err != nil {
		return nil, err
	}
	i, ok := find(names, ".")
	if !ok {
		return nil, fmt.Errorf("manifest: without its root: %w", errCut)
	}
	return s.folder(".", names[i])
}

func (s *remote) facts() facts {
	return facts{bootID() + " " + s.m.head.boot, s.m.head.clock}
}

// now is when the manifest was begun, by the other host's clock.
func (s *remote) now() time.Time { return time.Unix(s.m.head.now.sec, int64(s.m.head.now.ns)) }

func (s *remote) close() error {
	if s.m == nil {
		return nil
	}
	s.end()
	return s.m.file.Close()
}

// folder reads the names of a directory; of one that was passed over because nothing changed in it they are asked for now.
func (s *remote) folder(where string, self known) (folder, error) {
	if err := s.listPassedOver(s.ctx, []string{where}); err != nil {
		return nil, err
	}
	all, err := s.m.dir(where)
	if err != nil {
		return nil, err
	}
	d := &remoteDir{s: s, path: where, self: self, names: all, noAttrs: !s.attrs}
	d.as, _ = decodeAttrs([]byte(self.raw))
	return d, nil
}

// listPassedOver asks for the names of those of the directories that were passed over.
func (s *remote) listPassedOver(ctx context.Context, dirs []string) error {
	var whole []string
	for _, d := range dirs {
		if s.m.at[d].not {
			whole = append(whole, d)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	return s.list(ctx, listed{whole: whole}, nil)
}

// longPath bounds the path of a directory whose files find and tar are asked for by their paths: PATH_MAX is 4096, a name has at
// most 255 bytes.
const longPath = 4096 - 256 - len(".//") - 1

// remoteDir is a directory of another host, as the manifest has it.
type remoteDir struct {
	s       *remote
	path    string
	self    known
	names   []known
	told    int
	as      []attr
	noAttrs bool
	extra   map[string][]attr // of objects that cannot be opened, as they come
}

func (d *remoteDir) stat() (stat, error) { return d.self.st, nil }

// last is the newest that is known of the directory: a mailbox in it may have been locked since it was listed.
func (d *remoteDir) last() stat {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if st, ok := d.s.after[d.path]; ok && st.same(&d.self.st) {
		return st
	}
	return d.self.st
}

func (d *remoteDir) look(name string) (stat, error) {
	if name == "." {
		return d.self.st, nil
	}
	if i, ok := find(d.names, name); ok {
		return d.names[i].st, nil
	}
	return stat{}, unix.ENOENT
}

func (d *remoteDir) list([]byte) (ents []dent, err error) {
	const batch = 2048
	for ; d.told < len(d.names) && len(ents) < batch; d.told++ {
		k := &d.names[d.told]
		ents = append(ents, dent{name: k.name, to: k.name, typ: uint8(k.st.typ() >> 12)})
	}
	if why := d.s.m.bad[d.path]; why != "" && len(ents) == 0 {
		return nil, errors.New(why)
	}
	return ents, nil
}

func (d *remoteDir) rewind() error {
	d.told = 0
	return nil
}

func (d *remoteDir) enter(name string) (folder, error) {
	if name == "." {
		return d, nil
	}
	i, ok := find(d.names, name)
	switch {
	case !ok:
		return nil, unix.ENOENT
	case !d.names[i].st.dir():
		return nil, unix.ENOTDIR
	case d.s.plain && len(d.path)+len(name) > longPath:
		return nil, unix.ENAMETOOLONG
	}
	return d.s.folder(joinPath(d.path, name), d.names[i])
}

func (d *remoteDir) open(name string) (file, error) {
	i, ok := find(d.names, name)
	if !ok {
		return nil, unix.ENOENT
	}
	if k := &d.names[i]; k.st.regular() {
		return &remoteFile{s: d.s, path: joinPath(d.path, name), st: k.st, raw: k.raw}, nil
	}
	return nil, errSwapped
}

func (d *remoteDir) special(name string, _ *stat) (text string, as []attr, err error) {
	i, ok := find(d.names, name)
	if !ok {
		return "", nil, unix.ENOENT
	}
	d.s.mu.Lock()
	as, ok = d.extra[name]
	d.s.mu.Unlock()
	if !ok {
		as, _ = decodeAttrs([]byte(d.names[i].raw))
	}
	return d.names[i].text, as, nil
}

// keep takes the attributes of an object that cannot be opened.
func (d *remoteDir) keep(name string, as []attr) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.extra == nil {
		d.extra = map[string][]attr{}
	}
	d.extra[name] = as
}

func (d *remoteDir) attrs() ([]attr, error) {
	if d.noAttrs {
		return nil, errNoAttrs
	}
	return d.as, nil
}

func (d *remoteDir) share() (folder, error) { return d, nil }

func (d *remoteDir) close() {}

// remoteFile is a file of another host of which no content has come.
type remoteFile struct {
	s    *remote
	path string
	st   stat
	raw  string
}

func (f *remoteFile) stat() (stat, error) { return f.st, nil }
func (f *remoteFile) close()              {}

func (f *remoteFile) attrs() ([]attr, error) {
	if !f.s.attrs {
		return nil, errNoAttrs
	}
	as, _ := decodeAttrs([]byte(f.raw))
	return as, nil
}

func (f *remoteFile) copyTo(context.Context, int, *stat, []byte) (int64, error) {
	return 0, errors.ErrUnsupported // content comes as a stream, see courier
}

func (f *remoteFile) same(context.Context, int, int64, []byte) (bool, error) {
	return false, errors.ErrUnsupported // sums are asked for, of many at once
}

// carriesAttrs tells whether extended attributes come with content.
func (s *remote) carriesAttrs() bool { return !s.plain || s.m.head.features["xattrs"] }
