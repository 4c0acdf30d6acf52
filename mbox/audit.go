package mbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// Report is what can be said of an mbox file before and after it is moved. It holds no byte of mail.
type Report struct {
	Summary
	// Oldest and Newest are From_ dates of messages that clients see; zero when there are none.
	Oldest  time.Time `json:"oldest,omitzero"`
	Newest  time.Time `json:"newest,omitzero"`
	SHA256  string    `json:"sha256"`       // of the whole file, in hex
	Quoted  int       `json:"quoted"`       // lines of ">From ", with any number of ">"
	Lines   int64     `json:"lines"`        // line ends
	CRLF    int64     `json:"crlf"`         // of these, \r\n
	NULs    int64     `json:"nuls"`         // NUL bytes
	Longest int64     `json:"longest_line"` // bytes of the longest line, without its end
	// NoFinalNewline: the last line has no end. A delivery would be appended to it.
	NoFinalNewline bool `json:"no_final_newline"`
	// AfterLast counts bytes behind the last message: beyond its Content-Length, or when it has none, the NULs at the
	// end of the file that a torn write leaves.
	AfterLast int64 `json:"after_last"`
}

// Audit reads the whole mailbox r of size bytes and reports on it. Errors are those of Scan.
func Audit(ctx context.Context, r io.ReaderAt, size int64) (*Report, error) {
	sha := sha256.New()
	rep, err := examine(ctx, r, size, sha)
	if err == nil {
		rep.SHA256 = hex.EncodeToString(sha.Sum(nil))
	}
	return rep, err
}

// examine lets tee, which may be nil, have every byte too.
func examine(ctx context.Context, r io.ReaderAt, size int64, tee io.Writer) (*Report, error) {
	b := &byteAudit{}
	opt := &Options{Tee: b}
	if tee != nil {
		opt.Tee = io.MultiWriter(tee, b)
	}
	rep := &Report{}
	var last Message
	sum, err := Scan(ctx, r, size, opt, func(m Message) error {
		last = m
		if !m.Pseudo {
			rep.date(m.Date)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.endLine()
	rep.Summary, rep.Quoted, rep.Lines, rep.CRLF = *sum, b.quoted, b.lines, b.crlf
	rep.NULs, rep.Longest, rep.NoFinalNewline, rep.AfterLast = b.nuls, b.longest, size > 0 && b.last != '\n', b.trailingNULs
	if sum.Strict > 0 && last.ContentLength >= 0 {
		rep.AfterLast = max(last.End-last.Body-last.ContentLength, 0)
	}
	return rep, nil
}

func (r *Report) date(d time.Time) {
	if r.Oldest.IsZero() || d.Before(r.Oldest) {
		r.Oldest = d
	}
	if d.After(r.Newest) {
		r.Newest = d
	}
}

// Problems says in plain words what a person should know before the mailbox is moved, in a fixed order; empty when there
// is nothing. Some of it is normal in a mailbox that is in use: see Damage.
func (r *Report) Problems() []string { return r.say(false) }

// Damage says what is wrong with a mailbox that is in use, in the words of Problems: what a crash, a full disk or a broken
// program leaves. That new messages have no X-UID yet, or that lines of text begin with "From ", is not part of it.
func (r *Report) Damage() []string { return r.say(true) }

func (r *Report) say(damage bool) []string {
	out := []string{}
	add := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	normal := func(on bool, format string, args ...any) { add(on && !damage, format, args...) }
	add(r.Refused, "first line is no From_ line: Dovecot refuses the mailbox")
	normal(!r.Refused && r.Lax != r.Strict, "%d lines begin with \"From \", Dovecot takes %d of them for messages", r.Lax, r.Strict)
	normal(r.Hidden > 0, "Content-Length hides %d From_ lines", r.Hidden)
	normal(r.ContentLengthWrong > 0, "%d Content-Length headers are wrong", r.ContentLengthWrong)
	add(r.AfterLast > 0, "%d bytes follow the last message", r.AfterLast)
	add(r.NULs > 0, "%d NUL bytes", r.NULs)
	add(r.NoFinalNewline, "last line has no end")
	normal(r.Strict > 0 && r.UIDValidity == 0, "no X-IMAPbase in the first message: Dovecot numbers the messages anew")
	normal(r.UIDValidity != 0 && r.XUIDMissing > 0, "%d messages have no X-UID", r.XUIDMissing)
	normal(r.XUIDEarly > 0, "X-UID stands before X-IMAPbase and is ignored")
	add(r.XUIDBroken > 0, "%d X-UID headers are no numbers", r.XUIDBroken)
	add(r.XUIDNotRising > 0, "%d X-UID headers do not rise", r.XUIDNotRising)
	normal(r.XUIDTooLarge > 0, "%d X-UID headers are above the last UID", r.XUIDTooLarge)
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
