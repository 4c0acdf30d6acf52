package mbox

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func surplus(t *testing.T, name, other string) (got []string) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"a": name, "b": other} {
		if text != "absent" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
		}
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	n, err := Surplus(t.Context(), root, "a", root, "b", func(r io.Reader) error {
		text, err := io.ReadAll(r)
		got = append(got, string(text))
		return err
	})
	require.NoError(t, err)
	require.Len(t, got, n)
	return got
}

func TestSurplus(t *testing.T) {
	const from = "From a@b Thu Jan  1 00:00:01 2015\n"
	msg := func(header, body string) string { return from + header + "\n" + body + "\n\n" }
	one, two, three := msg("Subject: 1\n", "one"), msg("Subject: 2\n", "two"), msg("Subject: 3\n", "three")
	// As Dovecot rewrites them: flags, numbers, and a Content-Length.
	seen := msg("X-IMAPbase: 1420070401 0000000003 Work\n\tHome\nX-UID: 1\nStatus: RO\nContent-Length: 3\nSubject: 1\nX-Status: F\nX-Keywords: Work     \n", "one")
	pseudo := from + "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1420070401 0000000003\n\nx\n\n"
	for name, c := range map[string]struct {
		has, other string
		want       []string
	}{
		"the same":                     {one + two, one + two, nil},
		"another order":                {two + one, one + two, nil},
		"one more":                     {one + two + three, one + two, []string{three}},
		"one went, one came":           {one + three, one + two, []string{three}},
		"flags changed":                {seen + two, one + two, nil},
		"the pseudo message":           {pseudo + one, one, nil},
		"twice here, once there":       {one + one, one, []string{one}},
		"another From_ line":           {strings.Replace(one, "a@b", "c@d", 1), one, nil},
		"another body":                 {msg("Subject: 1\n", "One"), one, []string{msg("Subject: 1\n", "One")}},
		"another header":               {msg("Subject: 1\nTo: x\n", "one"), one, []string{msg("Subject: 1\nTo: x\n", "one")}},
		"an absent other":              {one, "absent", []string{one}},
		"an empty other":               {one, "", []string{one}},
		"absent":                       {"absent", one, nil},
		"empty":                        {"", one, nil},
		"a line longer than a buffer":  {msg("X-Long: "+strings.Repeat("x", 200<<10)+"\n", "one"), one, []string{msg("X-Long: "+strings.Repeat("x", 200<<10)+"\n", "one")}},
		"long lines that differ late":  {msg("X-Long: "+strings.Repeat("x", 200<<10)+"1\n", "one"), msg("X-Long: "+strings.Repeat("x", 200<<10)+"2\n", "one"), []string{msg("X-Long: "+strings.Repeat("x", 200<<10)+"1\n", "one")}},
		"a long keyword line is left":  {msg("X-Keywords: "+strings.Repeat("x", 200<<10)+"\nSubject: 1\n", "one"), one, nil},
		"a field that only looks like": {msg("Status2: RO\nSubject: 1\n", "one"), one, []string{msg("Status2: RO\nSubject: 1\n", "one")}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, surplus(t, c.has, c.other)) })
	}
}

func TestSurplusOfWhatIsNoMailbox(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), []byte("hello\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "box"), nil, 0o600))
	require.NoError(t, os.Symlink("text", filepath.Join(dir, "link")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	none := func(io.Reader) error { return nil }
	_, err = Surplus(t.Context(), root, "text", root, "box", none)
	require.ErrorIs(t, err, ErrRefused)
	_, err = Surplus(t.Context(), root, "box", root, "text", none)
	require.ErrorIs(t, err, ErrRefused)
	_, err = Surplus(t.Context(), root, "link", root, "box", none)
	require.Error(t, err, "a link is not followed")
}
