package mbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// spliced is the mailbox as it will be.
type spliced struct {
	head, tail io.ReaderAt
	from       int64
}

func (s spliced) ReadAt(b []byte, off int64) (int, error) {
	if off >= s.from {
		return s.tail.ReadAt(b, off-s.from)
	}
	return s.head.ReadAt(b[:min(int64(len(b)), s.from-off)], off)
}

// check reads the mailbox as it will be, and compares what clients would see of it with what they see now. A mailbox with
// a hostile header may look different once other messages are gone: a Content-Length may then lead to another From_ line.
func (p *ArchivePlan) check(ctx context.Context, box io.ReaderAt, tail io.ReaderAt) error {
	sig := sha256.New()
	made := p.edit.from == 0 && len(p.edit.pieces) == 1 && p.edit.pieces[0].text != nil // the pseudo message
	opt := &Options{Location: p.rule.Location, Skip: true}
	sum, err := Scan(ctx, spliced{box, tail, p.edit.from}, p.edit.size, opt, func(m Message) error {
		if !made {
			sign(sig, &m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if sum.Messages != p.Kept || sum.Refused || p.edit.validity != 0 && (sum.UIDValidity != p.edit.validity || sum.UIDNext != p.edit.uidNext || !slices.Equal(sum.Keywords, p.edit.keywords)) || hex.EncodeToString(sig.Sum(nil)) != p.edit.kept {
		return fmt.Errorf("%s: its other messages would look different without those that leave: left alone", p.Path)
	}
	return nil
}
