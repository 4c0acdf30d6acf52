package dovecotconf

import (
	"fmt"
	"strconv"
	"strings"
)

// sections1 tells which sections of 1.x may stand in which (master-settings.c).
var sections1 = map[string]string{
	"": "protocol auth namespace dict plugin server", "server": "protocol auth namespace dict plugin",
	"protocol": "namespace dict plugin auth", "auth": "passdb userdb socket", "socket": "master client",
}

var (
	namespaceKeys1 = wordSet("type separator prefix location inbox hidden list subscriptions")
	socketKeys1    = wordSet("type path mode user group")
	protocols1     = wordSet("imap pop3 lda managesieve")
)

func (l *loader) parentKey() string {
	if n := len(l.frames); n > 0 {
		return l.frames[n-1].key
	}
	return ""
}

// refuse1 reports a section of 1.x in its words; what is inside is not looked at.
func (l *loader) refuse1(f *frame, msg string) {
	if l.brace.line > 0 {
		msg += fmt.Sprintf(" (section changed in %s at line %d)", l.brace.file, l.brace.line)
	}
	l.fatal(f.at, msg)
	f.path = "?"
}

func (l *loader) open1(f *frame) {
	if !wordSet(sections1[l.parentKey()])[f.key] {
		if f.key == "protocol" {
			l.refuse1(f, "Protocol section not allowed here")
		} else {
			l.refuse1(f, "Unknown section type")
		}
		return
	}
	switch f.key {
	case "protocol":
		if !protocols1[f.name] {
			l.refuse1(f, "Unknown protocol name")
			return
		}
		l.scope = f.name
	case "server":
	case "namespace":
		if !wordSet("private shared public")[f.name] {
			l.refuse1(f, "Unknown namespace type")
			return
		}
		f.path = l.sectionName("namespace", "")
		l.setInside(f, "type", f.name)
	case "passdb", "userdb":
		f.path = l.sectionName(f.key, "")
		l.setInside(f, "driver", f.name)
	case "socket":
		f.path = l.sectionName(f.key, "")
		l.setInside(f, "type", f.name)
	case "auth":
		f.path = f.key + " " + f.name
	default:
		f.path = f.key
	}
}

// setInside adds a setting to a section that is being opened.
func (l *loader) setInside(f *frame, key, value string) {
	e := l.place(key, f.at)
	e.path = append(e.path, f.path)
	e.value, e.long = value, value
	l.add(e)
}

func (l *loader) assign1(s *Statement, at position) {
	e := l.place(s.Key, at)
	l.expandInto(&e, s, true)
	parent := l.parentKey()
	t := textType
	var known bool
	defaults := tableOf(l.v).defaults
	switch parent {
	case "", "server", "protocol":
		_, known = defaults[s.Key]
		if auth, ok := strings.CutPrefix(s.Key, "auth_"); ok && !known {
			if _, known = defaults["auth default/"+auth]; known {
				e.path, e.key = append(e.path, "auth default"), auth
			}
		}
		known = known || l.scope == "lda" || l.scope == "managesieve"
		t = typeOf(l.v, s.Key)
	case "auth":
		_, known = defaults["auth default/"+s.Key]
	case "passdb", "userdb":
		_, known = defaults["auth default/"+parent+"/"+s.Key]
	case "namespace":
		known = namespaceKeys1[s.Key]
		if sectionBools[s.Key] {
			t = boolType
		}
	case "socket", "master", "client":
		known = socketKeys1[s.Key]
	default:
		known = true
	}
	if !known {
		l.fatal(at, "Unknown setting: "+s.Key)
		return
	}
	if mode, err := strconv.ParseUint(e.value, 8, 32); err == nil && s.Key == "mode" {
		e.value = strconv.FormatUint(mode, 10) // as dovecot -n shows it
		e.long = e.value
	}
	if l.scope == "lda" {
		t = textType
	}
	l.checkValue(&e, t)
	if t == boolType {
		e.value = strings.ToLower(e.value)
		e.long = e.value
	}
	l.add(e)
}
