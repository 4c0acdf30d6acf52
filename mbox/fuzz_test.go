package mbox

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func seeds(f *testing.F, add func(src string)) {
	for _, c := range boxCases {
		if len(c.src) < 1<<14 {
			add(c.src)
		}
	}
	for _, c := range uidCases {
		add(c.src)
	}
	for _, c := range md5Cases {
		add(c)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		add(randomBox(rng))
	}
}

// FuzzScan: the offsets cut the file without a gap (see scan), and neither the size of the window nor skipping bodies
// changes what is found.
func FuzzScan(f *testing.F) {
	seeds(f, func(src string) { f.Add([]byte(src), uint8(3)) })
	f.Fuzz(func(t *testing.T, data []byte, window uint8) {
		src := string(data)
		ms, sum := scan(t, src, &Options{MD5: "all"})
		var tee bytes.Buffer
		ms2, sum2 := scan(t, src, &Options{MD5: "all", Tee: &tee, window: int(window) + 1})
		require.Equal(t, ms, ms2)
		require.Equal(t, sum, sum2)
		require.Equal(t, src, tee.String())
		ms3, _ := scan(t, src, &Options{MD5: "all", Skip: true, window: int(window) + 1})
		require.Equal(t, ms, ms3)
		last := uint32(0)
		for _, m := range ms {
			if m.Known {
				require.Greater(t, m.UID, last)
				last = m.UID
			}
		}
	})
}

// FuzzAudit: what the windows count is what a look at the whole counts.
func FuzzAudit(f *testing.F) {
	seeds(f, func(src string) { f.Add([]byte(src)) })
	f.Add([]byte("From \r\r\n>>From \r\n>From\n\x00\r"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rep, err := Audit(context.Background(), bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err)
		quoted, longest := 0, 0
		for _, line := range strings.Split(string(data), "\n") {
			if rest := strings.TrimLeft(line, ">"); rest != line && strings.HasPrefix(rest, "From ") {
				quoted++
			}
			longest = max(longest, len(line))
		}
		require.Equal(t, quoted, rep.Quoted)
		require.EqualValues(t, bytes.Count(data, []byte("\n")), rep.Lines)
		require.EqualValues(t, bytes.Count(data, []byte("\r\n")), rep.CRLF)
		require.EqualValues(t, bytes.Count(data, []byte{0}), rep.NULs)
		require.LessOrEqual(t, rep.Longest, int64(longest))
		require.GreaterOrEqual(t, rep.Longest, int64(longest)-1)
		require.NotNil(t, rep.Problems())
	})
}

// FuzzFromLine: what stands beyond the look ahead does not matter, and a date never fails to be one.
func FuzzFromLine(f *testing.F) {
	for _, c := range fromCases {
		f.Add([]byte(c.line + "\n"))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		sender, date, ok := fromLine(line, time.UTC)
		if !ok {
			return
		}
		require.True(t, bytes.HasPrefix(line, sender))
		require.GreaterOrEqual(t, date.Year(), -1)
		long := append(bytes.Clone(line), bytes.Repeat([]byte("x"), fromMax)...)
		_, again, ok := fromLine(long, time.UTC)
		require.True(t, ok)
		require.True(t, date.Equal(again))
	})
}

// FuzzUIDList: UIDs rise, the next one is above them, names are unique and stay in their directory.
func FuzzUIDList(f *testing.F) {
	for _, c := range maildirCases {
		f.Add([]byte(c.uidlist))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ReadUIDList(bytes.NewReader(data))
		require.NoError(t, err)
		last, names := uint32(0), make(map[string]bool)
		for _, r := range l.Records {
			require.Greater(t, r.UID, last)
			last = r.UID
			require.NotContains(t, r.Name, "/")
			require.NotContains(t, r.Name, "\n")
			require.False(t, names[baseName(r.Name)])
			names[baseName(r.Name)] = true
		}
		require.Greater(t, l.NextUID, last)
		if l.UIDValidity == 0 {
			require.Equal(t, 1, l.Broken+boolInt(len(data) == 0 || !bytes.Contains(data, []byte("\n"))))
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzIndexSeparator: it is bytes.Index, whatever lies between blanks and line ends.
func FuzzIndexSeparator(f *testing.F) {
	for _, pad := range []int{0, 1, rareBlank - 6, rareBlank - 5, rareBlank, textStride - 1, textStride, textStride + 5, 3 * textStride} {
		for _, fill := range []string{"A", " ", "\n", "From ", "\nFrom"} {
			f.Add([]byte(fill), uint16(pad), []byte("\nFrom \nFrom "))
		}
	}
	f.Fuzz(func(t *testing.T, fill []byte, pad uint16, end []byte) {
		src := append(bytes.Repeat(fill, int(pad)/max(len(fill), 1)), end...)
		for range 3 {
			require.Equal(t, bytes.Index(src, separator), indexSeparator(src))
			src = src[min(len(src), 7):]
		}
		require.Equal(t, bytes.Index(fill, separator), indexSeparator(fill))
	})
}
