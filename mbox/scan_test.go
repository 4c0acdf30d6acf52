package mbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gombox "github.com/emersion/go-mbox"
	"github.com/stretchr/testify/require"
)

// scan reads src and checks what holds for every mailbox.
func scan(t testing.TB, src string, opt *Options) ([]Message, *Summary) {
	t.Helper()
	var ms []Message
	sum, err := Scan(context.Background(), strings.NewReader(src), int64(len(src)), opt, func(m Message) error {
		ms = append(ms, m)
		return nil
	})
	require.NoError(t, err)
	at := int64(0)
	for _, m := range ms {
		require.Equal(t, at, m.Offset)
		require.Less(t, m.Offset, m.Header)
		require.LessOrEqual(t, m.Header, m.Body)
		require.LessOrEqual(t, m.Body, m.End)
		require.LessOrEqual(t, m.End, m.Next)
		require.LessOrEqual(t, m.Next-m.End, int64(2))
		require.True(t, strings.HasPrefix(src[m.Offset:], "From "))
		at = m.Next
	}
	if !sum.Refused {
		require.Equal(t, int64(len(src)), at)
	}
	require.Len(t, ms, sum.Strict)
	require.Equal(t, int64(len(src)), sum.Size)
	if opt == nil || !opt.Skip {
		require.Equal(t, prefixCount(src), sum.Lax)
		require.LessOrEqual(t, sum.Strict+sum.Hidden, sum.Lax)
	}
	return ms, sum
}

func prefixCount(src string) int {
	n := strings.Count(src, "\nFrom ")
	if strings.HasPrefix(src, "From ") {
		n++
	}
	return n
}

func TestCounts(t *testing.T) {
	for _, c := range boxCases {
		t.Run(c.name, func(t *testing.T) {
			_, sum := scan(t, c.src, nil)
			require.Equal(t, c.strict, sum.Strict, "strict")
			require.Equal(t, c.lax, sum.Lax, "lax")
			require.Equal(t, c.hidden, sum.Hidden, "hidden")
			require.Equal(t, c.refused, sum.Refused, "refused")
		})
	}
}

func TestOffsets(t *testing.T) {
	m1, m2 := mail(1, "one"), mail(2, "two")
	ms, _ := scan(t, m1+m2, nil)
	require.Len(t, ms, 2)
	require.EqualValues(t, 0, ms[0].Offset)
	require.EqualValues(t, len(m1), ms[0].Next)
	require.EqualValues(t, len(m1), ms[1].Offset)
	src := m1 + m2
	for i, body := range []string{"one\n", "two\n"} {
		require.Equal(t, body, src[ms[i].Body:ms[i].End])
		require.True(t, strings.HasPrefix(src[ms[i].Header:], "From: a@b\n"))
		require.True(t, strings.HasSuffix(src[:ms[i].Body], "@x>\n\n"))
		require.Equal(t, "a@b", ms[i].Sender)
		require.Equal(t, time.Date(2015, 1, 1, 0, 0, 1, 0, time.Local), ms[i].Date)
	}

	crlf := strings.ReplaceAll(src, "\n", "\r\n")
	ms, _ = scan(t, crlf, nil)
	require.Equal(t, "one\r\n", crlf[ms[0].Body:ms[0].End])
	require.EqualValues(t, 2, ms[0].Next-ms[0].End)
	require.Equal(t, "two\r\n", crlf[ms[1].Body:ms[1].End])
}

func TestFromLine(t *testing.T) {
	for _, c := range fromCases {
		_, _, ok := fromLine([]byte(c.line+"\nS: 1\n\nbody\n"), time.UTC)
		require.Equal(t, c.ok, ok, "%q", c.line)
	}
	for _, line := range []string{"From\ta@b Thu Jan  1 00:00:01 2015\n", "from a@b Thu Jan  1 00:00:01 2015\n"} {
		_, sum := scan(t, mail(1, "x\n\n"+line+"y"), nil)
		require.Equal(t, 1, sum.Strict)
		require.Equal(t, 1, sum.Lax)
	}
}

func TestFromDate(t *testing.T) {
	east := time.FixedZone("", 3*3600)
	for line, want := range map[string]time.Time{
		"a Thu Jan  1 00:00:01 2015\n":            time.Date(2015, 1, 1, 0, 0, 1, 0, east),
		"a Thu Jan  1 00:00 2015\n":               time.Date(2015, 1, 1, 0, 0, 0, 0, east),
		"a Thu Feb 31 00:00:01 2015\n":            time.Date(2015, 3, 3, 0, 0, 1, 0, east),
		"a Thu Jan  1 00:00:01 2015 -0130\n":      time.Date(2015, 1, 1, 1, 30, 1, 0, time.UTC),
		"a Thu Jan  1 00:00:01 +0900 2015\n":      time.Date(2015, 1, 1, 0, 0, 1, 0, east),
		"a Thu, 1 Jan 2015 00:00:01 +0100\n":      time.Date(2014, 12, 31, 23, 0, 1, 0, time.UTC),
		"a Thu ??? 1 00:00:01 2015 remote from\n": time.Date(2015, 1, 1, 0, 0, 1, 0, east),
	} {
		_, got, ok := fromLine([]byte(line), east)
		require.True(t, ok, line)
		require.True(t, want.Equal(got), "%s: %v", line, got)
	}
}

func describe(m Message) string {
	if m.Pseudo {
		return "-"
	}
	names := map[XUID]string{XUIDMissing: "missing", XUIDKept: "kept", XUIDEarly: "early", XUIDBroken: "broken", XUIDNotRising: "not rising", XUIDTooLarge: "too large"}
	parts := []string{fmt.Sprint(m.UID)}
	if f := m.Flags.String(); f != "" {
		parts = append(parts, f)
	}
	kw := slices.Sorted(slices.Values(m.Keywords))
	return strings.Join(append(parts, fmt.Sprint(kw), names[m.XUID]), " ")
}

func TestUIDs(t *testing.T) {
	for _, c := range uidCases {
		t.Run(c.name, func(t *testing.T) {
			ms, sum := scan(t, c.src, nil)
			var got []string
			for _, m := range ms {
				got = append(got, describe(m))
				require.Equal(t, sum.UIDValidity, m.UIDValidity)
				require.Equal(t, sum.UIDValidity != 0 && !m.Pseudo, m.Known)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestPseudoMessage(t *testing.T) {
	ms, sum := scan(t, pseudo+mail(2, "x"), nil)
	require.True(t, ms[0].Pseudo)
	require.True(t, sum.Pseudo)
	require.Equal(t, 1, sum.Messages)
	require.EqualValues(t, 1420070401, sum.UIDValidity)
	require.EqualValues(t, 7, sum.LastUID)
	require.EqualValues(t, 9, sum.UIDNext)
	require.Equal(t, []string{"$Work"}, sum.Keywords)
	require.EqualValues(t, 8, ms[1].UID)
}

func TestNumbersRunOver(t *testing.T) {
	ms, _ := scan(t, head("X-IMAPbase: 5 4294967295", "X-UID: 3")+head("S: 1"), nil)
	require.False(t, ms[0].Known)
	require.False(t, ms[1].Known)
	ms, _ = scan(t, head("X-IMAPbase: 5 4294967294", "X-UID: 3")+head("X-UID: 4294967295")+head("S: 1"), nil)
	require.True(t, ms[0].Known)
	require.EqualValues(t, 4294967295, ms[1].UID)
	require.False(t, ms[2].Known)
}

func TestXUIDL(t *testing.T) {
	ms, _ := scan(t, head("X-UIDL:   one  ", "X-UIDL: two")+head("x-uidl: a\n\tb")+head("X-UIDL:")+head("S: 1"), nil)
	var got []string
	for _, m := range ms {
		got = append(got, m.XUIDL)
	}
	require.Equal(t, []string{"one  ", "a\n\tb", "", ""}, got)
}

func TestSkipSeesTheSameMessages(t *testing.T) {
	for _, c := range boxCases {
		plain, sum := scan(t, c.src, nil)
		skipped, sum2 := scan(t, c.src, &Options{Skip: true})
		require.Equal(t, plain, skipped, c.name)
		sum2.Lax, sum2.Hidden = sum.Lax, sum.Hidden
		require.Equal(t, sum, sum2, c.name)
	}
}

func TestSkipDoesNotReadBodies(t *testing.T) {
	src := withLength(strings.Repeat("x", 8<<20), 0) + mail(2, "y")
	r := &countingReader{r: strings.NewReader(src)}
	sum, err := Scan(context.Background(), r, int64(len(src)), &Options{Skip: true}, nil)
	require.NoError(t, err)
	require.Equal(t, 2, sum.Strict)
	require.Less(t, r.n, int64(1<<20))
}

type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	c.n += int64(n)
	return n, err
}

func TestEachByteIsReadAboutOnce(t *testing.T) {
	var b strings.Builder
	for n := range 3000 {
		b.WriteString(mail(n, strings.Repeat("some text of a message\n", 200)))
	}
	r := &countingReader{r: strings.NewReader(b.String())}
	sum, err := Scan(context.Background(), r, int64(b.Len()), nil, nil)
	require.NoError(t, err)
	require.Equal(t, 3000, sum.Strict)
	require.Less(t, r.n, int64(b.Len())*101/100)
}

func TestTeeGetsEveryByteOnce(t *testing.T) {
	for _, window := range []int{0, 1, 7} {
		for _, c := range boxCases {
			var tee bytes.Buffer
			scan(t, c.src, &Options{Tee: &tee, Skip: true, window: window})
			require.Equal(t, c.src, tee.String(), c.name)
		}
	}
}

// line300M is a mailbox with one line of 300 MB, in the header or in the body, that takes no memory.
type line300M struct{ before, after string }

const lineLen = 300 << 20

func (l line300M) size() int64 { return int64(len(l.before)+len(l.after)) + lineLen }

func (l line300M) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		switch at := off + int64(i); {
		case at >= l.size():
			return i, io.EOF
		case at < int64(len(l.before)):
			b[i] = l.before[at]
		case at >= int64(len(l.before))+lineLen:
			b[i] = l.after[at-int64(len(l.before))-lineLen]
		default:
			b[i] = 'x'
		}
	}
	return len(b), nil
}

func TestMemoryIsConstant(t *testing.T) {
	for name, l := range map[string]line300M{
		"body":      {fromValid + "S: 1\n\n", "\n\n" + mail(2, "x")},
		"header":    {fromValid + "X-UIDL: 1", "\nX-UID: 5\n\nx\n\n" + mail(2, "x")},
		"name":      {fromValid, ": x\n\nx\n\n" + mail(2, "x")},
		"From_":     {fromValid[:len(fromValid)-1], "\nS: 1\n\nx\n\n" + mail(2, "x")},
		"first":     {"", "\n" + fromValid + "S: 1\n\nx\n\n" + mail(2, "x")},
		"last line": {mail(1, "x") + fromValid + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			sum, err := Scan(context.Background(), l, l.size(), &Options{MD5: "all"}, nil)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, 2, sum.Lax)
			require.Equal(t, name == "first", sum.Refused)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "bytes allocated in all")
		})
	}
}

func TestLongLine(t *testing.T) {
	src := mail(1, strings.Repeat("x", 5<<20)) + mail(2, "y")
	ms, _ := scan(t, src, nil)
	require.Len(t, ms, 2)
	require.EqualValues(t, 5<<20+1, ms[0].End-ms[0].Body)
}

func TestErrors(t *testing.T) {
	src := mail(1, strings.Repeat("secret ", 1<<17)) + mail(2, "secret")
	ctx := context.Background()

	_, err := Scan(ctx, strings.NewReader(src[:len(src)-9]), int64(len(src)), nil, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, err.Error(), "secret")

	sum, err := Scan(ctx, strings.NewReader(src+mail(3, "grown")), int64(len(src)), nil, nil)
	require.NoError(t, err)
	require.Equal(t, 2, sum.Strict)

	cancelled, cancel := context.WithCancel(ctx)
	_, err = Scan(cancelled, strings.NewReader(src), int64(len(src)), nil, func(Message) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)

	mine := errors.New("mine")
	sum, err = Scan(ctx, strings.NewReader(src), int64(len(src)), nil, func(Message) error { return mine })
	require.Equal(t, mine, err)
	require.Equal(t, 1, sum.Strict)

	_, err = Scan(ctx, failing{}, 10, nil, nil)
	require.Equal(t, fs.ErrPermission, err)
	_, err = Scan(ctx, strings.NewReader(src), int64(len(src)), &Options{Tee: failing{}}, nil)
	require.Equal(t, fs.ErrPermission, err)
	_, err = Scan(ctx, nil, -1, nil, nil)
	require.EqualError(t, err, "mailbox size -1: want 0 or more")
	_, err = Scan(ctx, nil, 0, &Options{MD5: "sha1"}, nil)
	require.EqualError(t, err, `header md5 "sha1": want apop3d or all`)
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, fs.ErrPermission }
func (failing) Write([]byte) (int, error)         { return 0, fs.ErrPermission }

func TestLaxIsWhatGoMboxCounts(t *testing.T) {
	for _, c := range boxCases {
		if c.refused || len(c.src) > 4096 {
			continue // go-mbox loses its place after lines of more than 4096 bytes
		}
		if strings.Contains(c.src, "\r") || strings.Contains(c.src, "From \n") || c.name == "no final newline" {
			continue
		}
		_, sum := scan(t, c.src, nil)
		n, err := goMbox(strings.NewReader(c.src))
		require.NoError(t, err, c.name)
		require.Equal(t, n, sum.Lax, c.name)
	}
}

func goMbox(r io.Reader) (n int, err error) {
	mr := gombox.NewReader(r)
	for {
		if _, err := mr.NextMessage(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n++
	}
}

// randomBox strings hostile pieces together.
func randomBox(rng *rand.Rand) string {
	pieces := []string{
		fromValid, fromValid, fromValid, "\n", "\n", "\n\n", "\r\n", "From \n", "From me\n", "S: 1\n", " folded\n", "text", "text\n",
		"From a@b Thu Jan  1 00:00:01 2015\r\n", "From x\nFrom ", ">From x\n", base + " $Work ok\n", "X-IMAP: 5 9\n", "Status: RO\n", "X-Status: AF\n",
		"X-UID: 1\n", "X-UID: 3\n", "X-UID: 7\n", "X-UID: 8\n", "X-UID: 99\n", "X-Keywords: ok\n", "X-Keywords: no ok\n", "Date: x\n", "Message-ID: <y>\n",
		"Received: a\n\tb\n", "Delivered-To: z\n", "Content-Length: 000000\n", "Content-Length: 000000\n\n", "\x00", "\r", ": x\n", "From b Fri, 2 Jan 2015 00:00:01\n",
	}
	b := []byte(fromValid)
	for range 3 + rng.IntN(30) {
		b = append(b, pieces[rng.IntN(len(pieces))]...)
	}
	if rng.IntN(2) == 0 {
		b = append(b, '\n')
	}
	return setLengths(rng, b)
}

// setLengths lets each Content-Length point to a later From_ line or to the end, or near it.
func setLengths(rng *rand.Rand, b []byte) string {
	mark := []byte("Content-Length: 000000\n")
	for at := bytes.Index(b, mark); at >= 0; at = bytes.Index(b, mark) {
		body := len(b)
		if n := bytes.Index(b[at:], []byte("\n\n")); n >= 0 {
			body = at + n + 2
		}
		targets := []int{max(len(b)-1, body), body}
		for p := body; p < len(b); p++ {
			if bytes.HasPrefix(b[p:], separator) || bytes.HasPrefix(b[p:], []byte("\r\nFrom ")) {
				targets = append(targets, p)
			}
		}
		n := targets[rng.IntN(len(targets))] - body
		if rng.IntN(6) == 0 {
			n++
		}
		copy(b[at+len("Content-Length: "):], fmt.Sprintf("%06d", n))
		if n == 0 {
			copy(b[at:], "content-length:") // so that it is not found again
		}
	}
	return string(b)
}
