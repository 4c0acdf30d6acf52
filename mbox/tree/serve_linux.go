package tree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Serve answers one request of a Remote whose Helper is this program: args are what that command was given behind its own,
// in what it got on stdin, out its stdout. It reads the tree as a Dir is read: by descriptors, following no link,
// mailboxes under their locks, which is all that it writes. The error is of the request or of the line.
//
//	manifest ROOT N M WAIT   N bytes of single names, M bytes of names of trees, then directories that are known
//	fetch ROOT WAIT          requests, see encodeRequests
//	sum ROOT                 sections of names, as for sha256sum
func Serve(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("serve: wanted a request and a root")
	}
	fd, err := openTop(args[1])
	if err != nil {
		return err
	}
	defer closeFd(fd)
	w := bufio.NewWriterSize(out, 256<<10)
	s := &server{ctx: ctx, top: fd, in: bufio.NewReaderSize(in, 64<<10), out: w, dents: make([]byte, 64<<10), buf: make([]byte, 256<<10)}
	switch {
	case args[0] == "manifest" && len(args) == 4:
		err = s.manifest(args[2], args[3])
	case args[0] == "fetch" && len(args) == 3:
		if s.wait, err = time.ParseDuration(args[2]); err == nil {
			err = s.fetch()
		}
	case args[0] == "sum" && len(args) == 2:
		err = s.sums()
	default:
		err = fmt.Errorf("serve: request %q with %d arguments", args[0], len(args))
	}
	return errors.Join(err, w.Flush())
}

// server answers one request.
type server struct {
	ctx        context.Context
	top        int
	in         *bufio.Reader
	out        *bufio.Writer
	dents, buf []byte
	known      map[string]tuple // directories of messages, as the asker knows them
	messages   []string
	wait       time.Duration
}

// say notes what could not be done.
func (s *server) say(path string, err error) {
	if !isAbsent(err) {
		s.messages = append(s.messages, strconv.Quote(path)+": "+err.Error())
	}
}

// most is the largest list of names that is taken.
const most = 1 << 30

func (s *server) names(size string) ([]string, error) {
	n, err := strconv.ParseUint(size, 10, 31)
	if err != nil || n > most {
		return nil, fmt.Errorf("serve: %q bytes of names", size)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, err
	}
	var all []string
	for p := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		if name := strings.TrimPrefix(string(p), "./"); validPath(name) {
			all = append(all, name)
		} else if n > 0 {
			return nil, fmt.Errorf("serve: path %q", name)
		}
	}
	return all, nil
}

func (s *server) manifest(n, m string) error {
	single, err1 := s.names(n)
	trees, err2 := s.names(m)
	if err := errors.Join(err1, err2, s.readKnown()); err != nil {
		return err
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return err
	}
	now := time.Now()
	fmt.Fprintf(s.out, "H%s\x00%d.%09d\x00%d.%09d\x00%s\x00", bootID(), now.Unix(), now.Nanosecond(), boot.Sec, boot.Nsec, "xattrs")
	for _, p := range single {
		if dir, name, st, err := s.find(p); err != nil {
			s.say(p, err)
		} else {
			s.object(dir, name, p, &st, "")
			closeFd(dir)
		}
	}
	for _, p := range trees {
		dir, name, st, err := s.find(p)
		if err == nil {
			err = s.tree(dir, name, p, &st)
			closeFd(dir)
		}
		if err != nil {
			s.say(p, err)
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "E0\x00%s\x00", strings.ReplaceAll(strings.Join(s.messages, "\n"), "\x00", ""))
	return nil
}

// find looks at a path; dir is the directory that holds it.
func (s *server) find(p string) (dir int, name string, st stat, err error) {
	if dir, name, err = openBelow(s.top, p); err != nil {
		return -1, "", st, err
	}
	if st, err = statAt(dir, name); err != nil {
		closeFd(dir)
	}
	return dir, name, st, err
}

// object writes one record.
func (s *server) object(dir int, name, p string, st *stat, word string) {
	text := ""
	if st.typ() == unix.S_IFLNK {
		if fd, err := openSame(dir, name, st, openPath); err == nil {
			text = linkText(fd)
			closeFd(fd)
		}
	}
	s.out.WriteByte(letter(st))
	s.out.WriteString(numbers(st))
	s.out.WriteByte(' ')
	s.out.WriteString(word)
	for _, w := range []string{"", p, text} {
		s.out.WriteString(w)
		s.out.WriteByte(0)
	}
}

func letter(st *stat) byte {
	for b, t := range types {
		if t == st.typ() {
			return b
		}
	}
	return '?'
}

// numbers writes what parseNumbers reads.
func numbers(st *stat) string {
	b := make([]byte, 0, 160)
	for i, v := range []uint64{st.dev, st.ino, uint64(st.perm()), uint64(st.nlink), uint64(st.uid), uint64(st.gid), uint64(st.size), uint64(st.blocks)} {
		base := 10
		if i == 2 {
			base = 8
		}
		b = append(strconv.AppendUint(b, v, base), ' ')
	}
	for i, t := range []stamp{st.atime, st.mtime, st.ctime} {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, t.sec, 10)
		b = append(b, '.')
		d := strconv.AppendUint(nil, uint64(t.ns), 10)
		b = append(append(b, "000000000"[:9-len(d)]...), d...)
	}
	if st.device() {
		b = strconv.AppendUint(append(b, " rdev="...), st.rdev, 10)
	}
	return string(b)
}

// tree writes the records of an object and all below it, but for what is in a directory that is as the asker knows it.
func (s *server) tree(dir int, name, p string, st *stat) error {
	if !st.dir() {
		s.object(dir, name, p, st, "")
		return nil
	}
	if k, ok := s.known[p]; ok && k == st.tuple() {
		s.object(dir, name, p, st, "same")
		return nil
	}
	s.object(dir, name, p, st, "")
	fd, err := openSame(dir, name, st, openDir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	var below []dent
	for {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		ents, err := readDents(fd, s.dents)
		if err != nil {
			return err
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			if e.typ == unix.DT_DIR || e.typ == unix.DT_UNKNOWN {
				below = append(below, e)
			} else if err := s.entry(fd, e.name, joinPath(p, e.name), st); err != nil {
				return err
			}
		}
	}
	for _, e := range below {
		if err := s.entry(fd, e.name, joinPath(p, e.name), st); err != nil {
			return err
		}
	}
	return nil
}

// entry writes the records of a name in an open directory. No mount is crossed.
func (s *server) entry(dir int, name, p string, up *stat) error {
	st, err := statAt(dir, name)
	if err != nil {
		s.say(p, err)
		return nil
	}
	if st.dir() && !st.sameMount(up) {
		s.object(dir, name, p, &st, "mount")
		return nil
	}
	if err := s.tree(dir, name, p, &st); err != nil {
		s.say(p, err)
	}
	return s.ctx.Err()
}

// knownDirs writes what a state knows of directories of messages.
func (p *pass) knownDirs() (b []byte) {
	if !p.state.saved() {
		return nil
	}
	_ = p.state.each(".", func(r *dirRecord) { // else all are listed
		if _, base := splitPath(r.path); messageDir(base) && !r.racy {
			from := p.sourceOf(r.path)
			b = append(binary.AppendUvarint(b, uint64(len(from))), from...)
			b = r.src.encode(b)
		}
	})
	return b
}

func (s *server) readKnown() error {
	b, err := io.ReadAll(s.in)
	if err != nil {
		return err
	}
	s.known = map[string]tuple{}
	c := &cursor{b: b}
	for len(c.b) > 0 && !c.bad {
		name := c.text()
		s.known[name] = c.tuple()
	}
	if c.bad {
		return errors.New("serve: a list of directories that cannot be read")
	}
	return nil
}

func (s *server) sums() error {
	for {
		head, err := s.in.ReadString('\n')
		if errors.Is(err, io.EOF) && head == "" {
			s.out.WriteString("MAILMOVE\n")
			return nil
		}
		f := strings.Fields(head)
		if err != nil || len(f) != 3 {
			return errors.Join(err, fmt.Errorf("serve: section %q", head))
		}
		list, err := s.names(f[2])
		if err != nil {
			return err
		}
		for _, p := range list {
			if err := s.sum(p); err != nil && s.ctx.Err() != nil {
				return err
			}
		}
	}
}

// sum writes a line as sha256sum(1) does.
func (s *server) sum(p string) error {
	dir, name, st, err := s.find(p)
	if err != nil {
		return err
	}
	defer closeFd(dir)
	fd, err := openSame(dir, name, &st, openFile)
	if err != nil || !st.regular() {
		closeFd(fd)
		return errors.Join(err, errSwapped)
	}
	defer closeFd(fd)
	sum, err := sumOf(s.ctx, fd, st.size, s.buf)
	if err != nil {
		return err
	}
	esc := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(p)
	if esc != p {
		s.out.WriteByte('\\')
	}
	fmt.Fprintf(s.out, "%s  ./%s\n", hex.EncodeToString(sum[:]), esc)
	return nil
}
