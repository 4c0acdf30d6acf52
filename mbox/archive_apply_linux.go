package mbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/lockfile"
)

// Plan reads the mailbox at path, without locks, and says what would leave it. One that is written to meanwhile is read
// again, five times at most. A symbolic link, a FIFO and a file with several names are refused; no link that an ordinary
// user could have planted is followed.
func (a *Archive) Plan(ctx context.Context, path string) (*ArchivePlan, error) {
	for try := 1; ; try++ {
		box, err := openBox(path, unix.O_RDONLY)
		if err != nil {
			return nil, err
		}
		p, err := a.PlanOf(ctx, box.f, box.st.Size, path, ownerOf(box.st.Uid))
		now, statErr := box.stat()
		box.close()
		changed := statErr != nil || now.Size != box.st.Size || now.Mtim != box.st.Mtim || now.Ctim != box.st.Ctim
		if err == nil || !changed || try == 5 || ctx.Err() != nil {
			return p, err
		}
	}
}

// Apply moves the messages of the plan. All locks of the mailbox and of the archives are taken, or none, and tried again
// until Archive.Wait has passed: then the error is ErrBusy. Under the locks the plan is made anew; when other messages
// leave now, nothing is written and the error is ErrDrift. That mail was added or flags of others changed is no drift.
// When there is nothing to do nothing is written. Messages of a mailbox that an earlier run left half rewritten are put
// right first.
//
// A cancelled context counts until the mailbox itself is written to: all is as before then. After an error of the file
// system in the middle of that, the journal stays, and Recover completes the work.
func (p *ArchivePlan) Apply(ctx context.Context) (*ArchiveReceipt, error) {
	recovered, err := p.rule.Recover(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range recovered {
		if r.Err != nil && r.Path == absolute(p.Path) {
			return nil, r.Err
		}
	}
	got := &ArchiveReceipt{Targets: []ArchiveTarget{}}
	if p.Messages == 0 {
		return got, nil
	}
	if err := openJournal(p.rule.Journal); err != nil {
		return nil, err
	}
	err = p.rule.retry(ctx, p.Path, func() (err error) {
		got, err = p.apply(ctx)
		return err
	})
	return got, err
}

// Verify tells whether the mailbox holds no message any more that the rule of the plan would move.
func (p *ArchivePlan) Verify(ctx context.Context) error {
	now, err := p.rule.Plan(ctx, p.Path)
	if err == nil && now.Messages > 0 {
		err = fmt.Errorf("%s: %d messages would still leave: %w", p.Path, now.Messages, ErrDrift)
	}
	return err
}

// retry does something that needs locks until it has had them, or for as long as Wait allows.
func (a *Archive) retry(ctx context.Context, path string, do func() error) error {
	wait := a.Wait
	if wait == 0 {
		wait = 20 * time.Second
	}
	deadline := time.Now().Add(wait)
	for {
		err := do()
		if !errors.Is(err, lockfile.ErrLocked) && !errors.Is(err, lockfile.ErrReplaced) {
			return err
		}
		// Uneven, so that two programs do not keep meeting.
		pause := 50*time.Millisecond + rand.N(200*time.Millisecond)
		if time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("%s: %w: %w", path, ErrBusy, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// work is one attempt at a plan, all locks held.
type work struct {
	plan     *ArchivePlan
	box      *boxFile
	archives []*boxFile
	j        *job
	w        *journal
	touched  time.Time
}

func (p *ArchivePlan) apply(ctx context.Context) (got *ArchiveReceipt, err error) {
	k := &work{touched: time.Now()}
	if k.box, err = openBox(p.Path, unix.O_RDWR); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	if k.box.lock, err = lockfile.Mailbox(k.box.dir, k.box.base, k.box.f, true); err != nil {
		return nil, err
	}
	if k.box.st, err = k.box.stat(); err != nil {
		return nil, err
	}
	now, err := p.rule.PlanOf(ctx, k.box.f, k.box.st.Size, p.Path, ownerOf(k.box.st.Uid))
	if err != nil {
		return nil, err
	}
	got = &ArchiveReceipt{Targets: []ArchiveTarget{}, DotlockSkipped: k.box.lock.DotlockSkipped}
	if now.Messages == 0 {
		return got, nil
	}
	if !slices.Equal(now.edit.runs, p.edit.runs) {
		return nil, fmt.Errorf("%s: other messages would leave than planned: %w", p.Path, ErrDrift)
	}
	k.plan = now
	if err := k.run(ctx); err != nil {
		return nil, err
	}
	got.Messages, got.Bytes, got.Targets = now.Messages, now.Bytes, now.Targets
	return got, nil
}

func (k *work) close() error {
	errs := []error{}
	for _, b := range k.archives {
		errs = append(errs, b.close())
	}
	return errors.Join(append(errs, k.box.close())...)
}

// alive is called now and then: a dotlock that looks unchanged for too long is taken over by others.
func (k *work) alive() error {
	if time.Since(k.touched) < 20*time.Second {
		return nil
	}
	k.touched = time.Now()
	for _, b := range k.archives {
		if err := b.lock.Touch(); err != nil {
			return err
		}
	}
	return k.box.lock.Touch()
}

// run archives: prepare, add to the archives, rewrite the mailbox.
func (k *work) run(ctx context.Context) (err error) {
	if k.j, err = newJob(k.plan.rule.Journal); err != nil {
		return err
	}
	kept := false // the journal is needed
	defer func() {
		if !kept {
			err = errors.Join(err, k.j.remove())
		} else {
			k.j.dir.Close()
		}
	}()
	// Until the archives are complete, a cancelled context ends the work.
	alive := func() error { return errors.Join(ctx.Err(), k.alive()) }
	if err := k.prepare(ctx, alive); err != nil {
		return errors.Join(err, k.dropMade())
	}
	if err := k.add(alive); err != nil {
		if undo := k.undo(); undo != nil {
			kept = true
			return errors.Join(err, undo)
		}
		return err
	}
	k.w.State = rewriting
	kept = true
	if err := k.j.write(k.w); err != nil {
		return err
	}
	if err := k.j.rewrite(k.box, k.w, k.alive); err != nil {
		return fmt.Errorf("%w (%s: the rest will be done by the next run)", err, k.j.path)
	}
	kept = false
	return nil
}

// prepare stages all that will be written and takes the locks of the archives. Then the journal says what will be done.
func (k *work) prepare(ctx context.Context, alive func() error) error {
	box, e := k.box, &k.plan.edit
	k.w = &journal{
		Version: 1, State: archiving, Mailbox: absolute(box.path), Dev: uint64(box.st.Dev), Ino: box.st.Ino, //nolint:unconvert // 32 bits on MIPS
		Size: box.st.Size, From: e.from, NewSize: e.size, Tail: "tail", Sums: "sums",
		Accessed: moment(box.st.Atim),
		Modified: moment(box.st.Mtim),
	}
	if err := k.lockArchives(); err != nil {
		return err
	}
	if err := k.j.stageTail(k.w, box.f, e, alive); err != nil {
		return err
	}
	tail, err := os.Open(k.j.file(k.w.Tail))
	if err != nil {
		return err
	}
	defer tail.Close()
	if err := k.plan.check(ctx, box.f, tail); err != nil {
		return err
	}
	if err := k.j.stageSums(k.w, box.f, alive); err != nil {
		return err
	}
	for i := range k.w.Archives {
		if err := k.j.stageArchive(&k.w.Archives[i], k.archives[i].f, box.f, e.runs, i, alive); err != nil {
			return err
		}
	}
	return k.j.write(k.w)
}

// absolute is for paths in a journal, which is read from any directory.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func (k *work) lockArchives() error {
	for i := range k.plan.Targets {
		b, made, err := openArchive(&k.plan.Targets[i], k.box)
		if err != nil {
			return err
		}
		for _, other := range k.archives {
			if other.same(b) {
				b.close()
				return fmt.Errorf("%s: is %s as well", b.path, other.path)
			}
		}
		k.archives = append(k.archives, b)
		k.w.Archives = append(k.w.Archives, journalArchive{Path: absolute(b.path), Dev: uint64(b.st.Dev), Ino: b.st.Ino, Made: made, Added: fmt.Sprintf("add-%d", i)}) //nolint:unconvert // 32 bits on MIPS
		if b.lock, err = lockfile.Mailbox(b.dir, b.base, b.f, true); err != nil {
			return err
		}
		if b.st, err = b.stat(); err != nil {
			return err
		}
		k.w.Archives[i].Size = b.st.Size
	}
	return nil
}

// add appends to the archives and reads back what is there now.
func (k *work) add(alive func() error) error {
	for i, a := range k.w.Archives {
		if err := k.j.appendTo(k.archives[i], &a, alive); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) appendTo(b *boxFile, a *journalArchive, alive func() error) error {
	added, err := os.Open(j.file(a.Added))
	if err != nil {
		return err
	}
	defer added.Close()
	if err := copyRange(io.NewOffsetWriter(writer{b}, a.Size), added, 0, a.Bytes, alive); err != nil {
		return err
	}
	if err := flush(b.f); err != nil {
		return err
	}
	return holds(b, a.Size, a.Bytes, a.SHA256, alive)
}

// writer writes to a mailbox or an archive.
type writer struct{ b *boxFile }

func (w writer) WriteAt(p []byte, off int64) (int, error) {
	if err := at("write", w.b.path); err != nil {
		return 0, err
	}
	return w.b.f.WriteAt(p, off)
}

// holds reads back what was written.
func holds(b *boxFile, off, n int64, want string, alive func() error) error {
	sha := sha256.New()
	if err := copyRange(sha, b.f, off, n, alive); err != nil {
		return err
	}
	if hex.EncodeToString(sha.Sum(nil)) != want {
		return &fs.PathError{Op: "read", Path: b.path, Err: errors.New("is not what was written")}
	}
	return nil
}

// undo takes back from the archives what was added.
func (k *work) undo() error {
	var errs []error
	for i, a := range k.w.Archives {
		if err := cut(k.archives[i], a.Size); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, k.dropMade())...)
}

// dropMade removes the archives that were made for this and are empty.
func (k *work) dropMade() error {
	var errs []error
	for i, b := range k.archives {
		errs = append(errs, dropEmpty(b, &k.w.Archives[i]))
	}
	return errors.Join(errs...)
}

func dropEmpty(b *boxFile, a *journalArchive) error {
	st, err := b.stat()
	if err != nil || !a.Made || a.Size != 0 || st.Size != 0 {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstatat(int(b.dir.Fd()), b.base, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil || now.Ino != st.Ino || now.Dev != st.Dev {
		return nil
	}
	if err := at("remove", b.path); err != nil {
		return err
	}
	return unix.Unlinkat(int(b.dir.Fd()), b.base, 0)
}

// cut shortens an archive.
func cut(b *boxFile, size int64) error {
	if st, err := b.stat(); err != nil || st.Size == size {
		return err
	}
	if err := at("truncate", b.path); err != nil {
		return err
	}
	if err := b.f.Truncate(size); err != nil {
		return err
	}
	return flush(b.f)
}

// equalAt tells whether the bytes of r at off are b.
func equalAt(r io.ReaderAt, off int64, b []byte) (bool, error) {
	have := make([]byte, len(b))
	if _, err := io.ReadFull(io.NewSectionReader(r, off, int64(len(b))), have); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, err
	}
	return bytes.Equal(have, b), nil
}
