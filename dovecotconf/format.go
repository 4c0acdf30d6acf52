package dovecotconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Format is a pop3_uidl_format that one version of Dovecot accepts, compiled to what it means: a list of literal
// texts and of variables with the steps applied to them. Two texts of different syntax can have the same meaning.
type Format struct {
	text    string
	version release
	parts   []part
	unknown []string // 1.x: variables that expand to nothing
	literal []string // 2.4: letters of the old syntax that are text now
}

// part is a literal text, or a variable when name is not empty.
type part struct {
	lit  string
	name string // uid, uidvalidity, md5, filename, guid
	ops  []op
}

type opKind uint8

const (
	opHex      opKind = iota + 1 // a decimal number to lower hex
	opLower                      // ASCII
	opUpper                      // ASCII
	opMD5                        // to 32 lower hex digits
	opReverse                    // bytes in reverse order
	opTrim                       // trailing blanks cut
	opEscape                     // \ before ", ' and \
	opSkip                       // n>0 drops the first n bytes, n<0 keeps the last -n
	opFirst                      // n>0 keeps the first n bytes, n<0 drops the last -n
	opPad                        // zeros in front up to n bytes
	opPadRight                   // zeros behind up to n bytes
	opHexBytes                   // hex of the bytes, the first n digits of it when n>0
	opOther                      // a step that is not modelled; arg says which
)

// What opHex makes of a value that is no number.
const (
	hexPrefix = "prefix" // 1.x: the digits it begins with
	hexZero   = "zero"   // 2.0 to 2.3: "0"
	hexError  = "error"  // 2.4: no UIDL
)

type op struct {
	kind opKind
	n    int
	arg  string
}

// errConst names why a format gives no usable UIDL; the words are those of Dovecot (mail-storage-settings.c).
var (
	errNoVars    = errors.New("pop3_uidl_format setting doesn't contain any %% variables.")
	errNoVars24  = errors.New("pop3_uidl_format setting doesn't contain any %{variables}.")
	errNotSet100 = errors.New("POP3 enabled but pop3_uidl_format not set")
)

var formatVars = map[byte]string{'v': "uidvalidity", 'u': "uid", 'm': "md5", 'f': "filename", 'g': "guid"}

// maxWidth bounds what a format can make of one variable, so that "%0999999999u" costs no memory.
const maxWidth = 4096

// ParseFormat compiles the value of pop3_uidl_format as the Dovecot of the given version ("1.2.17", "2.3", "2.4.1")
// reads it: letters such as %08Xu up to 2.3 (var-expand.c), expressions such as %{uid | hex(8)} from 2.4 on. The
// error says, in Dovecot's words where it has any, why POP3 of that version does not work with this value.
// 1.1 and 1.2 take an empty value for their default.
func ParseFormat(version, s string) (*Format, error) {
	v, err := parseRelease(version)
	if err != nil {
		return nil, err
	}
	return parseFormat(v, s)
}

func parseFormat(v release, s string) (*Format, error) {
	f := &Format{text: s, version: v}
	if s == "" && v.between(v11, v20) {
		s = defaultFormat(v)
	}
	if v.between(v100, v11) && s == "" {
		return nil, errNotSet100
	}
	var err error
	if v.old() {
		err = f.parseOld(s)
	} else {
		err = f.parseNew(s)
	}
	if err != nil {
		return nil, err
	}
	f.parts = normalise(f.parts)
	return f, nil
}

// defaultFormat is the built-in value by version, "" where there was none (1.0).
func defaultFormat(v release) string {
	switch {
	case v.before(v100):
		return "%v.%u"
	case v.before(v11):
		return ""
	case v.old():
		return "%08Xu%08Xv"
	}
	return "%{uid | hex(8)}%{uidvalidity | hex(8)}"
}

func (f *Format) addText(s string) {
	if n := len(f.parts); n > 0 && f.parts[n-1].name == "" {
		f.parts[n-1].lit += s
		return
	}
	f.parts = append(f.parts, part{lit: s})
}

// spec is one %... of the old syntax.
type spec struct {
	neg, zero   bool
	hasOffset   bool
	first       int // number before the dot or the only one
	negW, zeroW bool
	width       int
	mods        string
	key         byte // 0: the text ended
}

const oldModifiers = "LUEXRHNMDT"

// scanSpec reads [-][0]number[.[0][-]number]modifiers key. rest is what follows the key.
func scanSpec(s string) (sp spec, rest string) {
	take := func(c byte) bool {
		if s != "" && s[0] == c {
			s = s[1:]
			return true
		}
		return false
	}
	number := func() (n int) {
		for s != "" && s[0] >= '0' && s[0] <= '9' {
			n, s = min(n*10+int(s[0]-'0'), maxWidth), s[1:]
		}
		return n
	}
	sp.neg, sp.zero = take('-'), take('0')
	sp.first = number()
	if take('.') {
		sp.hasOffset = true
		sp.zeroW, sp.negW = take('0'), take('-')
		sp.width = number()
	}
	n := 0
	for n < len(s) && n < 10 && strings.IndexByte(oldModifiers, s[n]) >= 0 {
		n++
	}
	sp.mods, s = s[:n], s[n:]
	if s == "" {
		return sp, ""
	}
	sp.key = s[0]
	return sp, s[1:]
}

func (sp spec) ops(v release) []op {
	var out []op
	for _, m := range []byte(sp.mods) {
		k := map[byte]opKind{'L': opLower, 'U': opUpper, 'E': opEscape, 'X': opHex, 'R': opReverse, 'M': opMD5, 'T': opTrim}[m]
		if k == 0 {
			out = append(out, op{kind: opOther, arg: fmt.Sprintf("%%%c with offset %d and width %d", m, sp.first, sp.width)})
			continue
		}
		o := op{kind: k}
		if k == opHex {
			o.arg = hexZero
			if v.before(v20) {
				o.arg = hexPrefix
			}
		}
		out = append(out, o)
	}
	width, zero := sp.first, sp.zero
	if sp.hasOffset {
		width, zero = sp.width, sp.zeroW
		if sp.first > 0 && sp.neg {
			out = append(out, op{kind: opSkip, n: -sp.first})
		} else if sp.first > 0 {
			out = append(out, op{kind: opSkip, n: sp.first})
		}
	}
	switch {
	case width == 0:
	case sp.negW && v.before(v2213):
		out = append(out, op{kind: opOther, arg: fmt.Sprintf("negative width %d before 2.2.13", width)})
	case sp.negW:
		out = append(out, op{kind: opFirst, n: -width})
	case zero:
		out = append(out, op{kind: opPad, n: width})
	default:
		out = append(out, op{kind: opFirst, n: width})
	}
	return out
}

func (f *Format) parseOld(s string) error {
	found := false
	for s != "" {
		text, rest, more := strings.Cut(s, "%")
		f.addText(text)
		if !more || rest == "" {
			break // a lone % at the end is dropped
		}
		sp, after := scanSpec(rest)
		name := formatVars[sp.key]
		if name == "guid" && f.version.before(v20) {
			name = ""
		}
		switch {
		case sp.key == '%':
			f.addText("%") // modifiers and widths do not change it
		case name != "":
			found = true
			f.parts = append(f.parts, part{name: name, ops: sp.ops(f.version)})
		case !f.version.before(v20):
			key := ""
			if sp.key != 0 {
				key = string(sp.key)
			}
			return fmt.Errorf("Unknown pop3_uidl_format variable: %%%s", key)
		default:
			after = f.unknownVar(sp.key, after)
		}
		s = after
	}
	if !found && !f.version.before(v20) {
		return errNoVars
	}
	return nil
}

// unknownVar is 1.x, which expands what it does not know to nothing: from 1.1 on a %{name} whole, 1.0 only the brace.
func (f *Format) unknownVar(key byte, after string) string {
	name := ""
	if key != 0 {
		name = string(key)
	}
	if key == '{' && !f.version.before(v11) {
		if long, rest, ok := strings.Cut(after, "}"); ok {
			name, after = "{"+long+"}", rest
		}
	}
	f.unknown = append(f.unknown, "%"+name)
	return after
}

// String is the value as it was written.
func (f *Format) String() string { return f.text }

// Canonical writes the meaning in one notation for all versions: literal texts quoted, variables with their steps,
// joined by blanks: `uid|hex|pad(8) uidvalidity|hex|pad(8)`. Equal formats have equal canonical forms.
func (f *Format) Canonical() string {
	out := make([]string, len(f.parts))
	for i, p := range f.parts {
		out[i] = p.String()
	}
	return strings.Join(out, " ")
}

func (p part) String() string {
	if p.name == "" {
		return fmt.Sprintf("%q", p.lit)
	}
	out := p.name
	for _, o := range p.ops {
		out += "|" + o.String()
	}
	return out
}

func (o op) String() string {
	name := map[opKind]string{opHex: "hex", opLower: "lower", opUpper: "upper", opMD5: "md5", opReverse: "reverse",
		opTrim: "trim", opEscape: "escape", opSkip: "skip", opFirst: "first", opPad: "pad", opPadRight: "padright",
		opHexBytes: "hexbytes"}[o.kind]
	if o.kind == opHex && o.arg != "" {
		return "hex:" + o.arg
	}
	if o.kind == opOther {
		return "(" + o.arg + ")"
	}
	if o.n != 0 {
		return fmt.Sprintf("%s(%d)", name, o.n)
	}
	return name
}

// Uses tells whether the format contains the variable uid, uidvalidity, md5, filename or guid.
func (f *Format) Uses(name string) bool {
	return slices.ContainsFunc(f.parts, func(p part) bool { return p.name == name })
}

// Constant tells that all messages of a mailbox get the same UIDL, so that clients skip new mail.
func (f *Format) Constant() bool {
	return !f.Uses("uid") && !f.Uses("md5") && !f.Uses("filename") && !f.Uses("guid")
}

// Ignored lists variables that this version expands to nothing without a word (1.x).
func (f *Format) Ignored() []string { return slices.Clone(f.unknown) }

// Leftovers lists variables of the old syntax, such as %u, that 2.4 takes for plain text.
func (f *Format) Leftovers() []string { return slices.Clone(f.literal) }
