package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/oracle"
)

// Formats that people had, in the syntax of 2.3. For 2.4 they are translated, so that the translation is judged too.
var (
	uidFormats     = []string{"%08Xu%08Xv", "%08Xv%08Xu", "%v.%u", "%u", "%v-%u", "%010u-%Xv", "%-4.04Xv%u", "a%%b%08XUu", "%Mu%v"}
	mboxFormats    = append([]string{"%m", "%g", "%Mm", "%UMm.%u"}, uidFormats...)
	maildirFormats = append([]string{"%f", "%g", "%Mf", "%Ug:%u"}, uidFormats...)
)

const boxA = "From a@b Mon Jan  1 00:00:00 2011\nX-IMAPbase: 1293872400 21 Work\nX-UID: 5\nX-UIDL: F4d\"!P,\"#!Z^!!SkR\"!\nReceived: from a\n\tby b; Sat, 1 Jan 2011\nDate: Sat, 01 Jan 2011 09:00:00 +0000\nMessage-ID: <1@a>\nSubject: a\n\nhi\n\n" +
	"From a@b Mon Jan  1 00:00:00 2011\nX-UID: 12\nDelivered-To: c@d\nX-UIDL: dup\nSubject: b\n\nho\n\n" +
	"From a@b Mon Jan  1 00:00:00 2011\nX-UID: 13\nX-UIDL: dup\nSubject: b\n\nho\n\n" +
	"From a@b Mon Jan  1 00:00:00 2011\nX-UID: 20\nSubject: c\n\nhe\n\n"

// No UID that can be taken: falling, and above the last one (T53).
const (
	boxFalling = "From a@b Mon Jan  1 00:00:00 2011\nX-IMAPbase: 1293872400 9\nX-UID: 9\n\nhi\n\nFrom a@b Mon Jan  1 00:00:00 2011\nX-UID: 4\n\nho\n\n"
	boxPseudo  = "From MAILER-DAEMON Mon Jan  1 00:00:00 2011\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1293872400 13\nStatus: RO\n\nx\n\n" +
		"From a@b Mon Jan  1 00:00:00 2011\nX-UID: 12\n\nhi\n\nFrom a@b Mon Jan  1 00:00:00 2011\nX-UID: 13\n\nho\n\n"
)

// maildirs hold a dovecot-uidlist and files; those that it does not list get UIDs at the first look (T50).
var maildirs = map[string]map[string]string{
	"v1": {"dovecot-uidlist": "1 1293872400 20\n5 1276502400.M0P1.a:2,S\n7 1276502401.M1P1.a\n",
		"cur/1276502400.M0P1.a:2,S": "X-UIDL: one\nSubject: 1\n\n1\n", "cur/1276502401.M1P1.a:2,": "Subject: 2\n\n2\n", "cur/1276502402.M2P1.a:2,": "Subject: 3\n\n3\n"},
	"v3": {"dovecot-uidlist": "3 V1293872400 N30 G8eb1d11400aa154c74b1000000000001\n5 PUID5-1293872400 :1276502400.M0P1.a\n9 :1276502401.M1P1.a\n" +
		"14 P :1276502402.M2P1.a\n20 Gab12cd34ab12cd34ab12cd34ab12cd34 :1276502403.M3P1.a\n",
		"cur/1276502400.M0P1.a:2,S": "X-UIDL: one\n\n1\n", "cur/1276502401.M1P1.a:2,": "X-UIDL: two\n\n2\n", "cur/1276502402.M2P1.a:2,": "X-UIDL:   three\n\n3\n", "new/1276502403.M3P1.a": "X-UIDL: two\n\n4\n"},
	"order": {"dovecot-uidlist": "3 V1293872400 N30 G8eb1d11400aa154c74b1000000000001\n5 O3 :1276502400.M0P1.a\n9 O1 :1276502401.M1P1.a\n14 O2 :1276502402.M2P1.a\n",
		"cur/1276502400.M0P1.a:2,S": "Subject: 1\n\n1\n", "cur/1276502401.M1P1.a:2,": "Subject: 2\n\n2\n", "cur/1276502402.M2P1.a:2,": "Subject: 3\n\n3\n"},
}

// server is how a version is set up for one comparison.
type server struct {
	version string
	start   func(testing.TB, ...string) *oracle.Server
	maildir string
}

var (
	server23 = server{"2.3.19", oracle.Dovecot, "mail_location = maildir:%h/Maildir"}
	server24 = server{"2.4.1", oracle.Dovecot24, "mail_driver = maildir\nmail_path = %{home}/Maildir\nmail_inbox_path = %{home}/Maildir"}
)

// check lets the real server list the UIDLs of a mailbox and wants each of them foretold.
func (s server) check(t *testing.T, box string, files map[string]string, settings ...string) (compared int) {
	srv := s.start(t, settings...)
	for name, text := range files {
		p := filepath.Join(srv.Home, box, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	if _, plain := files[""]; !plain {
		for _, sub := range []string{"cur", "new", "tmp"} {
			require.NoError(t, os.MkdirAll(filepath.Join(srv.Home, box, sub), 0o755))
		}
	}
	srv.Own()
	config, err := dovecotconf.Load(os.DirFS(filepath.Dir(srv.Home)), "dovecot.conf", &dovecotconf.Options{Version: s.version})
	require.NoError(t, err)
	require.Empty(t, config.Problems())
	h, err := open(filepath.Join(srv.Home, box), config)
	require.NoError(t, err)
	defer h.root.Close()
	mail, err := h.read(context.Background(), h.name, config.Get("pop3", "mbox_md5").Value)
	require.NoError(t, err)
	choice, err := config.Choice()
	require.NoError(t, err)
	want, err := choice.UIDLs(mail.Messages)
	require.NoError(t, err, settings)
	var got []string
	for _, reply := range srv.POP3("UIDL") {
		if n, uidl, ok := strings.Cut(reply, " "); ok && n != "+OK" {
			got = append(got, uidl)
		}
	}
	require.Len(t, got, len(want), "%s\n%s", settings, srv.Log)
	for i := range want {
		if mail.Messages[i].UIDValidity == 0 && want[i] != got[i] {
			continue // the tool says unpredictable
		}
		compared++
		if box == "Maildir" && strings.Contains(files["dovecot-uidlist"], " O1 ") {
			require.Contains(t, got, want[i], "%s\n%s", settings, srv.Log)
			continue
		}
		require.Equal(t, want[i], got[i], "%s, message %d\n%s", settings, i+1, srv.Log)
	}
	return compared
}

func (s server) format(t *testing.T, format string) string {
	f, err := dovecotconf.ParseFormat("2.3.19", format)
	require.NoError(t, err)
	text, err := f.Translate(s.version)
	require.NoError(t, err, format)
	return "pop3_uidl_format = " + text
}

func (s server) all(t *testing.T) {
	compared := 0
	for _, format := range mboxFormats {
		compared += s.check(t, "inbox", map[string]string{"": boxA}, s.format(t, format))
	}
	for _, format := range maildirFormats {
		compared += s.check(t, "Maildir", maildirs["v3"], s.maildir, s.format(t, format))
	}
	for _, box := range []string{boxFalling, boxPseudo} {
		compared += s.check(t, "inbox", map[string]string{"": box}, s.format(t, "%v.%u"))
	}
	for _, name := range []string{"v1", "order"} {
		compared += s.check(t, "Maildir", maildirs[name], s.maildir, s.format(t, "%v.%u"))
	}
	const reuse, rename = "pop3_reuse_xuidl = yes", "pop3_uidl_duplicates = rename"
	for _, extra := range [][]string{{reuse}, {rename}, {reuse, rename}} {
		for _, format := range []string{"%08Xu%08Xv", "%v"} { // with the second, all are the same
			extra := append(extra, s.format(t, format))
			compared += s.check(t, "inbox", map[string]string{"": boxA}, extra...)
			compared += s.check(t, "Maildir", maildirs["v3"], append(extra, s.maildir)...)
		}
	}
	compared += s.check(t, "inbox", map[string]string{"": boxA}, s.format(t, "%m"), "mbox_md5 = all")
	t.Logf("%d UIDLs compared", compared)
	require.Greater(t, compared, 150)
}

// What the tool foretells is what a real POP3 server says, message by message.
func TestUIDLsOf23(t *testing.T) { server23.all(t) }

// The same with 2.4, on the host that DOVECOT24_ROOT names.
func TestUIDLsOf24(t *testing.T) { server24.all(t) }
