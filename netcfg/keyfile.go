package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailmove/mailmove/internal/lines"
)

// Keyfile is a connection profile of NetworkManager, nm-settings-keyfile(5): sections with key=value lines by the rules
// of GLib's GKeyFile. Sections of one name count as one, the last of several equal keys counts. One bad line makes
// NetworkManager refuse the whole file.
type Keyfile struct {
	name  string
	lines []keyfileLine
	eol   string
}

type keyfileLine struct {
	text, eol []byte
	section   string // that the line belongs to
	header    bool
	key       string
	value     span // to the end of the text
	err       error
}

// ParseKeyfile reads any bytes; name is used in messages only.
func ParseKeyfile(name string, src []byte) *Keyfile {
	f := &Keyfile{name: name}
	f.reset(slices.Clone(src))
	return f
}

func (f *Keyfile) reset(src []byte) {
	ls := lines.Split(src)
	f.eol = lines.EOL(ls)
	f.lines = make([]keyfileLine, len(ls))
	section := ""
	for i, l := range ls {
		f.lines[i] = parseKeyfileLine(l.Text, l.EOL, section)
		section = f.lines[i].section
	}
}

const keyfileBlank = " \t\f\r" // g_ascii_isspace, which leaves VT out

func parseKeyfileLine(text, eol []byte, section string) keyfileLine {
	l := keyfileLine{text: text, eol: eol, section: section}
	trimmed := bytes.TrimLeft(text, keyfileBlank)
	if len(trimmed) == 0 || trimmed[0] == '#' {
		return l
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		l.err = errors.New("no UTF-8 text")
		return l
	}
	if trimmed[0] == '[' {
		inner, ok := bytes.CutSuffix(bytes.TrimRight(trimmed[1:], keyfileBlank), []byte("]"))
		if !ok || len(inner) == 0 || bytes.ContainsAny(inner, "[]") || bytes.ContainsFunc(inner, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			l.err = fmt.Errorf("section header %q", text)
			return l
		}
		l.section, l.header = string(inner), true
		return l
	}
	eq := bytes.IndexByte(text, '=')
	key := ""
	if eq >= 0 {
		key = string(bytes.Trim(text[:eq], keyfileBlank))
	}
	switch {
	case key == "":
		l.err = fmt.Errorf("%q is neither section, key=value nor # comment", text)
	case section == "":
		l.err = fmt.Errorf("key %q before the first section", key)
	default:
		start := eq + 1
		for start < len(text) && strings.IndexByte(keyfileBlank, text[start]) >= 0 {
			start++
		}
		l.key, l.value = key, span{start, len(text)}
	}
	return l
}

// Bytes gives the file: the bytes that were parsed until an edit, and every byte outside of the edited place after it.
func (f *Keyfile) Bytes() []byte {
	var out []byte
	for _, l := range f.lines {
		out = append(append(out, l.text...), l.eol...)
	}
	return out
}

// Problems lists, in order, the lines for which NetworkManager refuses the file.
func (f *Keyfile) Problems() []*ParseError {
	var out []*ParseError
	for i, l := range f.lines {
		if l.err != nil {
			out = append(out, &ParseError{f.name, i + 1, fmt.Errorf("%w: NetworkManager refuses the file", l.err)})
		}
	}
	return out
}

// find gives the line that counts for a key, -1 when there is none.
func (f *Keyfile) find(section, key string) int {
	for i := len(f.lines) - 1; i >= 0; i-- {
		if l := &f.lines[i]; l.key == key && l.section == section {
			return i
		}
	}
	return -1
}

// Get gives a value as it is written, escapes included; "" when the key is absent.
func (f *Keyfile) Get(section, key string) string {
	if i := f.find(section, key); i >= 0 {
		return f.lines[i].written()
	}
	return ""
}

func (l *keyfileLine) written() string { return string(l.text[l.value.start:l.value.end]) }

// Keys lists the keys of a section in the order of the file.
func (f *Keyfile) Keys(section string) []string {
	var out []string
	for _, l := range f.lines {
		if l.key != "" && l.section == section && !slices.Contains(out, l.key) {
			out = append(out, l.key)
		}
	}
	return out
}

// Set writes a value: in place of the one that counts, else as a new line at the end of the section, else in a new
// section. The value is one line of UTF-8 that begins with no blank. A file that NetworkManager refuses is not edited.
func (f *Keyfile) Set(section, key, value string) error {
	if p := f.Problems(); len(p) > 0 {
		return p[0]
	}
	if !utf8.ValidString(value) || strings.ContainsAny(value, "\n\r\x00") || strings.TrimLeft(value, keyfileBlank) != value {
		return fmt.Errorf("%s: %s.%s: value %q: want one line of UTF-8 that begins with no blank", f.name, section, key, value)
	}
	header := parseKeyfileLine([]byte("["+section+"]"), nil, "")
	if probe := parseKeyfileLine([]byte(key+"="), nil, "x"); key == "" || probe.key != key || strings.ContainsAny(key, "\n\r") || !header.header || header.section != section {
		return fmt.Errorf("%s: %q.%q is no name of a key", f.name, section, key)
	}
	if i := f.find(section, key); i >= 0 {
		l := &f.lines[i]
		*l = parseKeyfileLine(splice(l.text, l.value.start, l.value.end, value), l.eol, section)
		return nil
	}
	at := -1
	for i, l := range f.lines {
		if l.section == section && (l.key != "" || l.header) {
			at = i
		}
	}
	text := key + "=" + value
	if at < 0 {
		at, text = len(f.lines)-1, "["+section+"]"+f.eol+text
		if len(f.lines) > 0 && len(bytes.TrimLeft(f.lines[at].text, keyfileBlank)) > 0 {
			text = f.eol + text
		}
	}
	f.insert(at, text)
	return nil
}

// insert puts lines behind line at (from 0; -1 is the front).
func (f *Keyfile) insert(at int, text string) {
	var src []byte
	for i, l := range f.lines {
		src = append(append(src, l.text...), l.eol...)
		if i == at && len(l.eol) == 0 {
			src = append(append(src, f.eol...), text...)
		} else if i == at {
			src = append(append(src, text...), f.eol...)
		}
	}
	if at < 0 {
		src = append([]byte(text+f.eol), src...)
	}
	f.reset(src)
}

// Remove takes the lines of a key out of a section. A key that is not there is no error.
func (f *Keyfile) Remove(section, key string) error {
	if p := f.Problems(); len(p) > 0 {
		return p[0]
	}
	f.lines = slices.DeleteFunc(f.lines, func(l keyfileLine) bool { return l.key == key && l.section == section })
	return nil
}
