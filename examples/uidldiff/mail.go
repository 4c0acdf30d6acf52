package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox"
	"github.com/mailmove/mailmove/mbox/tree"
)

// host is the mail of one server: a directory below which it is, and how that server reads it.
type host struct {
	root   *os.Root
	name   string
	config *dovecotconf.Config
}

// open leaves links in the path to the system: what /proc/PID/root says of itself is a path of another host.
func open(path string, config *dovecotconf.Config) (*host, error) {
	path = filepath.Clean(path)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			break // no link
		}
		if filepath.IsAbs(target) {
			root, err := os.OpenRoot(path)
			return &host{root, ".", config}, err
		}
		path = filepath.Join(filepath.Dir(path), target)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	return &host{root, filepath.Base(path), config}, err
}

// below is the name of a mailbox without that of the directory in which it was found.
func (h *host) below(box string) string {
	if h.name == "." {
		return box
	}
	return strings.TrimPrefix(strings.TrimPrefix(box, h.name), "/")
}

// predict compares all mailboxes of the old server with those of the new one. Where POP3 does not work on one of them
// there is nothing to compare; the report says why.
func predict(ctx context.Context, c *cli.Call, report *dovecotconf.Report, old, new *dovecotconf.Config, oldPath, newPath string) error {
	a, err := open(oldPath, old)
	if err != nil {
		return err
	}
	defer a.root.Close()
	b, err := open(newPath, new)
	if err != nil {
		return err
	}
	defer b.root.Close()
	p, err := dovecotconf.NewPrediction(old, new)
	if err != nil {
		c.Warn("mailboxes are not compared: %v", err)
		return nil
	}
	for box, err := range tree.Mailboxes(a.root, a.name) {
		if err != nil {
			return err
		}
		if err := compare(ctx, c, p, a, b, box); err != nil {
			return err
		}
	}
	report.Include(p)
	return nil
}

// compare adds one mailbox. One that cannot be read is a warning, and on the new server its messages are none.
func compare(ctx context.Context, c *cli.Call, p *dovecotconf.Prediction, a, b *host, box string) error {
	md5 := a.config.Get("pop3", "mbox_md5").Value
	before, err := a.read(ctx, box, md5)
	if err != nil {
		c.Warn("%q: %v", box, err)
		return ctx.Err()
	}
	at, kind := b.find(path.Join(b.name, a.below(box)))
	var after dovecotconf.Mail
	if err = ctx.Err(); err == nil && kind == mbox.None {
		err = fs.ErrNotExist
	}
	if err == nil || kind != mbox.None {
		after, err = b.read(ctx, at, b.config.Get("pop3", "mbox_md5").Value)
	}
	if err == nil {
		err = pairByHeader(ctx, a, b, box, at, &before, &after)
	}
	if err != nil && len(before.Messages) > 0 {
		c.Warn("%q on the new host: %v", at, err)
	}
	p.Add(box, before, after)
	return ctx.Err()
}

// find looks for a mailbox under its own name, and in the directory of that name where the configuration has an INBOX.
func (h *host) find(name string) (string, mbox.Kind) {
	for _, below := range h.config.Inboxes() {
		at := path.Join(name, below)
		if kind, err := mbox.Detect(h.root, at); err == nil && kind != mbox.None {
			return at, kind
		}
	}
	if info, err := h.root.Lstat(name); err == nil && info.Mode().IsRegular() {
		return name, mbox.Mbox // an empty one
	}
	return name, mbox.None
}

// read lists what the server knows the messages of a mailbox by.
func (h *host) read(ctx context.Context, name, md5 string) (mail dovecotconf.Mail, err error) {
	if md5 == "" {
		md5 = "apop3d" // before 2.1 there was no choice
	}
	kind, err := mbox.Detect(h.root, name)
	if err != nil {
		return mail, err
	}
	opt := &mbox.Options{MD5: md5}
	mail.Maildir = kind == mbox.Maildir
	unsettled := false
	if mail.Maildir {
		list, ok := h.config.UIDList(name)
		opt.UIDList, unsettled = list, !ok
	}
	for e, err := range mbox.Identities(ctx, h.root, name, opt) {
		if err != nil {
			return mail, err
		}
		if !e.Known || unsettled {
			e.UIDValidity = 0 // its UID is given when a client first looks, or not to be found
		}
		mail.Messages = append(mail.Messages, dovecotconf.Message(e.Identity))
	}
	switch {
	case mail.Maildir:
		err = h.files(ctx, name, &mail)
	case len(mail.Messages) > 0 && mail.Messages[0].UIDValidity == 0:
		mail.Numbered, err = h.marked(ctx, name)
	}
	return mail, err
}

// marked tells whether a server has written X-UID or Status into a message of an mbox.
func (h *host) marked(ctx context.Context, name string) (bool, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	_, err = mbox.Scan(ctx, f, info.Size(), &mbox.Options{Skip: true}, func(m mbox.Message) error {
		if m.XUID != mbox.XUIDMissing || m.Flags != 0 {
			return errFirst
		}
		return nil
	})
	if errors.Is(err, errFirst) {
		return true, nil
	}
	return false, err
}

// pairByHeader finds counterparts by the header MD5 where nothing else is common: an mbox that became a Maildir by other
// means than Dovecot's, and servers that make the MD5 of different headers.
func pairByHeader(ctx context.Context, a, b *host, box, at string, before, after *dovecotconf.Mail) error {
	one, two := a.config.Get("pop3", "mbox_md5").Value, b.config.Get("pop3", "mbox_md5").Value
	if before.Maildir == after.Maildir && (before.Maildir || one == two) {
		return nil
	}
	var err1, err2 error
	before.Keys, err1 = a.headerMD5(ctx, box, before)
	after.Keys, err2 = b.headerMD5(ctx, at, after)
	return errors.Join(err1, err2)
}

func (h *host) headerMD5(ctx context.Context, box string, mail *dovecotconf.Mail) ([]string, error) {
	keys := make([]string, 0, len(mail.Messages))
	if !mail.Maildir {
		same, err := h.read(ctx, box, "apop3d")
		for _, m := range same.Messages {
			keys = append(keys, m.MD5)
		}
		if err == nil && len(keys) != len(mail.Messages) {
			err = fmt.Errorf("%s changed while it was read", box)
		}
		return keys, err
	}
	files, err := h.maildirFiles(box)
	for _, m := range mail.Messages {
		if err != nil {
			return nil, err
		}
		var head mbox.Message
		if head, err = h.head(ctx, files[m.Filename]); errors.Is(err, fs.ErrNotExist) {
			err = nil // gone since
		}
		keys = append(keys, head.MD5)
	}
	return keys, err
}
