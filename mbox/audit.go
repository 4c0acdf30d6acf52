package mbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Report is what can be said of an mbox file before and after it is moved. It holds no byte of mail.
type Report struct {
	Summary
	SHA256  string `json:"sha256"`       // of the whole file, in hex
	Quoted  int    `json:"quoted"`       // lines of ">From ", with any number of ">"
	Lines   int64  `json:"lines"`        // line ends
	CRLF    int64  `json:"crlf"`         // of these, \r\n
	NULs    int64  `json:"nuls"`         // NUL bytes
	Longest int64  `json:"longest_line"` // bytes of the longest line, without its end
	// NoFinalNewline: the last line has no end. A delivery would be appended to it.
	NoFinalNewline bool `json:"no_final_newline"`
	// AfterLast counts bytes behind the last message: beyond its Content-Length, or when it has none, the NULs at the
	// end of the file that a torn write leaves.
	AfterLast int64 `json:"after_last"`
}

// Audit reads the whole mailbox r of size bytes and reports on it. Errors are those of Scan.
func Audit(ctx context.Context, r io.ReaderAt, size int64) (*Report, error) {
	sha := sha256.New()
	b := &byteAudit{}
	var last Message
	sum, err := Scan(ctx, r, size, &Options{Tee: io.MultiWriter(sha, b)}, func(m Message) error {
		last = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.endLine()
	rep := &Report{
		Summary: *sum, SHA256: hex.EncodeToString(sha.Sum(nil)), Quoted: b.quoted, Lines: b.lines, CRLF: b.crlf,
		NULs: b.nuls, Longest: b.longest, NoFinalNewline: size > 0 && b.last != '\n', AfterLast: b.trailingNULs,
	}
	if sum.Strict > 0 && last.ContentLength >= 0 {
		rep.AfterLast = max(last.End-last.Body-last.ContentLength, 0)
	}
	return rep, nil
}

// Problems says in plain words what a person should know, in a fixed order; empty when there is nothing.
func (r *Report) Problems() []string {
	out := []string{}
	add := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(r.Refused, "first line is no From_ line: Dovecot refuses the mailbox")
	add(!r.Refused && r.Lax != r.Strict, "%d lines begin with \"From \", Dovecot takes %d of them for messages", r.Lax, r.Strict)
	add(r.Hidden > 0, "Content-Length hides %d From_ lines", r.Hidden)
	add(r.ContentLengthWrong > 0, "%d Content-Length headers are wrong", r.ContentLengthWrong)
	add(r.AfterLast > 0, "%d bytes follow the last message", r.AfterLast)
	add(r.NULs > 0, "%d NUL bytes", r.NULs)
	add(r.NoFinalNewline, "last line has no end")
	add(r.Strict > 0 && r.UIDValidity == 0, "no X-IMAPbase in the first message: Dovecot numbers the messages anew")
	add(r.UIDValidity != 0 && r.XUIDMissing > 0, "%d messages have no X-UID", r.XUIDMissing)
	add(r.XUIDEarly > 0, "X-UID stands before X-IMAPbase and is ignored")
	add(r.XUIDBroken > 0, "%d X-UID headers are no numbers", r.XUIDBroken)
	add(r.XUIDNotRising > 0, "%d X-UID headers do not rise", r.XUIDNotRising)
	add(r.XUIDTooLarge > 0, "%d X-UID headers are above the last UID", r.XUIDTooLarge)
	return out
}

// byteAudit counts bytes and lines. It is an io.Writer that never fails.
type byteAudit struct {
	quoted            int
	lines, crlf, nuls int64
	longest, line     int64 // line: bytes of the current line so far
	trailingNULs      int64
	last              byte
	quote             int8 // progress of the current line through ">From ": 0 begin, 1 after ">", 2.. in "From ", -1 no
}

var quotedFrom = []byte(">From ")

func (b *byteAudit) Write(p []byte) (int, error) {
	total := len(p)
	if total == 0 {
		return 0, nil
	}
	b.countNULs(p)
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			b.text(p)
			break
		}
		b.text(p[:n])
		b.lines++
		if b.line > 0 && b.last == '\r' {
			b.crlf++
			b.line--
		}
		b.endLine()
		b.last = '\n'
		p = p[n+1:]
	}
	return total, nil
}

func (b *byteAudit) countNULs(p []byte) {
	n := int64(bytes.Count(p, []byte{0}))
	b.nuls += n
	tail := int64(len(p) - len(bytes.TrimRight(p, "\x00")))
	if tail == int64(len(p)) {
		b.trailingNULs += tail
	} else {
		b.trailingNULs = tail
	}
}

// text is a piece of a line.
func (b *byteAudit) text(p []byte) {
	if len(p) == 0 {
		return
	}
	for i := 0; i < len(p) && b.quote >= 0; i++ {
		b.step(p[i])
	}
	b.line += int64(len(p))
	b.last = p[len(p)-1]
}

func (b *byteAudit) step(c byte) {
	switch {
	case b.quote <= 1 && c == '>':
		b.quote = 1
	case b.quote >= 1 && c == quotedFrom[b.quote]:
		if b.quote++; int(b.quote) == len(quotedFrom) {
			b.quoted++
			b.quote = -1
		}
	default:
		b.quote = -1
	}
}

func (b *byteAudit) endLine() {
	b.longest = max(b.longest, b.line)
	b.line, b.quote = 0, 0
}
