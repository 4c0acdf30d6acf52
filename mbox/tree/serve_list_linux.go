package tree

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (s *server) manifest(n, m string) error {
	single, err1 := s.list(n)
	trees, err2 := s.list(m)
	if err := errors.Join(err1, err2, s.readKnown()); err != nil {
		return err
	}
	now, boot, err := s.clock()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "H%s\x00%d.%09d\x00%d.%09d\x00%s\x00", bootID(), now.Unix(), now.Nanosecond(), boot.Sec, boot.Nsec, "xattrs")
	for _, p := range single {
		if dir, name, st, err := s.find(p); err != nil {
			s.say(p, err)
		} else {
			s.object(dir, name, p, &st, "")
		}
	}
	for _, p := range trees {
		dir, name, st, err := s.find(p)
		if err != nil {
			s.say(p, err)
		} else if err := s.tree(dir, name, p, &st); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "E0\x00%s\x00", strings.ReplaceAll(strings.Join(s.messages, "\n"), "\x00", ""))
	return nil
}

func (s *server) list(size string) ([]string, error) {
	n, err := strconv.ParseUint(size, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("serve: %q bytes of names", size)
	}
	return s.names(n)
}

// object writes one record. An error of writing stays with the writer and comes up at its end.
func (s *server) object(dir int, name, p string, st *stat, word string) {
	text := ""
	if st.typ() == unix.S_IFLNK || s.attrs {
		var as []attr
		text, as = s.inside(dir, name, st)
		if len(as) > 0 {
			word += " attrs=" + hex.EncodeToString(encodeAttrs(as))
		}
	}
	_ = s.out.WriteByte(letter(st))
	_, _ = s.out.WriteString(numbers(st))
	_ = s.out.WriteByte(' ')
	_, _ = s.out.WriteString(word)
	for _, w := range []string{"", p, text} {
		_, _ = s.out.WriteString(w)
		_ = s.out.WriteByte(0)
	}
}

// inside reads the text of a link and, when they are wanted, the attributes of an object.
func (s *server) inside(dir int, name string, st *stat) (text string, as []attr) {
	open, pathFd := openPath, true
	switch {
	case st.dir():
		open, pathFd = openDir, false
	case st.regular():
		open, pathFd = openFile, false
	}
	fd, err := openSame(dir, name, st, open)
	if err != nil {
		return "", nil
	}
	defer closeFd(fd)
	if st.typ() == unix.S_IFLNK {
		text = linkText(fd)
	}
	if s.attrs {
		as, _ = attrsOf(fd, pathFd)
	}
	return text, as
}

func encodeAttrs(as []attr) (b []byte) {
	for _, a := range as {
		b = append(binary.AppendUvarint(b, uint64(len(a.name))), a.name...)
		b = append(binary.AppendUvarint(b, uint64(len(a.value))), a.value...)
	}
	return b
}

func decodeAttrs(b []byte) (as []attr, ok bool) {
	c := &cursor{b: b}
	for len(c.b) > 0 && !c.bad {
		a := attr{c.text(), c.bytes()}
		c.bad = c.bad || a.name == flagsAttr && len(a.value) != 4
		as = append(as, a)
	}
	return as, !c.bad
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

// tree writes the records of an object and all below it, but for what is in a directory that is as the asker knows it. The
// error is of the line.
func (s *server) tree(dir int, name, p string, st *stat) error {
	if err := s.alive(); err != nil || !st.dir() {
		s.object(dir, name, p, st, "")
		return err
	}
	if k, ok := s.known[p]; ok && k == st.tuple() {
		s.object(dir, name, p, st, "same")
		return nil
	}
	s.object(dir, name, p, st, "")
	fd, err := openSame(dir, name, st, openDir)
	if err != nil {
		s.unread(p, st, err)
		return nil
	}
	defer closeFd(fd)
	var below []dent
	for {
		ents, err := readDents(fd, s.dents)
		if err != nil {
			s.unread(p, st, err)
			break
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			if e.typ == unix.DT_DIR || e.typ == unix.DT_UNKNOWN {
				below = append(below, e)
			} else if err := s.entry(fd, e.name, p, st); err != nil {
				return err
			}
		}
	}
	for _, e := range below {
		if err := s.entry(fd, e.name, p, st); err != nil {
			return err
		}
	}
	return nil
}

// unread says, after the fact, that not all names of a directory are here: what is missing has not gone.
func (s *server) unread(p string, st *stat, err error) {
	_, _ = s.out.WriteString("d" + numbers(st) + " unread\x00" + p + "\x00" + strings.ReplaceAll(err.Error(), "\x00", "") + "\x00")
}

// entry writes the records of a name in an open directory. No mount is crossed.
func (s *server) entry(dir int, name, up string, upSt *stat) error {
	st, err := statAt(dir, name)
	switch {
	case isAbsent(err):
		return nil
	case err != nil:
		s.unread(up, upSt, fmt.Errorf("%q: %w", name, err))
		return nil
	case st.dir() && !st.sameMount(upSt):
		s.object(dir, name, joinPath(up, name), &st, "mount")
		return nil
	}
	return s.tree(dir, name, joinPath(up, name), &st)
}
