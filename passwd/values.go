package passwd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// idForm tells how an id is written.
type idForm uint8

const (
	plainID idForm = iota // decimal digits alone
	oddID                 // "+5" or " 5": libc and shadow-utils read it, others may not
	badID                 // no number to anybody
)

// parseID reads a uid or gid as libc does: decimal whatever zeros lead it, 0 to 4294967295.
func parseID(s string) (uint32, idForm) {
	digits, form := s, plainID
	if s == "" {
		return 0, badID
	}
	if s[0] < '0' || s[0] > '9' {
		digits, form = strings.TrimPrefix(strings.TrimLeft(s, " \t"), "+"), oddID
	}
	if digits == "" {
		return 0, badID
	}
	var id uint64
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, badID
		}
		if id = id*10 + uint64(c-'0'); id > math.MaxUint32 {
			return 0, badID
		}
	}
	return uint32(id), form
}

// splitFields cuts at colons into v and tells how many fields there are, which may be more than v holds.
func splitFields(s string, v []string) int {
	n, begin := 0, 0
	for i := range len(s) {
		if s[i] == ':' {
			if n < len(v) {
				v[n] = s[begin:i]
			}
			n, begin = n+1, i+1
		}
	}
	if n < len(v) {
		v[n] = s[begin:]
	}
	return n + 1
}

// quote shows a text from a file in a message: short, on one line, without control bytes.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.Quote(s)
}

// quoteID shows what stands where an id should, but for what may be a password hash that a missing colon put there.
func quoteID(s string) string {
	if len(s) > 11 && strings.Trim(s, "+-0123456789 ") != "" || strings.ContainsRune(s, '$') {
		return fmt.Sprintf("(%d bytes, not shown)", len(s))
	}
	return quote(s)
}

// checkValue refuses what would end a field or a line (shadow-utils, valid_field).
func checkValue(what, text string) error {
	for i := range len(text) {
		switch c := text[i]; {
		case c == ':':
			return fmt.Errorf("%s: %w: it has a colon", what, ErrValue)
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("%s: %w: it has the control byte 0x%02x", what, ErrValue, c)
		}
	}
	return nil
}

// checkName refuses names that no file could hold or that would be another thing there: a comment, a compat line, a path.
func checkName(name string) error {
	if err := checkValue("", name); err != nil {
		return fmt.Errorf("name %s%w", quote(name), err)
	}
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("name %s: %w", quote(name), ErrValue)
	case strings.ContainsAny(name, ",/ "), strings.ContainsAny(name[:1], "#+-~"):
		return fmt.Errorf("name %s: %w: no comma, slash or blank in it, and no # + - ~ before it", quote(name), ErrValue)
	case len(name) > 255:
		return fmt.Errorf("name %s: %w: %d bytes, want at most 255", quote(name), ErrValue, len(name))
	}
	return nil
}

// nameTrouble tells why the tools of the target would not have made that name: refused is for what breaks paths or
// tools, odd for what works and useradd(8) would not have allowed.
func nameTrouble(name string) (refused, odd string) {
	if err := checkName(name); err != nil {
		return strings.TrimPrefix(err.Error(), "name "+quote(name)+": "), ""
	}
	if len(name) > 32 {
		return fmt.Sprintf("%d bytes, want at most 32", len(name)), ""
	}
	if strings.Trim(name, "0123456789") == "" {
		return "", "digits alone, which chown(1) and others take for an id"
	}
	base := strings.TrimSuffix(name, "$")
	for i := range len(base) {
		c := base[i] | 0x20
		if (c < 'a' || c > 'z') && !strings.ContainsRune("0123456789_.-", rune(base[i])) {
			return "", "useradd(8) allows letters, digits, dot, underscore and hyphen"
		}
	}
	return "", ""
}

// fold makes names equal that differ in case alone, by simple case folding of Unicode (CaseFolding.txt, C and S): every
// letter of an orbit becomes the same one, so that K and the Kelvin sign are k as well. Bytes that are not UTF-8 stay as
// they are. What a full folding or a normal form makes equal is not covered: "ss" beside a sharp s, a letter with an
// accent beside a letter and a combining accent, letters of two scripts that look alike.
func fold(name string) string {
	if plain := strings.IndexFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf }) < 0; plain {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if _, n := utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && n == 1 {
			b.WriteByte(name[i])
			continue
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if least >= 'A' && least <= 'Z' {
			least += 'a' - 'A'
		}
		b.WriteRune(least)
	}
	return b.String()
}
