package mbox

import (
	"bytes"
	"time"
)

// fromLook is how much from the beginning of a line on tells whether it is a From_ line.
const fromLook = len("From ") + fromMax

// cutter finds where chunks end. It sees a file as a row of buffers, each of which begins with a chunk and repeats what
// the one before left over.
type cutter struct {
	most   int  // bytes of a chunk
	opened bool // the first line of the file has been looked at
	header bool // pos is in a header
	pos    int  // what stands before it in the buffer has been searched
}

// cut appends the ends of the chunks in b to ends: at least one if eof is set or b holds most+fromLook+4 bytes.
func (c *cutter) cut(b []byte, eof bool, ends []int) []int {
	if !c.opened {
		c.opened, c.header = true, isFrom(b)
	}
	start := 0
	for len(ends) < splitChunks && start < len(b) {
		next := c.nextBody
		if c.header {
			next = c.nextHeader
		}
		at, found := next(b, eof)
		if !found && eof {
			at, found = len(b), true
		}
		for ; at-start > c.most; start += c.most {
			ends = append(ends, start+c.most)
		}
		if !found {
			break
		}
		if at > start {
			ends = append(ends, at)
		}
		start = at
	}
	c.pos -= start
	return ends
}

// isFrom tells whether b, which goes on as far as fromLook or the file, begins with a From_ line.
func isFrom(b []byte) bool {
	if !bytes.HasPrefix(b, fromPrefix) {
		return false
	}
	_, _, ok := fromLine(b[len(fromPrefix):], time.UTC)
	return ok
}

// nextHeader finds the end of the header at pos: behind its empty line, or before a From_ line. If it is not found, no
// chunk ends before at.
func (c *cutter) nextHeader(b []byte, eof bool) (at int, found bool) {
	for {
		n := bytes.IndexByte(b[c.pos:], '\n')
		if n < 0 {
			c.pos = len(b)
			return c.pos, false
		}
		c.pos += n
		line := c.pos + 1
		rest := b[line:]
		switch {
		case len(rest) < 2+fromLook && !eof:
			return c.pos, false
		case len(rest) > 0 && rest[0] == '\n':
			return c.endHeader(b, line+1), true
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return c.endHeader(b, line+2), true
		case isFrom(rest):
			c.pos = line + len(fromPrefix)
			return line, true
		}
		c.pos = line
	}
}

// endHeader begins the body at at, or the header of the next message if this one has no body.
func (c *cutter) endHeader(b []byte, at int) int {
	c.header, c.pos = false, at
	if isFrom(b[at:]) {
		c.header, c.pos = true, at+len(fromPrefix)
	}
	return at
}

// nextBody is nextHeader for a body, which only a From_ line ends.
func (c *cutter) nextBody(b []byte, eof bool) (at int, found bool) {
	for {
		n := indexSeparator(b[c.pos:])
		if n < 0 {
			c.pos = max(c.pos, len(b)-len(separator)+1)
			return c.pos, false
		}
		c.pos += n
		line := c.pos + 1
		if len(b)-line < fromLook && !eof {
			return c.pos, false
		}
		c.pos = line + len(fromPrefix)
		if isFrom(b[line:]) {
			c.header = true
			return line, true
		}
	}
}
