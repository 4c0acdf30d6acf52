package mbox

import (
	"bytes"
	"time"
)

// fromMax is how much of a From_ line is looked at, counted after "From ": what fits into Dovecot's read buffer of
// 8192 bytes behind the line end before it. A date further back makes no message.
const fromMax = 8192 - len("\nFrom ")

var fromPrefix = []byte("From ")

// fromLine reads what follows "From " in b, which may go on beyond the end of the line. A line must end, unless it is
// longer than fromMax. The rules are those of Dovecot's mbox-from.c.
func fromLine(b []byte, loc *time.Location) (sender []byte, date time.Time, ok bool) {
	if len(b) >= fromMax {
		b = b[:fromMax]
	} else if bytes.IndexByte(b, '\n') < 0 {
		return nil, time.Time{}, false
	}
	return parseFrom(b, loc)
}

// parseFrom reads "sender date" without asking for the end of the line.
func parseFrom(b []byte, loc *time.Location) (sender []byte, date time.Time, ok bool) {
	n := senderLen(b)
	if n < 0 {
		return nil, time.Time{}, false
	}
	rest := b[n:]
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	// The shortest date is "Thu Jan  1 00:00 2015".
	if len(rest) < 21 {
		return nil, time.Time{}, false
	}
	d := dateParser{b: rest}
	date, ok = d.parse(loc)
	return b[:n], date, ok
}

// senderLen is the length of the sender: a run without blanks, of which a quoted beginning may hold some. -1: no sender.
func senderLen(b []byte) int {
	i := 0
	if len(b) > 0 && b[0] == '"' {
		escaped := false
		for i = 1; i < len(b) && (b[i] != '"' || escaped); i++ {
			if b[i] == '\r' || b[i] == '\n' {
				return -1
			}
			escaped = b[i] == '\\'
		}
		i++
	}
	for ; i < len(b) && b[i] != ' '; i++ {
		if b[i] == '\r' || b[i] == '\n' {
			return -1
		}
	}
	return min(i, len(b))
}

// dateParser reads asctime dates and what mail programs made of them. It never reads beyond b: what is missing is a NUL.
type dateParser struct {
	b []byte
	i int

	year, day, hour, min, sec int
	month                     time.Month
	zone                      int // seconds east
	zoned                     bool
}

func (d *dateParser) c(n int) byte {
	if d.i+n < len(d.b) {
		return d.b[d.i+n]
	}
	return 0
}

func (d *dateParser) digit(n int) bool { return d.c(n) >= '0' && d.c(n) <= '9' }

// number takes n digits.
func (d *dateParser) number(n int) (int, bool) {
	v := 0
	for k := range n {
		if !d.digit(k) {
			return 0, false
		}
		v = v*10 + int(d.c(k)-'0')
	}
	d.i += n
	return v, true
}

// take steps over one c.
func (d *dateParser) take(c byte) bool {
	if d.c(0) != c {
		return false
	}
	d.i++
	return true
}

func (d *dateParser) parse(loc *time.Location) (time.Time, bool) {
	d.i = 4 // The weekday is never looked at.
	asctime := d.monthName()
	var ok bool
	if asctime {
		ok = d.dayOfMonth() && d.clock() && d.take(' ') && d.zoneName() && d.fullYear()
	} else {
		ok = d.mailDate() && d.clock()
	}
	if !ok {
		return time.Time{}, false
	}
	d.day = max(d.day, 1)
	d.zoneOffset()
	return d.time(loc)
}

// mailDate reads the middle of "Thu, 1 Jan 2015 00:00:01".
func (d *dateParser) mailDate() bool {
	d.i++
	if !d.digit(0) {
		return false
	}
	n := 1
	if d.digit(1) {
		n = 2
	}
	d.day, _ = d.number(n)
	if !d.take(' ') || !d.monthName() || !d.fullYear() {
		return false
	}
	d.i++
	return true
}

const monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"

func (d *dateParser) monthName() bool {
	name := [3]byte{d.c(0), d.c(1), d.c(2)}
	if d.c(3) != ' ' {
		return false
	}
	d.month = 0
	if name == [3]byte{'?', '?', '?'} {
		d.month = time.January
	}
	for k := range name {
		if name[k] >= 'A' && name[k] <= 'Z' {
			name[k] += 'a' - 'A'
		}
	}
	for m := range 12 {
		if string(name[:]) == monthNames[3*m:3*m+3] {
			d.month = time.Month(m + 1)
		}
	}
	if d.month == 0 {
		return false
	}
	d.i += 4
	return true
}

// dayOfMonth reads "1 ", " 1 " or "01 ".
func (d *dateParser) dayOfMonth() bool {
	if d.c(0) == ' ' {
		d.i++
	}
	n := 2
	if d.c(1) == ' ' {
		n = 1
	}
	var ok bool
	d.day, ok = d.number(n)
	return ok && d.take(' ')
}

// clock reads HH:MM or HH:MM:SS.
func (d *dateParser) clock() bool {
	var ok bool
	if d.hour, ok = d.number(2); !ok || !d.take(':') {
		return false
	}
	if d.min, ok = d.number(2); !ok {
		return false
	}
	if d.take(':') {
		d.sec, ok = d.number(2)
	}
	return ok
}

// zoneName steps over a word between time and year. Dovecot ignores it, even when it is an offset.
func (d *dateParser) zoneName() bool {
	if d.digit(0) && d.digit(1) && d.digit(2) && d.digit(3) {
		return true
	}
	for d.i < len(d.b) && d.b[d.i] != ' ' {
		if d.b[d.i] == '\r' || d.b[d.i] == '\n' {
			return false
		}
		d.i++
	}
	if d.i+5 > len(d.b) {
		return false
	}
	d.i++
	return true
}

func (d *dateParser) fullYear() bool {
	var ok bool
	d.year, ok = d.number(4)
	return ok
}

// zoneOffset reads " +hhmm" after the date. Dovecot 2.3 counts the minutes as seconds; we count them as minutes.
func (d *dateParser) zoneOffset() {
	sign := d.c(1)
	if d.c(0) != ' ' || (sign != '+' && sign != '-') || !d.digit(2) || !d.digit(3) || !d.digit(4) || !d.digit(5) {
		return
	}
	d.i += 2
	hhmm, _ := d.number(4)
	d.zone, d.zoned = (hhmm/100)*3600+(hhmm%100)*60, true
	if sign == '-' {
		d.zone = -d.zone
	}
}

// time puts the parts together. With an offset, a date that the calendar does not have makes no From_ line; without
// one it is carried over, as mktime does.
func (d *dateParser) time(loc *time.Location) (time.Time, bool) {
	if !d.zoned {
		return time.Date(d.year, d.month, d.day, d.hour, d.min, d.sec, 0, loc), true
	}
	sec := d.sec
	if sec == 60 {
		sec = 59
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.min, sec, 0, time.UTC)
	if t.Day() != d.day || t.Hour() != d.hour || t.Minute() != d.min || t.Second() != sec || t.Unix() == -1 {
		return time.Time{}, false
	}
	return t.Add(-time.Duration(d.zone) * time.Second).In(time.FixedZone("", d.zone)), true
}
