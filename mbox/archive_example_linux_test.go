package mbox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/mailmove/mailmove/mbox"
)

// A nightly job: what is older than a year goes to a compressed file of its year, but for flagged messages.
func ExampleArchive() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	spool := filepath.Join(dir, "anna")
	if err := os.WriteFile(spool, []byte(box), 0o600); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	rule := &mbox.Archive{
		Before:      time.Date(2015, 1, 2, 0, 0, 0, 0, time.UTC), // in a real job: time.Now().AddDate(-1, 0, 0)
		KeepFlagged: true,
		Into:        filepath.Join(dir, "%f-%Y.mbox.gz"),
		Journal:     filepath.Join(dir, "journal"),
		Location:    time.UTC,
	}
	// First what a power cut may have left undone.
	recovered, err := rule.Recover(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range recovered {
		fmt.Println(r.Path, r.Completed, r.Err)
	}
	plan, err := rule.Plan(ctx, spool)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Messages, "leave,", plan.Kept, "stay")
	receipt, err := plan.Apply(ctx)
	switch {
	case errors.Is(err, mbox.ErrBusy), errors.Is(err, mbox.ErrDrift):
		fmt.Println("another time:", err)
	case err != nil:
		log.Fatal(err)
	default:
		for _, t := range receipt.Targets {
			fmt.Println(t.Messages, "to", filepath.Base(t.Path))
		}
	}
	// Output:
	// 1 leave, 1 stay
	// 1 to anna-2015.mbox.gz
}

// A cron job that looks over all mailboxes and tells of damaged ones and large ones.
func ExampleFind() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, content := range map[string]string{"anna": box, "bob": "no mailbox any more"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()
	ctx := context.Background()
	err = mbox.Find(ctx, root, func(name string, kind mbox.Kind, err error) error {
		if err != nil {
			fmt.Println(name, err)
			return nil
		}
		s, err := mbox.Inspect(ctx, root, name, kind)
		if err != nil {
			return err
		}
		for _, problem := range s.Problems {
			fmt.Println(name+":", problem)
		}
		if s.Bytes > 1<<30 {
			fmt.Println(name, "is larger than 1 GiB")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// bob: first line is no From_ line: Dovecot refuses the mailbox
	// bob: last line has no end
}

func ExampleArchivePath() {
	day := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
	fmt.Println(mbox.ArchivePath("%h/mail/Archive-%Y", mbox.Owner{Name: "anna", Home: "/home/anna"}, "INBOX", day))
	// Output: /home/anna/mail/Archive-2015 <nil>
}
