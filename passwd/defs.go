package passwd

import (
	"math"
	"strconv"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// Defs are the settings of a login.defs file, as getdef.c of shadow-utils reads them: a key, blanks, a value that may
// stand in double quotes; the last line of a key counts.
type Defs struct {
	name     string
	values   map[string]setting
	problems []Problem
}

type setting struct {
	text string
	line int
}

// ParseDefs reads the text of a login.defs file. It never fails; name is for positions, usually "etc/login.defs".
func ParseDefs(name string, src []byte) *Defs {
	d := &Defs{name: name, values: map[string]setting{}}
	for i, l := range lines.Split(src) {
		text := strings.TrimSpace(string(l.Text))
		if text == "" || text[0] == '#' {
			continue
		}
		n := strings.IndexAny(text, " \t")
		if n < 0 {
			d.problems = append(d.problems, Problem{Warning, "value", name, i + 1, "a key without value: " + quote(text)})
			continue
		}
		value := strings.TrimLeft(text[n:], " \t\"")
		if j := strings.IndexByte(value, '"'); j >= 0 {
			value = value[:j]
		}
		d.values[text[:n]] = setting{strings.TrimSpace(value), i + 1}
	}
	return d
}

// Problems lists lines that set nothing, in their order.
func (d *Defs) Problems() []Problem { return d.problems }

// Lookup gives the value of a key. A nil Defs, of a host without the file, has none.
func (d *Defs) Lookup(key string) (value string, ok bool) {
	if d == nil {
		return "", false
	}
	s, ok := d.values[key]
	return s.text, ok
}

// Number gives the value of a key that is an id: decimal, octal after 0, hexadecimal after 0x. ok is false when the
// key is absent or its value is no number from 0 to 4294967295.
func (d *Defs) Number(key string) (n uint32, ok bool) {
	value, ok := d.Lookup(key)
	if !ok || strings.Contains(value, "_") || len(value) > 1 && strings.ContainsAny(value[1:2], "oObB") {
		return 0, false // what Go writes and strtoul(3) does not read
	}
	v, err := strconv.ParseUint(value, 0, 32)
	return uint32(v), err == nil
}

// at is the position of a key, the file alone when it is absent.
func (d *Defs) at(key string) string {
	if d == nil {
		return "etc/login.defs"
	}
	if s, ok := d.values[key]; ok {
		return d.name + ":" + strconv.Itoa(s.line)
	}
	return d.name
}

// idRange is what a host gives to people, both ends included.
type idRange struct{ min, max uint32 }

func (r idRange) has(id uint32) bool { return id >= r.min && id <= r.max }

// defaultMax is UID_MAX and GID_MAX of shadow-utils where login.defs is silent.
const defaultMax = 60000

// people reads XID_MIN and XID_MAX. Absent or senseless values are replaced and reported through warn.
func (d *Defs) people(minKey, maxKey string, fallback uint32, silent bool, warn func(kind, key, detail string)) idRange {
	r := idRange{fallback, defaultMax}
	text, set := d.Lookup(minKey)
	switch n, ok := d.Number(minKey); {
	case ok && n >= 100 && n < 60000:
		r.min = n
	case set:
		warn("uid-min", minKey, minKey+" is "+quote(text)+", want a number from 100 to 59999; "+decimal(fallback)+" is used")
	case !silent:
		warn("uid-min", minKey, minKey+" is not set; "+decimal(fallback)+" is used")
	}
	text, set = d.Lookup(maxKey)
	switch n, ok := d.Number(maxKey); {
	case ok && n > r.min && n < math.MaxUint32:
		r.max = n
	case set:
		r.max = max(r.max, r.min)
		warn("uid-max", maxKey, maxKey+" is "+quote(text)+", want a number above "+decimal(r.min)+"; "+decimal(r.max)+" is used")
	}
	return r
}

// ParseShells reads the text of a shells(5) file: the path in every line that has one.
func ParseShells(src []byte) []string {
	var out []string
	for _, l := range lines.Split(src) {
		text, _, _ := strings.Cut(string(l.Text), "#")
		if f := strings.Fields(text); len(f) > 0 && f[0][0] == '/' {
			out = append(out, f[0])
		}
	}
	return out
}
