package mbox

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// identitiesOf reads the mailbox at path.
func identitiesOf(t testing.TB, path string, opt *Options) []Entry {
	t.Helper()
	root, err := os.OpenRoot(filepath.Dir(path))
	require.NoError(t, err)
	defer root.Close()
	var out []Entry
	for e, err := range Identities(context.Background(), root, filepath.Base(path), opt) {
		require.NoError(t, err)
		out = append(out, e)
	}
	return out
}

// uidl is the POP3 UIDL of an entry in one of the formats that pop3_uidl_format is tested with.
func uidl(e Entry, format string) string {
	switch {
	case e.Saved != "":
		return e.Saved
	case format == "xuidl" && e.XUIDL != "":
		return e.XUIDL
	}
	sum := md5.Sum([]byte(e.MD5))
	return map[string]string{
		"%08Xu%08Xv": fmt.Sprintf("%08x%08x", e.UID, e.UIDValidity),
		"xuidl":      fmt.Sprintf("%08x%08x", e.UID, e.UIDValidity),
		"%v.%u":      fmt.Sprintf("%d.%d", e.UIDValidity, e.UID),
		"%m":         e.MD5, "%g": e.GUID, "%f": e.Filename,
		"%Mm": hex.EncodeToString(sum[:]),
	}[format]
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// uidlBox has what POP3 identities are made of.
var uidlBox = head("Date: a", "X-IMAPbase: 1293872400 0000000012", "X-UID: 5", `X-UIDL: F4d"!P,"#!Z^!!SkR"!`, "Message-ID: <1@x>") +
	head("X-UID: 12", "Date: b", "Received: from a\n\tby b", "Message-ID: <2@x>") + head("Date: c", "Delivered-To: d")

// asPOP3 lets Dovecot list the UIDLs of the mailbox at path below home, and us as well.
func asPOP3(t *testing.T, name, location string, make func(home string), formats ...string) {
	t.Helper()
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			settings := []string{"mail_location = " + location, "pop3_uidl_format = " + format}
			if format == "xuidl" {
				settings = []string{"mail_location = " + location, "protocol pop3 {\n  pop3_reuse_xuidl = yes\n}", "pop3_uidl_format = %08Xu%08Xv"}
			}
			d := oracle.Dovecot(t, settings...)
			make(d.Home)
			d.Own()
			ours := identitiesOf(t, filepath.Join(d.Home, name), &Options{MD5: "apop3d"})
			lines := d.POP3("UIDL")
			require.Len(t, lines, len(ours)+3, d.Log)
			for i, e := range ours {
				require.Equal(t, fmt.Sprintf("%d %s", i+1, uidl(e, format)), lines[i+1])
			}
		})
	}
}

func TestDovecotListsTheSameUIDLsOfAnMbox(t *testing.T) {
	asPOP3(t, "inbox", "mbox:%h/mail:INBOX=%h/inbox", func(home string) { write(t, filepath.Join(home, "inbox"), uidlBox) },
		"%08Xu%08Xv", "%v.%u", "%m", "%g", "%Mm", "xuidl")
}

func TestVectors(t *testing.T) {
	var boxes []struct {
		Vectors []struct {
			Format string   `json:"format"`
			UIDL   []string `json:"uidl"`
		} `json:"vectors"`
	}
	data, err := os.ReadFile("testdata/dovecot-uidl.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &boxes))
	var entries []Entry
	ms, _ := scan(t, uidlBox, nil)
	for _, m := range ms {
		entries = append(entries, m.Entry())
	}
	checked := 0
	for _, v := range boxes[0].Vectors {
		format := v.Format
		if strings.Contains(format, "reuse_xuidl") {
			format = "xuidl"
		}
		if format != "%08Xu%08Xv" && format != "%v.%u" && format != "xuidl" {
			continue // the MD5s are of another mailbox, other formats are dovecotconf's
		}
		checked++
		for i, e := range entries {
			require.Equal(t, v.UIDL[i], uidl(e, format))
		}
	}
	require.Equal(t, 3, checked)
}

// aMaildir writes a Maildir with files in cur and new, and this dovecot-uidlist.
func aMaildir(t testing.TB, dir, uidlist string, files ...string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	for _, f := range files {
		write(t, filepath.Join(dir, f), "Subject: x\n\nbody\n")
	}
	if uidlist != "" {
		write(t, filepath.Join(dir, uidlistName), uidlist)
	}
}

// maildirCases are Maildirs, and the UIDs of their base names by Dovecot. Those in unknown are not promised.
var maildirCases = []struct {
	name, uidlist string
	files         []string
	want          []string
	unknown       int // how many of the last are not known
}{
	{"v1", "1 1293872400 8\n5 100.a.h\n7 101.b.h:2,S\n", []string{"cur/100.a.h:2,", "cur/101.b.h:2,RS", "cur/103.d.h:2,", "new/102.c.h"},
		[]string{"5 100.a.h", "7 101.b.h", "8 102.c.h", "9 103.d.h"}, 2},
	{"v1 next uid in the list", "1 1293872400 6\n5 100.a\n7 101.b\n", []string{"cur/100.a:2,", "cur/101.b:2,"}, []string{"5 100.a", "8 101.b"}, 1},
	{"v3", "3 V1293872400 N21 G0123456789abcdef0123456789abcdef\n5 W100 :100.a\n7 Pcourier-uidl :101.b\n9 P :102.c,S=17\n20 G0fedcba9 O1 :103.d\n",
		[]string{"cur/100.a:2,", "cur/101.b:2,S", "cur/102.c,S=17:2,", "new/103.d"}, []string{"5 100.a", "7 101.b", "9 102.c,S=17", "20 103.d"}, 0},
	{"stale next uid", "3 V1293872400 N2 G0123456789abcdef0123456789abcdef\n5 :100.a\n", []string{"cur/100.a:2,", "cur/101.b:2,"}, []string{"5 100.a", "6 101.b"}, 1},
	{"listed and gone", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n7 :101.b\n", []string{"cur/101.b:2,"}, []string{"7 101.b"}, 0},
	{"twice", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n6 :101.b\n7 :100.a:2,S\n", []string{"cur/100.a:2,", "cur/101.b:2,"}, []string{"6 101.b", "7 100.a"}, 0},
	{"torn last line", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n7 :101", []string{"cur/100.a:2,", "cur/101.b:2,"}, []string{"5 100.a", "10 101.b"}, 1},
	{"not rising", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n5 :101.b\n9 :102.c\n", []string{"cur/100.a:2,", "cur/101.b:2,", "cur/102.c:2,"},
		[]string{"5 100.a", "10 101.b", "11 102.c"}, 2},
	{"no colon", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n6 101.b\n9 :102.c\n", []string{"cur/100.a:2,", "cur/101.b:2,", "cur/102.c:2,"},
		[]string{"5 100.a", "10 101.b", "11 102.c"}, 2},
	{"odd field", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 x1 Pu :100.a\n6   W1   :101.b c\n", []string{"cur/100.a:2,", "cur/101.b c:2,"}, []string{"5 100.a", "6 101.b c"}, 0},
	{"CRLF", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\r\n5 :100.a\r\n", []string{"cur/100.a:2,"}, []string{"5 100.a"}, 0},
	{"order of new ones", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n", []string{"cur/9.M1.h:2,", "cur/10.M9P2.h:2,S", "new/10.M10P1.h", "new/10.a.h", "cur/2.z:2,"},
		[]string{"10 2.z", "11 9.M1.h", "12 10.M9P2.h", "13 10.M10P1.h", "14 10.a.h"}, 5},
	{"dot files and tmp", "3 V1293872400 N10 G0123456789abcdef0123456789abcdef\n5 :100.a\n", []string{"cur/100.a:2,", "cur/.hidden", "tmp/102.x", "dovecot.index.log.bak"}, []string{"5 100.a"}, 0},
}

func TestMaildir(t *testing.T) {
	for _, c := range maildirCases {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "Maildir")
			aMaildir(t, dir, c.uidlist, c.files...)
			var got []string
			for i, e := range identitiesOf(t, dir, nil) {
				got = append(got, fmt.Sprint(e.UID, " ", e.Filename))
				require.EqualValues(t, 1293872400, e.UIDValidity)
				require.Equal(t, i < len(c.want)-c.unknown, e.Known)
				require.Empty(t, e.MD5)
				require.NotEmpty(t, e.GUID)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestDovecotListsTheSameUIDLsOfAMaildir(t *testing.T) {
	for _, c := range maildirCases {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "v3" {
				// O puts the last message first: compare without it.
				c.uidlist = strings.Replace(c.uidlist, " O1", "", 1)
			}
			asPOP3(t, "Maildir", "maildir:%h/Maildir", func(home string) { aMaildir(t, filepath.Join(home, "Maildir"), c.uidlist, c.files...) },
				"%08Xu%08Xv", "%f", "%g")
		})
	}
}

func TestMaildirWithoutList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, list := range []string{"", "2 5 6\n", "3 V5\n", "3 V0 N1\n", "x", "1 5\n", "3 V99999999999 N1\n"} {
		aMaildir(t, dir, list, "new/100.a", "cur/99.b:2,")
		got := identitiesOf(t, dir, nil)
		require.Len(t, got, 2)
		require.Equal(t, Entry{Identity: Identity{UID: 1, Filename: "99.b", GUID: "99.b"}}, got[0])
		require.Equal(t, Entry{Identity: Identity{UID: 2, Filename: "100.a", GUID: "100.a"}}, got[1])
	}
}

func TestMaildirControlDirectory(t *testing.T) {
	dir := t.TempDir()
	aMaildir(t, filepath.Join(dir, "Maildir"), "", "cur/100.a:2,")
	write(t, filepath.Join(dir, "control", ".INBOX", uidlistName), "1 5 9\n3 100.a\n")
	got := identitiesOf(t, filepath.Join(dir, "Maildir"), &Options{UIDList: "control/.INBOX/" + uidlistName})
	require.Equal(t, []Entry{{Identity: Identity{UID: 3, UIDValidity: 5, Filename: "100.a", GUID: "100.a"}, Known: true}}, got)

	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	for _, err := range Identities(context.Background(), root, "Maildir", &Options{UIDList: "control/none"}) {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestReadUIDList(t *testing.T) {
	l, err := ReadUIDList(strings.NewReader("3 V7 N9 Gabc\n1 :a\n4 W12 Pu O3 S11 Gg P2 :b:2,S\n"))
	require.NoError(t, err)
	require.Equal(t, &UIDList{Version: 3, UIDValidity: 7, NextUID: 9, GUID: "abc", Records: []UIDRecord{
		{UID: 1, Name: "a"}, {UID: 4, Name: "b:2,S", UIDL: "u", Order: "3", GUID: "g", PSize: "11", VSize: "12"}}}, l)
	for text, line := range map[string]int{
		"3 V7 N9\n1 :a\n2 :b/c\n":        3,
		"3 V7 N9\n1 :a\n4294967295 :b\n": 3,
		"3 V7 N9\n0 :a\n":                2,
		"3 V7 N9\n1:a\n":                 2,
		"9 V7 N9\n":                      1,
		"3 V7 N9\n1 :a\n":                0,
		"3 V7 N9\n1 :" + strings.Repeat("a", uidlistLine) + "\n": 2,
	} {
		l, err := ReadUIDList(strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, line, l.Broken, text)
	}
}

func TestIdentitiesStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box")
	write(t, path, mail(1, "a")+mail(2, "b"))
	root, err := os.OpenRoot(filepath.Dir(path))
	require.NoError(t, err)
	defer root.Close()
	n := 0
	for range Identities(context.Background(), root, "box", nil) {
		n++
		break
	}
	require.Equal(t, 1, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range Identities(ctx, root, "box", nil) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestIdentitiesErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "box"), mail(1, "a"))
	write(t, filepath.Join(dir, "bad"), "no mailbox with a secret\n")
	aMaildir(t, filepath.Join(dir, "real", "Maildir"), "", "cur/1.a")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "plain"), 0o755))
	want := map[string]error{"bad": ErrRefused, "none": fs.ErrNotExist, "plain": fs.ErrNotExist, "../box": fs.ErrInvalid, "/box": fs.ErrInvalid, "": fs.ErrInvalid}
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Symlink("box", filepath.Join(dir, "link")))
		require.NoError(t, os.Symlink("real", filepath.Join(dir, "dirlink")))
		require.NoError(t, os.Rename(filepath.Join(dir, "real", "Maildir", "new"), filepath.Join(dir, "elsewhere")))
		require.NoError(t, os.Symlink("../../elsewhere", filepath.Join(dir, "real", "Maildir", "new")))
		want["link"], want["dirlink/Maildir"], want["real/Maildir"] = errSymlink, errSymlink, errSymlink
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	for name, cause := range want {
		n := 0
		for e, err := range Identities(context.Background(), root, name, nil) {
			require.ErrorIs(t, err, cause, name)
			require.NotContains(t, err.Error(), "secret")
			var pathErr *fs.PathError
			require.True(t, errors.As(err, &pathErr), name)
			require.True(t, strings.HasPrefix(pathErr.Path, strings.TrimSuffix(name, "/Maildir")), pathErr.Path)
			require.Zero(t, e)
			n++
		}
		require.Equal(t, 1, n, name)
	}
}
