package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inFolders makes Maildirs.
func inFolders(t *testing.T, root string, folders, files int) (cur []string) {
	t.Helper()
	for d := range folders {
		dir := filepath.Join(root, fmt.Sprintf("home/alice/Maildir/.f%d/cur", d))
		for f := range files {
			write(t, filepath.Join(dir, fmt.Sprintf("%d.M%d.h:2,", f, f)), fmt.Sprint("message ", d, f))
		}
		for _, sub := range []string{"new", "tmp"} {
			require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(dir), sub), 0o755))
		}
		cur = append(cur, dir)
	}
	return cur
}

// A pass costs a few round trips, however many directories changed, and one start of the program.
func TestRoundTripsOfAPass(t *testing.T) {
	src, dst := roots(t)
	cur := inFolders(t, src, 12, 5)
	l := &lineTo{}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	pass := func() (*Report, map[string]int) {
		t.Helper()
		rep, err := Sync(t.Context(), l.helper(src), dst, opt)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		require.Equal(t, 1, l.starts)
		return rep, l.asked
	}
	pass()
	time.Sleep(racySlack)
	pass()
	rep, asked := pass()
	require.GreaterOrEqual(t, rep.TrustedDirs, int64(len(cur)))
	require.Equal(t, 2, asked["manifest"], "the second is that of the canaries")
	require.LessOrEqual(t, asked["sum"], 1, "and so are the sums; where only directories without mail were picked there are none")
	opt.Canaries = -1
	_, asked = pass()
	require.Equal(t, map[string]int{"manifest": 1}, asked)

	for i, dir := range cur[:10] {
		require.NoError(t, os.Rename(filepath.Join(dir, "1.M1.h:2,"), filepath.Join(dir, "1.M1.h:2,S")))
		if i < 5 {
			require.NoError(t, os.Remove(filepath.Join(dir, "2.M2.h:2,")))
		}
		write(t, filepath.Join(dir, fmt.Sprintf("9%d.M1.h:2,", i)), "new")
	}
	opt.Canaries = -1
	rep, asked = pass()
	require.Equal(t, []int64{10, 5, 10}, []int64{rep.Renamed, rep.Deleted, rep.CopiedFiles})
	require.LessOrEqual(t, asked["fetch"], 2, asked)
	require.LessOrEqual(t, asked["manifest"]+asked["fetch"]+asked["sum"], 6, asked)
	sameTrees(t, src, dst, nil)
}

// A program is kept for the calls that follow, and ends with them.
func TestKeepTheProgram(t *testing.T) {
	src, dst := roots(t)
	inFolders(t, src, 2, 3)
	l := &lineTo{}
	r := l.helper(src)
	ended := make(chan struct{})
	start := r.Start
	r.Start = func(ctx context.Context, in io.Reader, script string, args ...string) (io.ReadCloser, error) {
		out, err := start(ctx, in, script, args...)
		return watched{out, ended}, err
	}
	end := r.Keep()
	other := r.Keep()
	for range 2 {
		_, err := Sync(t.Context(), r, dst, nil)
		require.NoError(t, err)
		_, err = Verify(t.Context(), r, dst, nil, ByHash)
		require.NoError(t, err)
	}
	other()
	other()
	select {
	case <-ended:
		t.Fatal("it ended while it was kept")
	default:
	}
	end()
	<-ended
	require.Equal(t, 1, l.starts)
	_, err := Sync(t.Context(), r, dst, nil)
	require.NoError(t, err)
	require.Equal(t, 2, l.starts)
	require.Empty(t, r.sessions.idle)
}

// watched tells when its end was waited for.
type watched struct {
	io.ReadCloser
	ended chan struct{}
}

func (w watched) Close() error {
	select {
	case <-w.ended:
	default:
		close(w.ended)
	}
	return w.ReadCloser.Close()
}

// liar is the other end of a session; it gets the number of the request and writes what it likes.
type liar struct {
	tell   func(ctx context.Context, n int, words []string, w io.WriteCloser)
	mu     sync.Mutex
	starts int
}

func (l *liar) remote(root string) *Remote {
	return &Remote{Root: root, Helper: []string{"helper"}, Start: func(ctx context.Context, stdin io.Reader, _ string, _ ...string) (io.ReadCloser, error) {
		l.mu.Lock()
		l.starts++
		l.mu.Unlock()
		out, in := io.Pipe()
		n := 0
		go func() {
			defer in.Close()
			_ = serveEach(ctx, stdin, io.Discard, func(ctx context.Context, words []string, _ io.Reader, _ io.Writer) error {
				n++
				l.tell(ctx, n, words, in)
				return nil
			})
		}()
		return out, nil
	}}
}

func frame(n int, text, err string) []byte {
	b := binary.AppendUvarint(nil, uint64(n))
	if text != "" {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return append(binary.AppendUvarint(append(b, 0), uint64(len(err))), err...)
}

func ask(t *testing.T, r *Remote) (string, error) {
	t.Helper()
	out, err := r.ask(t.Context(), []byte("input"), "word")
	require.NoError(t, err)
	b, err := io.ReadAll(out)
	return string(b), joinEnd(err, out.Close())
}

// What a program says that does not keep to the order is an error, and the next request goes to another one.
func TestSessionLies(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<63)
	for name, c := range map[string]struct {
		second []byte
		want   string
	}{
		"dies in the number":       {[]byte{0x80}, ""},
		"dies in a piece":          {[]byte{2, 5, 'a', 'b'}, ""},
		"dies before the end":      {[]byte{2, 2, 'a', 'b'}, ""},
		"dies in the error":        {[]byte{2, 2, 'a', 'b', 0, 9, 'x'}, ""},
		"a piece without end":      {append([]byte{2}, append(huge, "abc"...)...), ""},
		"a number without end":     {bytes.Repeat([]byte{0xff}, 20), "overflow"},
		"an error without end":     {append([]byte{2, 0}, huge...), "bytes"},
		"an answer to another one": {frame(1, "one", ""), "answers request 1"},
		"control characters":       {frame(2, "", "no \x1b[2J\n"), `"no \x1b[2J\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liar{tell: func(_ context.Context, n int, _ []string, w io.WriteCloser) {
				if n == 2 {
					_, _ = w.Write(c.second)
					if c.want == "" {
						w.Close()
					}
					return
				}
				_, _ = w.Write(frame(n, fmt.Sprint("answer ", n), ""))
			}}
			r := l.remote("/")
			defer r.Keep()()
			got, err := ask(t, r)
			require.NoError(t, err)
			require.Equal(t, "answer 1", got)
			_, err = ask(t, r)
			require.ErrorContains(t, err, c.want)
			want, starts := "answer 1", 2
			if name == "control characters" {
				want, starts = "answer 3", 1 // an error as any other
			}
			got, err = ask(t, r)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, starts, l.starts)
		})
	}
}

// A program that ended while nobody asked it is started again, once: its request goes to another one that has not begun with it.
func TestSessionEndedWhileIdle(t *testing.T) {
	var mu sync.Mutex
	var lines []io.Closer
	mute := false
	l := &liar{}
	l.tell = func(_ context.Context, n int, words []string, w io.WriteCloser) {
		mu.Lock()
		defer mu.Unlock()
		if lines = append(lines, w); mute {
			w.Close()
			return
		}
		_, _ = w.Write(frame(n, strings.Join(words, " "), ""))
	}
	r := l.remote("/")
	defer r.Keep()()
	for range 3 {
		got, err := ask(t, r)
		require.NoError(t, err)
		require.Equal(t, "word", got)
		mu.Lock()
		lines[len(lines)-1].Close() // killed
		mu.Unlock()
	}
	require.Equal(t, 3, l.starts)
	mu.Lock()
	mute = true
	mu.Unlock()
	_, err := ask(t, r)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 4, l.starts, "once")

	// What cannot be started again says why.
	mu.Lock()
	mute = false
	mu.Unlock()
	_, err = ask(t, r)
	require.NoError(t, err)
	mu.Lock()
	lines[len(lines)-1].Close()
	mu.Unlock()
	r.Start = func(context.Context, io.Reader, string, ...string) (io.ReadCloser, error) {
		return nil, errors.New("the line is cut")
	}
	_, err = ask(t, r)
	require.ErrorContains(t, err, "the line is cut")
}

// A program that answers twice has its second answer taken for none to the next request.
func TestSessionAnswersTwice(t *testing.T) {
	l := &liar{tell: func(_ context.Context, n int, _ []string, w io.WriteCloser) {
		go func() { _, _ = w.Write(bytes.Repeat(frame(n, "text", ""), 2)) }()
	}}
	r := l.remote("/")
	defer r.Keep()()
	got, err := ask(t, r)
	require.NoError(t, err)
	require.Equal(t, "text", got)
	_, err = ask(t, r)
	require.ErrorContains(t, err, "answers request 1, wanted an answer to request 2")
	got, err = ask(t, r)
	require.NoError(t, err)
	require.Equal(t, "text", got)
}

// Nobody waits for a program that never answers, or never ends its answer, once the request is cancelled.
func TestSessionNeverAnswers(t *testing.T) {
	for name, begin := range map[string]string{"nothing": "", "half": "\x01\x05ab", "no end": "\x01\x02ab"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			l := &liar{tell: func(far context.Context, _ int, _ []string, w io.WriteCloser) {
				_, _ = io.WriteString(w, begin)
				cancel()
				<-far.Done()
			}}
			src, dst := roots(t)
			_, err := Sync(ctx, l.remote(src), dst, nil)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// A program that does not read its request to the end is not waited for either.
func TestSessionReadsNothing(t *testing.T) {
	r := &Remote{Helper: []string{"helper"}, Start: func(_ context.Context, _ io.Reader, _ string, _ ...string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(frame(1, "early", ""))), nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	out, err := r.ask(ctx, bytes.Repeat([]byte("x"), 1<<20), "word")
	require.NoError(t, err)
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "early", string(b))
	cancel()
	require.ErrorIs(t, out.Close(), context.Canceled)
}

// The program lets go of what it holds when nobody asks any more, and tells the line's error.
func TestServeEndsWithItsLine(t *testing.T) {
	in, w := io.Pipe()
	began, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- serveEach(t.Context(), in, io.Discard, func(ctx context.Context, words []string, input io.Reader, _ io.Writer) error {
			b, err := io.ReadAll(input)
			if strings.Join(words, " ") != "do it" || string(b) != "now" || err != nil {
				return errors.New("another request")
			}
			close(began)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	_, err := w.Write([]byte("\x02\x02do\x02it\x03now"))
	require.NoError(t, err)
	<-began
	w.Close()
	require.NoError(t, <-done)
	for _, bad := range []string{"\x02\x02do\x09it", "\xff\xff\xff\xff\x7f", "\x01\xff\xff\xff\xff\x7fa", "\x01\x01a\xff\xff\xff\xff\xff\x7fa", "\x80"} {
		err := serveEach(t.Context(), strings.NewReader(bad), io.Discard, func(context.Context, []string, io.Reader, io.Writer) error {
			t.Error("there is no request")
			return nil
		})
		require.Error(t, err, "%q", bad)
	}
}
