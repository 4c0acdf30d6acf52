package dovecotconf

import (
	"fmt"
	"strings"
)

// section path of the frames as 2.1 and later write it in messages: "service { unix_listener { ".
func (l *loader) trail() string {
	out := ""
	if l.v.before(v21) {
		return out
	}
	for _, f := range l.frames {
		if f.cond == nil && f.path != "" {
			out += f.key + " { "
		}
	}
	return out
}

// parent2 is the innermost section that is no filter.
func (l *loader) parent2() string {
	for i := len(l.frames) - 1; i >= 0; i-- {
		if f := l.frames[i]; f.cond == nil {
			return f.key
		}
	}
	return ""
}

func (l *loader) open2(f *frame) {
	parent := l.parent2()
	if l.openLegacy(f, parent) {
		return
	}
	if filterRank[f.key] > 0 && (parent == "" || !strings.Contains(sections2[parent].subs, f.key)) {
		l.openFilter(f)
		return
	}
	if !wordSet(sections2[parent].subs)[f.key] {
		if l.v.before(v21) {
			l.fatal(f.at, "Unknown setting: "+f.key)
		} else {
			l.fatal(f.at, fmt.Sprintf("Unknown setting: %s%s { %s", l.trail(), f.key, f.key))
		}
		f.path = "?"
		return
	}
	if (f.key == "passdb" || f.key == "userdb") && l.inAddress() {
		l.fatal(f.at, "Auth settings not supported inside local/remote blocks: "+f.key)
	}
	f.path = l.sectionName(f.key, f.name)
	if f.key == "plugin" || f.key == "dict" {
		f.path = f.key
	}
}

func (l *loader) inAddress() bool {
	for _, f := range l.frames {
		if f.cond != nil && f.cond.kind != "protocol" {
			return true
		}
	}
	return false
}

func (l *loader) assign2(s *Statement, at position) {
	if i := strings.IndexByte(s.Key, '/'); i > 0 && len(l.frames) == 0 && l.assignPath(s, at) {
		return
	}
	if l.assignLegacy(s, at) {
		return
	}
	l.set2(s, at, l.place(s.Key, at), l.parent2())
}

// set2 checks and stores a setting that belongs into section parent.
func (l *loader) set2(s *Statement, at position, e entry, parent string) {
	sec, t := sections2[parent], textType
	switch {
	case parent == "":
		if !knownRoot2(l.v, e.key) {
			l.fatal(at, "Unknown setting: "+e.key)
			return
		}
		t = typeOf(l.v, e.key)
	case sec.keys != nil && !sec.keys[e.key]:
		l.fatal(at, "Unknown setting: "+l.trail()+e.key)
		return
	case sec.keys != nil:
		t = sectionType(parent, e.key)
	}
	if strings.HasPrefix(e.key, "auth_") && l.inAddress() {
		l.fatal(at, "Auth settings not supported inside local/remote blocks: "+e.key)
	}
	l.expandInto(&e, s, parent == "plugin")
	l.checkValue(&e, t)
	l.checkEnum(&e, parent)
	l.earlierFilter(&e)
	l.add(e)
}

func sectionType(parent, key string) valueType {
	switch {
	case sectionBools[key]:
		return boolType
	case key == "vsz_limit":
		return sizeType
	case key == "idle_kill" || key == "autoexpunge":
		return timeType
	case parent == "service" && (strings.HasSuffix(key, "_limit") || key == "service_count" || key == "process_min_avail"), parent == "inet_listener" && key == "port":
		return numberType
	}
	return textType
}

// enums are settings with a fixed set of values that mail clients depend on.
var enums = map[string]map[string]bool{
	"ssl":                  wordSet("yes no required"),
	"lock_method":          wordSet("fcntl flock dotlock"),
	"pop3_uidl_duplicates": wordSet("allow rename"),
	"pop3_delete_type":     wordSet("default expunge flag"),
	"mbox_md5":             wordSet("apop3d all"),
	"mail_fsync":           wordSet("optimized never always"),
}

func (l *loader) checkEnum(e *entry, parent string) {
	values := enums[e.key]
	if parent != "" || values == nil || values[e.value] || strings.HasPrefix(e.value, "$") {
		return
	}
	l.fatal(e.at, "Invalid value: "+e.value)
}

// assignPath reads "service/pop3/vsz_limit = 64M" at the top of a file.
func (l *loader) assignPath(s *Statement, at position) bool {
	parts := strings.Split(s.Key, "/")
	if _, ok := sections2[parts[0]]; !ok {
		return false
	}
	e := entry{key: parts[len(parts)-1], at: at}
	parent := ""
	for i := 0; i < len(parts)-1; i++ {
		parent = parts[i]
		if parent == "plugin" || parent == "dict" || i+1 == len(parts)-1 {
			e.path = append(e.path, parent)
			continue
		}
		e.path = append(e.path, parent+" "+parts[i+1])
		i++
	}
	l.set2(s, at, e, parent)
	return true
}

// earlierFilter warns, since 2.2.24, that a global line does not reach a filter above it.
func (l *loader) earlierFilter(e *entry) {
	if l.v.before(v2224) || len(e.filters) > 0 || len(e.path) > 0 {
		return
	}
	if f, ok := l.filtered[e.key]; ok {
		l.warn(e.at, fmt.Sprintf("Global setting %s won't change the setting inside an earlier filter at %s (if this is intentional, avoid this warning by moving the global setting before %s)", e.key, f, f))
	}
}
