package dovecotconf

import (
	"fmt"
	"strings"
)

func known24(v release, key string) bool {
	_, ok := tableOf(v).defaults[key]
	return ok || listNames[key] || otherSettings[key] && key[:3] == "man"
}

// context24 is the chain of filters around a line: type names from the outside in, and the name of the innermost.
func (l *loader) innermost24() (kind, name string) {
	for i := len(l.frames) - 1; i >= 0; i-- {
		if f := l.frames[i]; f.cond == nil && f.key != "group" {
			return f.key, f.name
		}
	}
	return "", ""
}

// fullKey24 finds what a key means inside a filter: type_name_key, type_key, else the key itself (config-parser.c).
func (l *loader) fullKey24(key string) (string, bool) {
	kind, name := l.innermost24()
	if kind != "" {
		if k := kind + "_" + name + "_" + key; name != "" && known24(l.v, k) {
			return k, true
		}
		if k := kind + "_" + key; known24(l.v, k) {
			return k, true
		}
	}
	return key, known24(l.v, key)
}

func (l *loader) open24(f *frame) {
	label, isGroup := strings.CutPrefix(f.key, "group @")
	kind, _ := l.innermost24()
	list, isList := l.fullKey24(f.key)
	switch {
	case isGroup:
		f.key, f.path = "group", "group @"+label+" "+f.name
	case filterRank[f.key] > 0:
		l.openFilter(f)
	case isList && (tableOf(l.v).lists[list] || tableOf(l.v).lists[f.key]) && f.name == "" && !namedFilters[f.key]:
		f.path = f.key
		f.list = true
	case namedFilters[f.key] && f.name == "":
		l.fatal(f.at, f.key+" { } is missing section name")
		f.path = "?"
	case kind == "" && !knownFilter(f.key), kind != "" && !knownFilter(f.key) && !knownFilter(kind+"_"+f.key):
		l.fatal(f.at, "Unknown section name: "+f.key)
		f.path = "?"
	case f.name != "":
		f.path = f.key + " " + f.name
	default:
		f.path = f.key
	}
}

func (l *loader) assign24(s *Statement, at position) {
	if s.Key == "dovecot_config_version" {
		l.checkConfigVersion(s, at)
	}
	e := l.place(s.Key, at)
	if n := len(l.frames); n > 0 && l.frames[n-1].list {
		e.list = true
		l.expandInto(&e, s, false)
		l.add(e)
		return
	}
	if strings.HasPrefix(s.Key, "@") {
		e.group, e.value, e.long = true, s.Value, s.Value
		l.add(e)
		return
	}
	full, known := l.fullKey24(s.Key)
	if !known && !l.freeKey24(s.Key) {
		l.unknown24(s.Key, at)
		return
	}
	l.canonical24(&e, full)
	l.expandInto(&e, s, false)
	checked := e
	checked.key = s.Key
	l.checkValue(&checked, typeOf(l.v, full))
	l.checkEnum(&checked, strings.Join(e.path, ""))
	if len(e.path) == 0 || !namedFilters[strings.Fields(e.path[0])[0]] {
		l.checkSyntax24(s, at)
	}
	l.earlierFilter(&e)
	l.add(e)
}

// canonical24 gives a setting one place whichever way it was written: "auth_policy { server_url }" is the setting
// auth_policy_server_url.
func (l *loader) canonical24(e *entry, full string) {
	if n := len(e.path); n > 0 && full == e.path[n-1]+"_"+e.key {
		e.path, e.key = e.path[:n-1], full
	}
}

// freeKey24: some sections take any key, and some settings exist in sections only.
func (l *loader) freeKey24(key string) bool {
	kind, _ := l.innermost24()
	return kind == "dict" || kind == "metric" || kind == "event_exporter" || kind == "fs" || sectionOnly24[key] && kind != ""
}

func (l *loader) unknown24(key string, at position) {
	kind, name := l.innermost24()
	switch {
	case kind == "":
		l.fatal(at, fmt.Sprintf("%s: Unknown setting: %s", key, key))
	case name == "":
		l.fatal(at, fmt.Sprintf("%s: Unknown setting: %s (%s_%s not found either.)", key, key, kind, key))
	default:
		l.fatal(at, fmt.Sprintf("%s: Unknown setting: %s (%s_%s or %s_%s_%s not found either.)", key, key, kind, key, kind, name, key))
	}
}

// checkSyntax24 finds %{ without its end in a setting that takes variables. 2.4.1 crashes on it, later ones refuse it.
func (l *loader) checkSyntax24(s *Statement, at position) {
	i := strings.LastIndex(s.Value, "%{")
	if i < 0 || i > 0 && s.Value[i-1] == '%' || s.Key == "pop3_uidl_format" {
		return
	}
	if _, _, ok := cutExpression(s.Value[i+2:]); !ok {
		l.fatal(at, fmt.Sprintf("%s: %s: syntax error, unexpected end of file, expecting CCBRACE or PIPE", s.Key, s.Value))
	}
}

func (l *loader) checkConfigVersion(s *Statement, at position) {
	r, err := parseRelease(s.Value)
	last := release{2, 4, max(l.v[2], 4)} // Debian's 2.4.1 knows the names up to 2.4.4
	if err != nil || r.before(v24) || last.before(r) {
		names := ""
		for n := 0; n <= last[2]; n++ {
			names += fmt.Sprintf(" 2.4.%d", n)
		}
		l.fatal(at, "Invalid dovecot_config_version: Currently supported versions are:"+names)
	}
}

// groupOf gives the "@label name" of a group that an entry stands in.
func groupOf(e *entry) string {
	if len(e.path) > 0 {
		if label, ok := strings.CutPrefix(e.path[0], "group "); ok {
			return label
		}
	}
	return ""
}
