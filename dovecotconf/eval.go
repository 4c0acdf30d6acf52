package dovecotconf

import (
	"fmt"
	"strings"
)

const maxNesting = 64

func (l *loader) open(s *Statement, at position) {
	f := frame{key: s.Key, name: s.Value, at: at}
	if len(l.frames) >= maxNesting {
		l.fatal(at, fmt.Sprintf("sections are nested more than %d deep", maxNesting))
		l.frames = append(l.frames, frame{path: "?"})
		return
	}
	switch {
	case l.Dump && l.v.old():
		l.openDump(&f)
	case l.Dump:
		l.accepted(func() { l.open24(&f) }, func() { l.openDump(&f) })
	case l.ignored():
		f.path = "?"
	case l.v.before(v20):
		l.open1(&f)
	case l.v.old():
		l.open2(&f)
	default:
		l.open24(&f)
	}
	l.push(f)
}

// ignored: inside a block that was refused, nothing more is said about its lines.
func (l *loader) ignored() bool {
	n := len(l.frames)
	return n > 0 && l.frames[n-1].path == "?"
}

func (l *loader) assign(s *Statement, at position) {
	if l.ignored() || len(l.frames) > maxNesting {
		return
	}
	switch {
	case l.Dump && l.v.old():
		l.assignDump(s, at)
	case l.Dump:
		l.accepted(func() { l.assign24(s, at) }, func() { l.assignDump(s, at) })
	case l.v.before(v20):
		l.assign1(s, at)
	case l.v.old():
		l.assign2(s, at)
	default:
		l.assign24(s, at)
	}
}

// accepted reads a line of a dump by the rules; where they refuse it, which the server that wrote it did not, the line
// is taken as it is.
func (l *loader) accepted(byRules, asIs func()) {
	n := len(l.problems)
	byRules()
	if len(l.problems) > n {
		l.problems = l.problems[:n]
		asIs()
	}
}

func (l *loader) assignDump(s *Statement, at position) {
	e := l.place(s.Key, at)
	l.expandInto(&e, s, true)
	l.add(e)
}

// openDump takes the sections of a doveconf dump as they are.
func (l *loader) openDump(f *frame) {
	f.path = ""
	if filterRank[f.key] > 0 {
		f.cond = &cond{f.key, f.name}
		return
	}
	if f.key == "plugin" || f.key == "dict" && f.name == "" {
		f.path = f.key
		return
	}
	f.path = l.sectionName(f.key, f.name)
}

// sectionName gives the path element of a section; unnamed ones get a number from the second on.
func (l *loader) sectionName(key, name string) string {
	if name != "" {
		return key + " " + name
	}
	e := l.place("", position{})
	full := fmt.Sprint(e.filters, e.path, key)
	l.count[full]++
	if n := l.count[full]; n > 1 {
		return fmt.Sprintf("%s[%d]", key, n)
	}
	return key
}

// filterRank is the order in which filters may stand in each other.
var filterRank = map[string]int{"local": 1, "local_name": 2, "remote": 3, "protocol": 4}

// checkNesting says what Dovecot says about a filter in a filter of the same or a lower rank.
func (l *loader) checkNesting(f *frame) bool {
	for i := len(l.frames) - 1; i >= 0; i-- {
		outer := l.frames[i].cond
		if outer == nil {
			continue
		}
		if filterRank[outer.kind] < filterRank[f.key] {
			return true
		}
		switch {
		case l.v.before(v21):
			l.fatal(f.at, fmt.Sprintf("%s must not be under %s", f.key, outer.kind))
		case outer.kind == f.key:
			l.fatal(f.at, fmt.Sprintf("Nested %s { %s { .. } } block not allowed", outer.kind, f.key))
		default:
			l.fatal(f.at, fmt.Sprintf("%s { %s { .. } } not allowed (use %s { %s { .. } } instead)", outer.kind, f.key, f.key, outer.kind))
		}
		return false
	}
	return true
}

func (l *loader) openFilter(f *frame) {
	if !l.checkNesting(f) {
		f.path = "?"
		return
	}
	f.cond = &cond{f.key, f.name}
}

// expandInto sets the value as doveconf -n and as doveconf -x show it.
func (l *loader) expandInto(e *entry, s *Statement, plain bool) {
	e.value, e.long = s.Value, s.Value
	if plain || s.quoted || l.v.before(v20) {
		return
	}
	if strings.HasPrefix(s.Value, "<") && e.key != "" {
		l.expandFile(e)
		return
	}
	if strings.Contains(s.Value, "$") {
		l.expandVariables(e)
	}
}
