package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A manifest tells all that a walk looks at, without content. It is a stream of records:
//
//	H boot-id NUL seconds-now NUL seconds-since-boot NUL features NUL
//	for each object, parents before what is in them: type and numbers, separated by blanks, NUL, path NUL, link text NUL
//	E status NUL messages NUL
//
// The numbers are those of find's -printf: %D %i %m %n %U %G %s %b %A@ %T@ %C@ (device, inode, octal mode, links, owner,
// group, size, blocks of 512 bytes, three times in seconds). The program itself adds: the device number of a node;
// attributes, when they are asked for; for a directory whose names it did not list the word "same", when nothing changed
// there, or "mount", for a mount point; and behind a directory that it could not list to its end that directory once more,
// with the word "unread" and an error for a text.

// manifest is a received one. Names are kept in a file, directory by directory: memory grows with the directories only.
type manifest struct {
	head     head
	file     *os.File // has no name
	size     int64
	held     int64             // bytes in memory of the directories
	at       map[string]span   // directories below the source root -> their names
	messages []string          // of find, about what it could not see
	bad      map[string]string // directories of which names may be missing -> why
	less     bool              // names in directories of messages do not come, see listScript
	partial  []partial         // those directories
}

// head is the first record.
type head struct {
	boot     string
	now      stamp
	clock    string // as clockFact
	features map[string]bool
}

type span struct {
	off   int64
	n     int32 // bytes
	names int32
	not   bool // not listed: nothing changed there
}

// known is one object of a manifest.
type known struct {
	name string
	st   stat
	text string // of a symbolic link
	raw  string // attributes, see encodeAttrs

	not, unread bool // see above; not kept in the file
}

func newManifest() (*manifest, error) {
	f, err := os.CreateTemp("", "mailmove-manifest-")
	if err != nil {
		return nil, err
	}
	return &manifest{file: f, at: map[string]span{}, bad: map[string]string{}}, os.Remove(f.Name())
}

// add reads a manifest and puts it to what is there.
func (m *manifest) add(r io.Reader) error {
	b := &builder{m: m, out: bufio.NewWriterSize(&appender{m.file, m.size}, 256<<10), at: m.size, bare: map[string][]known{}}
	h, messages, err := readManifest(r, b.object)
	if err != nil {
		return err
	}
	if m.head.boot == "" {
		m.head = h
	}
	m.messages = append(m.messages, messages...)
	if err := b.end(); err != nil {
		return err
	}
	m.size = b.at
	return nil
}

// readManifest calls each for every object.
func readManifest(r io.Reader, each func(where string, k known) error) (h head, messages []string, err error) {
	in := bufio.NewReaderSize(r, 256<<10)
	for {
		kind, err := in.ReadByte()
		switch {
		case err != nil:
			return h, nil, cut(err)
		case kind == 'H':
			h, err = readHead(in)
		case kind == 'E':
			messages, err = readEnd(in)
			if _, e := in.ReadByte(); err == nil && !errors.Is(e, io.EOF) {
				err = errors.New("manifest: more after its end")
			}
			return h, messages, err
		default:
			err = readObject(kind, in, each)
		}
		if err != nil {
			return h, nil, err
		}
	}
}

func readObject(kind byte, in *bufio.Reader, each func(where string, k known) error) error {
	numbers, err := word(in)
	if err != nil {
		return err
	}
	where, err := word(in)
	if err != nil {
		return err
	}
	k := known{}
	if k.text, err = word(in); err != nil {
		return err
	}
	if err = k.parse(kind, numbers); err != nil {
		return fmt.Errorf("manifest: %q: %w", where, err)
	}
	where = strings.TrimPrefix(where, "./")
	if !validPath(where) {
		return fmt.Errorf("manifest: path %q", where)
	}
	_, k.name = splitPath(where)
	return each(where, k)
}

// cut explains a stream that ended in the middle.
func cut(err error) error {
	if isEOF(err) {
		return errCut
	}
	return err
}

var errLong = errors.New("the other host sent a word without end")

var errCut = errors.New("the other host's answer was cut off")

type appender struct {
	f  *os.File
	at int64
}

func (a *appender) Write(b []byte) (int, error) {
	n, err := a.f.WriteAt(b, a.at)
	a.at += int64(n)
	return n, err
}

// word reads up to a NUL. A path is at most as long as the deepest tree that we would walk.
func word(in *bufio.Reader) (string, error) { return wordUpTo(in, 1<<20) }

// mostSaid bounds what find and tar say of names that went away meanwhile: a batch of long paths, each with a sentence.
const mostSaid = 64 << 20

func wordUpTo(in *bufio.Reader, most int) (string, error) {
	var long []byte
	for {
		b, err := in.ReadSlice(0)
		if err == nil && long == nil {
			return string(b[:len(b)-1]), nil
		}
		if long = append(long, b...); len(long) > most {
			return "", errLong
		}
		if err == nil {
			return string(long[:len(long)-1]), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", cut(err)
		}
	}
}

func readHead(in *bufio.Reader) (h head, err error) {
	var f [4]string
	for i := range f {
		if f[i], err = word(in); err != nil {
			return h, err
		}
	}
	now, err1 := parseStamp(f[1])
	up, err2 := parseStamp(f[2])
	if err := errors.Join(err1, err2); err != nil {
		return h, fmt.Errorf("manifest: clock: %w", err)
	}
	h = head{boot: f[0], now: now, features: map[string]bool{}}
	ns := func(s stamp) int64 { return s.sec*1e9 + int64(s.ns) }
	h.clock = fmt.Sprintf("%d %d", ns(now)-ns(up), ns(up))
	for _, w := range strings.Fields(f[3]) {
		h.features[w] = true
	}
	return h, nil
}

// readEnd gives what find said of names that it could not see. That one went away while it looked is the life of a mail
// store.
func readEnd(in *bufio.Reader) (messages []string, err error) {
	if _, err := word(in); err != nil {
		return nil, err
	}
	text, err := wordUpTo(in, mostSaid)
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasSuffix(l, "No such file or directory") && !strings.HasSuffix(l, "Not a directory") {
			messages = append(messages, l)
		}
	}
	return messages, err
}

// builder groups the objects by directory.
type builder struct {
	m     *manifest
	out   *bufio.Writer
	at    int64
	stack []level
	bare  map[string][]known // names in directories that were not listed themselves
	bytes int64              // of those
	buf   []byte             // of the directory that is written
}

// level is a directory of which not all names have come yet.
type level struct {
	path  string
	names []known
	bytes int64 // of them
	not   bool
}

// What is held in memory is bounded: names of one directory while they come, and the paths of all directories. Each takes some
// bytes besides its words.
const knownBytes = 200

var mostNames int64 = 2 << 30

func (b *builder) object(where string, k known) error {
	if k.unread || k.st.dir() {
		if b.m.held += int64(len(where)+len(k.text)) + knownBytes; b.m.held > mostNames {
			return errors.New("manifest: more directories than can be kept")
		}
	}
	if k.unread {
		b.m.bad[where] = k.text
		return nil
	}
	up, _ := splitPath(where)
	for len(b.stack) > 0 && !below(where, b.stack[len(b.stack)-1].path) {
		if err := b.pop(); err != nil {
			return err
		}
	}
	switch n := len(b.stack) - 1; {
	case n >= 0 && b.stack[n].path == up && where != ".":
		if b.stack[n].bytes += int64(len(k.name)+len(k.text)+len(k.raw)) + knownBytes; b.stack[n].bytes > mostNames {
			return fmt.Errorf("manifest: %q has too many names", up)
		}
		b.stack[n].names = append(b.stack[n].names, k)
	default:
		if b.bytes += int64(len(up)+len(k.name)+len(k.text)+len(k.raw)) + knownBytes; b.bytes > mostNames {
			return errors.New("manifest: too many names without their directory")
		}
		b.bare[up] = append(b.bare[up], k) // the top of a pair; "." is kept in itself
	}
	if k.st.dir() {
		if b.m.less && isPartial(where) {
			k.not = true
			b.m.partial = append(b.m.partial, partial{where, k.st})
		}
		delete(b.m.bad, where)
		b.push(where, k.not)
	}
	return nil
}

// below tells whether a path is in a directory or deeper.
func below(where, dir string) bool {
	return where != "." && (dir == "." || strings.HasPrefix(where, dir) && len(where) > len(dir) && where[len(dir)] == '/')
}

// push begins a directory, with the memory of the one before it that was as deep.
func (b *builder) push(path string, not bool) {
	n := len(b.stack)
	b.stack = slices.Grow(b.stack, 1)[:n+1]
	b.stack[n] = level{path: path, names: b.stack[n].names[:0], not: not}
}

// pop writes out the directory whose names have all come.
func (b *builder) pop() error {
	l := b.stack[len(b.stack)-1]
	b.stack = b.stack[:len(b.stack)-1]
	if s, twice := b.m.at[l.path]; twice && len(l.names) == 0 && !l.not && !s.not {
		return nil // a parent that was named for its own sake
	}
	err := b.write(l)
	clear(l.names)
	return err
}

func (b *builder) write(l level) error {
	slices.SortFunc(l.names, func(a, b known) int { return strings.Compare(a.name, b.name) })
	buf := b.buf[:0]
	for i := range l.names {
		buf = l.names[i].encode(buf)
	}
	b.buf = buf
	if len(buf) > 1<<30 {
		return fmt.Errorf("manifest: %q has too many names", l.path)
	}
	b.m.at[l.path] = span{b.at, int32(len(buf)), int32(len(l.names)), l.not}
	n, err := b.out.Write(buf)
	b.at += int64(n)
	return err
}

// end writes out what is left. The names that came without their directory are those of pairs' tops.
func (b *builder) end() error {
	for len(b.stack) > 0 {
		if err := b.pop(); err != nil {
			return err
		}
	}
	if err := b.out.Flush(); err != nil {
		return err
	}
	for up, names := range b.bare {
		old, err := b.m.read(up)
		if err != nil {
			return err
		}
		for _, k := range names {
			if i, ok := find(old, k.name); !ok {
				old = slices.Insert(old, i, k)
			}
		}
		if err := b.write(level{path: up, names: old, not: b.m.at[up].not}); err != nil {
			return err
		}
	}
	return b.out.Flush()
}

// read gives the names of a directory in order; none for one that the manifest does not have.
func (m *manifest) read(dir string) ([]known, error) {
	s, ok := m.at[dir]
	if !ok || s.n == 0 {
		return nil, nil
	}
	buf := make([]byte, s.n)
	if _, err := m.file.ReadAt(buf, s.off); err != nil {
		return nil, err
	}
	all := make([]known, 0, s.names)
	for len(buf) > 0 {
		var k known
		if buf = k.decode(buf); buf == nil {
			return nil, errors.New("manifest: damaged")
		}
		all = append(all, k)
	}
	return all, nil
}
