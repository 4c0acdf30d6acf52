package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
)

// shape breaks long lines at words where w is a terminal, and nowhere else: what reads a pipe counts on lines as they are.
func shape(w io.Writer, text string) string {
	f, ok := w.(*os.File)
	if !ok {
		return text
	}
	return wrap(text, columns(f))
}

// narrow is a terminal on which breaking lines makes nothing better.
const narrow = 40

func wrap(text string, width int) string {
	if width < narrow {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = wrapLine(l, width)
	}
	return strings.Join(lines, "\n")
}

// Where no line is broken, which is nearly always, none of these is compiled: together that takes a millisecond.
var (
	// typeable is where a command begins that a person may copy: it stays in one piece to the end of the line.
	typeable = lazy(`(^|[ (])(fullmigrate( [a-z]+)? -|mergeaccounts -|copymail -|uidldiff |takeip -|mxcheck -|spool (report|archive) |ssh [^ ]+ ['a-z]|ssh-(keygen|copy-id) |` +
		`systemctl [a-z]+ |service [a-z]+ (start|stop)|chkconfig |update-rc\.d |ip addr(ess)? |kill [0-9]|crontab -|patch -|postconf -|postqueue -|sendmail -)`)
	// table is a line in columns, or one of a patch.
	table = lazy(`\S {3,}\S.* {3,}\S|^\s*(@@|[-+])`)
	// head is a word with a column of its own before the text, such as a grade or the time of day.
	head = lazy(`^\S+ {2,}`)
)

func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// wrapLine leaves alone what is no prose. Further lines are indented below the text of the first.
func wrapLine(line string, width int) string {
	if columnsOf(line) <= width || table().MatchString(line) {
		return line
	}
	end := len(line) // of what may be broken
	if at := typeable().FindStringSubmatchIndex(line); at != nil {
		end = at[4]
	}
	space := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	indent := space + "    "
	if h := head().FindString(line); h != "" && len(h) <= 16 {
		indent = strings.Repeat(" ", len(h))
	} else if strings.HasSuffix(space, "\t") {
		indent = space
	}
	var b strings.Builder
	from, at, col, room, least := 0, -1, 0, width, len(indent) // at: the last blank where the line may end
	for i, r := range line {
		if r == ' ' && i > from && i >= least && i < end && (col <= room || at < 0) {
			at = i
		}
		if col = after(col, r); col <= room || at < 0 {
			continue
		}
		b.WriteString(line[from:at] + "\n" + indent)
		from, least, room = at+1, 0, width-columnsOf(indent)
		at, col = -1, columnsOf(line[min(from, i):i])
		if from <= i {
			col = after(col, r)
		}
	}
	b.WriteString(line[from:])
	return b.String()
}

// columnsOf is how wide a text is.
func columnsOf(s string) (n int) {
	for _, r := range s {
		n = after(n, r)
	}
	return n
}

// after is the column behind a character; a tab leads to every eighth.
func after(col int, r rune) int {
	if r == '\t' {
		return col/8*8 + 8
	}
	return col + 1
}
