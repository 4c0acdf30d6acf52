package dovecotconf

import (
	"fmt"
	"strconv"
	"strings"
)

// Translate writes the format in the syntax of another version, so that Equal holds between the two. The error proves
// that there is no such text: it names the part that the syntax cannot express.
func (f *Format) Translate(to string) (string, error) {
	v, err := parseRelease(to)
	if err != nil {
		return "", err
	}
	if f.version.old() == v.old() && f.text != "" && (f.version.before(v20) == v.before(v20)) {
		if g, err := parseFormat(v, f.text); err == nil {
			if same, _ := Equal(f, g); same {
				return f.text, nil
			}
		}
	}
	write := writeOld
	if !v.old() {
		write = writeNew
	}
	var out strings.Builder
	for i, p := range f.parts {
		next := i+1 < len(f.parts)
		s, err := write(p, v, next)
		if err != nil {
			return "", fmt.Errorf("%q has no equal in Dovecot %s: %w", f.text, v, err)
		}
		out.WriteString(s)
	}
	g, err := parseFormat(v, out.String())
	if err != nil {
		return "", fmt.Errorf("%q has no equal in Dovecot %s: %w", f.text, v, err)
	}
	if same, reason := Equal(f, g); !same {
		return "", fmt.Errorf("%q has no equal in Dovecot %s: %s", f.text, v, reason)
	}
	return out.String(), nil
}

func writeOld(p part, v release, _ bool) (string, error) {
	if p.name == "" {
		return strings.ReplaceAll(p.lit, "%", "%%"), nil
	}
	if p.name == "guid" && v.before(v20) {
		return "", fmt.Errorf("%%g exists since 2.0")
	}
	key := map[string]string{"uid": "u", "uidvalidity": "v", "md5": "m", "filename": "f", "guid": "g"}[p.name]
	mods, offset, width := "", "", ""
	for _, o := range p.ops {
		mod := map[opKind]string{opHex: "X", opLower: "L", opUpper: "U", opMD5: "M", opReverse: "R", opTrim: "T", opEscape: "E"}[o.kind]
		switch {
		case mod != "" && offset+width == "":
			mods += mod
		case o.kind == opSkip && offset+width == "":
			offset = strconv.Itoa(o.n) + "."
		case o.kind == opPad && width == "":
			width = "0" + strconv.Itoa(o.n)
		case o.kind == opFirst && width == "" && o.n > 0:
			width = strconv.Itoa(o.n)
		case o.kind == opFirst && width == "":
			if offset == "" {
				offset = "0."
			}
			width = strconv.Itoa(o.n)
		default:
			return "", fmt.Errorf("the old syntax cannot express %s", p)
		}
	}
	return "%" + offset + width + mods + key, nil
}

func writeNew(p part, _ release, next bool) (string, error) {
	if p.name == "" {
		lit := p.lit
		if strings.Contains(lit, "%{") || next && strings.HasSuffix(lit, "%") {
			if strings.ContainsAny(lit, `'\`) {
				return "", fmt.Errorf("the text %q next to a variable needs quoting that 2.4 was not measured with", lit)
			}
			return "%{literal('" + lit + "')}", nil
		}
		return lit, nil
	}
	out := "%{" + p.name
	sh := startShape(p.name)
	for ops := p.ops; len(ops) > 0; {
		filter, used, err := newFilter(ops, sh)
		if err != nil {
			return "", fmt.Errorf("%w in %s", err, p)
		}
		out += " | " + filter
		for _, o := range ops[:used] {
			_, sh, _ = addOp(nil, sh, o)
		}
		ops = ops[used:]
	}
	return out + "}", nil
}

// newFilter writes the first steps of ops as one filter of 2.4 and tells how many they are.
func newFilter(ops []op, sh shape) (filter string, used int, err error) {
	o := ops[0]
	n := strconv.Itoa(o.n)
	switch o.kind {
	case opHex:
		switch {
		case sh.alpha != digits:
			return "", 0, fmt.Errorf("2.4 refuses hex of what is no number")
		case len(ops) > 1 && ops[1].kind == opPad && ops[1].n >= 8 && sh.number:
			return fmt.Sprintf("hex(%d)", ops[1].n), 2, nil
		case len(ops) > 2 && ops[1].kind == opSkip && ops[2].kind == opPad && ops[1].n == -ops[2].n:
			return fmt.Sprintf("hex(%d)", ops[2].n), 3, nil
		}
		return "hex", 1, nil
	case opUpper:
		return "upper", 1, nil
	case opLower:
		return "lower", 1, nil
	case opReverse:
		return "reverse", 1, nil
	case opPad:
		return "lfill(" + n + ", '0')", 1, nil
	case opMD5:
		return md5Filter(ops)
	case opSkip, opFirst:
		// substr fails when the value is shorter than what it asks for, and then there is no UIDL at all
		switch size := max(o.n, -o.n); {
		case sh.min < size:
			return "", 0, fmt.Errorf("2.4 cannot cut a value that may be shorter than %d characters", size)
		case o.kind == opSkip:
			return "substr(" + n + ")", 1, nil
		case o.n > 0:
			return "substr(0, " + n + ")", 1, nil
		}
	}
	return "", 0, fmt.Errorf("2.4 has no filter for %s", o)
}

// md5Filter: the hash is raw bytes until hexlify, and other filters must not see those.
func md5Filter(ops []op) (string, int, error) {
	if len(ops) > 1 {
		return "md5 | hexlify", 1, nil
	}
	return "md5", 1, nil
}
