package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// messageSizes are the bytes of one message in twenty each: a store of small mail with some attachments, 6 KB on average.
var messageSizes = [20]int{900, 1200, 1500, 1800, 2000, 2200, 2500, 2800, 3000, 3200, 3500, 4000, 4500, 5000, 6000, 7000, 8000, 10_000, 15_000, 40_000}

// maildirs writes n messages into folders of perFolder below root. size gives the bytes of message i.
func (b *bench) maildirs(root string, n, perFolder int, size func(i int) int) error {
	text := bytes.Repeat([]byte("Header: value of a usual length, as it stands in mail\n"), 2000)
	dir := ""
	for i := range n {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if i%perFolder == 0 {
			box := filepath.Join(root, fmt.Sprintf("home/u%04d/Maildir", i/perFolder))
			dir = filepath.Join(box, "cur")
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := os.MkdirAll(filepath.Join(box, sub), 0o700); err != nil {
					return err
				}
			}
			if err := uidlist(box, i, min(perFolder, n-i)); err != nil {
				return err
			}
		}
		body := text[i%500:][:size(i)]
		if err := os.WriteFile(filepath.Join(dir, messageName(i)), body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func messageName(i int) string { return fmt.Sprintf("14200704%02d.M%dP1.host:2,", i%60, i) }

// uidlist writes Dovecot's list of the messages from first on.
func uidlist(box string, first, n int) error {
	var list bytes.Buffer
	fmt.Fprintf(&list, "3 V1420070401 N%d G0123456789abcdef0123456789abcdef\n", n+1)
	for i := range n {
		name, _, _ := strings.Cut(messageName(first+i), ":")
		fmt.Fprintf(&list, "%d :%s\n", i+1, name)
	}
	return os.WriteFile(filepath.Join(box, "dovecot-uidlist"), list.Bytes(), 0o600)
}

// flip marks all messages of a folder as read, or takes the marks away again.
func flip(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		to, read := strings.CutSuffix(e.Name(), "S")
		if !read {
			to += "S"
		}
		if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	return nil
}

// body writes a message body of about n bytes.
type body func(w *bufio.Writer, rng *rand.Rand, n int)

const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// attachment is base64 in lines of 76.
func attachment(w *bufio.Writer, rng *rand.Rand, n int) {
	for ; n > 0; n -= 77 {
		for range 76 / 4 {
			for v, k := rng.Uint32(), 0; k < 4; k++ {
				_ = w.WriteByte(base64[v>>(6*k)&63])
			}
		}
		_ = w.WriteByte('\n')
	}
}

var words = strings.Fields("the mail of From our users moves to a new host and nobody notices since all bytes are as they were before, said Fred; more follows")

// prose is text in lines of at most 72.
func prose(w *bufio.Writer, rng *rand.Rand, n int) {
	for line := 0; n > 0; {
		word := words[rng.IntN(len(words))]
		if line += len(word) + 1; line > 72 {
			_ = w.WriteByte('\n')
			line = len(word) + 1
		} else {
			_ = w.WriteByte(' ')
		}
		_, _ = w.WriteString(word)
		n -= len(word) + 1
	}
	_ = w.WriteByte('\n')
}

// mbox writes messages into name until there are most of them, or size bytes. kind gives body and length of message i.
func (b *bench) mbox(name string, size, most int, kind func(i int) (body, int)) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	written := 0
	for i := 0; written < size && i < most; i++ {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		head := messageHead(i)
		_, _ = w.WriteString(head)
		fill, n := kind(i)
		fill(w, rng, n)
		_ = w.WriteByte('\n')
		written += len(head) + n
	}
	return w.Flush()
}

// messageHead is a From_ line and the headers of ordinary mail, with the padding that Dovecot leaves for flags.
func messageHead(i int) string {
	base := ""
	if i == 0 {
		base = "X-IMAPbase: 1420070401 4000000000\n"
	}
	return fmt.Sprintf("From s%d@example.test Thu Jan  1 00:00:01 2015\nReturn-Path: <s%[1]d@example.test>\nDelivered-To: user@example.test\n"+
		"Received: from relay.example.test (relay.example.test [192.0.2.7])\n\tby mail.example.test (Postfix) with ESMTPS id 4F00%[1]d\n"+
		"\tfor <user@example.test>; Thu,  1 Jan 2015 00:00:01 +0000 (UTC)\nReceived: from [198.51.100.9] (port=5000)\n"+
		"\tby relay.example.test with esmtpsa; Thu,  1 Jan 2015 00:00:00 +0000\nFrom: Sender <s%[1]d@example.test>\nTo: user@example.test\n"+
		"Subject: message number %[1]d\nDate: Thu, 1 Jan 2015 00:00:01 +0000\nMessage-ID: <%[1]d@example.test>\nMIME-Version: 1.0\n"+
		"Content-Type: text/plain; charset=utf-8\n%sX-UID: %d\nStatus: O \nX-Status:     \nX-Keywords:                                        \n\n",
		i, base, i+1)
}
