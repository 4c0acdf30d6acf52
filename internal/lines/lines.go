// Package lines cuts the text of a configuration file into lines and joins them again without losing a byte.
package lines

import "bytes"

// Line is one line of a file. Text and EOL alias the source.
type Line struct {
	Text []byte // without its end
	EOL  []byte // "\n", "\r\n", or empty on a last line that has none
}

// Split cuts src at every \n. A \r directly before it belongs to the EOL. Join(Split(src)) equals src for every src.
func Split(src []byte) []Line {
	out := make([]Line, 0, bytes.Count(src, []byte{'\n'})+1)
	for len(src) > 0 {
		n := bytes.IndexByte(src, '\n')
		if n < 0 {
			return append(out, Line{Text: src, EOL: src[len(src):]})
		}
		text, eol := src[:n], src[n:n+1]
		if n > 0 && src[n-1] == '\r' {
			text, eol = src[:n-1], src[n-1:n+1]
		}
		out = append(out, Line{Text: text[:len(text):len(text)], EOL: eol[:len(eol):len(eol)]})
		src = src[n+1:]
	}
	return out
}

// Join is the inverse of Split.
func Join(ls []Line) []byte {
	n := 0
	for _, l := range ls {
		n += len(l.Text) + len(l.EOL)
	}
	out := make([]byte, 0, n)
	for _, l := range ls {
		out = append(append(out, l.Text...), l.EOL...)
	}
	return out
}

// EOL tells the line end that most lines have, "\n" when none has one or both are as frequent.
func EOL(ls []Line) string {
	crlf, lf := 0, 0
	for _, l := range ls {
		switch len(l.EOL) {
		case 2:
			crlf++
		case 1:
			lf++
		}
	}
	if crlf > lf {
		return "\r\n"
	}
	return "\n"
}
