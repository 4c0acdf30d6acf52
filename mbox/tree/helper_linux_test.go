package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lineTo is a way to a helper that runs in this process; it counts what comes and can break.
type lineTo struct {
	mu     sync.Mutex
	starts int
	asked  map[string]int   // requests
	came   map[string]int64 // bytes by request
	limit  int64            // so many bytes of content come, then it breaks; 0: all
	edit   func(verb string, answer []byte) []byte
}

// helper is a Remote over that line.
func (l *lineTo) helper(root string) *Remote {
	l.came, l.asked, l.starts = map[string]int64{}, map[string]int{}, 0
	return &Remote{Root: root, Helper: []string{"helper"}, Start: func(ctx context.Context, stdin io.Reader, _ string, _ ...string) (io.ReadCloser, error) {
		out, in := io.Pipe()
		s := &served{PipeReader: out, done: make(chan error, 1)}
		l.mu.Lock()
		l.starts++
		l.mu.Unlock()
		stop := context.AfterFunc(ctx, func() { in.CloseWithError(io.EOF) })
		go func() {
			defer stop()
			err := serveEach(ctx, stdin, in, func(ctx context.Context, words []string, stdin io.Reader, w io.Writer) error {
				return l.answer(ctx, words, stdin, w, s, in)
			})
			in.Close()
			s.done <- err
		}()
		return s, nil
	}}
}

func (l *lineTo) answer(ctx context.Context, words []string, stdin io.Reader, w io.Writer, s *served, in *io.PipeWriter) error {
	l.mu.Lock()
	l.asked[words[0]]++
	edit := l.edit
	l.mu.Unlock()
	c := &counted{l: l, verb: words[0], w: w, cut: func() {
		s.cut.Store(true)
		in.Close()
	}}
	if edit == nil {
		return serve(ctx, words, stdin, c)
	}
	var all bytes.Buffer
	err := serve(ctx, words, stdin, &all)
	_, _ = c.Write(edit(words[0], all.Bytes()))
	return err
}

// counted is the answer to one request.
type counted struct {
	l    *lineTo
	verb string
	w    io.Writer
	cut  func()
}

func (c *counted) Write(b []byte) (int, error) {
	c.l.mu.Lock()
	left, cut := int64(len(b)), false
	if c.verb == "fetch" && c.l.limit > 0 {
		left = min(left, c.l.limit-c.l.came["fetch"])
		cut = left < int64(len(b))
	}
	c.l.came[c.verb] += left
	c.l.mu.Unlock()
	n, err := c.w.Write(b[:left])
	if cut {
		c.cut()
		return n, io.ErrClosedPipe
	}
	return n, err
}

type served struct {
	*io.PipeReader
	done chan error
	cut  atomic.Bool
}

var errBroken = errors.New("the line broke")

func (s *served) Close() error {
	s.PipeReader.Close()
	err := <-s.done
	if s.cut.Load() {
		return errBroken
	}
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// A Dir, find and tar, and the program on the other side give the same tree, in the first pass and in a later one.
func TestSourcesAgree(t *testing.T) {
	src, _ := roots(t)
	everything(t, filepath.Join(src, "home/alice/x"))
	pairs := store(t, src)
	write(t, filepath.Join(src, "home/alice/mail/Big"), strings.Repeat(mail, 20000))
	sources := map[string]Source{"dir": Dir(src), "plain": here(src), "helper": new(lineTo).helper(src)}
	opts := map[string]*Options{}
	dsts := map[string]string{}
	for name := range sources {
		dsts[name] = filepath.Join(t.TempDir(), "new")
		require.NoError(t, os.Mkdir(dsts[name], 0o755))
		opts[name] = &Options{Pairs: pairs, State: filepath.Join(t.TempDir(), "state"), Delete: true}
	}
	pass := func() {
		t.Helper()
		for _, name := range []string{"dir", "plain", "helper"} { // what locks comes first: it changes times
			rep, err := Sync(t.Context(), sources[name], dsts[name], opts[name])
			require.NoError(t, err, name)
			require.Empty(t, rep.Problems, name)
		}
		for _, name := range []string{"plain", "helper"} {
			for _, pr := range pairs {
				sameTrees(t, filepath.Join(src, pr.From), filepath.Join(dsts[name], pr.To), func(path string, s *shot) {
					if filepath.Base(path) == "mail" || path == "mail/Lists" { // a later dotlock of another pass
						got, err := os.Lstat(filepath.Join(dsts[name], pr.To, path))
						require.NoError(t, err)
						s.mtime = got.Sys().(*syscall.Stat_t).Mtim
					}
				})
			}
			noTemps(t, dsts[name])
		}
	}
	pass()
	in := func(n string) string { return filepath.Join(src, "home/alice", n) }
	require.NoError(t, os.Rename(in("Maildir/cur/1.M1.h:2,"), in("Maildir/cur/1.M1.h:2,S")))
	require.NoError(t, os.RemoveAll(in("Maildir/.Sent")))
	require.NoError(t, os.Remove(in("x/acl")))
	require.NoError(t, os.Symlink("elsewhere", in("x/acl")))
	write(t, in("x/sparse"), "short now")
	b, err := os.ReadFile(in("mail/Big"))
	require.NoError(t, err)
	copy(b[len(b)/2:], "Subject: T") // somewhere in a message
	write(t, in("mail/Big"), string(b)+mail)
	pass()
	pass()
}

// A pass in which nothing changed looks at directories of messages only from outside.
func TestHelperTrustsDirectories(t *testing.T) {
	src, dst := roots(t)
	const dirs, files = 6, 50
	inFolders(t, src, dirs, files)
	l := &lineTo{}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Canaries: -1}
	sync := func() *Report {
		t.Helper()
		rep, err := Sync(t.Context(), l.helper(src), dst, opt)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		return rep
	}
	sync()
	time.Sleep(racySlack)
	sync()
	rep := sync()
	require.EqualValues(t, dirs*files, rep.Unchanged)
	require.GreaterOrEqual(t, rep.TrustedDirs, int64(dirs))
	require.EqualValues(t, dirs*files, rep.Guarantees.DirUnchanged)
	require.Less(t, l.came["manifest"], int64((2*dirs+8)*200), "records of messages came")
	require.Zero(t, l.came["fetch"]+l.came["sum"])

	// One that was changed in place is seen by a canary there, and then all is looked at.
	path := filepath.Join(src, "home/alice/Maildir/.f3/cur/7.M7.h:2,")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("MESSAGE")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	age(t, path)
	require.Empty(t, sync().Full)
	opt.Canaries = 2 * dirs // new, too
	rep = sync()
	require.NotEmpty(t, rep.Full)
	require.EqualValues(t, 1, rep.CopiedFiles)
	sameTrees(t, src, dst, nil)
}

// Of a large mailbox that changed, what is new comes through the line.
func TestHelperSendsWhatIsNew(t *testing.T) {
	src, dst := roots(t)
	box := filepath.Join(src, "var/mail/alice")
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "From a@b Thu Jan  1 00:00:01 2015\nFrom: a@b\nStatus: O \nSubject: s%d\n\n%s\n\n", i, strings.Repeat(fmt.Sprint("line ", i, "\n"), 200))
	}
	write(t, box, b.String())
	l := &lineTo{}
	opt := &Options{State: filepath.Join(t.TempDir(), "state")}
	_, err := Sync(t.Context(), l.helper(src), dst, opt)
	require.NoError(t, err)
	require.Greater(t, l.came["fetch"], int64(b.Len()))
	parts := strings.SplitAfter(b.String(), "\n\nF")
	for i := 0; i < len(parts); i += 100 {
		parts[i] = strings.Replace(parts[i], "Status: O ", "Status: RO", 1)
	}
	parts[1000], parts[2000] = "", ""
	write(t, box, strings.Join(parts, "")+mail)
	rep, err := Sync(t.Context(), l.helper(src), dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.Less(t, l.came["fetch"], int64(b.Len()/50))
	sameTrees(t, filepath.Join(src, "var/mail"), filepath.Join(dst, "var/mail"), nil)

	// The copy here changes while the answer is under way: then all of it comes.
	write(t, box, strings.Join(parts[1:], "")+mail)
	l.edit = func(verb string, answer []byte) []byte {
		if verb == "fetch" {
			l.edit = nil
			f, err := os.OpenFile(filepath.Join(dst, "var/mail/alice"), os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte("x"), 4<<20), 0)
			require.NoError(t, errors.Join(err, f.Close()))
		}
		return answer
	}
	edit := l.edit
	r := l.helper(src)
	l.edit = edit
	rep, err = Sync(t.Context(), r, dst, opt)
	require.NoError(t, err)
	require.Contains(t, strings.Join(problems(rep), "\n"), "changed at the target", "what somebody wrote there is not replaced")
	noTemps(t, dst)
}

// Wherever the line breaks, each name has its old or its new content, and the next pass completes the work.
func TestHelperLineBreaksAnywhere(t *testing.T) {
	src, dst := roots(t)
	pairs := store(t, src)
	box := "home/alice/mail/Large"
	big := strings.Repeat(mail, 8000)
	write(t, filepath.Join(src, box), big)
	l := &lineTo{}
	opt := &Options{Pairs: pairs, State: filepath.Join(t.TempDir(), "state"), Delete: true}
	_, err := Sync(t.Context(), l.helper(src), filepath.Join(dst), &Options{Pairs: pairs})
	require.NoError(t, err)
	whole := l.came["fetch"]
	require.NoError(t, os.RemoveAll(dst))
	require.NoError(t, os.Mkdir(dst, 0o755))
	cuts := 0
	for n := int64(1); n < whole; n += 1 + whole/60 {
		if n%3 == 0 { // begin anew, else go on
			require.NoError(t, os.RemoveAll(dst))
			require.NoError(t, os.Mkdir(dst, 0o755))
			require.NoError(t, os.RemoveAll(opt.State))
		}
		write(t, filepath.Join(src, box), big+strings.Repeat(mail, int(n%7)))
		write(t, filepath.Join(src, "home/alice/mail/.imap/Large/dovecot.index"), fmt.Sprint("index ", n))
		r := l.helper(src)
		l.limit = n
		rep, err := Sync(t.Context(), r, dst, opt)
		if err != nil {
			cuts++
		} else {
			require.Empty(t, rep.Problems)
		}
		got, _ := look(t, dst)
		for path, s := range got {
			if filepath.Base(path) == "Large" && s.typ == 0o100000 {
				require.Zero(t, s.size%int64(len(mail)), "half a file: %s", path)
				require.GreaterOrEqual(t, s.size, int64(len(big)))
			}
		}
	}
	require.Greater(t, cuts, 20)
	r := l.helper(src)
	l.limit = 0
	rep, err := Sync(t.Context(), r, dst, opt)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	for _, pr := range pairs {
		sameTrees(t, filepath.Join(src, pr.From), filepath.Join(dst, pr.To), nil)
	}
	noTemps(t, dst)
	left, err := filepath.Glob(filepath.Join(src, "*/*/*.lock"))
	require.NoError(t, err)
	require.Empty(t, left)
}
