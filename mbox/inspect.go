package mbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Status is what can be said of a mailbox that is in use. It holds no byte of mail.
type Status struct {
	Kind     Kind
	Bytes    int64     // of the file; of a Maildir, of all messages in it and its folders
	Messages int       // that clients see, in all folders
	Oldest   time.Time // From_ date, in a Maildir the time of the file; zero when there are no messages
	Newest   time.Time
	Quota    *Quota   // of a Maildir that has a maildirsize file; else nil
	Problems []string // in plain words (Report.Damage); never nil
}

// Quota is what the file maildirsize of a Maildir says: the Maildir++ extension that Courier and Dovecot's quota backend
// "maildir" share. A limit of 0 is none.
type Quota struct {
	Bytes, Messages         int64 // limits
	UsedBytes, UsedMessages int64 // as the mail programs count
}

// Exceeded tells whether a limit is passed.
func (q *Quota) Exceeded() bool {
	return q.Bytes > 0 && q.UsedBytes > q.Bytes || q.Messages > 0 && q.UsedMessages > q.Messages
}

// Inspect looks at the mailbox name below root, as Find names it, without locks: a mailbox that is written to meanwhile is
// read again, three times at most. Nothing is changed, and access times stay where the system allows it. An mbox is read in
// whole, in constant memory; of a Maildir only names, sizes and times are read.
func Inspect(ctx context.Context, root *os.Root, name string, kind Kind) (*Status, error) {
	switch kind {
	case Mbox:
		return inspectMbox(ctx, root, name)
	case Maildir:
		return inspectMaildir(ctx, root, name)
	}
	return &Status{Kind: kind, Problems: []string{kind.String() + " is a kind of store that cannot be looked into"}}, nil
}

func inspectMbox(ctx context.Context, root *os.Root, name string) (*Status, error) {
	dir, base, err := enter(root, name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for try := 1; ; try++ {
		f, info, err := openFile(dir, base)
		if err != nil {
			return nil, located(err, name)
		}
		rep, err := examine(ctx, f, info.Size(), nil)
		now, statErr := f.Stat()
		f.Close()
		changed := statErr != nil || now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime())
		if changed && try < 3 && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
			continue
		}
		if err != nil {
			return nil, located(err, name)
		}
		return &Status{Kind: Mbox, Bytes: rep.Size, Messages: rep.Messages, Oldest: rep.Oldest, Newest: rep.Newest, Problems: rep.Damage()}, nil
	}
}

func inspectMaildir(ctx context.Context, root *os.Root, name string) (*Status, error) {
	up, base, err := enter(root, name)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	box := up
	if base != "." {
		if box, err = descend(up, base); err != nil {
			return nil, located(err, name)
		}
		defer box.Close()
	}
	s := &Status{Kind: Maildir, Problems: []string{}}
	if err := s.folder(ctx, box); err != nil {
		return nil, located(err, name)
	}
	err = eachEntry(ctx, box, ".", func(e fs.DirEntry) error {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".") {
			return nil
		}
		folder, err := descend(box, e.Name())
		if err != nil {
			return err
		}
		defer folder.Close()
		return s.folder(ctx, folder)
	})
	if err == nil {
		err = s.lists(box)
	}
	return s, located(err, name)
}

// folder counts the messages in one folder.
func (s *Status) folder(ctx context.Context, dir *os.Root) error {
	for _, sub := range []string{"cur", "new"} {
		messages, err := descend(dir, sub)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = eachEntry(ctx, messages, ".", func(e fs.DirEntry) error { return s.message(messages, e) })
		messages.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Status) message(dir *os.Root, e fs.DirEntry) error {
	if strings.HasPrefix(e.Name(), ".") {
		return nil
	}
	info, err := dir.Lstat(e.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // renamed or removed meanwhile
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	s.Messages++
	s.Bytes += info.Size()
	if t := info.ModTime(); s.Oldest.IsZero() || t.Before(s.Oldest) {
		s.Oldest = t
	}
	if t := info.ModTime(); t.After(s.Newest) {
		s.Newest = t
	}
	return nil
}

// lists reads the files that mail programs keep beside the messages.
func (s *Status) lists(box *os.Root) error {
	f, _, err := openFile(box, uidlistName)
	if err == nil {
		list, readErr := readUIDList(f, func(string) bool { return false })
		f.Close()
		if readErr != nil {
			return readErr
		}
		if list.Broken > 0 {
			s.Problems = append(s.Problems, fmt.Sprintf("%s cannot be read from line %d on: messages will be numbered anew", uidlistName, list.Broken))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, _, err = openFile(box, "maildirsize")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if s.Quota, err = readQuota(f); err != nil {
		return err
	}
	switch {
	case s.Quota == nil:
		s.Problems = append(s.Problems, "maildirsize cannot be read")
	case s.Quota.Exceeded():
		s.Problems = append(s.Problems, "quota is exceeded")
	}
	return nil
}

// quotaMax bounds a maildirsize, which programs write anew when it has 5120 bytes.
const quotaMax = 1 << 20

// readQuota reads a maildirsize: limits such as "1000000S,1000C", then a line of bytes and messages for each change.
// nil: it cannot be read.
func readQuota(r io.Reader) (*Quota, error) {
	in := bufio.NewScanner(io.LimitReader(r, quotaMax))
	if !in.Scan() {
		return nil, in.Err()
	}
	q := &Quota{}
	for limit := range strings.SplitSeq(strings.TrimSpace(in.Text()), ",") {
		if limit == "" {
			continue
		}
		n, err := strconv.ParseInt(limit[:len(limit)-1], 10, 64)
		if err != nil || n < 0 {
			return nil, nil
		}
		switch limit[len(limit)-1] {
		case 'S':
			q.Bytes = n
		case 'C':
			q.Messages = n
		}
	}
	for in.Scan() {
		var bytes, messages int64
		if _, err := fmt.Sscan(in.Text(), &bytes, &messages); err != nil {
			return nil, nil
		}
		q.UsedBytes += bytes
		q.UsedMessages += messages
	}
	if err := in.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, err
	}
	return q, nil
}

// eachEntry calls fn for what is in the directory name, a few hundred at a time.
func eachEntry(ctx context.Context, dir *os.Root, name string, fn func(fs.DirEntry) error) error {
	f, err := openQuiet(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := f.ReadDir(512)
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
