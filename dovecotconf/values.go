package dovecotconf

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// expandFile reads a "<file" value. Since 2.1 the path is relative to the configuration file, and blanks after < do not
// count; 2.0 takes it from the working directory.
func (l *loader) expandFile(e *entry) {
	name, dir := strings.TrimLeft(e.value[1:], " \t"), path.Dir(e.at.file)
	if l.v.before(v21) {
		name, dir = e.value[1:], l.opt.Dir
	}
	if !l.opt.Expand {
		return
	}
	src, err := l.slurp(l.resolve(dir, name))
	if err != nil {
		l.fatal(e.at, fmt.Sprintf("%s: Can't open file %s: %s", e.key, l.absolute(dir, name), reason(err)))
		return
	}
	e.long = string(src)
	if !l.v.old() && strings.HasSuffix(e.key, "_file") { // such a setting takes a path: what was read is the path
		file := "/" + l.resolve(dir, e.long)
		if path.IsAbs(e.long) {
			file = e.long
		}
		l.fatal(e.at, fmt.Sprintf("%s: open(%s) failed: No such file or directory", e.key, file))
	}
}

// absolute is a path as Dovecot writes it in a message: 2.3 and later make it absolute.
func (l *loader) absolute(dir, name string) string {
	if path.IsAbs(name) || l.v.before(v21) {
		return name
	}
	return l.onHost(l.resolve(dir, name))
}

// expandVariables resolves $name tokens. A setting that names itself gets its value at this line at once; the others
// stay as they are in the short form.
func (l *loader) expandVariables(e *entry) {
	prefix := "$"
	if !l.v.old() {
		prefix = "$SET:"
	}
	short, long := strings.Split(e.value, " "), strings.Split(e.value, " ")
	for i, tok := range short {
		if !strings.HasPrefix(tok, prefix) || len(tok) == len(prefix) || i > 0 && l.v.before(v2314) {
			continue
		}
		name := tok[len(prefix):]
		if strings.HasPrefix(name, "ENV:") {
			continue // the environment of the daemon is not known
		}
		value, known := l.variable(e, name)
		if !known {
			if l.opt.Expand {
				l.fatal(e.at, "Unknown variable: "+tok)
			}
			continue
		}
		long[i] = value
		if name == e.key {
			short[i] = value
		}
	}
	e.value, e.long = strings.Join(short, " "), strings.Join(long, " ")
	if l.grown += len(e.value) + len(e.long); len(e.long) > maxValue || l.grown > 1<<20+16*(l.opt.MaxBytes-l.left) {
		e.value, e.long = "", ""
		l.fatal(e.at, e.key+": the variables in it expand to too much text")
	}
}

// maxValue bounds a value made of variables, which can double with every line. All of them together may be 16 times as
// long as the files, and a megabyte: a value that grows with each line would take the square of their number.
const maxValue = 64 << 10

func (l *loader) variable(e *entry, name string) (string, bool) {
	if len(e.path) > 0 && e.path[0] == "plugin" {
		return "", false
	}
	if was, ok := l.inForce(e, name); ok {
		return was.long, true
	}
	return l.fallback(name)
}

// boolean reads yes and no as the version does.
func boolean(v release, s string) (value, ok bool) {
	lower := strings.ToLower(s)
	if v.before(v20) {
		return lower == "yes", lower == "yes" || lower == "no"
	}
	return lower == "yes" || lower == "y" || s == "1", lower == "yes" || lower == "y" || s == "1" || lower == "no"
}

// checkValue reads a value by its type and writes it as doveconf of 2.0 to 2.3 does; 2.4 shows what was written.
func (l *loader) checkValue(e *entry, t valueType) {
	prefix := ""
	if !l.v.old() {
		prefix = e.key + ": "
	}
	if strings.HasPrefix(e.value, "$") || strings.HasPrefix(e.value, "<") {
		return
	}
	switch t {
	case boolType:
		yes, ok := boolean(l.v, e.value)
		switch {
		case !ok && l.v.before(v20):
			l.fatal(e.at, "Invalid boolean: "+e.value)
		case !ok:
			l.fatal(e.at, fmt.Sprintf("%sInvalid boolean value: %s (use yes or no)", prefix, e.value))
		case l.v.old() && yes:
			e.value, e.long = "yes", "yes"
		case l.v.old():
			e.value, e.long = "no", "no"
		}
	case numberType:
		if l.v.before(v20) || !l.v.old() {
			return
		}
		n, err := strconv.ParseUint(e.value, 10, 64)
		if err != nil {
			l.fatal(e.at, fmt.Sprintf("Invalid number %s: Not a valid number", e.value))
			return
		}
		e.value = strconv.FormatUint(n, 10)
		e.long = e.value
	case timeType:
		l.checkTime(e, prefix)
	case sizeType:
		l.checkSize(e)
	}
}

var timeUnits = []struct {
	names string
	secs  uint64
	word  string
}{
	{"week weeks w", 604800, "weeks"}, {"day days d", 86400, "days"}, {"hour hours h", 3600, "hours"},
	{"min mins minute minutes m", 60, "mins"}, {"sec secs second seconds s", 1, "secs"},
}

func splitUnit(s string) (n uint64, unit string, ok bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseUint(s[:digits], 10, 64)
	return n, strings.ToLower(strings.TrimSpace(s[digits:])), err == nil
}

func (l *loader) checkTime(e *entry, prefix string) {
	n, unit, ok := splitUnit(e.value)
	if l.v.before(v20) || !ok || strings.HasPrefix(unit, "ms") || strings.HasPrefix(unit, "mil") {
		return
	}
	if unit == "" && n != 0 && !l.v.before(v23) {
		l.fatal(e.at, fmt.Sprintf("%sTime interval '%s' is missing units (add e.g. 's' for seconds)", prefix, e.value))
		return
	}
	if !l.v.old() {
		return
	}
	for _, u := range timeUnits {
		if unit == "" && u.secs == 1 || wordSet(u.names)[unit] {
			e.value = showTime(n * u.secs)
			e.long = e.value
			return
		}
	}
}

func showTime(secs uint64) string {
	if secs == 0 {
		return "0"
	}
	for _, u := range timeUnits {
		if secs%u.secs == 0 {
			return fmt.Sprintf("%d %s", secs/u.secs, u.word)
		}
	}
	return strconv.FormatUint(secs, 10)
}

func (l *loader) checkSize(e *entry) {
	n, unit, ok := splitUnit(e.value)
	if !ok || !l.v.old() || l.v.before(v20) {
		return
	}
	if e.key == "auth_cache_size" && unit == "" && n > 0 && n < 1024 {
		l.obsolete(e.at, fmt.Sprintf("auth_cache_size value no longer defaults to megabytes. Use %dM", n))
		unit = "m"
	}
	const units = "bkmgt"
	i := 0
	if unit != "" {
		if i = strings.IndexByte(units, unit[0]); i < 0 {
			return
		}
	}
	for n > 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	e.value = "0"
	if n > 0 {
		e.value = fmt.Sprintf("%d %c", n, "BkMGT"[i])
	}
	e.long = e.value
}
