package tree

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/mbox"
)

// falseAnswer is the body of a mailbox as it should not be.
type falseAnswer struct {
	pieces []piece
	text   string // of the literals
	digest string
	tail   string
}

// instead puts it into an answer in the place of alice's mailbox.
func (lie falseAnswer) instead(answer []byte) []byte {
	return editedParcels(answer, func(p *parcel, whole []byte) []byte {
		if p.kind != parcelObject || p.st.size == int64(len(mail)) { // not of hers
			return whole
		}
		var body bytes.Buffer
		text := lie.text
		for _, p := range lie.pieces {
			body.Write(p.head())
			if k := min(p.n, int64(len(text))); p.kind == pieceLiteral {
				body.WriteString(text[:k])
				text = text[k:]
			}
		}
		body.WriteString(text + lie.tail)
		p.digest, p.body = lie.digest, int64(body.Len())
		return body.Bytes()
	})
}

// An answer that is not true puts nothing else in the place of what is at the target, and the next pass goes on.
func TestHelperLies(t *testing.T) {
	old := strings.Repeat(mail, 8000)
	now := strings.Replace(old, "Subject: s", "Subject: T", 1)
	sumOfText := func(s string) string {
		d, err := mbox.Split(t.Context(), strings.NewReader(s), int64(len(s)), func(mbox.Chunk) error { return nil })
		require.NoError(t, err)
		return hex.EncodeToString(d[:])
	}
	n := int64(len(now))
	lies := map[string]falseAnswer{
		"old pieces beyond the old copy": {pieces: []piece{{pieceOld, n - 10, n}}, digest: sumOfText(now), tail: "\x00"},
		"old pieces before it":           {pieces: []piece{{pieceOld, -1, n}}, digest: sumOfText(now), tail: "\x00"},
		"a digest of something else":     {pieces: []piece{{pieceOld, 0, n}}, digest: sumOfText(now), tail: "\x00"},
		"a digest that is none":          {pieces: []piece{{pieceOld, 0, n}}, digest: "zz", tail: "\x00"},
		"a hole in the place of mail":    {pieces: []piece{{pieceHole, 0, n}}, digest: sumOfText(now), tail: "\x00"},
		"pieces of more than the file":   {pieces: []piece{{pieceLiteral, 0, n}, {pieceLiteral, 0, 5}}, text: now + "12345", digest: sumOfText(now), tail: "\x00"},
		"pieces of less":                 {pieces: []piece{{pieceLiteral, 0, n - 5}}, text: now[:n-5], digest: sumOfText(now), tail: "\x00"},
		"a piece of nothing":             {pieces: []piece{{pieceLiteral, 0, 0}}, digest: sumOfText(now), tail: "\x00"},
		"a piece of no kind":             {pieces: []piece{{77, 0, n}}, digest: sumOfText(now), tail: "\x00"},
		"an endless piece":               {pieces: []piece{{pieceLiteral, 0, 1 << 62}}, text: now, digest: sumOfText(now), tail: "\x00"},
		"no last byte":                   {text: now},
		"more behind it":                 {text: now, tail: "\x00\x00"},
		"it changed, for ever":           {text: now, tail: "\xff"},
		"an error of reading":            {text: now, tail: "\x05"},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			src, dst := roots(t)
			box := filepath.Join(src, "var/mail/alice")
			write(t, box, old)
			write(t, filepath.Join(src, "var/mail/bob"), mail)
			l := &lineTo{}
			opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
			_, err := Sync(t.Context(), l.helper(src), dst, opt)
			require.NoError(t, err)
			write(t, box, now)
			r := l.helper(src)
			lying := lie.tail != "\xff"
			l.edit = func(verb string, b []byte) []byte {
				if verb != "fetch" {
					return b
				}
				if lying {
					l.edit = func(_ string, b []byte) []byte { return b } // once
				}
				return lie.instead(b)
			}
			rep, err := Sync(t.Context(), r, dst, opt)
			got, e := os.ReadFile(filepath.Join(dst, "var/mail/alice"))
			require.NoError(t, e)
			if err == nil && len(rep.Problems) == 0 || lie.tail == "\xff" {
				require.True(t, string(got) == now, "another mailbox than the source has")
			} else {
				require.True(t, string(got) == old, "neither the old mailbox nor the new one")
			}
			noTemps(t, dst)
			rep, err = Sync(t.Context(), new(lineTo).helper(src), dst, opt)
			require.NoError(t, err)
			require.Empty(t, rep.Problems)
			sameTrees(t, filepath.Join(src, "var/mail"), filepath.Join(dst, "var/mail"), nil)
		})
	}
}

// What a directory cannot tell to its end has not gone.
func TestUnreadDirectoryLosesNothing(t *testing.T) {
	src, dst := roots(t)
	for _, n := range []string{"h/a", "h/b", "h/c"} {
		write(t, filepath.Join(src, n), n)
	}
	l := &lineTo{}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Delete: true}
	_, err := Sync(t.Context(), l.helper(src), dst, opt)
	require.NoError(t, err)
	r := l.helper(src)
	l.edit = func(verb string, b []byte) []byte {
		if verb != "manifest" || !bytes.Contains(b, []byte("\x00h/b\x00")) {
			return b
		}
		var out []byte
		rest := b
		for _, n := range []string{"h/b"} {
			at := bytes.Index(rest, []byte("\x00"+n+"\x00\x00"))
			begin := bytes.LastIndexByte(rest[:at], 0) + 1
			out = append(append(out, rest[:begin]...), rest[at+len(n)+3:]...)
		}
		end := bytes.LastIndex(out, []byte("E0\x00"))
		dir := bytes.Index(out, []byte("\x00h\x00\x00"))
		numbers := out[bytes.LastIndexByte(out[:dir], 0)+1 : dir]
		record := append(append([]byte{}, numbers...), "unread\x00h\x00input/output error\x00"...)
		return append(append(append([]byte{}, out[:end]...), record...), out[end:]...)
	}
	rep, err := Sync(t.Context(), r, dst, opt)
	require.NoError(t, err)
	require.Equal(t, []string{"h: read directory: input/output error"}, problems(rep))
	require.Zero(t, rep.Deleted)
	require.FileExists(t, filepath.Join(dst, "h/b"))
}

// A helper that was killed leaves a dotlock; the next pass frees the mailbox, also one that it has no reason to read.
func TestDotlockOfADeadHelperIsFreed(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "var/mail/alice"), mail)
	l := &lineTo{}
	opt := &Options{State: filepath.Join(t.TempDir(), "state"), Pairs: []Pair{{"var/mail/alice", "var/mail/alice"}}}
	r := l.helper(src)
	l.limit = 100 // it dies
	_, err := Sync(t.Context(), r, dst, opt)
	require.Error(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	lock := filepath.Join(src, "var/mail/alice.lock")
	write(t, lock, "2147483646:"+host)
	require.NoError(t, os.Rename(filepath.Join(src, "var/mail/alice"), filepath.Join(src, "var/mail/alice2")))
	_, err = Sync(t.Context(), new(lineTo).helper(src), dst, opt)
	require.NoError(t, err)
	require.NoFileExists(t, lock)
}
