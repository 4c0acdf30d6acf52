package dovecotconf

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// Kind tells what a statement of a configuration file is.
type Kind uint8

// The kinds of statements. Blank covers comments, empty lines and text that Dovecot throws away.
const (
	Blank Kind = iota
	Assign
	SectionOpen
	SectionClose
	Include
	IncludeTry
	Malformed
)

// Statement is one or more physical lines of a file that Dovecot takes together.
type Statement struct {
	Kind  Kind
	Key   string // setting, section type, or !include
	Value string // value without its quotes, section name, or path
	Line  int    // 1-based number of its last line, the one Dovecot reports
	Err   string // why it is Malformed, in Dovecot's words

	quoted  bool // the value stood in quotes: no $ and no < in it
	heredoc bool
	lost    bool // a continued setting that this version drops
	hash    bool // an ambiguous # cut it
	raw     []lines.Line
}

// File is one configuration file as a list of statements that loses no byte of it.
type File struct {
	Name       string
	Statements []Statement
}

// Bytes gives the file as it was read.
func (f *File) Bytes() []byte {
	var all []lines.Line
	for _, s := range f.Statements {
		all = append(all, s.raw...)
	}
	return lines.Join(all)
}

// reader cuts a file into statements by the rules of one version (config-parser.c; settings.c in 1.x).
type reader struct {
	v    release
	in   []lines.Line
	out  []Statement
	from int             // first physical line of the statement being read
	full strings.Builder // continued text before the current line
	hash bool
}

func readFile(v release, name string, src []byte) *File {
	r := &reader{v: v, in: lines.Split(src)}
	for i := 0; i < len(r.in); i++ {
		i = r.line(i)
	}
	if r.from < len(r.in) { // the file ends after a backslash: the setting is lost without a word
		r.emit(Statement{Kind: Blank, lost: true}, len(r.in)-1)
	}
	return &File{Name: name, Statements: r.out}
}

func (r *reader) emit(s Statement, last int) {
	s.Line, s.raw, s.hash = last+1, r.in[r.from:last+1], r.hash
	r.out = append(r.out, s)
	r.from, r.hash = last+1, false
	r.full.Reset()
}

func (r *reader) blanks() string {
	if r.v.old() {
		return " \t"
	}
	return " \t\n\v\f\r"
}

// line reads physical line i and returns the last line it used.
func (r *reader) line(i int) int {
	text := strings.TrimLeft(string(r.in[i].Text), r.blanks())
	if text == "" || text[0] == '#' {
		switch {
		case r.v.before(v20) && r.full.Len() > 0:
			return i // skipped, the join goes on
		case r.full.Len() > 0:
			r.emit(Statement{Kind: Blank, lost: true}, i)
		default:
			r.emit(Statement{Kind: Blank}, i)
		}
		return i
	}
	text = r.cutComment(text)
	if n := len(text); n > 0 && text[n-1] == '\\' && !r.v.before(v11) {
		r.continued(text[:n-1], i)
		return i
	}
	full := r.full.String() + text
	s := split(r.v, full)
	if s.Kind == Assign && !r.v.before(v245) && !s.quoted && strings.HasPrefix(s.Value, "<<") {
		return r.hereDoc(s, i)
	}
	r.emit(s, i)
	return i
}

func (r *reader) continued(text string, i int) {
	switch {
	case r.v.before(v20):
		r.full.WriteString(text)
	case r.v.before(v2222): // the text is thrown away
		r.emit(Statement{Kind: Blank, lost: true}, i)
	default:
		r.full.WriteString(strings.TrimRight(text, r.blanks()) + " ")
	}
}

// cutComment removes a # comment outside of quotes and the blanks before it. After a quote that is not closed there is
// no comment.
func (r *reader) cutComment(text string) string {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"':
			end := closingQuote(text, i)
			if end < 0 {
				return strings.TrimRight(text, r.blanks())
			}
			i = end
		case '#':
			if strings.IndexByte(r.blanks(), text[i-1]) < 0 {
				r.hash = true
			}
			return strings.TrimRight(text[:i], r.blanks())
		}
	}
	return strings.TrimRight(text, r.blanks())
}

func closingQuote(text string, open int) int {
	for i := open + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[open]:
			return i
		}
	}
	return -1
}

func (r *reader) hereDoc(s Statement, i int) int {
	end := strings.TrimSpace(s.Value[2:])
	var body bytes.Buffer
	for j := i + 1; j < len(r.in); j++ {
		if string(r.in[j].Text) == end {
			s.Value, s.quoted, s.heredoc = body.String(), true, true
			r.emit(s, j)
			return j
		}
		body.Write(r.in[j].Text)
		body.WriteByte('\n')
	}
	s.Kind, s.Err = Malformed, fmt.Sprintf("Heredoc end %s not found", end)
	r.emit(s, len(r.in)-1)
	return len(r.in) - 1
}

// word cuts off what stands before a blank (or = when key) and skips the blanks after it.
func (r *splitter) word(key bool) string {
	s := r.rest
	stop := r.blanks
	if key {
		stop += "="
	}
	n := strings.IndexAny(s, stop)
	if n < 0 {
		n = len(s)
	}
	r.rest = strings.TrimLeft(s[n:], r.blanks)
	return s[:n]
}

// quotedWord cuts off a word in double quotes.
func (r *splitter) quotedWord() string {
	end := closingQuote(r.rest, 0)
	if end < 0 {
		w := r.rest[1:]
		r.rest = ""
		return unescape(w)
	}
	w := unescape(r.rest[1:end])
	r.rest = strings.TrimLeft(r.rest[end+1:], r.blanks)
	return w
}

type splitter struct {
	v      release
	rest   string
	blanks string
}

// split takes a whole logical line apart.
func split(v release, line string) Statement {
	r := &splitter{v: v, rest: line, blanks: (&reader{v: v}).blanks()}
	var key string
	if !v.old() && line[0] == '"' {
		key = r.quotedWord()
	} else {
		key = r.word(true)
	}
	switch {
	case key == "!include":
		return Statement{Kind: Include, Key: key, Value: r.rest}
	case key == "!include_try":
		return Statement{Kind: IncludeTry, Key: key, Value: r.rest}
	case strings.HasPrefix(r.rest, "="):
		return r.assign(key)
	case key == "}" && r.rest == "":
		return Statement{Kind: SectionClose, Key: key}
	}
	return r.open(key)
}

func (r *splitter) assign(key string) Statement {
	s := Statement{Kind: Assign, Key: key, Value: strings.TrimLeft(r.rest[1:], r.blanks)}
	if n := len(s.Value); n >= 2 && (s.Value[0] == '"' || s.Value[0] == '\'') && s.Value[n-1] == s.Value[0] {
		s.quoted = true
		text := s.Value[1 : n-1]
		if bad := badEscape(text); bad != "" && !r.v.before(v242) {
			s.Kind, s.Err = Malformed, "Unknown escape sequence "+bad
			return s
		}
		s.Value = unescape(text)
	}
	return s
}

func (r *splitter) open(key string) Statement {
	s := Statement{Kind: SectionOpen, Key: key}
	if !r.v.old() {
		r.group(&s)
	}
	switch {
	case strings.HasPrefix(r.rest, "{"):
	case strings.HasPrefix(r.rest, `"`) && !r.v.before(v21):
		s.Value = r.quotedWord()
	default:
		s.Value = r.word(false)
	}
	switch {
	case !strings.HasPrefix(r.rest, "{") && r.v.before(v21):
		s.Kind, s.Err = Malformed, "Expecting '='"
	case !strings.HasPrefix(r.rest, "{"):
		s.Kind, s.Err = Malformed, "Expecting '{'"
	case len(r.rest) > 1 && !r.v.before(v20):
		s.Kind, s.Err = Malformed, "Garbage after '{'"
	}
	return s
}

// group reads the label of "group @label name {" (2.4) into the key.
func (r *splitter) group(s *Statement) {
	if s.Key == "group" && strings.HasPrefix(r.rest, "@") {
		s.Key += " " + r.word(false)
	}
}

// unescape drops the backslash of \x, whatever x is.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// badEscape finds the first escape that later 2.4 versions refuse: only \\ and \" are known to them.
func badEscape(s string) string {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '\\' {
			i++
			if s[i] != '\\' && s[i] != '"' {
				return s[i-1 : i+1]
			}
		}
	}
	return ""
}
