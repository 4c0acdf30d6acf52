package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// editedParcels gives an answer to a fetch with each parcel and its body as change leaves them; more comes before the last one.
func editedParcels(answer []byte, change func(p *parcel, body []byte) []byte, more ...*parcel) []byte {
	var out bytes.Buffer
	post := func(p *parcel, body []byte) {
		head := p.encode(nil)
		out.Write(binary.AppendUvarint(nil, uint64(len(head))))
		out.Write(head)
		out.Write(body)
	}
	in := &parcels{in: bufio.NewReader(bytes.NewReader(answer))}
	for {
		var p parcel
		err := in.next(&p)
		if errors.Is(err, errEnd) {
			for _, p := range more {
				post(p, nil)
			}
			post(&p, nil)
			return out.Bytes()
		}
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(in)
		if err != nil {
			panic(err)
		}
		if change != nil {
			body = change(&p, body)
		}
		post(&p, body)
	}
}

// A program on the old host can tell of directories only that it was asked for something in, of each once, and of an object only so
// much: what is kept of an answer does not grow with what comes.
func TestHelperTellsWithoutEnd(t *testing.T) {
	src, dst := roots(t)
	write(t, filepath.Join(src, "var/mail/alice"), mail)
	var there parcel
	for name, c := range map[string]struct {
		edit func([]byte) []byte
		says string
	}{
		"the directory": {func(b []byte) []byte { return editedParcels(b, nil) }, ""},
		"many others": {func(b []byte) []byte {
			var more []*parcel
			for i := range 1000 {
				more = append(more, &parcel{kind: parcelNow, text: fmt.Sprint("var/", i), st: there.st})
			}
			return editedParcels(b, nil, more...)
		}, `"var/0" twice, or unasked`},
		"the root": {func(b []byte) []byte { return editedParcels(b, nil, &parcel{kind: parcelNow, text: ".", st: there.st}) }, `"." twice, or unasked`},
		"it again": {func(b []byte) []byte { return editedParcels(b, nil, &there, &there) }, `"var/mail" twice, or unasked`},
		"a long reason": {func(b []byte) []byte {
			return editedParcels(b, func(p *parcel, body []byte) []byte {
				if p.kind == parcelObject {
					p.skipped = strings.Repeat("x", mostWhy+1)
				}
				return body
			})
		}, "a reason of 1001 bytes"},
		"a long refusal": {func(b []byte) []byte {
			head := (&parcel{kind: parcelRefused, text: strings.Repeat("x", mostWhy+1)}).encode(nil)
			return append(binary.AppendUvarint(nil, uint64(len(head))), head...)
		}, "a reason of 1001 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(filepath.Join(dst, "var")))
			l := &lineTo{edit: func(verb string, b []byte) []byte {
				if verb != "fetch" {
					return b
				}
				_ = editedParcels(b, func(p *parcel, body []byte) []byte {
					if p.kind == parcelNow {
						there = *p
					}
					return body
				})
				return c.edit(b)
			}}
			opt := &Options{State: filepath.Join(t.TempDir(), "state")}
			rep, err := Sync(t.Context(), l.helper(src), dst, opt)
			require.Equal(t, "var/mail", there.text)
			if c.says == "" {
				require.NoError(t, err)
				require.Empty(t, rep.Problems)
			} else {
				require.ErrorContains(t, err, c.says)
			}
			noTemps(t, dst)
			rep, err = Sync(t.Context(), new(lineTo).helper(src), dst, opt)
			require.NoError(t, err)
			require.Empty(t, rep.Problems)
			sameTrees(t, filepath.Join(src, "var/mail"), filepath.Join(dst, "var/mail"), nil)
		})
	}
}

// What the program itself says of an object is cut where it is too long to be taken.
func TestHelperSaysShortReasons(t *testing.T) {
	var out bytes.Buffer
	s := &server{out: bufio.NewWriter(&out)}
	require.NoError(t, s.post(&parcel{kind: parcelRefused, text: strings.Repeat("x", 1<<20)}))
	require.NoError(t, s.post(&parcel{kind: parcelNow, text: strings.Repeat("d", 3000), st: stat{mode: 0o40755}}))
	require.NoError(t, s.out.Flush())
	in := &parcels{in: bufio.NewReader(&out)}
	var p parcel
	require.NoError(t, in.next(&p))
	require.Len(t, p.text, mostWhy)
	require.NoError(t, in.next(&p))
	require.Len(t, p.text, 3000, "a path is never cut")
}

// A list without end is given up where it does not fit into memory.
func TestManifestWithoutEnd(t *testing.T) {
	before := mostNames
	mostNames = 50_000
	t.Cleanup(func() { mostNames = before })
	record := func(kind, path, text string) string {
		return kind + "1 2 755 1 0 0 0 0 1.0 1.0 1.0\x00" + path + "\x00" + text + "\x00"
	}
	for says, one := range map[string]func(i int) string{
		`"h" has too many names`:            func(i int) string { return record("f", fmt.Sprint("./h/", i), "") },
		"more directories than can be kept": func(i int) string { return record("d", fmt.Sprint("./h/", i), "") },
		"names without their directory":     func(i int) string { return record("f", fmt.Sprint("./x/", i), "") },
	} {
		var b strings.Builder
		b.WriteString("Hboot\x001.0\x001.0\x00find\x00" + record("d", ".", "") + record("d", "./h", ""))
		for i := range 1000 {
			b.WriteString(one(i))
		}
		b.WriteString("E0\x00\x00")
		m, err := newManifest()
		require.NoError(t, err)
		require.ErrorContains(t, m.add(strings.NewReader(b.String())), says)
		mostNames = before
		require.NoError(t, m.add(strings.NewReader(b.String())))
		mostNames = 50_000
		require.NoError(t, m.file.Close())
	}
}
