package dovecotconf

import (
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// dropMessages turns the lines that doveconf wrote to stderr, when a dump was saved with them, into problems and
// comments. A failed run prints what it had read and is not the whole configuration.
func (l *loader) dropMessages(src []byte) []byte {
	ls := lines.Split(src)
	for i := range ls {
		text := string(ls[i].Text)
		msg, ok := strings.CutPrefix(text, "doveconf: ")
		if !ok {
			continue
		}
		at := l.at(l.main, i+1)
		if rest, fatal := strings.CutPrefix(msg, "Fatal: "); fatal {
			l.fatal(at, rest)
		} else {
			l.warn(at, strings.TrimPrefix(msg, "Warning: "))
		}
		ls[i].Text = append([]byte("# "), ls[i].Text...)
	}
	return lines.Join(ls)
}

// readOldDump reads "dovecot -n" of 1.x: "key: value", "key(pop3): value" where the records differ, sections by
// indentation.
func (l *loader) readOldDump(src []byte) {
	ls := lines.Split(src)
	f := &File{Name: l.main}
	var path []string
	for i := range ls {
		text := strings.TrimRight(string(ls[i].Text), "\r")
		s := Statement{Kind: Blank, Line: i + 1, raw: ls[i : i+1]}
		at := l.at(l.main, i+1)
		body := strings.TrimLeft(text, " ")
		indent := (len(text) - len(body)) / 2
		key, value, ok := strings.Cut(body, ":")
		switch {
		case body == "" || body[0] == '#' || !ok:
		case strings.HasPrefix(text, "Error: ") || strings.HasPrefix(text, "Fatal: "):
			l.fatal(at, strings.TrimSpace(value))
		case strings.HasPrefix(text, "Warning: "):
			l.warn(at, strings.TrimSpace(value))
		case strings.TrimSpace(value) == "" && i+1 < len(ls) && indentOf(ls[i+1].Text) > indent:
			s.Kind, s.Key = SectionOpen, key
			path = append(path[:min(indent, len(path))], l.dumpSection(key))
		default:
			s.Kind, s.Key, s.Value = Assign, key, strings.TrimPrefix(value, " ")
			l.addDumped(s, path[:min(indent, len(path))], at)
		}
		f.Statements = append(f.Statements, s)
	}
	l.Files = append(l.Files, f)
}

func indentOf(text []byte) int {
	return (len(text) - len(strings.TrimLeft(string(text), " "))) / 2
}

func (l *loader) dumpSection(key string) string {
	if strings.Contains(key, " ") || key == "plugin" || key == "dict" {
		return key
	}
	return l.sectionName(key, "")
}

// addDumped stores one line. "(default)" and "(imap)" are the record of imap, which all but pop3 use.
func (l *loader) addDumped(s Statement, path []string, at position) {
	e := entry{path: append([]string{}, path...), key: s.Key, value: s.Value, long: s.Value, at: at}
	if key, record, ok := strings.Cut(s.Key, "("); ok {
		e.key = key
		record = strings.TrimSuffix(record, ")")
		if record != "default" {
			e.filters = []cond{{"protocol", record}}
		}
	}
	l.add(e)
}
