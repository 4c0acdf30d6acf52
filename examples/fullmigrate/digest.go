package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/mailmove/mailmove/mbox"
)

// serverFields are the header fields in which Dovecot keeps flags, numbers and lengths (mbox-sync-update.c), and another
// server may.
var serverFields = map[string]bool{
	"status": true, "x-status": true, "x-keywords": true, "x-uid": true, "x-imapbase": true, "x-imap": true, "content-length": true, "lines": true, "x-uidl": true,
}

// digestOf stands for a message without its From_ line and what servers write into its header.
func digestOf(f io.ReaderAt, m mbox.Message) (sum [sha256.Size]byte, err error) {
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
			name, _, _ := strings.Cut(string(piece[:min(len(piece), 64)]), ":")
			left = serverFields[strings.ToLower(strings.TrimSpace(name))]
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
