package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/mbox"
)

// userMail compares the mail of one user on both hosts, message by message, as clients know it.
type userMail struct {
	Name               string   `json:"name"`
	To                 string   `json:"to"`
	FromUID            uint32   `json:"from_uid"`
	ToUID              uint32   `json:"to_uid"`
	Mailboxes          int      `json:"mailboxes"`
	dovecotconf.Counts          // messages by whether their UIDL stays; the unpredictable have none yet
	Bytes              int64    `json:"bytes"` // of the mailboxes
	Problems           []string `json:"problems"`
}

// compare holds one mailbox of the old host against its copy.
func (u *userMail) compare(ctx context.Context, old, new *os.Root, from, to string, choices [2]dovecotconf.Choice) error {
	before, err := messages(ctx, old, from)
	if err != nil {
		return err
	}
	after, err := messages(ctx, new, to)
	if err != nil {
		return fmt.Errorf("on the new host: %w", err)
	}
	if len(after) != len(before) {
		return fmt.Errorf("%d messages, on the new host %d", len(before), len(after))
	}
	u.Mailboxes++
	u.Bytes += bytesOf(old, from)
	u.Predict(choices[0], choices[1], before, after)
	return nil
}

// bytesOf is the size of an mbox, or of the messages of a Maildir.
func bytesOf(root *os.Root, box string) (n int64) {
	for _, name := range []string{box, box + "/cur", box + "/new"} {
		_ = fs.WalkDir(root.FS(), name, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipAll // no such directory, or not ours to judge: the copy lists it
			}
			if e.IsDir() && e.Name() != "cur" && e.Name() != "new" {
				return fs.SkipDir
			}
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				n += info.Size()
			}
			return nil
		})
	}
	return n
}

// messages lists what a server knows the messages of a mailbox by.
func messages(ctx context.Context, root *os.Root, name string) (ms []dovecotconf.Message, err error) {
	for e, err := range mbox.Identities(ctx, root, name, &mbox.Options{MD5: "apop3d"}) {
		if err != nil {
			return nil, err
		}
		if !e.Known {
			e.UIDValidity = 0 // no client has seen it: its UID is given at the first look
		}
		ms = append(ms, dovecotconf.Message(e.Identity))
	}
	return ms, nil
}
