// Package mbox reads one mailbox - an mbox file or a Maildir - the way Dovecot reads it: where each message begins and
// ends, and by which UIDs, flags, keywords and POP3 identities clients know it. Find and Inspect look over the mailboxes of
// a server, and Archive moves old messages out of a live mbox, so that no client of the others notices.
//
// The promise: counts, offsets, UIDs, UIDVALIDITY, flags, keywords and header MD5s are those of Dovecot 2.3 opening the
// same bytes without an index; memory does not grow with the mailbox or with any line in it; nothing but
// ArchivePlan.Apply and Archive.Recover writes, and no byte of mail enters an error. The offsets of the messages partition
// the file exactly, whatever is in it.
//
// Not promised: what only an index knows. Dovecot may keep flags, keywords and UIDs of new mail in its index alone until
// it next writes the mailbox, so compare a flushed mailbox, or carry the index with it. dbox stores are only recognised.
//
// A live mailbox is read under its locks: open it, lock it (dotlock and fcntl), take the size from the locked file, and
// hand file and size to Scan. Without locks a delivery in between gives an error or a torn last message, never a panic.
//
//	sum, err := mbox.Scan(ctx, f, size, nil, func(m mbox.Message) error {
//		fmt.Println(m.UID, m.Offset, m.Next-m.Offset, m.Flags)
//		return nil
//	})
package mbox

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Options are the knobs of Scan and Identities. A nil *Options is the zero value.
type Options struct {
	// MD5 names the header MD5 to compute, as Dovecot's setting mbox_md5 does: "apop3d" or "all". Empty computes none.
	MD5 string
	// Location is the zone of From_ dates that name none; Dovecot takes the server's. nil is time.Local.
	Location *time.Location
	// Skip leaves bodies unread when Dovecot would trust their Content-Length too. Summary.Lax and Summary.Hidden then
	// count only what was read.
	Skip bool
	// Tee receives every byte of the mailbox once and in order, a window ahead of the messages. It turns Skip off.
	Tee io.Writer
	// UIDList is the path of a Maildir's dovecot-uidlist below the root, for servers that keep it in a control
	// directory. Empty is the file in the Maildir itself. Scan does not use it.
	UIDList string

	window int // bytes read at a time; tests shrink it
}

// Message is one message of an mbox file. The file is cut at Offset and Next of each message, without a gap.
// All offsets are bytes from the beginning of the file.
type Message struct {
	Offset int64 // the From_ line
	Header int64 // the byte after the From_ line
	Body   int64 // the byte after the empty line that ends the header; End when there is no such line
	End    int64 // after the last byte of the body, before the line end that belongs to the next From_ line
	Next   int64 // the next From_ line, or the size of the file

	Sender string    // envelope sender of the From_ line, "" when it has none
	Date   time.Time // date of the From_ line: Dovecot's INTERNALDATE

	ContentLength int64 // -1 when there is none that can be read

	Pseudo   bool     // the "folder internal data" message that holds X-IMAP: hidden from clients, has no UID
	Flags    Flags    // Status and X-Status
	Keywords []string // X-Keywords as Dovecot would show them; nil when there are none

	UID         uint32 // from X-UID where Dovecot accepts it, else the next one
	UIDValidity uint32 // 0 when the mailbox names none: Dovecot then invents one
	Known       bool   // false when Dovecot's choice of UID and UIDVALIDITY cannot be foreseen, or need not last
	XUID        XUID   // what became of the X-UID header

	XUIDL string // first X-UIDL header without leading blanks; inner line ends of a folded one are kept as \n
	MD5   string // 32 lower case hex digits when Options.MD5 asks for it, else ""
}

// Flags are the IMAP flags that an mbox stores in the headers Status (R, O) and X-Status (A, F, T, D).
type Flags uint8

// The flags and their letters (Dovecot mbox-sync-parse.c). Old is the absence of \Recent.
const (
	Seen     Flags = 1 << iota // Status: R
	Old                        // Status: O
	Answered                   // X-Status: A
	Flagged                    // X-Status: F
	Draft                      // X-Status: T
	Deleted                    // X-Status: D
)

// String lists the IMAP names, such as `\Answered \Seen`, in the order of Dovecot's FETCH reply. Old has no IMAP name.
func (f Flags) String() string {
	var names []string
	for _, n := range []struct {
		flag Flags
		name string
	}{{Answered, `\Answered`}, {Flagged, `\Flagged`}, {Deleted, `\Deleted`}, {Seen, `\Seen`}, {Draft, `\Draft`}} {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, " ")
}

// XUID says what Dovecot makes of a message's X-UID header (mbox-sync-parse.c, parse_x_uid).
type XUID uint8

// The states of an X-UID header.
const (
	XUIDMissing   XUID = iota // there is none: the message gets the next UID
	XUIDKept                  // it is the message's UID
	XUIDEarly                 // in the first message, before X-IMAPbase or without one: ignored
	XUIDBroken                // not a number: ignored
	XUIDNotRising             // not above the UID of the message before: ignored
	XUIDTooLarge              // above the last UID that X-IMAPbase names: ignored
	xuidStates                // count of the states
)

// Summary is what Scan learned of the whole mailbox.
type Summary struct {
	Size     int64 `json:"size"`     // bytes
	Refused  bool  `json:"refused"`  // the first line is no valid From_ line: Dovecot refuses the whole mailbox
	Messages int   `json:"messages"` // messages that clients see
	Strict   int   `json:"strict"`   // messages by Dovecot's rules, the pseudo message included
	Lax      int   `json:"lax"`      // lines that begin with "From ", which simpler programs take for messages
	Hidden   int   `json:"hidden"`   // valid From_ lines within bodies, covered by a trusted Content-Length
	Pseudo   bool  `json:"pseudo"`   // the first message is the pseudo message

	UIDValidity uint32   `json:"uidvalidity"` // of X-IMAPbase or X-IMAP; 0 when there is none
	LastUID     uint32   `json:"last_uid"`    // last UID that it names
	UIDNext     uint32   `json:"uidnext"`     // after all messages have their UID
	Keywords    []string `json:"keywords"`    // that it names

	XUIDKept      int `json:"xuid_kept"`
	XUIDMissing   int `json:"xuid_missing"`
	XUIDEarly     int `json:"xuid_early"`
	XUIDBroken    int `json:"xuid_broken"`
	XUIDNotRising int `json:"xuid_not_rising"`
	XUIDTooLarge  int `json:"xuid_too_large"`

	ContentLengthWrong int `json:"content_length_wrong"` // headers that differ from the length of the body
}

// Scan reads the mailbox r of size bytes from its beginning and calls fn (which may be nil) for each message in order,
// the pseudo message included. A mailbox whose first line is no From_ line is Refused and has no messages; that is not
// an error. Bytes that r gains beyond size are not read; if it ends before size, the error is io.ErrUnexpectedEOF.
// An error of fn, of r or of ctx ends the scan and is returned as it is, with the summary of what was read.
//
// The rules are those of Dovecot's istream-raw-mbox.c, mbox-from.c, message-header-parser.c and mbox-sync-parse.c: a
// message begins at a line "From sender date" whose date can be read, blank line before it or not; Content-Length counts
// only when such a line, or the last line end of the file, stands exactly where it points.
func Scan(ctx context.Context, r io.ReaderAt, size int64, opt *Options, fn func(Message) error) (*Summary, error) {
	s, err := newScanner(ctx, r, size, opt)
	if err != nil {
		return nil, err
	}
	err = s.run(fn)
	s.sum.UIDValidity, s.sum.LastUID, s.sum.UIDNext = s.uids.validity, s.uids.last, s.uids.next
	s.sum.Keywords = append([]string{}, s.uids.names...)
	return s.sum, err
}

func newScanner(ctx context.Context, r io.ReaderAt, size int64, opt *Options) (*scanner, error) {
	if opt == nil {
		opt = &Options{}
	}
	s := &scanner{sum: &Summary{Size: size}, skip: opt.Skip && opt.Tee == nil, loc: opt.Location}
	if s.loc == nil {
		s.loc = time.Local
	}
	if size < 0 {
		return nil, fmt.Errorf("mailbox size %d: want 0 or more", size)
	}
	if err := s.h.setMD5(opt.MD5); err != nil {
		return nil, err
	}
	s.uids.next = 1
	s.w = newWindow(ctx, r, size, opt.window, opt.Tee)
	return s, nil
}
