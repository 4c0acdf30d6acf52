package surroundings

import (
	"path"
	"strings"
)

const mainName = "etc/postfix/main.cf"

// setting is a parameter of Postfix and where it is set; line 0 is Postfix's own default.
type setting struct {
	text string
	line int
}

func (s setting) at() string {
	if s.line == 0 {
		return "default"
	}
	return at(mainName, s.line)
}

// mainCF is a main.cf (postconf(5)): the last of several settings counts.
type mainCF struct {
	exists bool
	values map[string]setting
}

// Defaults that count here. Those with a host's name in them stand in defaultsOf.
var mainDefaults = map[string]string{
	"inet_interfaces": "all", "alias_maps": "hash:/etc/aliases", "mydestination": "$myhostname, localhost.$mydomain, localhost",
	"myorigin": "$myhostname", "mailbox_size_limit": "51200000", "message_size_limit": "10240000", "mail_spool_directory": "/var/mail",
	"virtual_alias_maps": "$virtual_maps", "virtual_alias_domains": "$virtual_alias_maps", "virtual_mailbox_domains": "$virtual_mailbox_maps",
	"config_directory": "/etc/postfix", "data_directory": "/var/lib/postfix", "default_database_type": "hash",
}

func (h *host) mainCF() *mainCF {
	src := h.read(mainName)
	m := parseMain(src)
	m.exists = src != nil
	name := h.hostname()
	if v, ok := m.values["myhostname"]; ok {
		name = v.text
	}
	_, domain, ok := strings.Cut(name, ".")
	if !ok {
		domain = "localdomain"
		if name != "" {
			name += "." + domain
		}
	}
	for key, value := range mainDefaults {
		m.unset(key, value)
	}
	m.unset("myhostname", name)
	m.unset("mydomain", domain)
	return m
}

func (m *mainCF) unset(key, value string) {
	if _, ok := m.values[key]; !ok {
		m.values[key] = setting{text: value}
	}
}

func parseMain(src []byte) *mainCF {
	m := &mainCF{values: map[string]setting{}}
	for _, l := range logical(src) {
		key, value, ok := strings.Cut(l.text, "=")
		if key = strings.TrimSpace(key); ok && key != "" && !strings.ContainsAny(key, " \t") {
			m.values[key] = setting{strings.TrimSpace(value), l.line}
		}
	}
	return m
}

func (m *mainCF) get(key string) setting { return m.values[key] }

// expand puts the values of parameters in the place of $name, ${name} and $(name). Conditions (${name?text}) become empty.
func (m *mainCF) expand(s string) string {
	e := expansion{m: m, left: maxExpansions}
	e.text(s, 0)
	return e.b.String()
}

// expansion is bounded, for values may name each other many times over.
type expansion struct {
	m    *mainCF
	b    strings.Builder
	left int // parameters that may still be put in
}

const (
	maxExpansions = 10000
	maxExpanded   = 64 << 10
)

func (e *expansion) text(s string, depth int) {
	for s != "" && e.b.Len() < maxExpanded {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			e.b.WriteString(s)
			return
		}
		e.b.WriteString(s[:i])
		s = s[i+1:]
		var name string
		switch s[0] {
		case '$':
			e.b.WriteByte('$')
			s = s[1:]
			continue
		case '{', '(':
			end := strings.IndexAny(s, "})")
			if end < 0 {
				return
			}
			name, s = strings.TrimSpace(s[1:end]), s[end+1:]
		default:
			end := len(s) - len(strings.TrimLeft(s, letters))
			name, s = s[:end], s[end:]
		}
		if e.left--; e.left > 0 && depth < 2*maxDepth {
			e.text(e.m.values[name].text, depth+1)
		}
	}
}

// words are the items of a list.
func (m *mainCF) words(key string) []string {
	return strings.FieldsFunc(m.expand(m.get(key).text), listSeparator)
}

// table is a lookup table that a parameter names, such as hash:/etc/postfix/virtual.
type table struct {
	kind, path string
}

// File tables, whose text stands in the file that is named, beside what postmap made of it.
const fileKinds = " hash btree lmdb dbm cdb texthash regexp pcre cidr sdbm fail "

// isFile tells whether the table's text can be read here.
func (t table) isFile() bool { return strings.Contains(fileKinds, " "+t.kind+" ") }

// keyed tells whether its lines are keys, not patterns.
func (t table) keyed() bool {
	return t.isFile() && t.kind != "regexp" && t.kind != "pcre" && t.kind != "cidr"
}

// tables finds those named in the value of a parameter, nested in check_..._access too.
func (m *mainCF) tables(value string) (all []table) {
	for _, w := range strings.FieldsFunc(m.expand(value), func(r rune) bool { return listSeparator(r) || r == '{' || r == '}' }) {
		w = strings.TrimPrefix(strings.TrimPrefix(w, "!"), "proxy:")
		kind, name, ok := strings.Cut(w, ":")
		if ok && strings.HasPrefix(name, "/") && kind != "" && strings.Trim(kind, letters) == "" {
			all = append(all, table{kind, path.Clean(name)})
		}
	}
	return all
}

// hostname is the name that the host gives itself at boot; "" when unknown.
func (h *host) hostname() string {
	for line := range strings.Lines(string(h.read("etc/hostname"))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	for line := range strings.Lines(string(h.read("etc/sysconfig/network"))) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "HOSTNAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}
