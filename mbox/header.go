package mbox

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

const (
	// nameMax is the longest header name: Dovecot takes a line with a longer one for a value without a name.
	nameMax = 1000
	// valueMax bounds what is kept of a header that is read. No program writes longer ones; they count as broken.
	valueMax = 64 << 10
)

// field is a header that means something to us.
type field uint8

const (
	other field = iota
	fContentLength
	fStatus
	fXIMAP
	fXIMAPbase
	fXKeywords
	fXStatus
	fXUID
	fXUIDL
	fDate
	fDeliveredTo
	fMessageID
	fReceived
	fXDeliveryID
)

// fields are told apart by length first, so that most lines are dismissed by one comparison.
var fields = func() (byLen [16][]struct {
	name string
	f    field
}) {
	for name, f := range map[string]field{
		"content-length": fContentLength, "status": fStatus, "x-imap": fXIMAP, "x-imapbase": fXIMAPbase,
		"x-keywords": fXKeywords, "x-status": fXStatus, "x-uid": fXUID, "x-uidl": fXUIDL, "date": fDate,
		"delivered-to": fDeliveredTo, "message-id": fMessageID, "received": fReceived, "x-delivery-id": fXDeliveryID,
	} {
		byLen[len(name)] = append(byLen[len(name)], struct {
			name string
			f    field
		}{name, f})
	}
	return byLen
}()

// named holds the bytes that names of fields begin with, so that most lines need no closer look.
var named = func() (first [256]bool) {
	for _, list := range fields {
		for _, e := range list {
			first[e.name[0]], first[e.name[0]-('a'-'A')] = true, true
		}
	}
	return first
}()

func fieldOf(name []byte) field {
	if len(name) >= len(fields) {
		return other
	}
next:
	for _, e := range fields[len(name)] {
		for i := range e.name {
			c := name[i]
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c != e.name[i] {
				continue next
			}
		}
		return e.f
	}
	return other
}

// header reads one header field after the other. The lines come in pieces, since they may be longer than any memory.
type header struct {
	cur   field
	val   []byte // the value, as far as it is kept
	keep  bool
	long  bool // the value went beyond valueMax
	xuidl bool // the first X-UIDL has been read

	md5      hash.Hash // nil: not asked for
	md5All   bool
	md5On    bool // the current field is part of it
	received bool // the first Received has ended
}

// setMD5 chooses the header MD5: "", "apop3d" or "all".
func (h *header) setMD5(name string) error {
	switch name {
	case "":
		return nil
	case "apop3d", "all":
		h.md5, h.md5All = md5.New(), name == "all"
		return nil
	}
	return fmt.Errorf("header md5 %q: want apop3d or all", name)
}

// begin starts the header of a message.
func (h *header) begin() {
	h.cur, h.keep, h.md5On, h.received, h.xuidl = other, false, false, false, false
	if h.md5 != nil {
		h.md5.Reset()
	}
}

// sum is the header MD5 of the message, in hex.
func (h *header) sum() string {
	if h.md5 == nil {
		return ""
	}
	var b [md5.Size]byte
	return hex.EncodeToString(h.md5.Sum(b[:0]))
}

// name starts a field at the beginning of a line and returns where its value begins: after the colon and one blank.
// A line without a colon is a value without a name. b is not empty.
func (h *header) name(b []byte) int {
	if !h.md5All && !named[b[0]] {
		h.start(other)
		return 0
	}
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		b = b[:n]
	}
	colon := bytes.IndexByte(b, ':')
	name := bytes.TrimRight(b[:max(colon, 0)], " \t")
	if colon < 0 || len(name) > nameMax {
		h.start(other)
		return 0
	}
	if n := bytes.IndexByte(name, 0); n >= 0 {
		name = name[:n]
	}
	h.start(fieldOf(name))
	colon++
	if colon < len(b) && (b[colon] == ' ' || b[colon] == '\t') {
		colon++
	}
	return colon
}

func (h *header) start(f field) {
	h.cur, h.val, h.long = f, h.val[:0], false
	h.keep = f >= fContentLength && f <= fXUIDL
	h.md5On = h.md5 != nil && h.inMD5(f)
}

// inMD5 chooses what is summed: Dovecot's mbox-md5-apop3d.c and mbox-md5-all.c. Fields that Dovecot itself writes are not.
func (h *header) inMD5(f field) bool {
	switch {
	case f >= fContentLength && f <= fXUID:
		return false
	case h.md5All:
		return true
	case f == fDate || f == fMessageID || f == fReceived:
		return !h.received
	}
	return f == fDeliveredTo || f == fXDeliveryID
}

// wanted tells whether anybody reads the value of the current field.
func (h *header) wanted() bool { return h.keep || h.md5On }

// fold goes on with the field in a continuation line. The line end before it was \r\n or \n.
func (h *header) fold(crlf bool) {
	if !h.keep {
		return
	}
	if crlf {
		h.store([]byte("\r"))
	}
	h.store([]byte("\n"))
}

// add is a piece of the value.
func (h *header) add(b []byte) {
	if h.md5On {
		h.md5.Write(b)
	}
	if h.keep {
		h.store(b)
	}
}

func (h *header) store(b []byte) {
	if len(h.val)+len(b) > valueMax {
		h.long = true
		b = b[:valueMax-len(h.val)]
	}
	h.val = append(h.val, b...)
}

// end closes the current field and tells m and u what it says.
func (h *header) end(m *Message, u *uids) {
	f := h.cur
	h.cur, h.md5On = other, false
	switch {
	case f == fReceived:
		h.received = true
	case f == fStatus:
		m.Flags |= flags(h.val, "RO", Seen, Old)
	case f == fXStatus:
		m.Flags |= flags(h.val, "AFTD", Answered, Flagged, Draft, Deleted)
	case h.keep && !h.long:
		h.read(f, m, u)
	}
	h.keep = false
}

func (h *header) read(f field, m *Message, u *uids) {
	switch f {
	case fContentLength:
		if n, ok := contentLength(h.val); ok && m.ContentLength < 0 {
			m.ContentLength = n
		}
	case fXIMAP:
		if u.base(h.val) {
			m.Pseudo = true
		}
	case fXIMAPbase:
		u.base(h.val)
	case fXKeywords:
		if m.Keywords == nil {
			m.Keywords = u.keywords(h.val)
		}
	case fXUID:
		u.xuid(h.val, m)
	case fXUIDL:
		if !h.xuidl {
			h.xuidl = true
			m.XUIDL = strings.TrimLeft(strings.ReplaceAll(string(h.val), "\r\n", "\n"), " \t")
		}
	}
}

func flags(val []byte, letters string, fs ...Flags) (set Flags) {
	for _, c := range val {
		if i := strings.IndexByte(letters, c); i >= 0 {
			set |= fs[i]
		}
	}
	return set
}
