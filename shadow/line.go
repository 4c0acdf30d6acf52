package shadow

import (
	"fmt"
	"strings"
)

// raw is what glibc sees of a line: \r\n leaves the \r.
func (l *line) raw() string {
	if l.eol == "\r\n" {
		return l.text + "\r"
	}
	return l.text
}

// shadowFields gives the nine fields of an entry line; those that a short form lacks are empty.
func shadowFields(l *line) record {
	var f record
	cutFields(trimSpace(l.content()), f[:])
	return f
}

// shadowLine judges a line of etc/shadow.
func shadowLine(l *line, rep *notes) (kind, string) {
	var f record
	n, bad, ok := readShadow(trimSpace(l.raw()), &f)
	name := f[0]
	switch {
	case !ok && l.cr():
		rep.add(Error, "crlf", "ends in \\r\\n: libc cannot read such a line, so the user cannot log in")
		return hidden, name
	case !ok && bad >= 0:
		rep.add(Error, "number", fmt.Sprintf("field %d (%s) is not a number; libc cannot read the line, so the user cannot log in", bad+1, fieldNames[bad]))
		return hidden, name
	case !ok:
		count := strings.Count(l.text, ":") + 1
		rep.add(Error, "field-count", fmt.Sprintf("%d fields, want 9; libc cannot read the line, so the user cannot log in", count))
		return hidden, name
	case name == "":
		rep.add(Error, "no-name", "the name is empty")
		return odd, ""
	}
	if l.cr() {
		rep.add(Warning, "crlf", "ends in \\r\\n; libc reads the line since it has the form of System V")
	}
	if n == 8 {
		rep.add(Warning, "flag-missing", "8 fields, the flag is missing; libc reads the line since the eighth is not empty")
	} else if n < 8 {
		rep.add(Info, "svr-form", "the five-field form of System V; the other four are unset")
	}
	reportValues(shadowFields(l), rep)
	return entry, name
}

func reportValues(f record, rep *notes) {
	for i := 2; i < 9; i++ {
		if !only(f[i], "0123456789") {
			rep.add(Warning, "number-form", fmt.Sprintf("field %d (%s) has a sign or a blank; libc reads it as a number", i+1, fieldNames[i]))
		}
	}
	if f[1] == "" {
		rep.add(Warning, "empty-password", "the password field is empty: no password is asked for")
	}
	if !plainText(f[0], "") || !plainText(f[1], "") {
		rep.add(Warning, "control", "control character in the name or the password")
	}
	if len(f[0])+len(f[1])+1000 > maxLine {
		rep.add(Warning, "too-long", "longer than shadow-utils will write")
	}
}
