package shadow

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

type kind uint8

const (
	blank   kind = iota
	comment      // first byte that is not a blank is #
	nis          // first byte is + or -
	entry        // libc reads it
	hidden       // not blank, and libc reads nothing: the owner is locked out
	odd          // libc reads it, shadow-utils does not, and it is not safe to edit
	removed
)

type line struct {
	text string
	eol  string
	kind kind
}

// content is the text without the carriage returns that a DOS editor left.
func (l *line) content() string { return strings.TrimRight(l.text, "\r") }

func (l *line) cr() bool { return l.eol == "\r\n" || strings.HasSuffix(l.text, "\r") }

// rewrite replaces the line but for blanks before its name. A line that ended in \r\n then ends as libc needs it.
func (l *line) rewrite(text string) {
	lead := l.text[:len(l.text)-len(trimSpace(l.text))]
	l.text = lead + text
	if l.eol != "" {
		l.eol = "\n"
	}
}

// notes are the problems of one line, still without position.
type notes []Problem

func (n *notes) add(sev Severity, kind, detail string) {
	*n = append(*n, Problem{Severity: sev, Kind: kind, Detail: detail})
}

// classify judges one line: its kind, its name and its problems.
type classify func(l *line, n *notes) (k kind, name string)

// table is what shadow and gshadow have in common: lines, and the first readable one of each name. Lines are added as
// one block, where shadow-utils puts them.
type table struct {
	file     string
	lines    []line
	cut      int // index in lines of the first NIS line, or len(lines): added goes before it
	added    []line
	index    map[string]int // name to its effective line; len(lines) and more are added
	bad      map[string]int // name to its first hidden or odd line
	problems []Problem
	notes    notes // of the line being read
	nul      int   // number of the first line with a NUL byte, or 0
}

func parseTable(file string, src []byte, judge classify) *table {
	split := lines.Split(src)
	text := string(src) // one copy, of which the lines are parts
	t := &table{file: file, lines: make([]line, len(split)), index: make(map[string]int, len(split)), bad: map[string]int{}, cut: len(split)}
	pos := 0
	for i, s := range split {
		end := pos + len(s.Text)
		t.lines[i] = line{text: text[pos:end], eol: text[end : end+len(s.EOL)]}
		pos = end + len(s.EOL)
		t.scan(i, judge)
	}
	if n := len(t.lines); n > 0 && t.lines[n-1].eol == "" {
		t.report(n-1, Warning, "no-newline", "", "the last line has no newline; shadow-utils 4.19 and later refuse such a file")
	}
	return t
}

func (t *table) scan(i int, judge classify) {
	l := &t.lines[i]
	rest := trimSpace(l.text)
	switch {
	case rest == "":
		return
	case strings.IndexByte(l.text, 0) >= 0:
		l.kind = hidden
		t.report(i, Error, "nul", "", "NUL byte; libc cuts the line there and shadow-utils refuses the file")
		if t.nul == 0 {
			t.nul = i + 1
		}
		return
	case rest[0] == '#':
		l.kind = comment
		return
	case rest[0] == '+' || rest[0] == '-':
		l.kind = nis
		t.cut = min(t.cut, i)
		t.report(i, Info, "nis", "", "NIS line, kept where it is and never copied")
		return
	}
	var name string
	t.notes = t.notes[:0]
	l.kind, name = judge(l, &t.notes)
	shown := ""
	if l.kind == entry {
		if strings.Contains(l.text, ":") { // or it may be the torn-off half of a line
			shown = show(name)
		}
		if first, dup := t.index[name]; dup {
			t.report(i, Warning, "duplicate-name", shown, fmt.Sprintf("libc uses line %d of this name and never this one", first+1))
		} else {
			t.index[name] = i
		}
		if len(rest) != len(l.text) {
			t.report(i, Warning, "leading-space", shown, "blanks before the name; libc skips them, shadow-utils takes them as part of it")
		}
	} else if _, ok := t.bad[name]; !ok && name != "" {
		t.bad[name] = i
	}
	for _, p := range t.notes {
		t.report(i, p.Severity, p.Kind, shown, p.Detail)
	}
}

func (t *table) report(i int, sev Severity, kind, name, detail string) {
	t.problems = append(t.problems, Problem{Severity: sev, Kind: kind, Name: name, Detail: detail, File: t.file, Line: i + 1})
}

// where is pos for lines that may have been added, which have no number yet.
func (t *table) where(i int) string {
	if i < len(t.lines) {
		return t.pos(i)
	}
	return t.file
}

func (t *table) pos(i int) string { return t.file + ":" + strconv.Itoa(i+1) }

func (t *table) at(i int) *line {
	if i < len(t.lines) {
		return &t.lines[i]
	}
	return &t.added[i-len(t.lines)]
}

// all gives every line in the order of the file, with its index.
func (t *table) all() iter.Seq2[int, *line] {
	return func(yield func(int, *line) bool) {
		for i := range t.lines[:t.cut] {
			if !yield(i, &t.lines[i]) {
				return
			}
		}
		for i := range t.added {
			if !yield(len(t.lines)+i, &t.added[i]) {
				return
			}
		}
		for i := t.cut; i < len(t.lines); i++ {
			if !yield(i, &t.lines[i]) {
				return
			}
		}
	}
}

func (t *table) effective() iter.Seq[*line] {
	return func(yield func(*line) bool) {
		for i, l := range t.all() {
			if l.kind == entry && t.index[nameOf(l)] == i && !yield(l) {
				return
			}
		}
	}
}

func (t *table) bytes() []byte {
	n := 0
	for _, l := range t.all() {
		n += len(l.text) + len(l.eol)
	}
	out := make([]byte, 0, n)
	for _, l := range t.all() {
		out = append(append(out, l.text...), l.eol...)
	}
	return out
}

func (t *table) lookup(name string) *line {
	i, ok := t.index[name]
	if !ok {
		return nil
	}
	return t.at(i)
}

// fail names the entry and, when it has one, its line; never its content.
func (t *table) fail(name string, err error, why string) error {
	where := t.file
	if i, ok := t.index[name]; ok && i < len(t.lines) {
		where = t.pos(i)
	}
	if why != "" {
		why = ": " + why
	}
	return fmt.Errorf("%s: %s: %w%s", where, show(name), err, why)
}

func (t *table) writable() error {
	if t.nul > 0 {
		return fmt.Errorf("%s:%d: %w", t.file, t.nul, ErrNUL)
	}
	return nil
}

func (t *table) addable(name string) error {
	if err := t.writable(); err != nil {
		return err
	}
	if why := validName(name); why != "" {
		return t.fail(name, ErrInvalid, why)
	}
	if t.lookup(name) != nil {
		return t.fail(name, ErrExists, "")
	}
	if i, ok := t.bad[name]; ok {
		return fmt.Errorf("%s: %s: %w line of this name is there", t.pos(i), show(name), ErrMalformed)
	}
	return nil
}

func (t *table) editable(name string) (*line, error) {
	if err := t.writable(); err != nil {
		return nil, err
	}
	l := t.lookup(name)
	if l != nil {
		return l, nil
	}
	if i, ok := t.bad[name]; ok {
		return nil, fmt.Errorf("%s: %s: %w line, %w", t.pos(i), show(name), ErrMalformed, ErrNotFound)
	}
	return nil, t.fail(name, ErrNotFound, "")
}

// add puts a line after the last one added. The line before it gets its missing newline.
func (t *table) add(name, text string) {
	if len(t.added) == 0 && t.cut > 0 && t.lines[t.cut-1].eol == "" {
		if last := &t.lines[t.cut-1]; last.kind != removed {
			last.eol = "\n"
		}
	}
	t.added = append(t.added, line{text: text, eol: "\n", kind: entry})
	t.index[name] = len(t.lines) + len(t.added) - 1
}

// remove deletes the effective line of name and looks for the one that then counts.
func (t *table) remove(name string, l *line) {
	*l = line{kind: removed}
	delete(t.index, name)
	for i, other := range t.all() {
		if other.kind == entry && nameOf(other) == name {
			t.index[name] = i
			return
		}
	}
}

// seal hides v from whatever prints or dumps a value by reflection: that follows pointers, and not functions.
func seal[T any](v T) func() T { return func() T { return v } }

// format stands for the whole file where one is printed.
func format(sealed func() *table, s fmt.State) {
	if sealed == nil {
		_, _ = io.WriteString(s, "(no file)")
		return
	}
	t := sealed()
	_, _ = fmt.Fprintf(s, "(%s, %d lines)", t.file, len(t.lines)+len(t.added))
}

// clone copies what edits change, with room for that many more lines.
func (t *table) clone(more int) *table {
	c := *t
	c.lines = append([]line(nil), t.lines...)
	c.added = append(make([]line, 0, len(t.added)+more), t.added...)
	c.index = make(map[string]int, len(t.index)+more)
	for k, v := range t.index {
		c.index[k] = v
	}
	return &c
}

// nameOf gives the name that libc reads from an entry line.
func nameOf(l *line) string {
	name, _, _ := strings.Cut(trimSpace(l.content()), ":")
	return name
}
