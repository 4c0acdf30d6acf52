package passwd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind says what a line of an account file is to the programs that read it.
type Kind uint8

// The kinds of lines.
const (
	Entry     Kind = iota // an account, a group or a range
	Blank                 // nothing but blanks
	Comment               // # is the first byte that is no blank, even with the right number of fields
	NIS                   // + or - comes first: compat lines of nsswitch, never an account with uid 0
	Visible               // malformed, but libc takes a name and ids from it, which therefore are in use
	Invisible             // malformed, and no program takes anything from it
)

// String names the kind in lower case.
func (k Kind) String() string {
	names := [...]string{"entry", "blank", "comment", "nis", "visible", "invisible"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Severity grades a Problem.
type Severity uint8

// The severities, ascending.
const (
	Info    Severity = iota // worth knowing
	Warning                 // works now, and will fail with some program
	Error                   // some program fails on it today
)

// String is "info", "warning" or "error".
func (s Severity) String() string {
	names := [...]string{"info", "warning", "error"}
	if int(s) < len(names) {
		return names[s]
	}
	return "severity " + strconv.Itoa(int(s))
}

// Problem is something wrong or odd in one line. It is an error, to be passed on as one.
type Problem struct {
	Severity Severity
	Kind     string // stable: crlf, control, duplicate-name, duplicate-uid, duplicate-gid, field-count, invalid-id, leading-space, member, name, nis, no-newline, nul, number, number-form, too-long, value
	File     string
	Line     int // from 1
	Text     string
}

// At is the position, as "etc/passwd:12".
func (p Problem) At() string { return p.File + ":" + strconv.Itoa(p.Line) }

// Error is the position and the text, as "etc/passwd:12: 8 fields, want 7".
func (p Problem) Error() string { return p.At() + ": " + p.Text }

var (
	// ErrValue is wrapped by edits whose text cannot stand in the file: a colon, a newline or another control
	// byte, an empty name, an id of 4294967295, a line longer than shadow-utils would write (32768 bytes).
	ErrValue = errors.New("value cannot be written")
	// ErrMalformed is wrapped by edits of a line, or a file, that is too broken to be edited.
	ErrMalformed = errors.New("malformed, not edited")
)

// maxEntry is the longest passwd entry that shadow-utils writes, counted its way: the texts and 100 bytes more.
const maxEntry = 32768

// table is the text of a file whose lines are fields between colons. Untouched lines are the source's own bytes.
type table struct {
	name     string
	rows     []row
	problems []Problem
	nul      int // first line with a NUL byte, from 1; 0 when there is none
	nis      int // first row of kind NIS, -1 when there is none
}

type row struct {
	text, eol string
	kind      Kind
}

// load cuts src and lets entry judge every line that may be one. The rows share one copy of src.
func (t *table) load(name string, src []byte, size func(n int), entry func(row int, body string, whole bool) Kind) {
	t.name, t.nis = name, -1
	rest := string(src)
	n := strings.Count(rest, "\n")
	if rest != "" && !strings.HasSuffix(rest, "\n") {
		n++
	}
	t.rows = make([]row, n)
	size(n)
	nul := strings.IndexByte(rest, 0) >= 0
	for i := range t.rows {
		r := &t.rows[i]
		r.text, r.eol, rest = cutLine(rest)
		body, whole := r.text, true
		if nul {
			if j := strings.IndexByte(body, 0); j >= 0 {
				body, whole = body[:j], false
				if t.nul == 0 {
					t.nul = i + 1
				}
				t.problem(i, Error, "nul", "NUL byte: libc ends the line there, shadow-utils refuses the file")
			}
		}
		r.kind = t.judge(i, body, whole, entry)
	}
	if n := len(t.rows); n > 0 && !strings.HasSuffix(t.rows[n-1].eol, "\n") {
		t.problem(n-1, Warning, "no-newline", "the last line has no newline; shadow-utils from 4.19 on refuses the file")
	}
}

func (t *table) judge(i int, text string, whole bool, entry func(int, string, bool) Kind) Kind {
	body := text
	for body != "" && (body[0] == ' ' || body[0] == '\t') {
		body = body[1:]
	}
	switch {
	case body == "" && whole:
		return Blank
	case body == "":
		return Invisible
	case body[0] == '#':
		return Comment
	case body[0] == '+' || body[0] == '-':
		if t.nis < 0 {
			t.nis = i
		}
		t.problem(i, Info, "nis", "a compat line of nsswitch; it stays, and is never copied")
		return NIS
	}
	return entry(i, body, whole)
}

// reportLine reports what any entry may have wrong: blanks before it, control bytes, a carriage return at its end.
// The first two make it unfit to be copied as it is.
func (t *table) reportLine(row int, body string, unfit map[int]string, i int) {
	r := t.rows[row]
	if len(body) != len(r.text) {
		t.problem(row, Warning, "leading-space", "blanks before the name: libc skips them, shadow-utils takes them as part of it")
		unfit[i] = "blanks stand before its name"
	}
	if hasControl(body) {
		t.problem(row, Warning, "control", "control bytes in a field")
		unfit[i] = "a field has control bytes"
	}
	if strings.HasPrefix(r.eol, "\r") {
		t.problem(row, Error, "crlf", "the line ends in a CR: to libc the CR is part of the last field")
	}
}

func (t *table) problem(row int, s Severity, kind, format string, args ...any) {
	t.problems = append(t.problems, Problem{s, kind, t.name, row + 1, fmt.Sprintf(format, args...)})
}

// Name is the name that was given to Parse.
func (t *table) Name() string { return t.name }

// Bytes is the text of the file. Without an edit it is what was parsed; after one, every other line is as it was, and
// the last one ends in a newline.
func (t *table) Bytes() []byte {
	n := 0
	for _, r := range t.rows {
		n += len(r.text) + len(r.eol)
	}
	out := make([]byte, 0, n)
	for _, r := range t.rows {
		out = append(append(out, r.text...), r.eol...)
	}
	return out
}

// Problems lists what Parse found, in the order of the lines. Edits neither add to it nor move its line numbers.
func (t *table) Problems() []Problem { return t.problems }

// count tells how many lines have a problem of this kind.
func (t *table) count(kind string) (n int) {
	for _, p := range t.problems {
		if p.Kind == kind {
			n++
		}
	}
	return n
}

// Kinds tells what each line is, first line first.
func (t *table) Kinds() []Kind {
	ks := make([]Kind, len(t.rows))
	for i, r := range t.rows {
		ks[i] = r.kind
	}
	return ks
}

func (t *table) place(row int) string { return t.name + ":" + strconv.Itoa(row+1) }

func (t *table) writable() error {
	if t.nul > 0 {
		return fmt.Errorf("%s: NUL byte: %w", t.place(t.nul-1), ErrMalformed)
	}
	return nil
}

// draft is a copy of the text alone, to be edited without a look at what the lines mean.
func (t *table) draft() *table {
	c := *t
	c.rows = slices.Clone(t.rows)
	return &c
}

// insert puts new entries before the first NIS line, else at the end, and tells the first one's row.
func (t *table) insert(texts ...string) int {
	at := len(t.rows)
	if t.nis >= 0 {
		at = t.nis
		t.nis += len(texts)
	}
	if len(texts) == 0 {
		return at
	}
	t.endLine()
	rows := make([]row, len(texts))
	for i, text := range texts {
		rows[i] = row{text, "\n", Entry}
	}
	t.rows = slices.Insert(t.rows, at, rows...)
	return at
}

func (t *table) replace(at int, text string) {
	t.rows[at].text = text
	t.endLine()
}

func (t *table) remove(at int) {
	t.rows = slices.Delete(t.rows, at, at+1)
	if t.nis > at {
		t.nis--
	}
	t.endLine()
}

// cutLine takes the first line off a text. Only a newline ends it; a CR right before that, or before the end of the text,
// belongs to the line end.
func cutLine(s string) (text, eol, rest string) {
	end := len(s)
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		end = i + 1
	}
	n := end
	if n > 0 && s[n-1] == '\n' {
		n--
	}
	if n > 0 && s[n-1] == '\r' {
		n--
	}
	return s[:n], s[n:end], s[end:]
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// endLine gives the last line the newline that shadow-utils asks for.
func (t *table) endLine() {
	if n := len(t.rows); n > 0 && !strings.HasSuffix(t.rows[n-1].eol, "\n") {
		t.rows[n-1].eol += "\n"
	}
}
