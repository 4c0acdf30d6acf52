package mbox

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Surplus finds the messages that the mbox name below root has and the mbox otherName below other lacks, and hands them to
// fn in their order, with From_ line and all that belongs to them. It returns how many there are. Messages are compared by
// their content, without the From_ line and what mail servers write into a header: flags, keywords, UIDs and lengths. One that
// stands there twice and in the other once is handed over once. An absent or empty other lacks all; an absent or empty name
// has none.
//
// Both are read in constant memory but for 40 bytes a message of the other. The rules for names are those of Identities, and
// a mailbox that Dovecot refuses gives an error that wraps ErrRefused. The reader given to fn is good until fn returns.
func Surplus(ctx context.Context, root *os.Root, name string, other *os.Root, otherName string, fn func(io.Reader) error) (n int, err error) {
	have := map[[sha256.Size]byte]int{}
	err = digests(ctx, other, otherName, func(sum [sha256.Size]byte, _ io.Reader) error {
		have[sum]++
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = digests(ctx, root, name, func(sum [sha256.Size]byte, whole io.Reader) error {
		if have[sum] > 0 {
			have[sum]--
			return nil
		}
		n++
		return fn(whole)
	})
	return n, err
}

// digests goes through an mbox: fn gets a digest that no server changes, and the message.
func digests(ctx context.Context, root *os.Root, name string, fn func([sha256.Size]byte, io.Reader) error) error {
	dir, base, err := enter(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	f, info, err := openFile(dir, base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return located(err, name)
	}
	defer f.Close()
	sum, err := Scan(ctx, f, info.Size(), nil, func(m Message) error {
		if m.Pseudo {
			return nil
		}
		digest, err := digestOf(f, m)
		if err != nil {
			return located(err, name)
		}
		return fn(digest, io.NewSectionReader(f, m.Offset, m.Next-m.Offset))
	})
	if err == nil && sum.Refused && info.Size() > 0 {
		return &fs.PathError{Op: "read", Path: name, Err: ErrRefused}
	}
	return err
}

// serverFields are those in which Dovecot keeps what it knows of a message (mbox-sync-update.c), and the lengths that others
// write.
var serverFields = map[string]bool{
	"status": true, "x-status": true, "x-keywords": true, "x-uid": true, "x-imapbase": true, "x-imap": true, "content-length": true, "lines": true,
}

func digestOf(f io.ReaderAt, m Message) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if err := hashHeader(h, io.NewSectionReader(f, m.Header, m.Body-m.Header)); err != nil {
		return sum, err
	}
	if _, err := io.Copy(h, io.NewSectionReader(f, m.Body, max(m.End-m.Body, 0))); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// hashHeader takes lines piece by piece: one can be of any length.
func hashHeader(h hash.Hash, r io.Reader) error {
	b := bufio.NewReaderSize(r, 64<<10)
	begins, left := true, false
	for {
		piece, err := b.ReadSlice('\n')
		if begins && len(piece) > 0 && piece[0] != ' ' && piece[0] != '\t' {
			field, _, _ := strings.Cut(string(piece[:min(len(piece), 64)]), ":")
			left = serverFields[strings.ToLower(strings.TrimSpace(field))]
		}
		if !left {
			h.Write(piece)
		}
		begins = err == nil
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
