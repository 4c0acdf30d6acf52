package mbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// place is a spool, a directory for archives and one for journals.
type place struct {
	t    testing.TB
	dir  string
	rule *Archive
}

func newPlace(t testing.TB) *place {
	t.Helper()
	// In memory where that is possible: the many fsyncs are slow on a busy disk.
	dir, err := os.MkdirTemp("/dev/shm", "archive")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"mail", "old"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	p := &place{t: t, dir: dir}
	p.rule = &Archive{Before: cutoff, Into: p.path("old/%f"), Journal: p.path("journal"), Wait: -1, Location: time.UTC}
	return p
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, content string) string {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(p.path(name), []byte(content), 0o600))
	return p.path(name)
}

func (p *place) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	require.NoError(p.t, err)
	return string(b)
}

// names lists what is in a directory.
func (p *place) names(dir string) []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.path(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(p.t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (p *place) plan(box string) *ArchivePlan {
	p.t.Helper()
	plan, err := p.rule.Plan(context.Background(), box)
	require.NoError(p.t, err)
	return plan
}

func (p *place) apply(box string) *ArchiveReceipt {
	p.t.Helper()
	got, err := p.plan(box).Apply(context.Background())
	require.NoError(p.t, err)
	require.Empty(p.t, p.names("journal"))
	return got
}

var (
	oldA = dated(2012, "X-IMAPbase: 1420070401 0000000010", "X-UID: 1")
	newB = dated(2016, "X-UID: 2", "Status: RO")
	oldC = dated(2013, "X-UID: 3")
	newD = dated(2017, "X-UID: 4")
	heir = dated(2016, "X-IMAPbase: 1420070401 0000000010", "X-UID: 2", "Status: RO")
)

func TestArchiveApply(t *testing.T) {
	p := newPlace(t)
	box := p.write("mail/anna", oldA+newB+oldC+newD)
	was, err := os.Stat(box)
	require.NoError(t, err)
	got := p.apply(box)
	require.Equal(t, &ArchiveReceipt{Messages: 2, Bytes: int64(len(oldA + oldC)),
		Targets: []ArchiveTarget{{Path: p.path("old/anna"), Messages: 2, Bytes: int64(len(oldA + oldC))}}}, got)
	require.Equal(t, heir+newD, p.read("mail/anna"))
	require.Equal(t, oldA+oldC, p.read("old/anna"))
	now, err := os.Stat(box)
	require.NoError(t, err)
	require.True(t, os.SameFile(was, now), "the file is the same")
	require.Equal(t, []string{"anna"}, p.names("mail"))
	require.Equal(t, []string{"anna"}, p.names("old"))
	info, err := os.Stat(p.path("old/anna"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	require.NoError(t, p.plan(box).Verify(t.Context()))
	require.Zero(t, p.apply(box).Messages, "a second run finds nothing to do")
	again, err := os.Stat(box)
	require.NoError(t, err)
	require.Equal(t, now.ModTime(), again.ModTime())

	// More mail goes behind what the archive holds.
	p.write("mail/anna", heir+oldC)
	require.Equal(t, 1, p.apply(box).Messages)
	require.Equal(t, oldA+oldC+oldC, p.read("old/anna"))
}

func TestArchiveMissingLineEnds(t *testing.T) {
	p := newPlace(t)
	box := p.write("mail/anna", newD+strings.TrimSpace(oldC))
	p.write("old/anna", strings.TrimSpace(newB))
	p.apply(box)
	require.Equal(t, newD, p.read("mail/anna"))
	require.Equal(t, strings.TrimSpace(newB)+"\n"+strings.TrimSpace(oldC)+"\n", p.read("old/anna"))
}

func TestArchiveOfAll(t *testing.T) {
	p := newPlace(t)
	small := dated(2012, "X-IMAPbase: 1420070401 0000000010", "X-UID: 1") // shorter than the pseudo message
	box := p.write("mail/anna", small)
	p.apply(box)
	require.Equal(t, small, p.read("old/anna"))
	ms, sum := scan(t, p.read("mail/anna"), nil)
	require.True(t, ms[0].Pseudo)
	require.EqualValues(t, 11, sum.UIDNext)
	require.Zero(t, p.apply(box).Messages, "the pseudo message stays")
	box = p.write("mail/bob", dated(2012, "S: 1"))
	p.apply(box)
	require.Empty(t, p.read("mail/bob"))
}

func TestArchiveCompressed(t *testing.T) {
	for suffix, open := range map[string]func(io.Reader) (io.Reader, error){
		".gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		".zst": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	} {
		p := newPlace(t)
		p.rule.Into += suffix
		box := p.write("mail/anna", oldA+newB)
		p.apply(box)
		p.write("mail/anna", heir+oldC)
		p.apply(box)
		r, err := open(strings.NewReader(p.read("old/anna" + suffix)))
		require.NoError(t, err)
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, oldA+oldC, string(all))
		tool := map[string]string{".gz": "gzip", ".zst": "zstd"}[suffix]
		out, err := exec.Command(oracle.Need(t, tool), "-dc", p.path("old/anna"+suffix)).Output()
		require.NoError(t, err)
		require.Equal(t, oldA+oldC, string(out))

		p.write("old/anna"+suffix, "no member or frame")
		p.write("mail/anna", oldA)
		_, err = p.plan(box).Apply(t.Context())
		require.ErrorContains(t, err, "holds something else than archived mail")
		require.Equal(t, oldA, p.read("mail/anna"))
	}
}

func TestArchiveByYear(t *testing.T) {
	p := newPlace(t)
	p.rule.Into = p.path("old/%f/%Y.mbox")
	box := p.write("mail/anna", oldA+newB+oldC)
	p.apply(box)
	require.Equal(t, oldA, p.read("old/anna/2012.mbox"))
	require.Equal(t, oldC, p.read("old/anna/2013.mbox"))
	info, err := os.Stat(p.path("old/anna"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	p.rule.Into = p.path("absent/%f")
	p.write("mail/anna", oldA+newB)
	_, err = p.plan(box).Apply(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist, "a directory that the template names outright has to exist")
	require.Equal(t, oldA+newB, p.read("mail/anna"))
}

func TestArchiveTimes(t *testing.T) {
	base := "X-IMAPbase: 1420070401 0000000010"
	gone := dated(2012, base, "X-UID: 1")
	stays := dated(2016, "X-UID: 2")
	filler := len(gone) - len(base) - 1 // a mailbox that loses as many bytes as X-IMAPbase takes
	for _, c := range []struct {
		name, src      string
		atime, mtime   int64
		equal, newMail bool
	}{
		{"new mail", gone + stays, 1000, 2000, false, true},
		{"read", gone + stays, 2000, 2000, false, false},
		{"in the future", gone + stays, 1000, time.Now().Unix() + 5000, false, true},
	} {
		p := newPlace(t)
		box := p.write("mail/anna", c.src)
		require.Positive(t, filler)
		require.NoError(t, os.Chtimes(box, time.Unix(c.atime, 0), time.Unix(c.mtime, 0)))
		p.apply(box)
		var st unix.Stat_t
		require.NoError(t, unix.Stat(box, &st))
		require.Greater(t, moment(st.Mtim)[0], c.mtime, c.name)
		if c.newMail {
			require.EqualValues(t, c.atime, st.Atim.Sec, c.name)
		} else {
			require.Equal(t, st.Mtim, st.Atim, c.name)
		}
	}
}

func TestArchiveKeepsAccessTimeWhenPlanning(t *testing.T) {
	p := newPlace(t)
	box := p.write("mail/anna", oldA+newB)
	require.NoError(t, os.Chtimes(box, time.Unix(1000, 0), time.Unix(2000, 0)))
	p.plan(box)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(box, &st))
	require.EqualValues(t, 1000, st.Atim.Sec)
}

func TestArchiveDrift(t *testing.T) {
	p := newPlace(t)
	box := p.write("mail/anna", oldA+newB+oldC)
	plan := p.plan(box)
	p.write("mail/anna", oldA+newB+oldC+newD)
	got, err := plan.Apply(t.Context())
	require.NoError(t, err, "mail that came in the meantime is no drift")
	require.Equal(t, 2, got.Messages)
	require.Equal(t, heir+newD, p.read("mail/anna"))

	p.write("mail/anna", oldA+newB+oldC)
	plan = p.plan(box)
	for _, changed := range []string{oldA + oldC + newB, newB + oldC} {
		p.write("mail/anna", changed)
		before := p.read("old/anna")
		_, err = plan.Apply(t.Context())
		require.ErrorIs(t, err, ErrDrift)
		require.Equal(t, changed, p.read("mail/anna"))
		require.Equal(t, before, p.read("old/anna"))
	}
	require.ErrorIs(t, plan.Verify(t.Context()), ErrDrift)
	p.write("mail/anna", newB)
	got, err = plan.Apply(t.Context())
	require.NoError(t, err, "as wanted already")
	require.Zero(t, got.Messages)
	require.Equal(t, newB, p.read("mail/anna"))
	require.Empty(t, p.names("journal"))
}

func TestArchiveLocked(t *testing.T) {
	for _, held := range []string{"mail/anna", "old/anna"} {
		p := newPlace(t)
		box := p.write("mail/anna", oldA+newB)
		if held != "mail/anna" {
			p.write(held, newD)
		}
		p.write(held+".lock", fmt.Sprint(os.Getppid()))
		_, err := p.plan(box).Apply(t.Context())
		require.ErrorIs(t, err, ErrBusy)
		require.ErrorContains(t, err, "anna.lock")
		require.Equal(t, oldA+newB, p.read("mail/anna"))
		require.Empty(t, p.names("journal"))
		if held == "mail/anna" {
			require.Empty(t, p.names("old"))
		}
		require.NotContains(t, p.names("mail"), map[string]string{"mail/anna": "", "old/anna": "anna.lock"}[held])

		// It is tried again until the lock is free.
		p.rule.Wait = time.Minute
		plan := p.plan(box)
		time.AfterFunc(300*time.Millisecond, func() { os.Remove(p.path(held + ".lock")) })
		_, err = plan.Apply(t.Context())
		require.NoError(t, err)
		require.Equal(t, heir, p.read("mail/anna"))
	}
}

func TestArchiveCancelled(t *testing.T) {
	p := newPlace(t)
	p.rule.Wait = time.Minute
	box := p.write("mail/anna", oldA+newB)
	p.write("mail/anna.lock", fmt.Sprint(os.Getppid()))
	ctx, cancel := context.WithCancel(t.Context())
	plan := p.plan(box)
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := plan.Apply(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, oldA+newB, p.read("mail/anna"))
}

// A disk that is full at any write: all is as before, or the next run completes it.
func TestArchiveDiskFull(t *testing.T) {
	defer func() { atStep, chunk = nil, 1<<20 }()
	chunk = sector
	src := oldA + newB + dated(2013, "X-UID: 3", "X: "+strings.Repeat("x", 2000)) + dated(2018, "X-UID: 4", "X: "+strings.Repeat("y", 3000))
	for n := 1; ; n++ {
		p := newPlace(t)
		p.rule.Into = p.path("old/%Y")
		box := p.write("mail/anna", src)
		plan := p.plan(box)
		calls := 0
		atStep = func(op, name string) error {
			if calls++; calls == n && op != "remove" {
				return syscall.ENOSPC
			}
			return nil
		}
		_, err := plan.Apply(t.Context())
		atStep = nil
		if calls < n {
			require.Greater(t, n, 20)
			break
		}
		if err == nil {
			continue // it was a removal
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		if len(p.names("journal")) == 0 {
			require.Equal(t, src, p.read("mail/anna"))
			require.Empty(t, p.names("old"))
		}
		recovered, err := p.rule.Recover(t.Context())
		require.NoError(t, err)
		for _, r := range recovered {
			require.NoError(t, r.Err)
		}
		exactlyOnce(t, p, src, "")
	}
}

// exactlyOnce looks for each message of src, which only their body tells apart, in the mailbox and all archives.
func exactlyOnce(t testing.TB, p *place, src, delivered string) {
	t.Helper()
	var all bytes.Buffer
	box := p.read("mail/anna")
	all.WriteString(box)
	for _, name := range p.names("old") {
		require.False(t, strings.HasSuffix(name, ".lock"))
		all.WriteString(p.read("old/" + name))
	}
	ms, _ := scan(t, src+delivered, nil)
	total := 0
	for _, m := range ms {
		text := (src + delivered)[m.Offset:m.Next]
		line, _, _ := strings.Cut(text, "\n")
		require.Equal(t, 1, strings.Count(all.String(), line), "%s", line)
		total++
	}
	now, sum := scan(t, box, nil)
	require.EqualValues(t, 11+strings.Count(delivered, "\nS: "), sum.UIDNext)
	require.NotEmpty(t, now)
	require.Empty(t, p.names("journal"))
	require.Equal(t, []string{"anna"}, p.names("mail"))
}
