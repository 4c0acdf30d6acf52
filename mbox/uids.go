package mbox

import (
	"bytes"
	"strings"
)

// blanks are what may stand between the parts of a header that Dovecot writes.
const blanks = " \t\n"

func isBlank(r rune) bool { return strings.ContainsRune(blanks, r) }

// keywordMax is Dovecot's default of mail_max_keyword_length.
const keywordMax = 50

// uids gives messages their UIDs, as Dovecot's mbox-sync.c and mbox-sync-parse.c do for a mailbox without an index.
type uids struct {
	validity, last uint32
	next, prev     uint32 // next free UID; UID of the message before
	seq            int
	hasBase        bool
	reach          uint64 // no UID of this mailbox can be higher, were each message as short as can be
	astray         bool   // Dovecot's choice depends on more than the mailbox

	names []string          // keywords in the order of X-IMAPbase
	known map[string]string // the same by lower case
}

// begin starts a message. rest is how many bytes of the file are left.
func (u *uids) begin(rest int64) {
	u.seq++
	u.reach = uint64(u.next) + uint64(rest)/uint64(len(separator)+21)
}

// finish gives the message the next UID if it has none by now.
func (u *uids) finish(m *Message) {
	if m.Pseudo {
		u.prev, m.UID = m.UID, 0
		m.UIDValidity, m.Known = u.validity, false
		return
	}
	if m.UID == 0 {
		m.UID = u.next
		u.next++
		u.astray = u.astray || u.next <= 1 // Dovecot runs out of numbers and begins anew
	}
	u.prev = m.UID
	m.UIDValidity, m.Known = u.validity, u.validity != 0 && !u.astray
}

// base reads "uidvalidity last-uid keyword..." of X-IMAPbase or X-IMAP: the first that can be read, in the first message.
func (u *uids) base(val []byte) bool {
	if u.seq != 1 || u.hasBase {
		return false
	}
	validity, rest := decimal(val)
	if uint32(validity) == 0 || (len(rest) > 0 && rest[0] != ' ') {
		return false
	}
	last, rest := decimal(bytes.TrimLeft(rest, blanks))
	if len(rest) > 0 && !isBlank(rune(rest[0])) {
		return false
	}
	u.hasBase, u.validity, u.last = true, uint32(validity), uint32(last)
	u.next = max(u.next, u.last+1)
	u.astray = u.last == 1<<32-1
	for _, name := range bytes.FieldsFunc(rest, isBlank) {
		u.keyword(string(name))
	}
	return true
}

func (u *uids) keyword(name string) {
	if !keywordValid(name) || u.known[strings.ToLower(name)] != "" {
		return
	}
	if u.known == nil {
		u.known = make(map[string]string)
	}
	u.known[strings.ToLower(name)] = name
	u.names = append(u.names, name)
}

// keywordValid tells whether IMAP allows the keyword: an atom.
func keywordValid(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return name != "" && len(name) <= keywordMax
}

// keywords reads X-Keywords. One that X-IMAPbase does not name makes Dovecot drop the whole header: a sender wrote it.
func (u *uids) keywords(val []byte) []string {
	var out []string
	seen := make(map[string]bool)
	for _, f := range bytes.FieldsFunc(val, isBlank) {
		name := u.known[strings.ToLower(string(f))]
		if name == "" {
			return nil
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// xuid reads X-UID: the first that Dovecot accepts is the UID. Of several that it refuses, one too large is reported.
func (u *uids) xuid(val []byte, m *Message) {
	if m.UID != 0 {
		return
	}
	v, rest := decimal(val)
	uid := uint32(v)
	refuse := func(why XUID) {
		if m.XUID != XUIDTooLarge {
			m.XUID = why
		}
	}
	switch {
	case len(bytes.Trim(rest, blanks)) != 0:
		refuse(XUIDBroken)
		return
	case u.seq == 1 && !u.hasBase:
		refuse(XUIDEarly)
		return
	case uid > u.next:
		// Refused now; but if Dovecot reads the mailbox again before it rewrote the header, later messages may have
		// pushed the next UID beyond this one, and it is taken.
		u.astray = u.astray || uint64(uid) <= u.reach
		refuse(XUIDTooLarge)
		return
	}
	if uid == u.next {
		u.next++
		u.astray = u.astray || u.next == 0
	}
	if uid <= u.prev {
		refuse(XUIDNotRising)
		return
	}
	m.UID, m.XUID = uid, XUIDKept
}
