package lines

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var cases = []struct {
	name, src string
	texts     []string
	eol       string
}{
	{"empty", "", nil, "\n"},
	{"one without end", "a", []string{"a"}, "\n"},
	{"lf", "a\nb\n", []string{"a", "b"}, "\n"},
	{"crlf", "a\r\nb\r\nc", []string{"a", "b", "c"}, "\r\n"},
	{"mixed", "a\r\n\nb\n", []string{"a", "", "b"}, "\n"},
	{"lone cr is data", "a\rb\n\r\n", []string{"a\rb", ""}, "\n"},
	{"last byte cr", "a\n\r", []string{"a", "\r"}, "\n"},
}

func TestSplit(t *testing.T) {
	for _, c := range cases {
		ls := Split([]byte(c.src))
		var texts []string
		for _, l := range ls {
			texts = append(texts, string(l.Text))
		}
		require.Equal(t, c.texts, texts, c.name)
		require.Equal(t, c.src, string(Join(ls)), c.name)
		require.Equal(t, c.eol, EOL(ls), c.name)
	}
}

func TestAppendToALineLeavesItsNeighbour(t *testing.T) {
	ls := Split([]byte("ab\ncd\n"))
	_ = append(ls[0].Text, "XXXX"...)
	require.Equal(t, "ab\ncd\n", string(Join(ls)))
}

func FuzzSplit(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		ls := Split(src)
		require.Equal(t, string(src), string(Join(ls)))
		for i, l := range ls {
			require.NotContains(t, string(l.Text), "\n")
			require.True(t, len(l.EOL) > 0 || i == len(ls)-1)
		}
	})
}
