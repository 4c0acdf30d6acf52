package tree

import (
	"bytes"
	"hash/maphash"
)

// part is a piece of a new file that is known: it stands in the old copy, or it is a line that the other host told.
type part struct {
	at, n int64
	old   int64  // where it stands in the old copy
	text  []byte // instead of that
}

// overlay guesses a new mbox from the old one and the marks of both. A message is the one of before when it has the same From_
// line and as many bytes that are not in marks; between the marks of the new one then stands what stands between those of the
// old one. It is a guess: who uses it has to prove the result.
type overlay struct {
	old, now *marks
	parts    []part
	at       int64 // in the new file: all before it is known, or has to be asked for
	from     int64 // in the old copy, what comes next
	next     int32 // mark of the old copy that is at from or behind it
}

// looks are what a message is known by.
type looks struct {
	line uint64
	rest int64
}

// layOver gives the known parts in the order of the new file.
func layOver(old, now *marks) []part {
	w := &overlay{old: old, now: now}
	seed := maphash.MakeSeed()
	likeness := func(m *marks, k message) looks { return looks{maphash.Bytes(seed, m.line(k.first)), k.rest} }
	was := old.messages()
	with := make(map[looks][]int32, len(was))
	for i, k := range was {
		l := likeness(old, k)
		with[l] = append(with[l], int32(i))
	}
	order := int32(0)
	for _, k := range now.messages() {
		l := likeness(now, k)
		same := with[l]
		for len(same) > 1 && same[0] < order { // mail keeps its order: of messages that look the same, the next
			same = same[1:]
		}
		if len(same) == 0 {
			continue
		}
		with[l] = same
		order = same[0] + 1
		w.message(was[same[0]], k)
	}
	return w.parts
}

// message puts together one that was there before.
func (w *overlay) message(was, is message) {
	w.at, w.from, w.next = is.off, was.off, was.first
	for i := is.first; i < is.end; i++ {
		w.gap(w.now.at[i].off-w.at, was.end)
		w.mark(i, was.end)
	}
	w.gap(is.off+is.n-w.at, was.end)
}

// gap takes so many bytes from between the marks of the old message.
func (w *overlay) gap(n int64, end int32) {
	for n > 0 {
		have := n
		if w.next < end {
			have = min(n, w.old.at[w.next].off-w.from)
		}
		if have == 0 {
			w.from += int64(w.old.at[w.next].n)
			w.next++
			continue
		}
		w.take(have)
		n -= have
	}
}

// take appends bytes of the old copy.
func (w *overlay) take(n int64) {
	k := len(w.parts) - 1
	if k >= 0 && w.parts[k].text == nil && w.parts[k].at+w.parts[k].n == w.at && w.parts[k].old+w.parts[k].n == w.from {
		w.parts[k].n += n
	} else {
		w.parts = append(w.parts, part{at: w.at, n: n, old: w.from})
	}
	w.at, w.from = w.at+n, w.from+n
}

// mark appends a line: from the old copy when it stands there, too. One that was there in other words is passed over.
func (w *overlay) mark(i, end int32) {
	line := w.now.line(i)
	if w.next < end && w.old.at[w.next].off == w.from {
		switch was := w.old.line(w.next); {
		case bytes.Equal(was, line):
			w.next++
			w.take(int64(len(line)))
			return
		case sameWord(was, line):
			w.next++
			w.from += int64(len(was))
		}
	}
	w.parts = append(w.parts, part{at: w.at, n: int64(len(line)), text: bytes.Clone(line)})
	w.at += int64(len(line))
}

func sameWord(a, b []byte) bool {
	n := bytes.IndexByte(a, ':')
	return n >= 0 && n == bytes.IndexByte(b, ':') && bytes.Equal(a[:n], b[:n])
}

// extent is a range of bytes of a file.
type extent struct{ at, n int64 }

func total(list []extent) (n int64) {
	for _, e := range list {
		n += e.n
	}
	return n
}

// maxExtents bounds how many ranges of one file are asked for: each costs the other host a process.
const maxExtents = 256

// missing gives what a file of size bytes has besides its known parts, in whole units of so many bytes.
func missing(parts []part, size, unit int64) []extent {
	for near := int64(16 << 10); ; near *= 4 {
		var list []extent
		at := int64(0)
		add := func(end int64) {
			if at == end {
				return
			}
			from, to := at/unit*unit, min((end+unit-1)/unit*unit, size)
			if k := len(list) - 1; k >= 0 && from-(list[k].at+list[k].n) <= near {
				list[k].n = to - list[k].at
				return
			}
			list = append(list, extent{from, to - from})
		}
		for _, p := range parts {
			add(p.at)
			at = p.at + p.n
		}
		if add(size); len(list) <= maxExtents {
			return list
		}
	}
}
