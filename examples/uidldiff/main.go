// Command uidldiff tells before a move what POP3 and IMAP clients will see after it: it compares the configurations of two
// Dovecots of any version, and message by message the POP3 UIDLs that they give.
package main

import (
	"context"
	"fmt"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/cli"
)

const usage = `usage: uidldiff [flags] OLD NEW
       uidldiff -print [flags] CONF

OLD, NEW and CONF: a dovecot.conf, the root of a host's file tree, or a saved dump of dovecot -n or doveconf -n. Exit code
1: clients cannot log in, download everything again, or lose sight of mail. -print shows the settings in force; exit code
2: that version of Dovecot would refuse the file.

-snippet writes the file to put into conf.d of the new server; the report ends with it, too.

example: uidldiff -old-mail /mnt/old/var/mail -new-mail /var/mail /mnt/old /`

func main() { cli.Main("uidldiff", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	old, new := dovecotconf.Options{}, dovecotconf.Options{}
	c.Flags.StringVar(&old.Version, "old-version", "", "`version` of the old Dovecot (default: as its files show)")
	c.Flags.StringVar(&new.Version, "new-version", "", "`version` of the new Dovecot")
	oldMail := c.Flags.String("old-mail", "", "mailbox, Maildir, or a `directory` of them, on the old host")
	newMail := c.Flags.String("new-mail", "", "the same on the new host")
	snippet := c.Flags.Bool("snippet", false, "write only the file for the new server that keeps what clients depend on")
	show := c.Flags.Bool("print", false, "show one configuration")
	protocol := c.Flags.String("protocol", "", "with -print: the settings for this `protocol`, such as pop3")
	expand := c.Flags.Bool("expand", false, "with -print: read <files and resolve $variables, as doveconf -x")
	version := c.Flags.String("version", "", "with -print: `version` of the Dovecot")
	if err := c.Parse(1, 2); err != nil {
		return err
	}
	if *show {
		if c.Flags.NArg() != 1 {
			return c.Misused("-print takes one configuration")
		}
		return printOne(c, *protocol, &dovecotconf.Options{Version: *version, Expand: *expand})
	}
	if c.Flags.NArg() != 2 || (*oldMail == "") != (*newMail == "") {
		return c.Misused("want OLD and NEW, and both or none of -old-mail and -new-mail")
	}
	a, err := dovecotconf.Read(c.Flags.Arg(0), &old)
	if err != nil {
		return err
	}
	b, err := dovecotconf.Read(c.Flags.Arg(1), &new)
	if err != nil {
		return err
	}
	report := dovecotconf.Compare(a, b, nil)
	if *oldMail != "" {
		if err := predict(ctx, c, report, a, b, *oldMail, *newMail); err != nil {
			return err
		}
	}
	if *snippet {
		fmt.Fprint(c.Stdout, report.Snippet())
	} else if err := c.Report(report, report); err != nil {
		return err
	}
	switch report.Worst() {
	case dovecotconf.Blocks, dovecotconf.Redownload, dovecotconf.Loss:
		return cli.ErrFinding
	}
	if report.Messages.Changed > 0 {
		return cli.ErrFinding
	}
	return nil
}
