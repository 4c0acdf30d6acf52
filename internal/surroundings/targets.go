package surroundings

import "strings"

// kind is what a target of an alias or a .forward is.
type kind uint8

const (
	local   kind = iota // a name on this host
	address             // user@domain
	command             // |program
	file                // /path
	include             // :include:/path
)

// target is one place that mail is sent on to.
type target struct {
	kind kind
	text string // without | and :include:
}

// parseTargets reads the right side of aliases(5), or a .forward: separated by commas or line ends, with quotes, comments in
// parentheses and after #, and <> around addresses.
func parseTargets(src string) (all []target) {
	var b strings.Builder
	quoted, depth := false, 0
	flush := func() {
		if t, ok := parseTarget(b.String()); ok {
			all = append(all, t)
		}
		b.Reset()
	}
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '\\' && i+1 < len(src):
			if i++; quoted && src[i] == '"' || !quoted && src[i] == ',' { // else the backslash counts for the one who reads it next
				b.WriteByte(src[i])
			} else {
				b.WriteString(src[i-1 : i+1])
			}
		case c == '"':
			quoted = !quoted
		case quoted:
			b.WriteByte(c)
		case c == '(' && !strings.HasPrefix(strings.TrimSpace(b.String()), "|"):
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ',' && depth == 0 || c == '\n' || c == '\r':
			flush()
			depth = 0
		case depth > 0:
		case c == '#' && strings.TrimSpace(b.String()) == "":
			n := strings.IndexByte(src[i:], '\n')
			if n < 0 {
				return all
			}
			i += n
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return all
}

func parseTarget(s string) (target, bool) {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '<'); i >= 0 && s[0] != '|' && strings.HasSuffix(s, ">") {
		s = s[i+1 : len(s)-1]
	}
	switch {
	case s == "":
		return target{}, false
	case s[0] == '|':
		return target{command, strings.TrimSpace(s[1:])}, true
	case len(s) > 9 && strings.EqualFold(s[:9], ":include:"):
		return target{include, strings.TrimSpace(s[9:])}, true
	case s[0] == '/':
		return target{file, s}, true
	}
	s = strings.TrimPrefix(s, `\`) // delivered without a further look at aliases
	if strings.Contains(s, "@") {
		return target{address, s}, true
	}
	return target{local, s}, true
}

// alias is one entry of aliases(5).
type alias struct {
	name    string // lower case
	targets []target
	text    string // its lines as they stand
	line    int
}

// parseAliases reads aliases(5) as sendmail and Postfix do. What is no entry is passed over.
func parseAliases(src []byte) (all []alias) {
	for _, l := range logical(src) {
		name, rest, ok := aliasName(l.text)
		if ok && name != "" {
			all = append(all, alias{strings.ToLower(name), parseTargets(rest), l.raw, l.line})
		}
	}
	return all
}

func aliasName(text string) (name, rest string, ok bool) {
	if quoted, found := strings.CutPrefix(text, `"`); found {
		if name, rest, ok = strings.Cut(quoted, `"`); ok {
			rest, ok = strings.CutPrefix(strings.TrimSpace(rest), ":")
		}
		return name, rest, ok
	}
	name, rest, ok = strings.Cut(text, ":")
	return strings.TrimSpace(name), rest, ok
}

// logicalLine is one that may go on over several: those that begin with a space or a tab.
type logicalLine struct {
	text string // joined
	raw  string // as it stands, without comments
	line int
}

// logical splits files of aliases(5), main.cf and tables of Postfix and sendmail: comments and empty lines are left out, also
// in the midst of a logical line.
func logical(src []byte) (all []logicalLine) {
	n := 0
	var text, raw []string // of the line at the end of all
	end := func() {
		if len(text) > 0 {
			last := &all[len(all)-1]
			last.text, last.raw = strings.Join(text, " "), strings.Join(raw, "\n")
		}
		text, raw = text[:0], raw[:0]
	}
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' || len(all) == 0 {
			end()
			all = append(all, logicalLine{line: n})
		}
		text, raw = append(text, trimmed), append(raw, clean(line))
	}
	end()
	return all
}

// entry is a key and its value in a table.
type entry struct {
	key, value string
	line       int
}

// parseTable reads the text that postmap(1) and makemap(8) read: a key, a space, a value.
func parseTable(src []byte) (all []entry) {
	for _, l := range logical(src) {
		key, value := l.text, ""
		if i := strings.IndexAny(key, " \t"); i >= 0 {
			key, value = key[:i], strings.TrimSpace(key[i:])
		}
		all = append(all, entry{key, value, l.line})
	}
	return all
}
