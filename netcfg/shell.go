package netcfg

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// How bash reads a file of assignments (bash(1): QUOTING, PARAMETERS, SIMPLE COMMAND EXPANSION). Only what can be
// decided from the text alone is decided; the rest is opaque in one of two degrees: a value may be unknown, or from
// some construct on (a builtin, an if, an unterminated quote) nothing of the whole file is known.

// word features that matter to the other readers of the file
type features struct {
	export, cont, multiline, shared, expansion, append, escape bool
}

// assignment is one NAME=value as written.
type assignment struct {
	key        string
	keyAt      int // offset of the name
	start, end int // the value as written, without a \r that belongs to the line end
	value      string
	known      bool
	features
}

// command is a program that the file would run. It cannot change a variable, but the names it mentions were surely
// meant as keys.
type command struct {
	at    int
	names []string
	text  string
}

// logical is one line as the shell sees it: [start, end) with its newline, continued lines included.
type logical struct {
	start, end  int
	assignments int
	statements  int
}

type script struct {
	src        []byte
	pos        int
	assigns    []assignment
	commands   []command
	lines      []logical
	lineStarts []int
	opaqueAt   int    // offset, -1 when everything is decided
	opaqueWhy  string // in words
}

func scanScript(src []byte) *script {
	s := &script{src: src, opaqueAt: -1}
	s.lineStarts = append(s.lineStarts, 0)
	for i, c := range src {
		if c == '\n' {
			s.lineStarts = append(s.lineStarts, i+1)
		}
	}
	if n := bytes.IndexByte(src, 0); n >= 0 {
		s.opaque(n, "a NUL byte")
		return s
	}
	s.run()
	return s
}

// line gives the number, from 1, of the physical line that holds an offset.
func (s *script) line(off int) int {
	return sort.Search(len(s.lineStarts), func(i int) bool { return s.lineStarts[i] > off })
}

func (s *script) opaque(at int, why string) bool {
	if s.opaqueAt < 0 {
		s.opaqueAt, s.opaqueWhy = at, why
	}
	return false
}

func (s *script) run() {
	s.lines = append(s.lines, logical{})
	for {
		s.blanks()
		cur := &s.lines[len(s.lines)-1]
		switch {
		case s.pos >= len(s.src):
			cur.end = s.pos
			return
		case s.src[s.pos] == '\n':
			s.pos++
			cur.end = s.pos
			s.lines = append(s.lines, logical{start: s.pos})
		case s.src[s.pos] == '#':
			s.comment()
		default:
			cur.statements++
			if !s.statement() {
				cur.end = len(s.src)
				return
			}
		}
	}
}

// cont steps over backslash-newline pairs, which bash removes before it looks at anything.
func (s *script) cont() (stepped bool) {
	for s.pos+1 < len(s.src) && s.src[s.pos] == '\\' && s.src[s.pos+1] == '\n' {
		s.pos, stepped = s.pos+2, true
	}
	return stepped
}

func (s *script) blanks() {
	for {
		s.cont()
		if s.pos >= len(s.src) || s.src[s.pos] != ' ' && s.src[s.pos] != '\t' {
			return
		}
		s.pos++
	}
}

// comment ends at the newline even when a backslash precedes it.
func (s *script) comment() {
	if n := bytes.IndexByte(s.src[s.pos:], '\n'); n >= 0 {
		s.pos += n
		return
	}
	s.pos = len(s.src)
}

const metachars = "|&;()<>"

// statement reads one simple command and its terminator. It reports false when the file turned opaque.
func (s *script) statement() bool {
	st := statement{start: s.pos}
	for {
		s.blanks()
		if s.pos >= len(s.src) || s.src[s.pos] == '\n' {
			return s.finish(&st)
		}
		switch c := s.src[s.pos]; {
		case c == '#':
			s.comment()
			return s.finish(&st)
		case c == ';':
			from := s.pos
			s.pos++
			s.cont()
			if st.words == 0 || s.pos < len(s.src) && (s.src[s.pos] == ';' || s.src[s.pos] == '&') {
				return s.opaque(from, "a stray ;")
			}
			return s.finish(&st)
		case strings.IndexByte(metachars, c) >= 0:
			return s.opaque(s.pos, "shell syntax "+string(c))
		}
		if !s.addWord(&st) {
			return false
		}
	}
}

type statement struct {
	start    int
	words    int
	assigns  []assignment
	export   bool
	cmd      string
	cmdNames []string
}

// addWord reads the next word of a simple command and files it as assignment, export, or part of a program call.
func (s *script) addWord(st *statement) bool {
	w, ok := s.word()
	if !ok {
		return false
	}
	st.words++
	switch {
	case st.cmd == "" && w.key != "":
		if st.export {
			if strings.ContainsAny(string(s.src[w.start:w.end]), "{*?[") {
				return s.opaque(w.start, "a pattern after export")
			}
			if w.append {
				return s.opaque(w.keyAt, "+= after export")
			}
		}
		if special(w.key) {
			return s.opaque(w.keyAt, "an assignment to the shell's own "+w.key)
		}
		w.export = st.export
		st.assigns = append(st.assigns, w.assignment)
	case st.export:
		if w.quoted || !w.known || !isName(w.value) {
			return s.opaque(w.keyAt, "export of something that is no name")
		}
	case st.cmd != "":
		st.note(w)
	case w.quoted || !w.known || !programName(w.value):
		return s.opaque(w.keyAt, "shell syntax")
	case w.value == "export" && len(st.assigns) == 0:
		st.export = true
	case slices.Contains(shellWords, w.value):
		return s.opaque(w.keyAt, "the shell word "+w.value)
	default:
		st.cmd = w.value
		st.note(w)
	}
	return true
}

// note keeps the names that a program call mentions.
func (st *statement) note(w word) {
	for _, n := range []string{w.key, w.value} {
		if isName(n) {
			st.cmdNames = append(st.cmdNames, n)
		}
	}
}

func (s *script) finish(st *statement) bool {
	if st.export && st.words == 1 {
		return s.opaque(st.start, "export without a name")
	}
	if st.cmd != "" {
		names := st.cmdNames
		for _, a := range st.assigns {
			names = append(names, a.key)
		}
		s.commands = append(s.commands, command{at: st.start, names: names, text: st.cmd})
		return true
	}
	cur := &s.lines[len(s.lines)-1]
	cur.assignments += len(st.assigns)
	s.assigns = append(s.assigns, st.assigns...)
	for i := range s.assigns {
		if a := &s.assigns[i]; a.keyAt >= cur.start {
			a.shared = cur.assignments > 1
		}
	}
	return true
}

// word is one word; key is set when it has the form of an assignment.
type word struct {
	assignment
	quoted bool
}

// word reads one word. Everything up to its end must be scannable, otherwise the file is opaque.
func (s *script) word() (word, bool) {
	w := word{}
	w.keyAt, w.start = s.pos, s.pos
	w.known = true
	name, stepped := s.name()
	s.cont()
	switch {
	case name != "" && s.has("="):
		s.pos++
		w.key = name
	case name != "" && s.has("+"):
		from := s.pos
		s.pos++
		s.cont()
		if s.has("=") {
			s.pos++
			w.key, w.append, w.known = name, true, false
		} else {
			s.pos = from
		}
	case name != "" && s.has("["):
		return w, s.opaque(s.pos, "an array element")
	}
	w.features.cont = stepped
	var lit []byte
	if w.key == "" {
		lit = append(lit, name...)
	}
	w.start = s.pos
	for {
		if s.cont() {
			w.features.cont = true
		}
		if s.pos >= len(s.src) || strings.IndexByte(" \t\n"+metachars, s.src[s.pos]) >= 0 {
			break
		}
		var ok bool
		if lit, ok = s.piece(&w, lit); !ok {
			return w, false
		}
	}
	w.end = s.pos
	if w.end > w.start && s.src[w.end-1] == '\r' && (w.end == len(s.src) || s.src[w.end] == '\n') {
		w.end--
	}
	w.value = string(lit)
	return w, true
}

func (s *script) has(p string) bool { return bytes.HasPrefix(s.src[s.pos:], []byte(p)) }

// name reads a variable name, or nothing.
func (s *script) name() (name string, stepped bool) {
	var b []byte
	for {
		if len(b) > 0 && s.cont() {
			stepped = true
		}
		if s.pos >= len(s.src) || !nameByte(s.src[s.pos], len(b) == 0) {
			return string(b), stepped
		}
		b = append(b, s.src[s.pos])
		s.pos++
	}
}

func nameByte(c byte, first bool) bool {
	return c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || !first && '0' <= c && c <= '9'
}

func isName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i], i == 0) {
			return false
		}
	}
	return s != ""
}

// programName tells whether an unquoted command word is surely the name of a program, whatever the file system holds.
func programName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !nameByte(c, false) && c < 0x80 && strings.IndexByte("./:@+,=-\r", c) < 0 {
			return false
		}
	}
	return s != ""
}

// special names have a meaning to bash itself: read-only, computed, or changing how it reads what follows.
func special(name string) bool {
	return strings.HasPrefix(name, "BASH") || strings.HasPrefix(name, "LC_") || slices.Contains(shellNames, name)
}

var shellNames = strings.Fields(`_ COMP_WORDBREAKS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GLOBIGNORE GROUPS HISTCMD IFS LANG
LANGUAGE LINENO OPTARG OPTERR OPTIND PIPESTATUS POSIXLY_CORRECT PPID RANDOM SECONDS SHELLOPTS SHLVL SRANDOM TEXTDOMAIN
TEXTDOMAINDIR UID PATH PWD OLDPWD`)

// reserved words and builtins of bash 3.2 to 5.3
var shellWords = strings.Fields(`if then else elif fi case esac for select while until do done in function time coproc
. : alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo enable eval
exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read
readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait`)
