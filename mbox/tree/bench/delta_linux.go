package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/mbox"
)

// bigBox writes the mbox that is to change.
func (b *bench) bigBox(src string) (box string, err error) {
	box = filepath.Join(src, "var/mail/user")
	if err := os.MkdirAll(filepath.Dir(box), 0o755); err != nil {
		return "", err
	}
	mean := b.delta / b.deltaMessages
	return box, b.mbox(box, b.delta+b.delta/4, b.deltaMessages, func(i int) (body, int) {
		if i%4 == 0 {
			return attachment, 3 * mean
		}
		return prose, mean/3 - 1000
	})
}

// deltaPass changes an mbox as Dovecot would and copies it again.
func (b *bench) deltaPass() error {
	src, target := b.path("src"), b.path("dst")
	box, err := b.bigBox(src)
	if err != nil {
		return err
	}
	runners, err := b.second(src, target, "--no-whole-file")
	if err != nil {
		return err
	}
	results, err := b.race(target, func(round int) error { return b.edit(box, round) }, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("mbox of %d MB: %d flags, 3 expunges, 1 append", b.delta>>20, b.flags)
	b.add(name, float64(b.delta), runners, results)
	theirs := results["rsync -aHAX --delete"]
	if theirs.absent {
		b.target(name, "below 2 % of rsync's bytes", "rsync is absent", false)
		return nil
	}
	share := 100 * results[us].bytes / theirs.bytes
	b.target(name, "below 2 % of rsync's bytes", fmt.Sprintf("%.2f %%", share), results[us].bytes >= 0 && share < 2)
	b.faster(name, results, "rsync -aHAX --delete", 1)
	return nil
}

// farDelta does the same through ssh.
func (b *bench) farDelta() error {
	dest, stop, err := b.sshd(nil)
	if err != nil {
		return err
	}
	defer stop()
	src, target := b.path("src"), b.path("dst")
	box, err := b.bigBox(src)
	if err != nil {
		return err
	}
	runners := b.farCopiers(dest, src, target)
	if err := b.copied(src, target, us, "tar", "rsync"); err != nil {
		return err
	}
	for _, r := range runners {
		if err := b.once(target, r, &result{}); err != nil {
			return fmt.Errorf("first pass of %s: %w", r.name, err)
		}
	}
	results, err := b.race(target, func(round int) error { return b.edit(box, round) }, runners)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("ssh: mbox of %d MB: %d flags, 3 expunges, 1 append", b.delta>>20, b.flags)
	b.add(name, 0, runners, results)
	theirs := results[rsyncSSH]
	if theirs.absent {
		b.target(name, "below 2 % of rsync's bytes", "rsync is absent", false)
		return nil
	}
	for _, who := range []string{us, usPlain} {
		share := 100 * results[who].bytes / theirs.bytes
		b.target(name, who+" below 2 % of rsync's bytes", fmt.Sprintf("%.2f %%", share), results[who].bytes >= 0 && share < 2)
		b.fasterThan(name, who, results, rsyncSSH, 1)
	}
	return nil
}

// edit does to box what Dovecot does: flags are changed within the padding, what follows an expunged message moves up,
// a message is appended, all in the same file, and its time is set to the second (mbox_file_fix_atime).
func (b *bench) edit(box string, round int) error {
	f, err := os.OpenFile(box, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var messages []mbox.Message
	if _, err := mbox.Scan(b.ctx, f, info.Size(), nil, func(m mbox.Message) error {
		messages = append(messages, m)
		return nil
	}); err != nil {
		return err
	}
	for i := range b.flags {
		if err := flipStatus(f, messages[(i*len(messages)/b.flags+round)%len(messages)]); err != nil {
			return err
		}
	}
	n := len(messages)
	end, err := expunge(f, info.Size(), []mbox.Message{messages[n/7+round], messages[n/2+round], messages[n-2]})
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(messageHead(b.deltaMessages+round)+"A new message.\n\n"), end); err != nil {
		return err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	now.Nsec = 0
	return unix.UtimesNanoAt(unix.AT_FDCWD, box, []unix.Timespec{now, now}, 0)
}

const unseen, seen = "\nStatus: O \n", "\nStatus: RO\n"

// flipStatus sets \Seen in a header, or takes it away.
func flipStatus(f *os.File, m mbox.Message) error {
	head := make([]byte, m.Body-m.Offset)
	if _, err := f.ReadAt(head, m.Offset); err != nil {
		return err
	}
	if i := bytes.Index(head, []byte(unseen)); i >= 0 {
		_, err := f.WriteAt([]byte(seen), m.Offset+int64(i))
		return err
	}
	if i := bytes.Index(head, []byte(seen)); i >= 0 {
		_, err := f.WriteAt([]byte(unseen), m.Offset+int64(i))
		return err
	}
	return fmt.Errorf("message at %d has no Status", m.Offset)
}

// expunge moves what follows each of the messages up and cuts the file. The result is its size.
func expunge(f *os.File, size int64, gone []mbox.Message) (int64, error) {
	to := gone[0].Offset
	buf := make([]byte, 1<<20)
	for i, m := range gone {
		stop := size
		if i+1 < len(gone) {
			stop = gone[i+1].Offset
		}
		for from := m.Next; from < stop; {
			part := buf[:min(int64(len(buf)), stop-from)]
			if _, err := f.ReadAt(part, from); err != nil {
				return 0, err
			}
			if _, err := f.WriteAt(part, to); err != nil {
				return 0, err
			}
			from, to = from+int64(len(part)), to+int64(len(part))
		}
	}
	return to, f.Truncate(to)
}
