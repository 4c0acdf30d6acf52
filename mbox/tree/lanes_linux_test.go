package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// batchesOf makes each batch of a courier so small for one test.
func batchesOf(t *testing.T, n int) {
	before := batchRequests
	batchRequests = n
	t.Cleanup(func() { batchRequests = before })
}

// folders makes Maildirs of another host with so many messages each.
func folders(t *testing.T, src string, dirs, messages int) {
	t.Helper()
	for d := range dirs {
		for m := range messages {
			write(t, filepath.Join(src, fmt.Sprintf("home/bob/Maildir/.f%d/cur/%d.M%d.h:2,", d, m, m)), strings.Repeat(fmt.Sprint("message ", d, " ", m, "\n"), m*m))
		}
	}
}

// However small the batches are, and though two are received at a time, a first pass and a later one give the same tree: hard links
// from one batch to another, indexes and mailboxes in different ones.
func TestBatchesSideBySide(t *testing.T) {
	for _, n := range []int{1, 3, 20} {
		for _, kind := range []string{"plain", "helper"} {
			if kind == "plain" && n != 3 {
				continue // each is a find and a tar
			}
			t.Run(fmt.Sprint(kind, " ", n), func(t *testing.T) {
				batchesOf(t, n)
				src, dst := roots(t)
				everything(t, filepath.Join(src, "home/alice/x"))
				pairs := append(store(t, src), Pair{"home/bob", "home/bob"})
				folders(t, src, 3, 12)
				in := func(n string) string { return filepath.Join(src, "home/bob/Maildir", n) }
				require.NoError(t, os.Mkdir(in("linked"), 0o700))
				for m := range 12 {
					require.NoError(t, os.Link(in(fmt.Sprintf(".f0/cur/%d.M%d.h:2,", m, m)), in(fmt.Sprint("linked/", m))))
				}
				source := func() *Remote {
					if kind == "plain" {
						return here(src)
					}
					return new(lineTo).helper(src)
				}
				opt := &Options{Pairs: pairs, State: filepath.Join(t.TempDir(), "state"), Delete: true}
				for pass := range 2 {
					rep, err := Sync(t.Context(), source(), dst, opt)
					require.NoError(t, err)
					require.Empty(t, rep.Problems)
					for _, pr := range pairs {
						sameTrees(t, filepath.Join(src, pr.From), filepath.Join(dst, pr.To), nil)
					}
					noTemps(t, dst)
					if pass > 0 {
						break
					}
					require.NoError(t, os.Rename(in(".f1/cur/3.M3.h:2,"), in(".f2/cur/3.M3.h:2,S")))
					write(t, filepath.Join(src, "home/alice/mail/.imap/Sent/dovecot.index"), "newer index of Sent")
					write(t, filepath.Join(src, "home/alice/mail/Sent"), mail+mail+mail)
				}
			})
		}
	}
}

// One of two lines breaks in the middle of what both bring: the pass ends with its error, nothing half stands under its name, and
// the next pass completes the work.
func TestOneOfTwoLinesBreaks(t *testing.T) {
	batchesOf(t, 10)
	src, dst := roots(t)
	folders(t, src, 4, 20)
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	for cut := range 4 {
		require.NoError(t, errors.Join(os.RemoveAll(dst), os.Mkdir(dst, 0o755), os.RemoveAll(opt.State)))
		r, mu, fetches := here(src), sync.Mutex{}, 0
		start := r.Start
		r.Start = func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
			out, err := start(ctx, stdin, script, args...)
			if err != nil || script != fetchScript {
				return out, err
			}
			mu.Lock()
			defer mu.Unlock()
			if fetches++; fetches-1 == cut {
				return limited{io.LimitReader(out, 1+4000*int64(cut)), out}, nil
			}
			return out, nil
		}
		_, err := Sync(t.Context(), r, dst, opt)
		require.ErrorIs(t, err, errCut, "cut in answer %d", cut)
		want, _ := look(t, src)
		got, _ := look(t, dst)
		for path, s := range got {
			require.True(t, s.typ != 0o100000 || s.size == want[path].size, "half a file: %s", path)
		}
		noTemps(t, dst)
	}
	require.Empty(t, plainPass(t, here(src), dst, opt).Problems)
	sameTrees(t, src, dst, nil)
}

type limited struct {
	io.Reader
	io.Closer
}

// What cannot be written in one of two batches is a problem of that file; all others come.
func TestOneOfTwoWritersFails(t *testing.T) {
	for _, kind := range []string{"plain", "helper"} {
		t.Run(kind, func(t *testing.T) {
			batchesOf(t, 10)
			src, dst := roots(t)
			folders(t, src, 4, 20)
			bad := "home/bob/Maildir/.f2/cur/7.M7.h:2,"
			require.NoError(t, os.MkdirAll(filepath.Join(dst, bad), 0o755)) // something of somebody's stands in its place
			write(t, filepath.Join(dst, bad, "theirs"), "theirs")
			var r *Remote
			if r = here(src); kind == "helper" {
				r = new(lineTo).helper(src)
			}
			rep, err := Sync(t.Context(), r, dst, &Options{State: filepath.Join(t.TempDir(), "state")})
			require.NoError(t, err)
			require.Len(t, rep.Problems, 1)
			require.Equal(t, bad, rep.Problems[0].Path)
			require.EqualValues(t, 4*20-1, rep.CopiedFiles)
			got, err := os.ReadFile(filepath.Join(dst, bad, "theirs"))
			require.NoError(t, err)
			require.Equal(t, "theirs", string(got))
			noTemps(t, dst)
		})
	}
}

// A batch in which mailboxes are locked, or indexes come, is received when no other is.
func TestMailboxesComeAlone(t *testing.T) {
	c := &courier{}
	in := func(d *dir) []request {
		return []request{{it: &item{d: &dir{messages: true}}}, {after: func(bool) {}}, {it: &item{d: d}}}
	}
	require.False(t, c.alone(in(&dir{messages: true})))
	require.False(t, c.alone(in(&dir{base: "Maildir"})))
	require.False(t, c.alone(in(&dir{messages: true, below: true})))
	for _, d := range []*dir{{mail: true}, {below: true}, {index: true}, {hold: &hold{}}} {
		require.True(t, c.alone(in(d)))
	}
	require.True(t, c.alone([]request{{watch: &stat{}}}))
}
