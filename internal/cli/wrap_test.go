package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"short", "short"},
		{"prog: warning: what is longer than the terminal is wide is broken at a word", "prog: warning: what is longer than the\n    terminal is wide is broken at a word"},
		{"warn        mail STAYS x: mail that is not copied at all", "warn        mail STAYS x: mail that is\n            not copied at all"},
		{"  advice: " + strings.Repeat("do ", 20) + "it", "  advice: do do do do do do do do do do\n      do do do do do do do do do do it"},
		{"a word " + strings.Repeat("w", 50) + " of fifty letters is not broken and what follows it is", "a word\n    " + strings.Repeat("w", 50) + "\n    of fifty letters is not broken and\n    what follows it is"},
		{"next: fullmigrate sync -from root@old:/ -to / -users anna,bert", "next:\n    fullmigrate sync -from root@old:/ -to / -users anna,bert"},
		{"end it as you would by hand on the old host: ssh old 'kill 4711 4712 4713'", "end it as you would by hand on the old\n    host: ssh old 'kill 4711 4712 4713'"},
		{"anna    500 -> 1001      5      7     2.8 KiB  7 of 7", "anna    500 -> 1001      5      7     2.8 KiB  7 of 7"},
		{"+192.0.2.10  mail.example.org mail and a long comment", "+192.0.2.10  mail.example.org mail and a long comment"},
		{"    \twhat a flag does is told in the second column", "    \twhat a flag does is told in the\n    \tsecond column"},
		{"äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü", "äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü\n    äöü"},
		{"one\n\ntwo", "one\n\ntwo"},
	} {
		require.Equal(t, c.want, wrap(c.text, 40), c.text)
		require.Equal(t, c.text, wrap(c.text, 0), "no terminal")
		require.Equal(t, c.text, wrap(c.text, 39), "one that is too narrow")
	}
	long := strings.Repeat("name, ", 1<<17) // as many users as a line may list
	for line := range strings.Lines(wrap(long, 80)) {
		require.LessOrEqual(t, columnsOf(strings.TrimSuffix(line, "\n")), 80)
	}
	require.Equal(t, strings.Fields(long), strings.Fields(wrap(long, 80)))
}

// TestPipesAreNotWrapped: programs read what is written into a pipe or a file.
func TestPipesAreNotWrapped(t *testing.T) {
	long := strings.Repeat("word ", 100)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.Equal(t, long, shape(w, long))
	w.Close()
	require.Equal(t, long, shape(&bytes.Buffer{}, long))
	p, out, errs := call()
	p.Warn("%s", long)
	require.NoError(t, p.Print(long))
	require.Equal(t, "prog: warning: "+long+"\n", errs.String())
	require.Equal(t, long+"\n", out.String())
}
