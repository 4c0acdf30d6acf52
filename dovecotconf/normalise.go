package dovecotconf

import (
	"math"
	"slices"
)

// alphabet of a value: what upper, lower and escaping can change in it.
type alphabet uint8

const (
	anyText alphabet = iota
	digits
	lowHex
	upHex
)

// shape bounds a value: its length and its alphabet.
type shape struct {
	min, max int
	alpha    alphabet
	number   bool // still the decimal number of the variable, below 1<<32
}

func startShape(name string) shape {
	switch name {
	case "uid", "uidvalidity":
		return shape{1, 10, digits, true}
	case "md5":
		return shape{32, 32, lowHex, false}
	}
	return shape{0, math.MaxInt32, anyText, false}
}

// normalise drops the steps that cannot change anything, brings the rest into one order and joins literals. Only
// rewrites that hold for every value are used, so formats with the same normal form always give the same UIDL.
func normalise(parts []part) []part {
	var out []part
	for _, p := range parts {
		if p.name != "" {
			ops, empty := normaliseOps(p)
			if !empty {
				out = append(out, part{name: p.name, ops: ops})
				continue
			}
			p = part{}
		}
		if p.lit == "" {
			continue
		}
		if n := len(out); n > 0 && out[n-1].name == "" {
			out[n-1].lit += p.lit
			continue
		}
		out = append(out, p)
	}
	return out
}

func normaliseOps(p part) (ops []op, empty bool) {
	sh := startShape(p.name)
	for _, o := range p.ops {
		if ops, sh, empty = addOp(ops, sh, o); empty {
			return nil, true
		}
	}
	return ops, false
}

func addOp(ops []op, sh shape, o op) ([]op, shape, bool) {
	switch o.kind {
	case opLower, opUpper:
		ops, sh = addCase(ops, sh, o)
		return ops, sh, false
	case opTrim, opEscape:
		if sh.alpha != anyText {
			return ops, sh, false
		}
		sh.min, sh.max = 0, math.MaxInt32
	case opHex:
		if sh.alpha == digits {
			o.arg = ""
		}
		if sh.number {
			return append(ops, o), shape{1, 8, lowHex, false}, false
		}
		sh = shape{1, 16, lowHex, false}
	case opMD5:
		sh = shape{32, 32, lowHex, false}
	case opHexBytes:
		sh = shape{0, math.MaxInt32, lowHex, false}
	case opReverse:
		if n := len(ops); n > 0 && ops[n-1].kind == opReverse {
			return ops[:n-1], sh, false
		}
		sh.number = false
	case opSkip, opFirst, opPad, opPadRight:
		return addCut(ops, sh, o)
	default:
		sh = shape{0, math.MaxInt32, anyText, false}
	}
	return append(ops, o), sh, false
}

// addCase adds upper or lower, in front of a padding with zeros, which it does not change.
func addCase(ops []op, sh shape, o op) ([]op, shape) {
	if sh.alpha == digits || sh.alpha == lowHex && o.kind == opLower || sh.alpha == upHex && o.kind == opUpper {
		return ops, sh
	}
	at := len(ops)
	for at > 0 && (ops[at-1].kind == opPad || ops[at-1].kind == opSkip || ops[at-1].kind == opFirst || ops[at-1].kind == opPadRight) {
		at--
	}
	if at > 0 && (ops[at-1].kind == opUpper || ops[at-1].kind == opLower) {
		if sh.alpha == upHex { // upper of lower hex, then lower: as it was
			sh.alpha = lowHex
			return slices.Delete(ops, at-1, at), sh
		}
		ops[at-1] = o
		return ops, sh
	}
	if sh.alpha == lowHex {
		sh.alpha = upHex
	}
	return slices.Insert(ops, at, o), sh
}

func addCut(ops []op, sh shape, o op) ([]op, shape, bool) {
	last := len(ops) - 1
	sh.number = false
	switch {
	case o.kind == opPad || o.kind == opPadRight:
		if sh.min >= o.n {
			return ops, sh, false
		}
		sh.min, sh.max = max(sh.min, o.n), max(sh.max, o.n)
		if last >= 0 && ops[last].kind == o.kind {
			ops[last].n = o.n
			return ops, sh, false
		}
	case o.kind == opSkip && o.n > 0:
		if sh.max <= o.n {
			return nil, sh, true
		}
		sh.min, sh.max = max(0, sh.min-o.n), sh.max-o.n
	case o.kind == opSkip: // keeps the last -n
		n := -o.n
		if sh.max <= n {
			return ops, sh, false
		}
		sh.min, sh.max = min(sh.min, n), n
		if last >= 0 && ops[last].kind == opPad { // cutting first and padding then is the same
			pad := min(ops[last].n, n)
			ops = append(ops[:last], o)
			return append(ops, op{kind: opPad, n: pad}), sh, false
		}
	case o.n > 0: // opFirst
		if sh.max <= o.n {
			return ops, sh, false
		}
		sh.min, sh.max = min(sh.min, o.n), o.n
	default:
		sh.min = 0
	}
	return append(ops, o), sh, false
}
