package mbox_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/mbox"
)

const box = `From anna@example.test Thu Jan  1 00:00:01 2015
X-IMAPbase: 1420070401 0000000007 $Work
X-UID: 3
Status: RO
Subject: first

Hello.

From bob@example.test Fri Jan  2 00:00:01 2015
Subject: second

From now on, this line is text: it has no date.

`

func ExampleScan() {
	sum, err := mbox.Scan(context.Background(), strings.NewReader(box), int64(len(box)), nil, func(m mbox.Message) error {
		fmt.Println(m.UID, m.Sender, m.Flags, "bytes", m.Offset, "to", m.Next)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum.Strict, "messages,", sum.Lax, "lines that begin with From")
	// Output:
	// 3 anna@example.test \Seen bytes 0 to 132
	// 8 bob@example.test  bytes 132 to 245
	// 2 messages, 3 lines that begin with From
}

func ExampleIdentities() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "anna"), []byte(box), 0o600); err != nil {
		log.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()
	for e, err := range mbox.Identities(context.Background(), root, "anna", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%08x%08x %v\n", e.UID, e.UIDValidity, e.Known)
	}
	// Output:
	// 0000000354a48e01 true
	// 0000000854a48e01 true
}

func ExampleAudit() {
	report, err := mbox.Audit(context.Background(), strings.NewReader(box), int64(len(box)))
	if err != nil {
		log.Fatal(err)
	}
	for _, problem := range report.Problems() {
		fmt.Println(problem)
	}
	// Output:
	// 3 lines begin with "From ", Dovecot takes 2 of them for messages
	// 1 messages have no X-UID
}

func ExampleReadUIDList() {
	list, err := mbox.ReadUIDList(strings.NewReader("3 V1420070401 N21 G00\n5 W100 :1420070401.a\n20 P0001f2 :1420070402.b\n"))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range list.Records {
		fmt.Printf("%d %s %q\n", r.UID, r.Name, r.UIDL)
	}
	// Output:
	// 5 1420070401.a ""
	// 20 1420070402.b "0001f2"
}

func ExampleDetect() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "Maildir", sub), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Close()
	fmt.Println(mbox.Detect(root, "Maildir"))
	// Output: maildir <nil>
}
