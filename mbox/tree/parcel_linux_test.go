package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// posted writes one as a server does.
func posted(p *parcel, body string) []byte {
	head := p.encode(nil)
	return append(append(binary.AppendUvarint(nil, uint64(len(head))), head...), body...)
}

// some is one of each kind.
var some = []parcel{
	{kind: parcelObject, place: 7, st: stat{dev: 1, ino: 1 << 60, mode: unix.S_IFREG | 0o4711, nlink: 2, uid: 1<<32 - 1, gid: 3, size: 3, blocks: 8,
		atime: stamp{-1, 999999999}, mtime: stamp{1 << 40, 0}, ctime: stamp{3, 4}},
		attrs: encodeAttrs([]attr{{"user.a", []byte("\x00b")}, {flagsAttr, []byte{8, 0, 0, 0}}}), skipped: "no", digest: "-", body: 4},
	{kind: parcelObject, st: stat{mode: unix.S_IFBLK, rdev: 1 << 40}},
	{kind: parcelRefused, place: 1 << 40, text: gone},
	{kind: parcelNow, text: "var/mail", st: stat{mode: unix.S_IFDIR}},
	{kind: parcelEnd},
}

func TestParcelsComeAsSent(t *testing.T) {
	var b []byte
	for i := range some {
		b = append(b, posted(&some[i], strings.Repeat("x", int(some[i].body)))...)
	}
	in := &parcels{in: bufio.NewReaderSize(bytes.NewReader(b), 16)}
	for i, want := range some {
		var p parcel
		err := in.next(&p)
		if want.kind == parcelEnd {
			require.ErrorIs(t, err, errEnd)
			continue
		}
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.attrs, p.attrs))
		if p.attrs = nil; i == 0 {
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			require.Equal(t, "xxxx", string(body))
			want.attrs = nil
		}
		require.Equal(t, want, p)
	}
}

// What cannot be is an error, and the stream is of no use any more.
func TestParcelsThatCannotBe(t *testing.T) {
	object := func(change func(*parcel)) []byte {
		p := some[1]
		change(&p)
		return posted(&p, "")
	}
	for name, b := range map[string][]byte{
		"of no kind":              {1, 77},
		"an endless head":         {0xff, 0xff, 0xff, 0xff, 0x7f},
		"no head":                 {0},
		"half a head":             posted(&some[0], "")[:20],
		"half a body":             posted(&some[0], "xx"),
		"a body of less than 0":   object(func(p *parcel) { p.body = -1 }),
		"a size of less than 0":   object(func(p *parcel) { p.st.size = -1 }),
		"blocks less than 0":      object(func(p *parcel) { p.st.blocks = -1 }),
		"of no type":              object(func(p *parcel) { p.st.mode = 0o644 }),
		"two seconds in one":      object(func(p *parcel) { p.st.mtime.ns = 2e9 }),
		"more behind its end":     append(posted(&some[4], ""), 0),
		"more in a head":          {2, parcelEnd, 0},
		"nothing":                 {},
		"attributes without end":  {3, parcelRefused, 0, 200},
		"the end in the middle":   posted(&some[0], "")[:1],
		"a kind above all others": append([]byte{3, 0x81, 0x02}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			in := &parcels{in: bufio.NewReader(bytes.NewReader(b))}
			var p parcel
			err := in.next(&p)
			if err == nil {
				err = in.next(&p)
			}
			require.Error(t, err)
			require.NotErrorIs(t, err, errEnd)
			require.True(t, in.broken())
		})
	}
}

// Attributes that a host keeps for itself stay there, and flags are four bytes or an error.
func TestParcelAttributes(t *testing.T) {
	as, err := carriedAttrs(encodeAttrs([]attr{{"security.selinux", []byte("s")}, {"user.a\x00b", nil}, {"user.b", []byte("v")}}))
	require.NoError(t, err)
	require.Equal(t, []attr{{"user.b", []byte("v")}}, as)
	_, err = carriedAttrs(encodeAttrs([]attr{{flagsAttr, []byte{1}}}))
	require.Error(t, err)
}

// A helper that answers twice, or what it was not asked, is not heard to its end.
func TestHelperAnswersTwice(t *testing.T) {
	for name, place := range map[string]uint64{"twice": 0, "unasked": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			src, dst := roots(t)
			write(t, filepath.Join(src, "h/a"), "a")
			write(t, filepath.Join(src, "h/b"), "b")
			l := &lineTo{}
			r := l.helper(src)
			l.edit = func(verb string, b []byte) []byte {
				if verb != "fetch" {
					return b
				}
				end := posted(&parcel{kind: parcelEnd}, "")
				more := posted(&parcel{kind: parcelRefused, place: place, text: gone}, "")
				return append(append(b[:len(b)-len(end):len(b)-len(end)], more...), end...)
			}
			_, err := Sync(t.Context(), r, dst, nil)
			require.ErrorContains(t, err, "twice, or unasked")
			rep, err := Sync(t.Context(), new(lineTo).helper(src), dst, nil)
			require.NoError(t, err)
			require.Empty(t, rep.Problems)
			sameTrees(t, src, dst, nil)
		})
	}
}

func FuzzParcels(f *testing.F) {
	for i := range some {
		f.Add(posted(&some[i], strings.Repeat("x", int(some[i].body))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &parcels{in: bufio.NewReader(bytes.NewReader(b))}
		var p parcel
		for in.next(&p) == nil {
			require.GreaterOrEqual(t, p.body, int64(0))
			var again parcel
			require.NoError(t, again.decode(p.encode(nil)))
			require.True(t, bytes.Equal(again.attrs, p.attrs))
			again.attrs = p.attrs
			require.Equal(t, p, again)
			_, _ = carriedAttrs(p.attrs)
			_, _ = io.Copy(io.Discard, io.LimitReader(in, 1<<20))
		}
	})
}
