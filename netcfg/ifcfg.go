package netcfg

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailmove/mailmove/internal/lines"
)

// Ifcfg is a file of shell assignments as Red Hat's network scripts and NetworkManager's ifcfg-rh plugin read it:
// etc/sysconfig/network-scripts/ifcfg-NAME, etc/sysconfig/network, and the key=value form of route-NAME.
type Ifcfg struct {
	name string
	src  []byte
	sh   *script
}

// Var is one key as the two readers of the file see it. The network scripts source the file with bash; NetworkManager
// parses it line by line (shvar.c). The last assignment wins for both, an empty one included.
type Var struct {
	Key    string
	Line   int    // of the last assignment, from 1; 0 when nothing assigns the key
	Bash   string // bash's value
	Set    bool   // whether bash has a value, which may be empty
	NM     string // NetworkManager's value; empty also where it cannot read the line
	NMSet  bool
	Opaque bool // bash's value is not decidable from the text; Bash and Set mean nothing
}

// ParseIfcfg reads any bytes; name is used in messages only.
func ParseIfcfg(name string, src []byte) *Ifcfg {
	f := &Ifcfg{name: name}
	f.reset(slices.Clone(src))
	return f
}

func (f *Ifcfg) reset(src []byte) { f.src, f.sh = src, scanScript(src) }

// Bytes gives the file: the bytes that were parsed until an edit, and every byte outside of the edited place after it.
func (f *Ifcfg) Bytes() []byte { return slices.Clone(f.src) }

// Problems lists, in order, the lines that are no assignments, and at most one place from which on the file is opaque
// as a whole.
func (f *Ifcfg) Problems() []*ParseError {
	var out []*ParseError
	for _, c := range f.sh.commands {
		out = append(out, &ParseError{f.name, f.sh.line(c.at), fmt.Errorf("no assignment: bash runs %q as a program", c.text)})
	}
	if err := f.opaque(); err != nil {
		out = append(out, err)
	}
	return out
}

func (f *Ifcfg) opaque() *ParseError {
	if f.sh.opaqueAt < 0 {
		return nil
	}
	return &ParseError{f.name, f.sh.line(f.sh.opaqueAt), fmt.Errorf("%s: %w", f.sh.opaqueWhy, ErrOpaque)}
}

// last finds the assignment that counts.
func (f *Ifcfg) last(key string) *assignment {
	for i := len(f.sh.assigns) - 1; i >= 0; i-- {
		if f.sh.assigns[i].key == key {
			return &f.sh.assigns[i]
		}
	}
	return nil
}

// Var tells what is known of a key.
func (f *Ifcfg) Var(key string) Var {
	v := Var{Key: key, Opaque: f.sh.opaqueAt >= 0}
	if a := f.last(key); a != nil {
		v.Line, v.Bash, v.Set = f.sh.line(a.keyAt), a.value, true
		if !a.known {
			v.Bash, v.Set, v.Opaque = "", false, true
		}
	}
	v.NM, v.NMSet = nmValue(f.src, key)
	return v
}

// Get gives bash's value of a key, "" when it is unset or opaque.
func (f *Ifcfg) Get(key string) string {
	if v := f.Var(key); !v.Opaque {
		return v.Bash
	}
	return ""
}

// read is Var without the \r that a file with CRLF line ends leaves in bash's view; Findings reports it.
func (f *Ifcfg) read(key string) Var {
	v := f.Var(key)
	v.Bash = strings.TrimSuffix(v.Bash, "\r")
	return v
}

func (f *Ifcfg) plain(key string) string { return strings.TrimSuffix(f.Get(key), "\r") }

// Keys lists the keys that bash's view or NetworkManager's assigns, in the order of the file.
func (f *Ifcfg) Keys() []string {
	var keys []string
	add := func(k string) {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for _, a := range f.sh.assigns {
		add(a.key)
	}
	for _, k := range nmKeys(f.src) {
		add(k)
	}
	return keys
}

// editable refuses keys whose value is not decided.
func (f *Ifcfg) editable(key string) error {
	if err := f.opaque(); err != nil {
		return err
	}
	for _, c := range f.sh.commands {
		if slices.Contains(c.names, key) {
			return &ParseError{f.name, f.sh.line(c.at), fmt.Errorf("%s in a call of the program %q: %w", key, c.text, ErrOpaque)}
		}
	}
	for _, a := range f.sh.assigns {
		if a.key == key && !a.known {
			return &ParseError{f.name, f.sh.line(a.keyAt), fmt.Errorf("%s: the value is an expansion: %w", key, ErrOpaque)}
		}
	}
	return nil
}

// Set gives a key a value. The last assignment is edited in place and keeps its quotes, its comment and its line end; a
// key that no line assigns is appended behind the last assignment. The value is one line of UTF-8 without control
// characters. An error wraps ErrOpaque when the place cannot be edited safely; then nothing has changed.
func (f *Ifcfg) Set(key, value string) error {
	if !isName(key) || special(key) {
		return fmt.Errorf("%s: %q is no key of an ifcfg file", f.name, key)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s: %s: value %q: want one line of printable UTF-8", f.name, key, value)
	}
	if err := f.editable(key); err != nil {
		return err
	}
	a := f.last(key)
	if a == nil {
		return f.commit(f.appended(key+"="+quote(value, 0)), key, &value)
	}
	var style byte
	if raw := f.src[a.start:a.end]; len(raw) > 1 && (raw[0] == '"' || raw[0] == '\'') && raw[len(raw)-1] == raw[0] {
		style = raw[0]
	}
	return f.commit(splice(f.src, a.start, a.end, quote(value, style)), key, &value)
}

// appended gives the file with one more line behind its last assignment.
func (f *Ifcfg) appended(text string) []byte {
	at, eol := len(f.src), lines.EOL(lines.Split(f.src))
	if n := len(f.sh.assigns); n > 0 {
		for _, l := range f.sh.lines {
			if l.start <= f.sh.assigns[n-1].keyAt && f.sh.assigns[n-1].keyAt < l.end {
				at = l.end
			}
		}
	}
	if at == 0 || f.src[at-1] == '\n' {
		return splice(f.src, at, at, text+eol)
	}
	return splice(f.src, at, at, eol+text)
}

// Remove takes all assignments of a key out, each with its whole line where nothing else stands on it. A key that is
// not there is no error. An error wraps ErrOpaque when a place cannot be edited safely; then nothing has changed.
func (f *Ifcfg) Remove(key string) error {
	if err := f.editable(key); err != nil {
		return err
	}
	work := ParseIfcfg(f.name, f.src)
	for a := work.last(key); a != nil; a = work.last(key) {
		if err := work.removeOne(*a); err != nil {
			return err
		}
	}
	f.reset(work.src)
	return nil
}

// removeOne takes one assignment out. Where it shares its line, the ways to cut are tried until one changes nothing else.
func (f *Ifcfg) removeOne(a assignment) error {
	var line logical
	for _, l := range f.sh.lines {
		if l.start <= a.keyAt && a.keyAt < l.end {
			line = l
		}
	}
	var tries [][2]int
	if line.statements == 1 && line.assignments == 1 {
		tries = [][2]int{{line.start, line.end}}
	} else {
		after := a.end
		for after < len(f.src) && (f.src[after] == ' ' || f.src[after] == '\t') {
			after++
		}
		tries = [][2]int{{a.keyAt, after}}
		if after < len(f.src) && f.src[after] == ';' {
			tries = append(tries, [2]int{a.keyAt, after + 1})
		}
	}
	before := f.sh.assigns
	i := slices.IndexFunc(before, func(b assignment) bool { return b.keyAt == a.keyAt })
	want := slices.Delete(slices.Clone(before), i, i+1)
	for _, cut := range tries {
		src := splice(f.src, cut[0], cut[1], "")
		if sh := scanScript(src); sh.opaqueAt < 0 && sameAssignments(sh.assigns, want, "") && len(sh.commands) == len(f.sh.commands) {
			f.src, f.sh = src, sh
			return nil
		}
	}
	return &ParseError{f.name, f.sh.line(a.keyAt), fmt.Errorf("%s shares its line with other text: %w", a.key, ErrOpaque)}
}

// commit takes an edited text over when bash reads it as the old one but for the one key. A last line that gets its line
// end, of a file with CRLF, may gain the \r that every other line of it has.
func (f *Ifcfg) commit(src []byte, key string, want *string) error {
	sh := scanScript(src)
	if sh.opaqueAt < 0 && sameAssignments(sh.assigns, withFinalCR(f.sh, src), key) {
		got := (&Ifcfg{f.name, src, sh}).last(key)
		if got != nil && got.known && strings.TrimSuffix(got.value, "\r") == *want {
			f.src, f.sh = src, sh
			return nil
		}
	}
	return fmt.Errorf("%s: %s: the text around it does not allow an edit: %w", f.name, key, ErrOpaque)
}

// withFinalCR gives the assignments of a script as they are when, in the edited text, its last line ends with CRLF.
func withFinalCR(sh *script, edited []byte) []assignment {
	n, end := len(sh.assigns), len(sh.src)
	if n == 0 || sh.assigns[n-1].end != end || !bytes.HasPrefix(edited, sh.src) || !bytes.HasPrefix(edited[end:], []byte("\r\n")) {
		return sh.assigns
	}
	out := slices.Clone(sh.assigns)
	out[n-1].value += "\r"
	return out
}

// sameAssignments compares what two texts assign, in order, leaving one key aside.
func sameAssignments(a, b []assignment, except string) bool {
	keep := func(list []assignment) (out []assignment) {
		for _, x := range list {
			if x.key != except {
				out = append(out, x)
			}
		}
		return out
	}
	return slices.EqualFunc(keep(a), keep(b), func(x, y assignment) bool {
		return x.key == y.key && x.value == y.value && x.known == y.known && x.export == y.export && x.append == y.append
	})
}

// quote writes a value so that bash and NetworkManager read it back: in the wanted style (0, ' or ") where that can
// hold it.
func quote(value string, style byte) string {
	plain := strings.IndexFunc(value, func(r rune) bool {
		return r >= utf8.RuneSelf || !nameByte(byte(r), false) && !strings.ContainsRune("./:@%+,=-", r)
	}) < 0
	switch {
	case style == 0 && plain:
		return value
	case style == '\'' && !strings.Contains(value, "'"):
		return "'" + value + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(value) {
		if strings.IndexByte("$`\"\\", value[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(value[i])
	}
	b.WriteByte('"')
	return b.String()
}

func splice(src []byte, from, to int, text string) []byte {
	out := make([]byte, 0, len(src)+len(text))
	out = append(out, src[:from]...)
	out = append(out, text...)
	return append(out, src[to:]...)
}
