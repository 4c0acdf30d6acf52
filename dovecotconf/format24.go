package dovecotconf

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// parseNew reads the syntax of 2.4 (lib-var-expand): %{variable | filter(arguments) | ...}. %%{ is a literal %{,
// every other % is text.
func (f *Format) parseNew(s string) error {
	if strings.HasPrefix(s, "%") || strings.Contains(s, "%") {
		f.literal = oldLetters(s)
	}
	found := false
	for s != "" {
		at := strings.Index(s, "%{")
		if at < 0 {
			f.addText(s)
			break
		}
		run := at
		for run > 0 && s[run-1] == '%' {
			run--
		}
		if run < at { // n+1 percent signs before the brace: n of them and the text {
			f.addText(s[:at] + "{")
			s = s[at+2:]
			continue
		}
		f.addText(s[:at])
		body, rest, ok := cutExpression(s[at+2:])
		if !ok {
			return fmt.Errorf("%s: syntax error, unexpected end of file, expecting CCBRACE or PIPE", f.text)
		}
		p, err := parseExpression(body)
		if err != nil {
			return err
		}
		found = found || p.name != ""
		if p.name == "" {
			f.addText(p.lit)
		} else {
			f.parts = append(f.parts, p)
		}
		s = rest
	}
	if !found {
		return errNoVars24
	}
	return nil
}

// cutExpression finds the closing brace outside of quotes.
func cutExpression(s string) (body, rest string, ok bool) {
	for i, c := range outside(s) {
		if c == '}' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// outside gives the bytes that stand outside of quotes, and where.
func outside(s string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		quote := byte(0)
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quote != 0 && c == '\\':
				i++
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
			case c == '\'' || c == '"':
				quote = c
			case !yield(i, c):
				return
			}
		}
	}
}

// splitOutside cuts s at sep outside of quotes and trims the pieces.
func splitOutside(s string, sep byte) []string {
	var out []string
	from := 0
	for i, c := range outside(s) {
		if c == sep {
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

var newVars = map[string]bool{"uid": true, "uidvalidity": true, "md5": true, "filename": true, "guid": true}

func parseExpression(body string) (part, error) {
	steps := splitOutside(body, '|')
	name, args, err := parseCall(steps[0])
	if err != nil {
		return part{}, err
	}
	if name == "literal" && len(steps) == 1 && len(args) == 1 {
		return part{lit: args[0]}, nil
	}
	p := part{name: name}
	if fields := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" \t+-*/", r) }); len(fields) > 1 && newVars[fields[0]] {
		p = part{name: fields[0], ops: []op{{kind: opOther, arg: strings.TrimSpace(name[len(fields[0]):])}}}
	}
	if !newVars[p.name] || len(args) > 0 {
		return part{}, fmt.Errorf("Unknown pop3_uidl_format variable: %%{%s}", name)
	}
	binary := false
	for _, step := range steps[1:] {
		name, args, err := parseCall(step)
		if err != nil {
			return part{}, err
		}
		ops := filterOps(name, args, &binary)
		p.ops = append(p.ops, ops...)
	}
	return p, nil
}

// parseCall splits name(arg, "arg"); text arguments lose their quotes.
func parseCall(s string) (name string, args []string, err error) {
	name, rest, call := strings.Cut(s, "(")
	name = strings.TrimSpace(name)
	if name == "" {
		return "", nil, fmt.Errorf("%q: syntax error, expecting a variable or filter", s)
	}
	if !call {
		return name, nil, nil
	}
	rest, ok := strings.CutSuffix(rest, ")")
	if !ok {
		return "", nil, fmt.Errorf("%q: syntax error, expecting CPAREN", s)
	}
	if rest == "" {
		return name, nil, nil
	}
	for _, a := range splitOutside(rest, ',') {
		if len(a) >= 2 && (a[0] == '\'' || a[0] == '"') && a[len(a)-1] == a[0] {
			a = unescape(a[1 : len(a)-1])
		}
		args = append(args, a)
	}
	return name, args, nil
}

// filterOps gives the steps of one filter. binary: the value is the raw bytes of a hash, which is written as hex at
// the end when no filter does it before.
func filterOps(name string, args []string, binary *bool) []op {
	n, isNum := 0, false
	if len(args) == 1 {
		v, err := strconv.Atoi(args[0])
		n, isNum = max(-maxWidth, min(v, maxWidth)), err == nil
	}
	was := *binary
	switch {
	case name == "hexlify" && was && len(args) == 0:
		*binary = false
		return nil // opMD5 already gives hex
	case name == "hexlify" && was && isNum && n > 0:
		*binary = false
		return []op{{kind: opFirst, n: n}}
	case was:
	case name == "hex" && len(args) == 0, name == "hex" && isNum && n == 0:
		return []op{{kind: opHex, arg: hexError}}
	case name == "hex" && isNum && n > 0:
		return []op{{kind: opHex, arg: hexError}, {kind: opPad, n: n}, {kind: opSkip, n: -n}}
	case name == "hex" && isNum:
		return []op{{kind: opHex, arg: hexError}, {kind: opPadRight, n: -n}, {kind: opFirst, n: -n}}
	case name == "upper" && len(args) == 0:
		return []op{{kind: opUpper}}
	case name == "lower" && len(args) == 0:
		return []op{{kind: opLower}}
	case name == "reverse" && len(args) == 0:
		return []op{{kind: opReverse}}
	case name == "md5" && len(args) == 0:
		*binary = true
		return []op{{kind: opMD5}}
	case name == "hexlify" && len(args) == 0:
		return []op{{kind: opHexBytes}}
	case name == "lfill" && isNum && n > 0, name == "lfill" && len(args) == 2 && args[1] == "0" && positive(args[0], &n):
		return []op{{kind: opPad, n: n}}
	case name == "safe" && len(args) == 0, name == "text" && len(args) == 0, name == "default":
		return nil // the variables are never empty and hold no control characters
	}
	return []op{{kind: opOther, arg: strings.TrimSpace(name + " " + strings.Join(args, " "))}}
}

func positive(s string, n *int) bool {
	v, err := strconv.Atoi(s)
	*n = min(v, maxWidth)
	return err == nil && v > 0
}

// oldLetters finds what was a variable in the old syntax: %u, %08Xv. They are plain text in 2.4.
func oldLetters(s string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(s, "%")
		if !ok || rest == "" {
			return out
		}
		if rest[0] == '{' || rest[0] == '%' {
			s = rest[1:]
			continue
		}
		sp, after := scanSpec(rest)
		if formatVars[sp.key] != "" {
			out = append(out, "%"+rest[:len(rest)-len(after)])
			rest = after
		}
		s = rest
	}
}
