package netcfg

import (
	"bytes"
	"strings"
)

// piece reads one quoted part or one plain byte of a word and appends what bash makes of it.
func (s *script) piece(w *word, lit []byte) ([]byte, bool) {
	switch c := s.src[s.pos]; c {
	case '\\':
		if s.pos+1 >= len(s.src) {
			return nil, s.opaque(s.pos, "a backslash at the end of the file")
		}
		w.quoted, w.escape = true, true
		lit = append(lit, s.src[s.pos+1])
		s.pos += 2
		return lit, true
	case '\'':
		w.quoted = true
		n := bytes.IndexByte(s.src[s.pos+1:], '\'')
		if n < 0 {
			return nil, s.opaque(s.pos, "an unterminated quote")
		}
		text := s.src[s.pos+1 : s.pos+1+n]
		w.multiline = w.multiline || bytes.IndexByte(text, '\n') >= 0
		w.control(text...)
		s.pos += n + 2
		return append(lit, text...), true
	case '"':
		w.quoted = true
		return s.doubleQuoted(w, lit)
	case '$':
		return s.dollar(w, lit)
	case '`':
		return nil, s.opaque(s.pos, "a command substitution")
	case '~':
		w.known, w.expansion = false, true
		s.pos++
		return append(lit, c), true
	default:
		w.control(c)
		s.pos++
		return append(lit, c), true
	}
}

// control notes the two bytes that bash uses for its own quoting.
func (w *word) control(text ...byte) {
	if bytes.ContainsAny(text, "\x01\x7f") {
		w.known = false
	}
}

// doubleQuoted reads "...": a backslash counts only before $ ` " \ and newline.
func (s *script) doubleQuoted(w *word, lit []byte) ([]byte, bool) {
	from := s.pos
	s.pos++
	for {
		if s.cont() {
			w.features.cont = true
		}
		if s.pos >= len(s.src) {
			return nil, s.opaque(from, "an unterminated quote")
		}
		switch c := s.src[s.pos]; c {
		case '"':
			s.pos++
			return lit, true
		case '\\':
			if s.pos+1 >= len(s.src) {
				return nil, s.opaque(from, "an unterminated quote")
			}
			next := s.src[s.pos+1]
			if strings.IndexByte("$`\"\\", next) < 0 {
				lit = append(lit, '\\')
			}
			w.escape = true
			w.control(next)
			lit = append(lit, next)
			s.pos += 2
		case '`':
			return nil, s.opaque(s.pos, "a command substitution")
		case '$':
			if s.pos+1 < len(s.src) && (s.src[s.pos+1] == '"' || s.src[s.pos+1] == '\'') {
				s.pos++
				lit = append(lit, '$')
				w.expansion = true // NetworkManager refuses it
				continue
			}
			var ok bool
			if lit, ok = s.variable(w, lit); !ok {
				return nil, false
			}
		default:
			w.multiline = w.multiline || c == '\n'
			w.control(c)
			lit = append(lit, c)
			s.pos++
		}
	}
}

// dollar reads what an unquoted $ begins.
func (s *script) dollar(w *word, lit []byte) ([]byte, bool) {
	switch {
	case s.has("$'"):
		w.quoted = true
		return s.ansiC(w, lit)
	case s.has(`$"`):
		w.quoted, w.expansion = true, true
		s.pos++
		return s.doubleQuoted(w, lit)
	}
	return s.variable(w, lit)
}

// variable reads $NAME, ${NAME}, a special parameter, or a $ that stands for itself. Anything that could have an effect
// beyond the value makes the file opaque.
func (s *script) variable(w *word, lit []byte) ([]byte, bool) {
	from := s.pos
	s.pos++
	w.expansion = true
	if s.pos >= len(s.src) {
		return append(lit, '$'), true
	}
	switch c := s.src[s.pos]; {
	case c == '\\' && s.has("\\\n"), c == '$', c == '(', c == '[':
		return nil, s.opaque(from, "an expansion")
	case c == '{':
		s.pos++
		name, stepped := s.name()
		if name == "" || stepped || !s.has("}") {
			return nil, s.opaque(from, "an expansion")
		}
		s.pos++
		w.known = false
	case nameByte(c, true):
		s.name()
		w.known = false
	case nameByte(c, false) || strings.IndexByte("?-#!@*", c) >= 0:
		s.pos++
		w.known = false
	case strings.IndexByte(" \t\n/.,:%=^\""+metachars, c) >= 0:
		lit = append(lit, '$')
	default:
		w.known = false
	}
	return lit, true
}

var ansiEscapes = map[byte]byte{'a': 7, 'b': 8, 'e': 27, 'E': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11, '\\': '\\', '\'': '\'', '"': '"', '?': '?'}

// ansiC reads $'...' with its escapes. \c, \u, \U and the byte 0 are left undecided: shells differ.
func (s *script) ansiC(w *word, lit []byte) ([]byte, bool) {
	from := s.pos
	s.pos += 2
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		s.pos++
		switch {
		case c == '\'':
			return lit, true
		case c != '\\':
			w.multiline = w.multiline || c == '\n'
			w.control(c)
			lit = append(lit, c)
		case s.pos >= len(s.src):
			return nil, s.opaque(from, "an unterminated quote")
		default:
			lit = s.ansiEscape(w, lit)
		}
	}
	return nil, s.opaque(from, "an unterminated quote")
}

// ansiEscape reads what follows a backslash in $'...'.
func (s *script) ansiEscape(w *word, lit []byte) []byte {
	c := s.src[s.pos]
	s.pos++
	if b, ok := ansiEscapes[c]; ok {
		return append(lit, b)
	}
	var v byte
	switch {
	case '0' <= c && c <= '7':
		s.pos--
		v, _ = s.digits(8, 3)
	case c == 'x':
		var n int
		if v, n = s.digits(16, 2); n == 0 {
			w.known = false
			return lit
		}
	default:
		// unknown escapes keep the backslash; \c takes the next byte, which may be a quote
		w.known = false
		if c == 'c' && s.pos < len(s.src) && s.src[s.pos] == '\'' {
			s.opaque(s.pos, "a control escape")
		}
		return append(lit, '\\', c)
	}
	if v == 0 || v == 1 || v == 0x7f {
		w.known = false
	}
	return append(lit, v)
}

func (s *script) digits(base, limit int) (v byte, n int) {
	for n < limit && s.pos < len(s.src) {
		d := strings.IndexByte("0123456789abcdef", s.src[s.pos]|0x20)
		if d < 0 || d >= base || s.src[s.pos] < '0' {
			break
		}
		v = v*byte(base) + byte(d)
		s.pos, n = s.pos+1, n+1
	}
	return v, n
}
