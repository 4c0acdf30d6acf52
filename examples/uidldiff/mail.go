package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox"
	"github.com/mailmove/mailmove/mbox/tree"
)

// printOne shows the settings in force of one configuration.
func printOne(c *cli.Call, protocol string, opt *dovecotconf.Options) error {
	config, err := dovecotconf.Read(c.Flags.Arg(0), opt)
	if err != nil {
		return err
	}
	p := config.Print(protocol)
	if err := c.Report(p, p); err != nil {
		return err
	}
	if config.Refused() {
		return fmt.Errorf("%s: Dovecot %s would refuse this", c.Flags.Arg(0), config.Version)
	}
	return nil
}

// side is the mail of one host: a directory and what is looked at in it.
type side struct {
	root *os.Root
	name string
	pick dovecotconf.Choice
}

func open(path string, config *dovecotconf.Config) (s side, err error) {
	if s.pick, err = config.Choice(); err != nil {
		return s, err
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return s, err
	}
	s.root, err = os.OpenRoot(filepath.Dir(path))
	s.name = filepath.Base(path)
	return s, err
}

// compareMail counts over all mailboxes of the old side how many messages have the same UIDL on the new one.
func compareMail(ctx context.Context, c *cli.Call, old, new *dovecotconf.Config, oldPath, newPath string, n *dovecotconf.Counts) error {
	a, err1 := open(oldPath, old)
	b, err2 := open(newPath, new)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer a.root.Close()
	defer b.root.Close()
	for box, err := range tree.Mailboxes(a.root, a.name) {
		if err != nil {
			return err
		}
		before, err := messages(ctx, a.root, box)
		if err != nil {
			c.Warn("%q: %v", box, err)
			continue
		}
		after, err := messages(ctx, b.root, b.name+strings.TrimPrefix(box, a.name))
		if err != nil {
			c.Warn("%q on the new host: %v", box, err)
		}
		n.Predict(a.pick, b.pick, before, after)
	}
	return nil
}

// messages lists what a server knows the messages of a mailbox by.
func messages(ctx context.Context, root *os.Root, name string) (ms []dovecotconf.Message, err error) {
	for e, err := range mbox.Identities(ctx, root, name, &mbox.Options{MD5: "apop3d"}) {
		if err != nil {
			return ms, err
		}
		if !e.Known {
			e.UIDValidity = 0 // its UID is given when a client first looks
		}
		ms = append(ms, dovecotconf.Message(e.Identity))
	}
	return ms, nil
}
