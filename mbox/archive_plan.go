package mbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// piece is a part of what the mailbox will hold: bytes of what it holds now, or new ones.
type piece struct {
	off, n int64
	text   []byte // nil: n bytes from off
}

// leaving is a run of messages that go to the same archive.
type leaving struct {
	off, end int64
	target   int
}

// edit is what a plan does to the bytes of a mailbox.
type edit struct {
	pieces []piece // the new content
	runs   []leaving
	from   int64  // first byte that changes
	size   int64  // new size
	kept   string // signature of the messages that stay

	validity, uidNext uint32 // which stay as well; 0: there is none
	keywords          []string
}

// PlanOf makes the plan for a mailbox whose size bytes r holds: path is where it lies, o whom it belongs to. It is a pure
// function of these and of a. Errors are those of Scan and of ArchivePath, and ErrRefused for what is no mailbox.
func (a *Archive) PlanOf(ctx context.Context, r io.ReaderAt, size int64, box string, o Owner) (*ArchivePlan, error) {
	p := &planner{
		plan: &ArchivePlan{Path: box, Size: size, rule: a, Targets: []ArchiveTarget{}},
		r:    r, owner: o, paths: map[string]int{}, sig: sha256.New(),
	}
	sum, err := Scan(ctx, r, size, &Options{Location: a.Location, Skip: true}, p.message)
	if err != nil {
		return nil, err
	}
	if sum.Refused {
		return nil, &fs.PathError{Op: "read", Path: box, Err: ErrRefused}
	}
	if p.plan.Messages == 0 {
		p.plan.edit = edit{}
		return p.plan, nil
	}
	if err := p.finish(sum); err != nil {
		return nil, err
	}
	return p.plan, nil
}

type planner struct {
	plan  *ArchivePlan
	r     io.ReaderAt
	owner Owner
	paths map[string]int // archive -> its index
	sig   hash.Hash

	base *imapBase // of the first message; nil: none

	first      Message
	seen       bool // the first message has been seen
	firstLeft  bool // it leaves
	heir       int  // index of the piece for X-IMAPbase in the new first message; 0: none
	unnumbered int  // messages without a UID of their own that stay
}

func (p *planner) message(m Message) error {
	if !p.seen {
		p.seen, p.first = true, m
		if m.UIDValidity != 0 {
			var err error
			if p.base, err = readBase(p.r, &m); err != nil {
				return err
			}
		}
	}
	if m.Pseudo {
		return p.keep(&m)
	}
	numbered := m.XUID == XUIDKept || m.UIDValidity == 0
	if p.stays(&m, numbered) {
		p.plan.Kept++
		if !numbered {
			p.unnumbered++
		}
		return p.keep(&m)
	}
	return p.leave(&m)
}

// stays tells whether a message stays, and counts why.
func (p *planner) stays(m *Message, numbered bool) bool {
	a, held := p.plan.rule, &p.plan.Held
	switch {
	case !m.Date.Before(a.Before):
	case a.KeepFlagged && m.Flags&Flagged != 0:
		held.Flagged++
	case a.KeepUnread && m.Flags&Seen == 0:
		held.Unread++
	case !numbered && p.unnumbered > 0:
		held.Unnumbered++
	default:
		return false
	}
	return true
}

func (p *planner) leave(m *Message) error {
	name, err := ArchivePath(p.plan.rule.Into, p.owner, path.Base(p.plan.Path), m.Date)
	if err != nil {
		return err
	}
	i, ok := p.paths[name]
	if !ok {
		if i = len(p.plan.Targets); i == maxTargets {
			return fmt.Errorf("template %q: more than %d archives for one mailbox", p.plan.rule.Into, maxTargets)
		}
		p.paths[name] = i
		dirs, err := p.dirs(m.Date)
		if err != nil {
			return err
		}
		p.plan.Targets = append(p.plan.Targets, ArchiveTarget{Path: name, dirs: dirs})
	}
	n := m.Next - m.Offset
	t := &p.plan.Targets[i]
	t.Messages++
	t.Bytes += n
	p.plan.Messages++
	p.plan.Bytes += n
	p.date(m.Date)
	if m.Offset == p.first.Offset {
		p.firstLeft = true
	}
	runs := p.plan.edit.runs
	if k := len(runs); k > 0 && runs[k-1].end == m.Offset && runs[k-1].target == i {
		runs[k-1].end = m.Next
	} else {
		p.plan.edit.runs = append(runs, leaving{m.Offset, m.Next, i})
	}
	return nil
}

// dirs are the directories of an archive that are made where they are absent: those that the template names by what
// differs between owners, mailboxes or dates. That any other one is absent is a mistake.
func (p *planner) dirs(date time.Time) (made []string, err error) {
	template := p.plan.rule.Into
	for i, start := 0, 0; i < len(template); i++ {
		if template[i] != '/' {
			continue
		}
		if part := template[start:i]; strings.Contains(part, "%") && part != "%h" {
			dir, err := ArchivePath(template[:i], p.owner, path.Base(p.plan.Path), date)
			if err != nil {
				return nil, err
			}
			made = append(made, dir)
		}
		start = i + 1
	}
	return made, nil
}

func (p *planner) date(d time.Time) {
	if p.plan.Oldest.IsZero() || d.Before(p.plan.Oldest) {
		p.plan.Oldest = d
	}
	if d.After(p.plan.Newest) {
		p.plan.Newest = d
	}
}

// keep leaves room for X-IMAPbase where it will have to stand: before all headers of the new first message.
func (p *planner) keep(m *Message) error {
	sign(p.sig, m)
	switch e := &p.plan.edit; {
	case p.base != nil && m.Offset == p.first.Offset:
		// The last UID may have to change.
		e.add(piece{off: 0, n: p.base.last})
		e.pieces = append(e.pieces, piece{text: p.base.digits})
		p.heir = len(e.pieces) - 1
		e.add(piece{off: p.base.last + int64(len(p.base.digits)), n: m.Next - p.base.last - int64(len(p.base.digits))})
	case p.base != nil && p.firstLeft && p.heir == 0:
		eol, err := lineEnding(p.r, m)
		if err != nil {
			return err
		}
		e.add(piece{off: m.Offset, n: m.Header - m.Offset})
		e.pieces = append(e.pieces, piece{text: []byte(eol)})
		p.heir = len(e.pieces) - 1
		e.add(piece{off: m.Header, n: m.Next - m.Header})
	default:
		e.add(piece{off: m.Offset, n: m.Next - m.Offset})
	}
	return nil
}

// add appends bytes of the old content, to the piece before where they follow it.
func (e *edit) add(p piece) {
	if k := len(e.pieces) - 1; k >= 0 && e.pieces[k].text == nil && e.pieces[k].off+e.pieces[k].n == p.off {
		e.pieces[k].n += p.n
	} else if p.n > 0 {
		e.pieces = append(e.pieces, p)
	}
}

// finish writes what depends on the whole mailbox: the last UID, so that none is given twice.
func (p *planner) finish(sum *Summary) error {
	e := &p.plan.edit
	e.kept = hex.EncodeToString(p.sig.Sum(nil))
	if p.base != nil {
		if p.base.validity != sum.UIDValidity || p.base.lastUID != sum.LastUID {
			return fmt.Errorf("%s: X-IMAPbase is not where it was found first", p.plan.Path)
		}
		e.validity, e.uidNext, e.keywords = sum.UIDValidity, sum.UIDNext, sum.Keywords
		// Those that stay without a UID take the highest ones; all below were given to others.
		p.inherit(max(sum.LastUID, sum.UIDNext-1-uint32(p.unnumbered)))
	}
	e.pieces = slices.DeleteFunc(e.pieces, func(p piece) bool { return p.text == nil && p.n == 0 })
	for _, p := range e.pieces {
		e.size += p.length()
	}
	if len(e.pieces) > 0 && e.pieces[0].text == nil && e.pieces[0].off == 0 {
		e.from = e.pieces[0].n
	}
	return nil
}

// inherit fills in the piece for X-IMAPbase, or makes the pseudo message where no other is left.
func (p *planner) inherit(last uint32) {
	e, b := &p.plan.edit, p.base
	switch {
	case p.heir == 0:
		e.pieces = []piece{{text: pseudoMessage(b.withLast(last), p.plan.rule.Before)}}
	case !p.firstLeft && last == b.lastUID:
		// Nothing changes there: the pieces around it are one again.
		k := p.heir
		e.pieces[k-1].n += int64(len(b.digits)) + e.pieces[k+1].n
		e.pieces = slices.Delete(e.pieces, k, k+2)
	case !p.firstLeft:
		e.pieces[p.heir].text = b.number(last)
	default:
		eol := e.pieces[p.heir].text
		line := append([]byte("X-IMAPbase: "), b.withLast(last)...)
		e.pieces[p.heir].text = append(line, eol...)
	}
}

func (p piece) length() int64 {
	if p.text != nil {
		return int64(len(p.text))
	}
	return p.n
}

// sign adds a message to the signature of those that stay: what clients know it by, and the lengths of its body and of what
// follows that.
func sign(h hash.Hash, m *Message) {
	uid := m.UID
	if m.UIDValidity == 0 || !m.Known {
		uid = 0
	}
	fmt.Fprintf(h, "%d %d %t %d %q %d %d\n", m.UIDValidity, uid, m.Pseudo, m.Flags, m.Keywords, m.End-m.Body, m.Next-m.End)
}

// lineEnding is how the From_ line of m ends.
func lineEnding(r io.ReaderAt, m *Message) (string, error) {
	if m.Header < 2 {
		return "\n", nil
	}
	var b [2]byte
	if _, err := r.ReadAt(b[:], m.Header-2); err != nil && err != io.EOF {
		return "", err
	}
	if bytes.Equal(b[:], []byte("\r\n")) {
		return "\r\n", nil
	}
	return "\n", nil
}
