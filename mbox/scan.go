package mbox

import (
	"bytes"
	"math"
	"time"
)

// separator is how a message begins everywhere but at the beginning of the file.
var separator = []byte("\nFrom ")

// headPeek is how much of a header line is looked at for its name.
const headPeek = nameMax + 100

// scanner walks through a mailbox message by message.
type scanner struct {
	w    window
	h    header
	uids uids
	sum  *Summary
	loc  *time.Location
	skip bool
	told bool // each message is handed to somebody
}

func (s *scanner) run(fn func(Message) error) error {
	s.told = fn != nil
	if s.w.size == 0 {
		return nil
	}
	ok, err := s.firstLine()
	if err != nil {
		return err
	}
	if !ok {
		s.sum.Refused = true
		return s.countLax()
	}
	for off := int64(0); off < s.w.size; {
		if err := s.w.ctx.Err(); err != nil {
			return err
		}
		m, err := s.message(off)
		if err != nil {
			return err
		}
		s.count(&m)
		if fn != nil {
			if err := fn(m); err != nil {
				return err
			}
		}
		off = m.Next
	}
	return nil
}

func (s *scanner) count(m *Message) {
	s.sum.Strict++
	if m.Pseudo {
		s.sum.Pseudo = true
	} else {
		s.sum.Messages++
		*[xuidStates]*int{XUIDMissing: &s.sum.XUIDMissing, XUIDKept: &s.sum.XUIDKept, XUIDEarly: &s.sum.XUIDEarly,
			XUIDBroken: &s.sum.XUIDBroken, XUIDNotRising: &s.sum.XUIDNotRising, XUIDTooLarge: &s.sum.XUIDTooLarge}[m.XUID]++
	}
	if m.ContentLength >= 0 && m.ContentLength != m.End-m.Body {
		s.sum.ContentLengthWrong++
	}
}

// firstLine tells whether the file begins with a From_ line that ends.
func (s *scanner) firstLine() (bool, error) {
	b, err := s.w.at(0, len(fromPrefix)+fromMax)
	if err != nil || !bytes.HasPrefix(b, fromPrefix) {
		return false, err
	}
	if _, _, ok := fromLine(b[len(fromPrefix):], s.loc); !ok {
		return false, nil
	}
	if bytes.IndexByte(b, '\n') >= 0 {
		return true, nil
	}
	// Rare: a line that is longer than the window. Only a second look at the file can tell whether it ends.
	probe := newWindow(s.w.ctx, s.w.r, s.w.size, s.w.step, nil)
	_, ended, err := probe.lineEnd(0)
	return ended, err
}

// countLax counts the From_ lines of a file that has no messages.
func (s *scanner) countLax() error {
	b, err := s.w.at(0, len(fromPrefix)+1)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, fromPrefix) {
		s.sum.Lax++
	}
	_, err = s.next(0, s.w.size, false)
	return err
}

func (s *scanner) message(off int64) (m Message, err error) {
	s.sum.Lax++
	m.Offset, m.ContentLength = off, -1
	b, err := s.w.at(off, len(fromPrefix)+fromMax)
	if err != nil {
		return m, err
	}
	sender, date, _ := fromLine(b[len(fromPrefix):], s.loc)
	m.Date = date
	if s.told { // else nobody would see it
		m.Sender = string(sender)
	}
	if m.Header, _, err = s.w.lineEnd(off); err != nil {
		return m, err
	}
	s.uids.begin(s.w.size - off)
	s.h.begin()
	search, err := s.headers(&m)
	if err != nil {
		return m, err
	}
	s.uids.finish(&m)
	m.MD5 = s.h.sum()
	err = s.body(&m, search)
	m.Body = min(m.Body, m.End)
	return m, err
}

// headers reads the header of m and sets m.Body. The result is where a separator may first stand.
func (s *scanner) headers(m *Message) (search int64, err error) {
	defer s.h.end(m, &s.uids)
	pos, crlf, blind := m.Header, false, false
	for first := true; ; first = false {
		// One byte more to the left keeps the line end before pos in the window, where the search will begin.
		b, err := s.w.at(pos-1, 1+headPeek)
		if err != nil {
			return 0, err
		}
		switch b = b[1:]; {
		case len(b) == 0:
			m.Body = pos
			return pos, nil
		case b[0] == '\n':
			m.Body = pos + 1
			return pos, nil
		case b[0] == '\r' && len(b) > 1 && b[1] == '\n':
			m.Body = pos + 2
			return pos + 1, nil
		case b[0] == 'F' && bytes.HasPrefix(b, fromPrefix):
			candidate := !first && !blind
			blind = candidate && len(b) > len(fromPrefix) && b[len(fromPrefix)] == '\n'
			valid, err := s.separates(pos)
			if err != nil {
				return 0, err
			}
			if candidate && valid {
				m.Body = pos - 1
				if crlf {
					m.Body--
				}
				return pos - 1, nil
			}
			s.sum.Lax++
			if b, err = s.w.at(pos-1, 1+headPeek); err != nil {
				return 0, err
			}
			b = b[1:]
		default:
			blind = false
		}
		if (b[0] == ' ' || b[0] == '\t') && !first {
			s.h.fold(crlf)
		} else {
			s.h.end(m, &s.uids)
			value := s.h.name(b)
			if s.h.wanted() {
				pos += int64(value)
			}
		}
		if n := bytes.IndexByte(b, '\n'); n >= 0 && !s.h.wanted() {
			pos, crlf = pos+int64(n)+1, n > 0 && b[n-1] == '\r'
			continue
		}
		if pos, crlf, err = s.value(pos); err != nil {
			return 0, err
		}
	}
}

// separates tells whether the line at pos, which begins with "From ", is a valid From_ line. It keeps the two bytes before
// the line in the window: the line end that belongs to it.
func (s *scanner) separates(pos int64) (bool, error) {
	b, err := s.w.at(pos-2, 2+len(fromPrefix)+fromMax)
	if err != nil {
		return false, err
	}
	_, _, ok := fromLine(b[2+len(fromPrefix):], s.loc)
	return ok, nil
}

// value hands the rest of the line at pos to the header. It returns the offset of the next line and what ended this one.
func (s *scanner) value(pos int64) (next int64, crlf bool, err error) {
	for {
		b, err := s.w.at(pos, 2)
		if err != nil || len(b) == 0 {
			return pos, false, err
		}
		n := bytes.IndexByte(b, '\n')
		if n >= 0 {
			line := b[:n]
			if crlf = n > 0 && b[n-1] == '\r'; crlf {
				line = b[:n-1]
			}
			s.h.add(line)
			return pos + int64(n) + 1, crlf, nil
		}
		// A \r at the end of the window may be the half of a line end.
		if n = len(b); n > 1 && b[n-1] == '\r' {
			n--
		}
		s.h.add(b[:n])
		pos += int64(n)
	}
}

// body sets m.End and m.Next.
func (s *scanner) body(m *Message, search int64) error {
	if m.ContentLength >= 0 && m.ContentLength <= s.w.size-m.Body {
		target := m.Body + m.ContentLength
		next, ok, err := s.boundary(target)
		if err != nil {
			return err
		}
		if ok {
			m.End, m.Next = target, next
			if s.skip {
				return nil
			}
			_, err = s.next(search, target, false)
			return err
		}
	}
	p, err := s.next(search, s.w.size, true)
	if err != nil {
		return err
	}
	if p < 0 {
		m.Next = s.w.size
		m.End, err = s.lastEnd(m.Header)
		return err
	}
	m.End, m.Next = p, p+1
	b, err := s.w.at(p-1, 1)
	if err == nil && b[0] == '\r' && p > m.Header {
		m.End--
	}
	return err
}

// boundary tells whether a message ends at off, so that a Content-Length that points there is true
// (istream_raw_mbox_is_valid_from). next is the offset of the From_ line behind it.
func (s *scanner) boundary(off int64) (next int64, ok bool, err error) {
	b, err := s.w.peek(off, 2+len(fromPrefix)+fromMax)
	if err != nil {
		return 0, false, err
	}
	eol := 1
	if len(b) > 0 && b[0] == '\r' {
		eol = 2
	}
	if len(b) < eol || b[eol-1] != '\n' {
		return 0, false, nil
	}
	if len(b) == eol {
		return s.w.size, true, nil
	}
	// Dovecot wants 32 bytes from the \n on.
	rest := b[eol:]
	if len(rest) < 31 || !bytes.HasPrefix(rest, fromPrefix) {
		return 0, false, nil
	}
	_, _, ok = fromLine(rest[len(fromPrefix):], s.loc)
	return off + int64(eol), ok, nil
}

// next searches the separators whose \n stands at from or later, and before stop. With take it returns the offset of the
// \n of the first valid one; without, it only counts them. -1: there is none.
func (s *scanner) next(from, stop int64, take bool) (int64, error) {
	blind := int64(-1)
	for from < stop {
		// One byte more to the left keeps a \r before the separator in the window.
		left := min(from, 1)
		b, err := s.w.at(from-left, int(left)+len(separator))
		if err != nil {
			return -1, err
		}
		b = b[left:]
		b = b[:min(int64(len(b)), stop-from+int64(len(separator))-1)]
		i := indexSeparator(b)
		if i < 0 {
			// The last bytes may be the beginning of a separator. At the end of the file they are not.
			if len(b) < len(separator) {
				return -1, nil
			}
			from += int64(len(b) - len(separator) + 1)
			continue
		}
		p := from + int64(i)
		from = p + int64(len(separator))
		s.sum.Lax++
		if p == blind || p == 0 {
			continue
		}
		// Dovecot's matcher is blind for the byte after a "From " that it looks at.
		blind = from
		valid, err := s.separates(p + 1)
		if err != nil {
			return -1, err
		}
		if valid && take {
			s.sum.Lax-- // counted with its message
			return p, nil
		}
		if valid && !s.sum.Refused {
			s.sum.Hidden++
		}
	}
	return -1, nil
}

// lastEnd is the end of the last message: the size without the last line end, not before the header.
func (s *scanner) lastEnd(header int64) (int64, error) {
	end := s.w.size
	b, err := s.w.peek(max(end-2, 0), 2)
	if err != nil {
		return 0, err
	}
	if n := len(b); n > 0 && b[n-1] == '\n' {
		end--
		if n > 1 && b[0] == '\r' {
			end--
		}
	}
	return max(end, header), nil
}

// lineEnd is the offset after the line at off, and whether the line has an end.
func (w *window) lineEnd(off int64) (int64, bool, error) {
	for {
		b, err := w.at(off, 1)
		if err != nil || len(b) == 0 {
			return off, false, err
		}
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			return off + int64(n) + 1, true, nil
		}
		off += int64(len(b))
	}
}

// decimal reads the digits at the beginning of b as Dovecot does, overflowing silently into 64 bits, and returns the rest.
func decimal(b []byte) (v uint64, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		v, b = v*10+uint64(b[0]-'0'), b[1:]
	}
	return v, b
}

// contentLength reads the value of a Content-Length header. Numbers that no file can have are not readable.
func contentLength(val []byte) (int64, bool) {
	v, rest := decimal(val)
	if len(bytes.Trim(rest, " \t\n")) != 0 || v > math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}
