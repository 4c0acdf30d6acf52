package mbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grow makes files below a new root; a name that ends in "/" is a directory.
func grow(t *testing.T, files map[string]string) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(path, 0o700))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func find(t *testing.T, root *os.Root) []string {
	t.Helper()
	out := []string{}
	require.NoError(t, Find(context.Background(), root, func(name string, kind Kind, err error) error {
		require.NoError(t, err)
		out = append(out, name+" "+kind.String())
		return nil
	}))
	slices.Sort(out)
	return out
}

func TestFind(t *testing.T) {
	box := mail(1, "x")
	dir, root := grow(t, map[string]string{
		"anna": box, "empty": "", "broken": "junk", "anna.lock": "1", ".hidden": box,
		"bob/notes": "text", "bob/Sent": box, "bob/.imap/Sent/dovecot.index.log": "From x", "bob/mail/Drafts": "", "bob/mail/.subscriptions": "x",
		"bob/mail/deep/er": box, "bob/mail/deep/text": "text",
		"carl/Maildir/cur/": "", "carl/Maildir/new/": "", "carl/Maildir/tmp/": "", "carl/Maildir/.Sent/cur/": "", "carl/Maildir/.Sent/new/1.x": box,
		"carl/.maildir/cur/": "", "carl/.maildir/new/": "", "carl/.maildir/tmp/": "",
		"dora/sdbox/dbox-Mails/": "",
	})
	require.NoError(t, os.Symlink(filepath.Join(dir, "anna"), filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "bob/loop")))
	require.Equal(t, []string{
		"anna mbox", "bob/Sent mbox", "bob/mail/Drafts mbox", "bob/mail/deep/er mbox", "broken mbox", "carl/.maildir maildir",
		"carl/Maildir maildir", "dora/sdbox dbox", "empty mbox",
	}, find(t, root))
	sub, err := root.OpenRoot("carl/Maildir")
	require.NoError(t, err)
	require.Equal(t, []string{". maildir"}, find(t, sub))
}

func TestFindEnds(t *testing.T) {
	_, root := grow(t, map[string]string{"anna": "", "bob": ""})
	stop := errors.New("stop")
	calls := 0
	require.ErrorIs(t, Find(t.Context(), root, func(string, Kind, error) error { calls++; return stop }), stop)
	require.Equal(t, 1, calls)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Find(ctx, root, func(string, Kind, error) error { return nil }), context.Canceled)
	_, deep := grow(t, map[string]string{strings.Repeat("d/", findDepth) + "in": mail(1, "x"), strings.Repeat("e/", findDepth+1) + "beyond": mail(1, "x")})
	require.Equal(t, []string{strings.Repeat("d/", findDepth) + "in mbox"}, find(t, deep))
}

func inspect(t *testing.T, root *os.Root, name string, kind Kind) *Status {
	t.Helper()
	s, err := Inspect(context.Background(), root, name, kind)
	require.NoError(t, err)
	return s
}

func TestInspectMbox(t *testing.T) {
	t.Setenv("TZ", "UTC")
	src := pseudo + dated(2014, "X-UID: 1") + dated(2012, "X-UID: 2") + dated(2019, "S: new mail is no damage") + "From text\n"
	_, root := grow(t, map[string]string{"anna": src, "empty": "", "broken": "junk\x00", "falling": head(base, "X-UID: 5") + head("X-UID: 4")})
	s := inspect(t, root, "anna", Mbox)
	require.EqualValues(t, len(src), s.Bytes)
	require.Equal(t, 3, s.Messages)
	require.Equal(t, []int{2012, 2019}, []int{s.Oldest.Year(), s.Newest.Year()}, "the pseudo message does not count")
	require.Equal(t, []string{}, s.Problems)
	require.Equal(t, &Status{Kind: Mbox, Problems: []string{}}, inspect(t, root, "empty", Mbox))
	require.Equal(t, []string{"first line is no From_ line: Dovecot refuses the mailbox", "1 bytes follow the last message", "1 NUL bytes", "last line has no end"}, inspect(t, root, "broken", Mbox).Problems)
	require.Equal(t, []string{"1 X-UID headers do not rise"}, inspect(t, root, "falling", Mbox).Problems)
	_, err := Inspect(t.Context(), root, "absent", Mbox)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestInspectMaildir(t *testing.T) {
	dir, root := grow(t, map[string]string{
		"M/cur/1.a:2,S": "12345", "M/new/2.b": "123", "M/tmp/3.c": "not delivered", "M/cur/.hidden": "x", "M/.Sent/cur/4.d": "1", "M/.Sent/new/": "",
		"M/.Empty/maildirfolder": "", "M/.Sent.Old/cur/5.e": "22", "M/dovecot-uidlist": "3 V1420070401 N9 G0\n1 :1.a\n1 :2.b\n",
		"M/maildirsize": "100S,4C\n9 3\n  2 1\n-1 0\n",
	})
	times := map[string]int64{"M/cur/1.a:2,S": 2000, "M/new/2.b": 1000, "M/.Sent/cur/4.d": 3000, "M/.Sent.Old/cur/5.e": 2500}
	for name, sec := range times {
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), time.Unix(sec, 0), time.Unix(sec, 0)))
	}
	s := inspect(t, root, "M", Maildir)
	require.Equal(t, []int64{11, 4, 1000, 3000}, []int64{s.Bytes, int64(s.Messages), s.Oldest.Unix(), s.Newest.Unix()})
	require.Equal(t, &Quota{Bytes: 100, Messages: 4, UsedBytes: 10, UsedMessages: 4}, s.Quota)
	require.Equal(t, []string{"dovecot-uidlist cannot be read from line 3 on: messages will be numbered anew"}, s.Problems)
	sub, err := root.OpenRoot("M")
	require.NoError(t, err)
	require.Equal(t, s, inspect(t, sub, ".", Maildir))
	require.NotEmpty(t, inspect(t, root, "M", Dbox).Problems)
}

func TestReadQuota(t *testing.T) {
	for _, c := range []struct {
		text     string
		want     *Quota
		exceeded bool
	}{
		{"10S,5C\n3 2\n", &Quota{10, 5, 3, 2}, false},
		{"10S\n11 2\n", &Quota{10, 0, 11, 2}, true},
		{"5C\n1 3\n1 3\n", &Quota{0, 5, 2, 6}, true},
		{"\n12 1\n", &Quota{0, 0, 12, 1}, false},
		{"10S,\n", &Quota{Bytes: 10}, false},
		{"xS\n", nil, false},
		{"-1S\n", nil, false},
		{"10S\nx\n", nil, false},
		{"10S\n1\n", nil, false},
		{"", nil, false},
		{"99999999999999999999S\n", nil, false},
	} {
		q, err := readQuota(strings.NewReader(c.text))
		require.NoError(t, err)
		require.Equal(t, c.want, q, "%q", c.text)
		if q != nil {
			require.Equal(t, c.exceeded, q.Exceeded(), "%q", c.text)
		}
	}
	_, err := readQuota(failingReader{})
	require.Error(t, err)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("disk") }

func TestDamage(t *testing.T) {
	for src, want := range map[string][]string{
		head(base, "X-UID: 3"):                    {},
		head("S: 1"):                              {},
		head(base, "X-UID: 3") + head("S: 1"):     {},
		head(base, "X-UID: 3") + head("X-UID: 2"): {"1 X-UID headers do not rise"},
		head(base, "X-UID: x"):                    {"1 X-UID headers are no numbers"},
		mail(1, "From me to you"):                 {},
	} {
		require.Equal(t, want, audit(t, src).Damage(), "%q", src)
	}
}

func TestAuditDates(t *testing.T) {
	r := audit(t, dated(2014, "S: 1")+dated(2012, "S: 2")+dated(2013, "S: 3"))
	require.Equal(t, "2012 2014", fmt.Sprint(r.Oldest.Year(), " ", r.Newest.Year()))
	require.True(t, audit(t, pseudo).Oldest.IsZero())
}
