package netcfg

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// NetworkManager's ifcfg-rh plugin reads the same files with a parser of its own (src/core/settings/plugins/ifcfg-rh/
// shvar.c): line by line, without continued lines or expansions.

const nmSpace = " \t\n\f\r"

// nmLine cuts one line into key and the text behind the =; key is empty when the plugin does not see an assignment.
func nmLine(line string) (key, rest string) {
	line = strings.TrimLeft(line, nmSpace)
	n := strings.IndexByte(line, '=')
	if n < 0 || !isName(line[:n]) {
		return "", ""
	}
	return line[:n], line[n+1:]
}

func nmKeys(src []byte) (keys []string) {
	for line := range strings.Lines(string(src)) {
		if k, _ := nmLine(strings.TrimSuffix(line, "\n")); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

func nmValue(src []byte, key string) (value string, set bool) {
	for line := range strings.Lines(string(src)) {
		if k, rest := nmLine(strings.TrimSuffix(line, "\n")); k == key {
			value, _ = nmUnescape(rest)
			set = true
		}
	}
	return value, set
}

// nmUnescape gives the plugin's reading of a value, and false where it cannot read it and uses the empty string.
func nmUnescape(v string) (string, bool) {
	var b []byte
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case strings.IndexByte(nmSpace+";", c) >= 0:
			return nmFinish(b, nmTail(v[i:]))
		case c == '\\':
			if i+1 >= len(v) {
				return "", false
			}
			b = append(b, v[i+1])
			i += 2
		case c == '\'':
			n := strings.IndexByte(v[i+1:], '\'')
			if n < 0 {
				return "", false
			}
			b = append(b, v[i+1:i+1+n]...)
			i += n + 2
		case c == '"':
			out, next, ok := nmDouble(v, i+1, b)
			if !ok {
				return "", false
			}
			b, i = out, next
		case strings.HasPrefix(v[i:], "$'"):
			// the escapes that both readers know are read alike
			w, s := word{}, &script{src: []byte(v), pos: i, opaqueAt: -1}
			w.known = true
			lit, ok := s.ansiC(&w, nil)
			if !ok {
				return "", false
			}
			b, i = append(b, lit...), s.pos
		case strings.IndexByte("|&()<>", c) >= 0:
			return "", false
		default:
			b = append(b, c)
			i++
		}
	}
	return nmFinish(b, true)
}

// nmTail tells whether only blanks, one semicolon and a comment follow a value.
func nmTail(rest string) bool {
	rest = strings.TrimLeft(rest, nmSpace)
	rest = strings.TrimLeft(strings.TrimPrefix(rest, ";"), nmSpace)
	return rest == "" || rest[0] == '#'
}

func nmFinish(b []byte, ok bool) (string, bool) {
	if !ok || !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

func nmDouble(v string, i int, b []byte) (out []byte, next int, ok bool) {
	old := -1
	for ; i < len(v); i++ {
		switch c := v[i]; c {
		case '"':
			return b, i + 1, true
		case '`', '$':
			return nil, 0, false
		case '\\':
			i++
			if i >= len(v) {
				return nil, 0, false
			}
			switch v[i] {
			case '$', '`', '"', '\\':
			case '\'', '~':
				if old < 0 {
					old = 0
					if nmOldEscaped(v) {
						old = 1
					}
				}
				if old == 0 {
					b = append(b, '\\')
				}
			default:
				b = append(b, '\\')
			}
			b = append(b, v[i])
		default:
			b = append(b, c)
		}
	}
	return nil, 0, false
}

// nmOldEscaped recognises values as old NetworkManagers wrote them: one pair of double quotes around everything, with
// a backslash before each of " ' \ $ ~ ` and before nothing else.
func nmOldEscaped(v string) bool {
	const escaped = "\"'\\$~`"
	for i := 1; v[0] == '"' && i < len(v); i++ {
		switch {
		case strings.IndexByte(escaped, v[i]) < 0:
		case v[i] == '"':
			return i+1 == len(v)
		case v[i] != '\\' || i+1 >= len(v) || strings.IndexByte(escaped, v[i+1]) < 0:
			return false
		default:
			i++
		}
	}
	return false
}

// Findings tells where the file is opaque (OPAQUE), assigns a key twice (DUP), and where bash and NetworkManager read
// different values (DIV-EXPORT, DIV-CR, DIV-VAR, DIV-CONT, DIV-MULTILINE, DIV-TWO, DIV-COMMAND, DIV-APPEND, DIV-UTF8,
// DIV-ESCAPE, DIV-QUOTE), or init.d/network a third one (DIV-GREP). All are warnings: which of them matters depends on
// who reads the file.
func (f *Ifcfg) Findings() []Finding {
	var out []Finding
	if err := f.opaque(); err != nil {
		return []Finding{{Rule: "OPAQUE", Severity: Warn, Detail: err.Error(), Advice: "write plain KEY=value lines"}}
	}
	for _, key := range []string{"DEVICE", "TYPE", "SLAVE"} {
		if v := f.read(key); v.Set && !v.Opaque && f.grepped(key) != v.Bash {
			out = append(out, Finding{"DIV-GREP", Warn, fmt.Sprintf("%s%s is %q, but %q to init.d/network, which runs all lines with %s= in them as one", at(f.name, v.Line), key, v.Bash, f.grepped(key), key),
				"remove the comments that have " + key + "= in them"})
		}
	}
	for _, key := range f.Keys() {
		var first *assignment
		for i := range f.sh.assigns {
			a := &f.sh.assigns[i]
			switch {
			case a.key != key:
			case first == nil:
				first = a
			default:
				out = append(out, Finding{"DUP", Warn, fmt.Sprintf("%s%s is assigned again, first in line %d", at(f.name, f.sh.line(a.keyAt)), key, f.sh.line(first.keyAt)),
					"the last assignment counts; remove the others"})
				first = a
			}
		}
		if d, ok := f.divergence(key); ok {
			out = append(out, d)
		}
	}
	return out
}

// grepped gives a key as init.d/network sees it: eval $(grep -F KEY= FILE), which makes one line of them, so that a
// comment swallows what follows it.
func (f *Ifcfg) grepped(key string) string {
	var words []string
	for line := range strings.Lines(string(f.src)) {
		if strings.Contains(line, key+"=") {
			words = append(words, strings.Fields(line)...)
		}
	}
	return ParseIfcfg(f.name, []byte(strings.Join(words, " "))).Get(key)
}

// unseen tells which of the keys that were written do not reach the one that reads the file: NetworkManager, or the
// network scripts by bash, to which CRLF makes the \r a part of every value. One finding of each rule is enough.
func (f *Ifcfg) unseen(keys []string, nm bool) []Finding {
	var out []Finding
	for _, key := range keys {
		v := f.Var(key)
		value, cr := strings.CutSuffix(v.Bash, "\r")
		if nm && value == v.NM || !nm && !cr {
			continue
		}
		d, _ := f.divergence(key)
		reader := "bash"
		if nm {
			reader = "NetworkManager"
		}
		d.Severity, d.Detail = Fail, d.Detail+", and "+reader+" is the one that reads the file"
		if !slices.ContainsFunc(out, func(x Finding) bool { return x.Rule == d.Rule }) {
			out = append(out, d)
		}
	}
	return out
}

func (f *Ifcfg) divergence(key string) (Finding, bool) {
	v := f.Var(key)
	if !v.Opaque && v.Set == v.NMSet && v.Bash == v.NM {
		return Finding{}, false
	}
	show := func(value string, set bool) string {
		if !set {
			return "nothing"
		}
		return fmt.Sprintf("%q", value)
	}
	bash := show(v.Bash, v.Set)
	if v.Opaque {
		bash = "an expansion"
	}
	line := v.Line
	a := f.last(key)
	if a == nil {
		line = f.commandLine(key)
	}
	detail := fmt.Sprintf("%s%s is %s to bash and %s to NetworkManager", at(f.name, line), key, bash, show(v.NM, v.NMSet))
	return Finding{divergenceRule(a, v), Warn, detail, "write it as a plain " + key + "=value line of its own"}, true
}

// commandLine finds where a program call mentions a key, or the line that NetworkManager alone takes for an assignment.
func (f *Ifcfg) commandLine(key string) int {
	n, found := 0, 1
	for line := range strings.Lines(string(f.src)) {
		n++
		if k, _ := nmLine(line); k == key {
			found = n
		}
	}
	return found
}

func divergenceRule(a *assignment, v Var) string {
	switch {
	case a == nil:
		return "DIV-COMMAND"
	case a.append:
		return "DIV-APPEND"
	case a.export:
		return "DIV-EXPORT"
	case strings.TrimSuffix(v.Bash, "\r") == v.NM && v.NMSet && !v.Opaque:
		return "DIV-CR"
	case a.expansion:
		return "DIV-VAR"
	case !utf8.ValidString(v.Bash):
		return "DIV-UTF8"
	case a.cont:
		return "DIV-CONT"
	case a.multiline:
		return "DIV-MULTILINE"
	case a.shared:
		return "DIV-TWO"
	case a.escape:
		return "DIV-ESCAPE"
	}
	return "DIV-QUOTE"
}
