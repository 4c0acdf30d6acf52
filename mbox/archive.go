package mbox

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Archive is a rule by which old messages leave an mbox file for other mbox files, and where that is done.
//
// Plan says what would leave and changes nothing; ArchivePlan.Apply does it; Recover completes what a killed process
// began. All three need Linux; elsewhere they give errors.ErrUnsupported.
//
// What is promised for one mailbox: a message is on stable storage in its archive before it leaves the mailbox; the bytes
// of no message change; those that remain keep their UIDs, UIDVALIDITY, flags, keywords and order, with Dovecot's index
// or without, for X-IMAPbase moves to the new first message and a mailbox without messages keeps the pseudo message; mail
// that is delivered meanwhile stays. After kill -9 at any moment each message is at least once in the mailbox or its
// archive, and after Recover exactly once.
//
// Not promised: respect for flags that Dovecot holds in its index alone and has not written to the mailbox yet (see the
// package comment), and safety from programs that write to a mailbox without taking its locks.
type Archive struct {
	Before      time.Time // messages with an earlier From_ date leave; the header Date is not looked at
	KeepFlagged bool      // flagged messages stay
	KeepUnread  bool      // unread messages stay

	// Into is the path of the archive, a template as ArchivePath describes it. A suffix .gz or .zst compresses: each
	// run then appends one gzip member or Zstandard frame. An archive is made with mode 0600 and belongs, like a
	// directory made for it, to the owner of the mailbox; one that belongs to somebody else is refused.
	Into string

	// Journal is a directory that only this user may enter, mode 0700; it is made if absent. Copies of mail lie there
	// for as long as a mailbox is worked on, so it needs room for a whole mailbox. All runs on a host should share it,
	// so that each finds what an earlier one left undone.
	Journal string

	Wait     time.Duration  // how long to try for all locks; 0: 20 seconds, less than 0: try once
	Location *time.Location // zone of From_ dates that name none; nil: time.Local
}

// ArchivePlan says which messages leave a mailbox. It holds offsets, no byte of mail.
type ArchivePlan struct {
	Path     string          // of the mailbox
	Size     int64           // bytes of the mailbox
	Messages int             // messages that leave
	Bytes    int64           // what they hold, From_ lines included
	Oldest   time.Time       // From_ dates of the messages that leave; zero when there are none
	Newest   time.Time       //
	Kept     int             // messages that stay
	Held     ArchiveHeld     // old messages that stay nevertheless, among Kept
	Targets  []ArchiveTarget // archives, in the order of their first message

	rule *Archive
	edit edit
}

// ArchiveHeld counts old messages that stay, each under the first reason that holds.
type ArchiveHeld struct {
	Flagged int // KeepFlagged
	Unread  int // KeepUnread
	// Unnumbered have no X-UID yet and stand behind another such message that stays. Without them that one would get
	// another UID.
	Unnumbered int
}

// ArchiveTarget is an archive and what goes there.
type ArchiveTarget struct {
	Path     string
	Messages int
	Bytes    int64 // uncompressed

	dirs []string // to be made where absent
}

// ArchiveReceipt says what Apply did.
type ArchiveReceipt struct {
	Messages int             // that left the mailbox
	Bytes    int64           // what they held
	Targets  []ArchiveTarget // where they are now
	// DotlockSkipped says why the mailbox could not be locked by a dotlock: nil when it was.
	DotlockSkipped error
}

// ArchiveRecovery says what became of one mailbox whose archiving was cut short.
type ArchiveRecovery struct {
	Path      string // of the mailbox; "" when nothing had been written yet
	Completed bool   // the messages are in their archives; else they are where they were
	Err       error  // nil: the mailbox is whole. ErrDrift, ErrBusy or an error of the file system: still to be settled
}

// ErrDrift says that a mailbox or an archive is neither as a plan or journal saw it nor as it is wanted. Nothing was
// written.
var ErrDrift = errors.New("neither as planned nor as wanted")

// ErrBusy says that the locks of a mailbox or an archive could not be had in time. Nothing was written.
var ErrBusy = errors.New("is locked by another program")

// maxTargets bounds the archives of one mailbox: all of them are held open and locked together.
const maxTargets = 100

// Owner is who a mailbox belongs to, as templates name it.
type Owner struct {
	Name string // login name; the uid in decimal when it has none
	Home string // home directory, "" when unknown
}

// ArchivePath fills in a template for a message of the mailbox named file (the last element of its path) with the given
// From_ date: %u is the owner's name, %h the owner's home directory, %f the file, %Y, %m and %d are year, month and day
// of the date, %% is a percent sign. Errors: an unknown directive, a directive without a value, a value that holds "/" or
// is made of dots (%h is a path and may hold "/").
func ArchivePath(template string, o Owner, file string, date time.Time) (string, error) {
	var out strings.Builder
	for rest := template; rest != ""; {
		before, after, found := strings.Cut(rest, "%")
		out.WriteString(before)
		if !found {
			break
		}
		if after == "" {
			return "", fmt.Errorf("template %q: %% at the end, want %%%%", template)
		}
		text, err := directive(after[0], o, file, date)
		if err != nil {
			return "", fmt.Errorf("template %q: %w", template, err)
		}
		out.WriteString(text)
		rest = after[1:]
	}
	return out.String(), nil
}

func directive(c byte, o Owner, file string, date time.Time) (string, error) {
	switch c {
	case '%':
		return "%", nil
	case 'Y':
		return date.Format("2006"), nil
	case 'm':
		return date.Format("01"), nil
	case 'd':
		return date.Format("02"), nil
	case 'h':
		if !strings.HasPrefix(o.Home, "/") {
			return "", fmt.Errorf("%%h: no home directory of %s is known", o.Name)
		}
		return o.Home, nil
	case 'u', 'f':
		text := map[byte]string{'u': o.Name, 'f': file}[c]
		if strings.Trim(text, ".") == "" || strings.ContainsAny(text, "/\x00") {
			return "", fmt.Errorf("%%%c: %q is no part of a path", c, text)
		}
		return text, nil
	}
	return "", fmt.Errorf("unknown directive %%%c: want %%u, %%h, %%f, %%Y, %%m, %%d or %%%%", c)
}
