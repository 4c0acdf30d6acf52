package mbox

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"
)

// baseMax bounds the header in which X-IMAPbase is looked for.
const baseMax = 4 << 20

// imapBase is the header from which Dovecot takes UIDVALIDITY, the last UID and the keywords: the first X-IMAPbase or
// X-IMAP of the first message that can be read (mbox-sync-parse.c).
type imapBase struct {
	validity, lastUID uint32
	value             []byte // as it stands there, without the last line end
	last              int64  // offset of the last UID in the file
	digits            []byte // the last UID as it stands there
	at                int    // where it stands in value
}

// readBase finds the header in the first message.
func readBase(r io.ReaderAt, m *Message) (*imapBase, error) {
	n := m.Body - m.Header
	if n > baseMax {
		return nil, fmt.Errorf("header of the first message has %d bytes, want %d at most", n, baseMax)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, m.Header, n), head); err != nil {
		return nil, err
	}
	for off := 0; off < len(head); {
		end := fieldEnd(head[off:]) + off
		if b := parseBase(head[off:end]); b != nil {
			b.last += m.Header + int64(off)
			return b, nil
		}
		off = end
	}
	return nil, fmt.Errorf("no X-IMAPbase in the first %d bytes", m.Body)
}

// fieldEnd is the length of the first header field of b, lines that continue it included.
func fieldEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return len(b)
		}
		if i += n + 1; i == len(b) || b[i] != ' ' && b[i] != '\t' {
			return i
		}
	}
}

// parseBase reads one header field; nil: it is another one, or cannot be read.
func parseBase(field []byte) *imapBase {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		return nil
	}
	name, _, _ := bytes.Cut(bytes.TrimRight(field[:colon], " \t"), []byte{0})
	if f := fieldOf(name); f != fXIMAP && f != fXIMAPbase {
		return nil
	}
	start := colon + 1
	if start < len(field) && (field[start] == ' ' || field[start] == '\t') {
		start++
	}
	value := bytes.TrimSuffix(bytes.TrimSuffix(field[start:], []byte("\n")), []byte("\r"))
	u := uids{seq: 1}
	if len(value) > valueMax || !u.base(value) {
		return nil
	}
	_, rest := decimal(value)
	rest = bytes.TrimLeft(rest, blanks)
	_, after := decimal(rest)
	at := len(value) - len(rest)
	return &imapBase{
		validity: u.validity, lastUID: u.last, value: value, at: at,
		last: int64(start + at), digits: value[at : len(value)-len(after)],
	}
}

// number writes a last UID with at least as many digits as there were, ten where there were none: Dovecot needs that room.
func (b *imapBase) number(last uint32) []byte {
	if len(b.digits) == 0 {
		return fmt.Appendf(nil, " %010d", last)
	}
	return []byte(fmt.Sprintf("%0*d", len(b.digits), last))
}

// withLast is the value with another last UID.
func (b *imapBase) withLast(last uint32) []byte {
	out := append([]byte{}, b.value[:b.at]...)
	if last == b.lastUID {
		return append(out, b.value[b.at:]...)
	}
	out = append(out, b.number(last)...)
	return append(out, b.value[b.at+len(b.digits):]...)
}

// pseudoMessage holds UIDVALIDITY, last UID and keywords of a mailbox without messages. Dovecot knows it by X-IMAP,
// other programs by its subject, which c-client gave it.
func pseudoMessage(value []byte, date time.Time) []byte {
	date = date.UTC()
	var b bytes.Buffer
	b.WriteString("From MAILER-DAEMON " + date.Format(time.ANSIC) + "\n")
	b.WriteString("Date: " + date.Format(time.RFC1123Z) + "\n")
	b.WriteString("From: Mail System Internal Data <MAILER-DAEMON@localhost>\n")
	b.WriteString("Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n")
	b.WriteString("Message-ID: <" + strconv.FormatInt(date.Unix(), 10) + "@localhost>\n")
	b.WriteString("X-IMAP: ")
	b.Write(value)
	b.WriteString("\nStatus: RO\n\n")
	b.WriteString("This message belongs to the mail system and is not shown by mail clients. It keeps the\n" +
		"numbers by which they know the messages of this mailbox. Leave it where it is.\n\n")
	return b.Bytes()
}
