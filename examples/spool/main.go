// Command spool watches the mailboxes of a server and moves old messages out of them.
package main

import (
	"context"

	"github.com/mailmove/mailmove/internal/cli"
)

const usage = `usage: spool report [flags] DIR
       spool archive -older AGE -into PATH-OR-TEMPLATE [flags] MAILBOX...

report: size, messages, oldest, newest and damage of every mbox file and Maildir below DIR. Exit code 1: -warn is reached,
or a mailbox could not be read. It changes no mailbox; -state and -prom write the file they name.
archive: messages with an older From_ date go to other mbox files; shows what it would do, and does it with -apply. In -into
%u is the owner of the mailbox, %h the owner's home, %f the mailbox file, %Y %m %d the date of the message; a name that ends in .gz or
.zst is compressed. With -doveadm a MAILBOX is USER or USER/FOLDER and -into a folder of that user; doveadm moves the messages.
Exit code 1: a mailbox is locked by another program, or a person must settle what became of it.

example: spool report -top 20 -warn 2G -state /var/lib/mailmove/sizes.json /var/mail
example: spool archive -older 365d -keep-flagged -into /var/archive/%u-%Y.mbox.zst -apply /var/mail/anna`

func main() { cli.Main("spool", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	verb, err := c.Word("report", "archive")
	if err != nil {
		return err
	}
	switch verb {
	case "report":
		return report(ctx, c)
	case "archive":
		return archive(ctx, c)
	}
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	return c.Misused("want report or archive")
}
