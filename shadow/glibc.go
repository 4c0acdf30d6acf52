package shadow

import (
	"math/bits"
	"strings"
)

// The reading of one line as glibc does it: shadow/sgetspent_r.c, gshadow/sgetsgent_r.c, nss/nss_files/files-parse.c.

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func trimSpace(s string) string {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return s[i:]
}

// strtou32 reads a whole field as strtoul(3) does and refuses what is beyond 32 bits. An empty field is good and has no
// digits. A minus sign negates in 64 bits, so "-1" is far beyond and "-0" is zero.
func strtou32(field string) (v uint32, digits, ok bool) {
	if field == "" {
		return 0, false, true
	}
	s := trimSpace(field)
	neg := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false, false
	}
	var n uint64
	over := false
	for i := 0; i < len(s); i++ {
		d := uint64(s[i] - '0')
		if d > 9 {
			return 0, false, false
		}
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, d, 0)
		over = over || hi != 0 || carry != 0
		n = sum
	}
	if neg {
		n = -n
	}
	if over || n > 1<<32-1 {
		return 0, true, false
	}
	return uint32(n), true, true
}

// cutFields splits text at colons into at most max fields and tells how many there are, counting no further than
// max+1.
func cutFields(text string, fields []string) int {
	n := 0
	for n < len(fields) {
		i := strings.IndexByte(text, ':')
		if i < 0 {
			fields[n] = text
			return n + 1
		}
		fields[n] = text[:i]
		text = text[i+1:]
		n++
	}
	return n + 1
}

// readShadow tells whether glibc reads text, a line without its newline, as an entry. bad is the field at fault, or -1
// when their number is. Nine fields are the form of today and five that of System V, after which blanks or an empty
// sixth may stand; the fifth must not be empty when nothing follows. Eight pass when the eighth is not empty: it is then
// the expiry date and no flag follows.
func readShadow(text string, f *record) (n, bad int, ok bool) {
	n = cutFields(text, f[:])
	if n < 5 || n > 9 || n == 5 && f[4] == "" {
		return n, -1, false
	}
	for i := 2; i < 5; i++ {
		if _, _, ok := strtou32(f[i]); !ok {
			return n, i, false
		}
	}
	if n == 5 {
		return n, 0, true
	}
	warn := trimSpace(f[5]) // glibc skips blanks here to look for the old form
	if n == 6 && warn == "" {
		return n, 0, true
	}
	if n < 8 || n == 8 && f[7] == "" {
		return n, -1, false
	}
	if _, _, ok := strtou32(warn); !ok {
		return n, 5, false
	}
	for i := 6; i < n; i++ {
		if _, _, ok := strtou32(f[i]); !ok {
			return n, i, false
		}
	}
	return n, 0, true
}

// readList gives the names that glibc reads from a member list: blanks before a name and empty items are dropped,
// blanks after a name stay.
func readList(raw string) []string {
	var out []string
	for raw != "" {
		item, rest, _ := strings.Cut(raw, ",")
		if item = trimSpace(item); item != "" {
			out = append(out, item)
		}
		raw = rest
	}
	return out
}
