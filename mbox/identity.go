package mbox

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
)

// Identity is all that Dovecot knows a message by, and so all that a POP3 UIDL can be made of (pop3_uidl_format).
type Identity struct {
	UID, UIDValidity uint32 // %u, %v
	MD5              string // %m: header MD5 of an mbox message, 32 lower case hex digits; "" in a Maildir
	Filename         string // %f: base name of a Maildir file, up to the ":"; "" in an mbox
	GUID             string // %g: the MD5 in an mbox; in a Maildir the G field of dovecot-uidlist, else the base name
	Saved            string // UIDL saved in a Maildir (P field of dovecot-uidlist), which goes before any format; else ""
	XUIDL            string // first X-UIDL header of an mbox message, for pop3_reuse_xuidl; not read from a Maildir
}

// Entry is one message of a mailbox as clients know it.
type Entry struct {
	Identity
	// Known is false when UID and UIDValidity are only what Dovecot would most likely choose: the mailbox has no
	// UIDVALIDITY (then 0 stands for it), the file is not listed in dovecot-uidlist, or in an mbox an X-UID above the
	// last UID stands in this message or before it, low enough for Dovecot to change its mind about it later.
	Known bool
}

// Entry is the message as clients know it. The pseudo message is none; leave it out.
func (m *Message) Entry() Entry {
	return Entry{
		Identity: Identity{UID: m.UID, UIDValidity: m.UIDValidity, MD5: m.MD5, GUID: m.MD5, XUIDL: m.XUIDL},
		Known:    m.Known,
	}
}

var errStopped = errors.New("no more entries wanted")

// Identities yields the messages of the mailbox name below root in the order of their UIDs: of an mbox if name is a
// regular file, of a Maildir if it is a directory with cur and new. Without Options.MD5, MD5 and GUID of an mbox are
// empty. name is a slash path; no part of it may be a symbolic link, and nothing but a regular file is opened.
//
// An mbox is read message by message in constant memory, bodies as far as Content-Length does not lead past them. For a
// Maildir the names of its files and their records are held in memory; the files themselves are not opened.
//
// An error is yielded once, last. A mailbox that Dovecot refuses gives an error that wraps ErrRefused.
func Identities(ctx context.Context, root *os.Root, name string, opt *Options) iter.Seq2[Entry, error] {
	if opt == nil {
		opt = &Options{}
	}
	return func(yield func(Entry, error) bool) {
		err := identities(ctx, root, name, opt, func(e Entry) error {
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

// ErrRefused is the cause when Dovecot would not open a mailbox at all: it does not begin with a From_ line.
var ErrRefused = errors.New("mailbox does not begin with a From_ line")

func identities(ctx context.Context, root *os.Root, name string, opt *Options, fn func(Entry) error) error {
	dir, base, err := enter(root, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Lstat(base)
	if err != nil {
		return located(err, name)
	}
	if info.IsDir() {
		box, err := descend(dir, base)
		if err != nil {
			return located(err, name)
		}
		defer box.Close()
		return maildir(ctx, root, box, name, opt, fn)
	}
	f, info, err := openFile(dir, base)
	if err != nil {
		return located(err, name)
	}
	defer f.Close()
	mbox := *opt
	mbox.Skip, mbox.Tee = true, nil
	sum, err := Scan(ctx, f, info.Size(), &mbox, func(m Message) error {
		if m.Pseudo {
			return nil
		}
		return fn(m.Entry())
	})
	if err == nil && sum.Refused {
		return &fs.PathError{Op: "read", Path: name, Err: ErrRefused}
	}
	return err
}
