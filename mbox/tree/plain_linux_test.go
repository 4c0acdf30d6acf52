package tree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mailmove/mailmove/internal/oracle"
)

// between is a plain Remote whose answers a test may change, and that tells of each question before it is asked.
type between struct {
	before, after func(script string)
	edit          func(script string, answer []byte) []byte
	sent          map[string]int // bytes of the answers
}

func (b *between) remote(root string) *Remote {
	r := here(root)
	start := r.Start
	b.sent = map[string]int{}
	r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		if b.before != nil {
			b.before(script)
		}
		out, err := start(ctx, stdin, script, args...)
		if err != nil {
			return nil, err
		}
		all, err := io.ReadAll(out)
		err = errors.Join(err, out.Close())
		b.sent[script] += len(all)
		if b.edit != nil {
			all = b.edit(script, all)
		}
		if b.after != nil {
			b.after(script)
		}
		return io.NopCloser(bytes.NewReader(all)), err
	}
	return r
}

func plainPass(t *testing.T, r *Remote, dst string, opt *Options) *Report {
	t.Helper()
	rep, err := Sync(t.Context(), r, dst, opt)
	require.NoError(t, err)
	return rep
}

// A first pass, a later one with moves, links, changes and deletions, and one that has nothing to do, with find and tar.
func TestPlainPasses(t *testing.T) {
	src, dst := roots(t)
	everything(t, filepath.Join(src, "home/alice/x"))
	opt := &Options{Pairs: store(t, src), State: filepath.Join(t.TempDir(), "state"), Delete: true}
	same := func() {
		t.Helper()
		for _, pr := range opt.Pairs {
			sameTrees(t, filepath.Join(src, pr.From), filepath.Join(dst, pr.To), nil)
		}
		noTemps(t, dst)
	}
	rep := plainPass(t, here(src), dst, opt)
	require.Empty(t, rep.Problems)
	same()
	in := func(n string) string { return filepath.Join(src, "home/alice", n) }
	require.NoError(t, os.Rename(in("Maildir/cur/1.M1.h:2,"), in("Maildir/cur/1.M1.h:2,S")))
	require.NoError(t, os.Rename(in("Maildir/cur/2.M2.h:2,"), in("Maildir/.Sent/cur/2.M2.h:2,F")))
	require.NoError(t, os.Link(in("x/plain"), in("x/further")))
	require.NoError(t, os.Chmod(in("x/big"), 0o640))
	require.NoError(t, os.RemoveAll(in("x/deep/er")))
	write(t, in(`x/\101 -r "$(id)" \n`), "any byte\n")
	write(t, in("x/line\nend"), "any byte\n")
	write(t, in("mail/Sent"), mail+mail+mail)
	rep = plainPass(t, here(src), dst, opt)
	require.Empty(t, rep.Problems)
	require.EqualValues(t, 2, rep.Renamed)
	require.EqualValues(t, 1, rep.Linked)
	require.Positive(t, rep.Deleted)
	same()
	before := stats(t, dst)
	rep = plainPass(t, here(src), dst, opt)
	require.Zero(t, rep.CopiedFiles+rep.Metadata+rep.Linked+rep.Renamed+rep.Deleted)
	require.Equal(t, before, stats(t, dst))
	v, err := Verify(t.Context(), here(src), dst, opt, ByHash)
	require.NoError(t, err)
	require.Empty(t, v.Problems)
}

// A user swaps what is his between two looks, and swaps it back: nothing of root's or of others is read for him, not
// even where he shares a directory and root has to read.
func TestPlainSwapped(t *testing.T) {
	oracle.Root(t)
	for name, shared := range map[string]os.FileMode{"his own": 0o700, "shared": 0o770} {
		for _, victim := range []string{"h/d", "h/d/f", "h/d/cur/f"} {
			t.Run(name+" "+victim, func(t *testing.T) {
				src, dst := roots(t)
				outside := filepath.Join(t.TempDir(), "outside")
				for _, n := range []string{"f", "cur/f"} {
					write(t, filepath.Join(outside, n), "SECRET")
					write(t, filepath.Join(src, "h/d", n), "mine..")
					age(t, filepath.Join(outside, n))
				}
				for _, n := range []string{"h/d/f", "h/d/cur/f", "h/d/cur", "h/d"} {
					age(t, filepath.Join(src, n))
				}
				require.NoError(t, os.Chmod(filepath.Join(src, "h/d"), shared))
				ownedBy(t, filepath.Join(src, "h"), 666)
				path, aside := filepath.Join(src, victim), filepath.Join(src, "h/aside")
				to := filepath.Join(outside, strings.TrimPrefix(strings.TrimPrefix(victim, "h/d"), "/"))
				b := &between{before: func(script string) {
					if script == fetchScript {
						require.NoError(t, os.Rename(path, aside))
						require.NoError(t, os.Symlink(to, path))
					}
				}, after: func(script string) {
					if script == fetchScript {
						require.NoError(t, os.Remove(path))
						require.NoError(t, os.Rename(aside, path))
					}
				}}
				_, err := Sync(t.Context(), b.remote(src), dst, nil)
				require.NoError(t, err)
				notCopied(t, dst, "SECRET")
				require.Empty(t, plainPass(t, here(src), dst, nil).Problems)
				sameTrees(t, filepath.Join(src, "h/d"), filepath.Join(dst, "h/d"), nil)
			})
		}
	}
}

// What the other host sends may be anything: it gives an error or a problem, and neither a write elsewhere nor half a file.
func TestPlainLies(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "h/f"), strings.Repeat("f", 5000))
	write(t, filepath.Join(src, "h/Maildir/cur/1"), "one")
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	plainPass(t, here(src), dst, opt)
	swap := func(old, now string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(now)) }
	}
	whole := stats(t, dst)
	for name, edit := range map[string]func([]byte) []byte{
		"up":             swap("./h/f", "./../"),
		"absolute":       swap("./h/f", "//etc"),
		"dot":            swap("./h/f", "./h/."),
		"nothing":        func([]byte) []byte { return nil },
		"no end":         func(b []byte) []byte { return b[:bytes.LastIndexByte(b, 'E')] },
		"twice":          func(b []byte) []byte { return append(b, b...) },
		"huge":           swap(" 5000 ", " 99999999999999999999 "),
		"a word":         swap(" 5000 ", " x "),
		"an open word":   func(b []byte) []byte { return append(b[:100], bytes.Repeat([]byte("x"), 2<<20)...) },
		"another answer": func([]byte) []byte { return []byte("bash: find: command not found\n") },
	} {
		b := &between{edit: func(script string, all []byte) []byte {
			if script == listScript {
				return edit(all)
			}
			return all
		}}
		_, err := Sync(t.Context(), b.remote(src), dst, opt)
		require.Error(t, err, name)
		require.Equal(t, whole, stats(t, dst), name)
	}
}

// Wherever the stream of content breaks, or is told to be another, no name has half a file, and a later pass completes.
func TestPlainLineBreaksAnywhere(t *testing.T) {
	src, dst := roots(t)
	files := map[string]string{}
	for i := range 4 {
		for _, n := range []string{"h/Maildir/cur/%d", "h/mail/box%d"} {
			files[fmt.Sprintf(n, i)] = mail + strings.Repeat(string(rune('a'+i)), 900*i)
			write(t, filepath.Join(src, fmt.Sprintf(n, i)), files[fmt.Sprintf(n, i)])
		}
	}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	var answer []byte
	b := &between{edit: func(script string, all []byte) []byte {
		if script == fetchScript {
			answer = bytes.Clone(all)
		}
		return all
	}}
	plainPass(t, b.remote(src), filepath.Join(t.TempDir()), nil)
	edits := []func([]byte) []byte{
		func(b []byte) []byte { return append(b[:512:512], b...) },
		func(b []byte) []byte { return append([]byte("garbage"), b...) },
		func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("./h/"), []byte("../.")) },
		func(b []byte) []byte { return bytes.Replace(b, []byte("ustar"), []byte("xstar"), 3) },
	}
	for n := 1; n < len(answer); n += 1 + len(answer)/10 {
		edits = append(edits, func(b []byte) []byte { return b[:min(n, len(b))] })
	}
	for i, edit := range edits {
		b := &between{edit: func(script string, all []byte) []byte {
			if script == fetchScript {
				return edit(all)
			}
			return all
		}}
		rep, err := Sync(t.Context(), b.remote(src), dst, opt)
		require.True(t, err != nil || len(rep.Problems) > 0, "edit %d", i)
		require.Zero(t, rep.Deleted)
		got, _ := look(t, dst)
		for path, text := range files {
			if s, ok := got[path]; ok {
				require.EqualValues(t, len(text), s.size, "edit %d: %s", i, path)
			}
		}
		noTemps(t, dst)
	}
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	sameTrees(t, src, dst, nil)
}

// An index is of no use when its mailbox got mail since it was looked at.
func TestPlainIndexNeverOvertakes(t *testing.T) {
	src, dst := roots(t)
	pairs := store(t, src)
	opt := &Options{Pairs: pairs, State: filepath.Join(t.TempDir(), "state")}
	plainPass(t, here(src), dst, opt)
	index, box := filepath.Join(src, "home/alice/mail/.imap/INBOX/dovecot.index"), filepath.Join(src, "var/mail/alice")
	write(t, index, "newer")
	b := &between{after: func(script string) {
		if script == listScript {
			require.NoError(t, os.WriteFile(box, []byte(mail+mail+mail), 0o600))
		}
	}}
	_, err := Sync(t.Context(), b.remote(src), dst, opt)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dst, "home/alice/mail/.imap/INBOX/dovecot.index"))
	require.NoError(t, err)
	require.NotEqual(t, "newer", string(got))
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	got, err = os.ReadFile(filepath.Join(dst, "home/alice/mail/.imap/INBOX/dovecot.index"))
	require.NoError(t, err)
	require.Equal(t, "newer", string(got))
}

// tar sends zeros for what a file lost while it was read, and says so.
func TestPlainShrunk(t *testing.T) {
	says := []string{"tar: ./h/cur/a\\nb\\:2,: File shrank by 5 bytes; padding with zeros", "tar: Exiting with failure status due to previous errors"}
	d := &dir{path: "h/cur", from: "h/cur", messages: true, book: &book{}, pair: &pairRun{}}
	q := func(name string) request {
		return request{path: "h/cur/" + name, it: &item{d: d, name: name}, state: arrived}
	}
	f := &flight{courier: &courier{r: &remote{plain: true}}, batch: []request{q("a\nb:2,"), q("c")}, says: map[int]string{},
		at: map[string][]int{"h/cur/a\nb:2,": {0}, "h/cur/c": {1}}}
	require.NoError(t, f.hear(says))
	require.Equal(t, []fate{warned, arrived}, []fate{f.batch[0].state, f.batch[1].state})
	require.Error(t, f.hear([]string{"tar: ./other: Read error at byte 0, while reading 512 bytes: Input/output error"}))
	require.Error(t, f.hear([]string{"tar: Error is not recoverable: exiting now"}))
}

func TestPlainNeedsItsTools(t *testing.T) {
	src, dst := roots(t)
	bin := t.TempDir()
	for _, p := range []string{"find", "head", "xargs", "sha256sum", "date", "grep", "sh", "id"} {
		at, err := filepath.EvalSymlinks("/usr/bin/" + p)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(at, filepath.Join(bin, p)))
	}
	r := here(src)
	start := r.Start
	r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		return start(ctx, stdin, "PATH="+bin+"; export PATH\n"+script, args...)
	}
	_, err := Sync(t.Context(), r, dst, nil)
	require.ErrorContains(t, err, "the old host has no tar")
}

func TestPlainCancelled(t *testing.T) {
	src, dst := roots(t)
	for i := range 50 {
		write(t, filepath.Join(src, fmt.Sprintf("h/Maildir/cur/%d", i)), mail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &between{after: func(script string) {
		if script == fetchScript {
			cancel()
		}
	}}
	_, err := Sync(ctx, b.remote(src), dst, nil)
	require.ErrorIs(t, err, context.Canceled)
	noTemps(t, dst)
	require.Empty(t, plainPass(t, here(src), dst, nil).Problems)
	sameTrees(t, src, dst, nil)
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("Hboot\x001.5\x002\x00find tar\x00d1 2 755 2 0 0 4096 8 1.5 2 3\x00.\x00\x00f1 3 644 1 0 0 5 8 -1.5 2 3\x00./a\x00\x00E0\x00\x00"))
	f.Add([]byte("H\x001\x001\x00\x00f1 2 3\x00x\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := newManifest()
		require.NoError(t, err)
		defer m.file.Close()
		if m.add(bytes.NewReader(b)) != nil {
			return
		}
		for dir := range m.at {
			names, err := m.dir(dir)
			require.NoError(t, err)
			for _, k := range names {
				require.True(t, validPath(k.name))
				require.NotContains(t, k.name, "/")
				require.GreaterOrEqual(t, k.st.size, int64(0))
			}
		}
	})
}

func FuzzArchives(f *testing.F) {
	f.Add([]byte("MAILMOVE tar: x\x00"))
	f.Add(append([]byte("MAILMOVE/d\x00"), append(make([]byte, 1024), "MAILMOVE \x00"...)...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		a := &archives{in: bufio.NewReader(bytes.NewReader(b)), dir: "."}
		for {
			h, err := a.next()
			if err != nil {
				return
			}
			_ = sameHeader(h, &stat{mode: unix.S_IFREG})
			_ = attrsIn(h)
			_, _ = io.Copy(io.Discard, io.LimitReader(a, 1<<20))
		}
	})
}

// Large records are for large archives: the zeros behind small ones would be what comes through the line last of all.
func TestPlainRecordsFitTheirArchives(t *testing.T) {
	for size, want := range map[int]bool{1000: false, largeArchive - 1: false, largeArchive: true} {
		src, dst := t.TempDir(), t.TempDir()
		write(t, filepath.Join(src, "box"), strings.Repeat("x", size))
		b := &between{}
		r := b.remote(src)
		start, large := r.Start, false
		r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
			if script == fetchScript {
				large = strings.HasSuffix(args[len(args)-1], " -b 128")
			}
			return start(ctx, stdin, script, args...)
		}
		plainPass(t, r, dst, nil)
		got, err := os.ReadFile(filepath.Join(dst, "box"))
		require.NoError(t, err)
		require.Len(t, got, size)
		require.Equal(t, want, large, "%d bytes", size)
		if !want {
			require.Less(t, b.sent[fetchScript], size+4*10<<10)
		}
	}
}
