package tree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// markWords begin the lines by which an old and a new state of an mbox are laid over each other: the From_ lines, between
// which messages lie, and what mail programs write into the header of a message that is there: Dovecot and UW (Status, X-Status,
// X-Keywords, X-UID, X-IMAP, X-IMAPbase), mboxcl (Content-Length), Mozilla. Whatever else such a line may be, in a body for
// instance, it only divides the file once more.
var markWords = []string{"From ", "Status:", "X-Status:", "X-Keywords:", "X-UID:", "X-IMAP", "Content-Length:", "X-Mozilla-"}

// markPattern is a basic regular expression for them.
var markPattern = `^\(` + strings.Join(markWords, `\|`) + `\)`

// maxMarks bounds the bytes of those lines of one file: some 70,000 messages.
const maxMarks = 12 << 20

// errMarks says that there are more.
var errMarks = errors.New("more lines of mail headers than can be kept")

// marks are those lines of a file of so many bytes.
type marks struct {
	size int64
	text []byte
	at   []mark
}

// mark is one line, with its end.
type mark struct {
	off     int64
	from, n int32 // in text
}

func (m *marks) line(i int32) []byte { return m.text[m.at[i].from:][:m.at[i].n] }

func (m *marks) add(off int64, line []byte) error {
	if len(m.text)+len(line)+16*len(m.at) > maxMarks {
		return errMarks
	}
	m.at = append(m.at, mark{off, int32(len(m.text)), int32(len(line))})
	m.text = append(m.text, line...)
	return nil
}

func isMark(line []byte) bool {
	if len(line) == 0 || line[0] != 'F' && line[0] != 'S' && line[0] != 'X' && line[0] != 'C' {
		return false
	}
	for _, w := range markWords {
		if len(line) >= len(w) && string(line[:len(w)]) == w {
			return true
		}
	}
	return false
}

// scanMarks finds them in an open file.
func scanMarks(ctx context.Context, in io.ReaderAt, size int64) (*marks, error) {
	m := &marks{size: size}
	r := bufio.NewReaderSize(io.NewSectionReader(in, 0, size), 256<<10)
	for off, n := int64(0), 0; off < size; n++ {
		if n&0xffff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, err := r.ReadSlice('\n')
		begin := off
		off += int64(len(line))
		found := isMark(line)
		if found {
			if e := m.add(begin, line); e != nil {
				return nil, e
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // a long line
			line, err = r.ReadSlice('\n')
			off += int64(len(line))
			if found {
				if e := m.extend(line); e != nil {
					return nil, e
				}
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(line) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return m, nil
}

// extend adds to the last line.
func (m *marks) extend(more []byte) error {
	if len(m.text)+len(more) > maxMarks {
		return errMarks
	}
	m.at[len(m.at)-1].n += int32(len(more))
	m.text = append(m.text, more...)
	return nil
}

// readMarks reads what grep -ab tells of a file of size bytes: offset, colon, line. The last line may lack its end in the file.
func readMarks(in io.Reader, size int64) (*marks, error) {
	m, end := &marks{size: size}, int64(0)
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		word, err := r.ReadSlice(':')
		if errors.Is(err, io.EOF) && len(word) == 0 {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("marks: %w", err)
		}
		off, err := strconv.ParseInt(string(word[:len(word)-1]), 10, 64)
		if err != nil || off < end || off >= size || word[0] == '+' || off > 0 && m.at == nil {
			return nil, fmt.Errorf("marks: %q behind %d in a file of %d bytes", word, end, size)
		}
		line, err := readLine(r, maxMarks)
		if err != nil {
			return nil, fmt.Errorf("marks: %w", err)
		}
		line = line[:min(int64(len(line)), size-off)]
		if !isMark(line) {
			return nil, fmt.Errorf("marks: no such line at %d", off)
		}
		if err := m.add(off, line); err != nil {
			return nil, err
		}
		end = off + int64(len(line))
	}
}

// readLine reads to the end of a line.
func readLine(r *bufio.Reader, most int) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if err == nil && line == nil {
			return part, nil
		}
		if line = append(line, part...); len(line) > most {
			return nil, errMarks
		}
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, unfinished(err)
		}
	}
}

// message is from a From_ line to the next.
type message struct {
	first, end int32 // marks in it
	off, n     int64
	rest       int64 // bytes that are not in marks
}

func (m *marks) messages() (all []message) {
	for i := 0; i < len(m.at); {
		k := message{first: int32(i), off: m.at[i].off}
		marked := int64(m.at[i].n)
		for i++; i < len(m.at) && !bytes.HasPrefix(m.line(int32(i)), []byte("From ")); i++ {
			marked += int64(m.at[i].n)
		}
		k.end, k.n = int32(i), m.size-k.off
		if i < len(m.at) {
			k.n = m.at[i].off - k.off
		}
		k.rest = k.n - marked
		all = append(all, k)
	}
	return all
}
