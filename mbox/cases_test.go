package mbox

import (
	"fmt"
	"strings"
)

const fromValid = "From a@b Thu Jan  1 00:00:01 2015\n"

// mail is message n of the fixtures: it ends with the empty line that belongs to the next From_ line.
func mail(n int, body string) string {
	return fromValid + fmt.Sprintf("From: a@b\nSubject: s%d\nDate: Thu, 1 Jan 2015 00:00:01 +0000\nMessage-ID: <%d@x>\n\n%s\n\n", n, n, body)
}

// head is a mailbox of one message with these header lines.
func head(lines ...string) string {
	return fromValid + strings.Join(lines, "\n") + "\n\nbody\n\n"
}

const base = "X-IMAPbase: 1420070401 0000000007"

type boxCase struct {
	name        string
	src         string
	strict, lax int
	hidden      int
	refused     bool
	odd         string // why Dovecot is not asked
}

var embedded = "text\n\n" + fromValid + "end"

// boxCases are mailboxes with the counts that Dovecot 2.3 and a prefix count give.
var boxCases = []boxCase{
	{name: "two", src: mail(1, "one") + mail(2, "two"), strict: 2, lax: 2},
	{name: "empty"},
	{name: "newline only", src: "\n", refused: true},
	{name: "one byte", src: "F", refused: true},
	{name: "prefix only", src: "From ", lax: 1, refused: true},
	{name: "leading blank line", src: "\n" + mail(1, "x"), lax: 1, refused: true},
	{name: "byte order mark", src: "\ufeff" + mail(1, "x"), lax: 0, refused: true},
	{name: "MMDF", src: "\x01\x01\x01\x01\n" + mail(1, "x") + "\x01\x01\x01\x01\n", lax: 1, refused: true},
	{name: "CR only", src: strings.ReplaceAll(mail(1, "x")+mail(2, "x"), "\n", "\r"), lax: 1, refused: true},
	{name: "first line without end", src: strings.TrimSuffix(fromValid, "\n"), lax: 1, refused: true},
	{name: "From_ line only", src: fromValid, strict: 1, lax: 1},
	{name: "two From_ lines in a row", src: fromValid + fromValid, strict: 1, lax: 2},
	{name: "empty headers", src: fromValid + "\n" + fromValid + "\n\n" + fromValid, strict: 3, lax: 3},
	{name: "no blank line before From_", src: strings.TrimSuffix(mail(1, "x"), "\n") + mail(2, "x"), strict: 2, lax: 2},
	{name: "body From my view", src: mail(1, "hello\nFrom my view this is text\nbye") + mail(2, "x"), strict: 2, lax: 3},
	{name: "body From after blank", src: mail(1, "hello\n\nFrom here on, text\nbye") + mail(2, "x"), strict: 2, lax: 3},
	{name: "unquoted valid From_", src: mail(1, embedded) + mail(2, "x"), strict: 3, lax: 3},
	{name: "right Content-Length", src: withLength(embedded, 0) + mail(2, "x"), strict: 2, lax: 3, hidden: 1},
	{name: "Content-Length too long", src: withLength(embedded, 3) + mail(2, "x"), strict: 3, lax: 3},
	{name: "Content-Length too short", src: withLength(embedded, -3) + mail(2, "x"), strict: 3, lax: 3},
	{name: "Content-Length hides a message", src: withLength("x\n\n"+mail(2, "y")+"z", 0) + mail(3, "x"), strict: 2, lax: 3, hidden: 1},
	{name: "Content-Length to the end", src: withLength(embedded, 0), strict: 1, lax: 2, hidden: 1},
	{name: "Content-Length overflows", src: strings.Replace(withLength(embedded, 0), "Content-Length: ", "Content-Length: 99999999999999999999", 1) + mail(2, "x"), strict: 3, lax: 3},
	{name: "Content-Length not a number", src: strings.Replace(withLength(embedded, 0), "Content-Length: ", "Content-Length: x", 1) + mail(2, "x"), strict: 3, lax: 3},
	{name: "Content-Length twice, first wins", src: strings.Replace(withLength(embedded, 0), "\n\n", "\nContent-Length: 1\n\n", 1) + mail(2, "x"), strict: 2, lax: 3, hidden: 1},
	{name: "Content-Length, body begins with From_", src: withLength(fromValid+"x", 0) + mail(2, "x"), strict: 2, lax: 3, hidden: 1},
	{name: "body begins with From_", src: fromValid + "S: 1\n\n" + mail(2, "x"), strict: 2, lax: 2},
	{name: "CRLF", src: strings.ReplaceAll(mail(1, "x")+mail(2, "x"), "\n", "\r\n"), strict: 2, lax: 2},
	{name: "CRLF and Content-Length", src: strings.ReplaceAll(withLength(embedded, 4)+mail(2, "x"), "\n", "\r\n"), strict: 2, lax: 3, hidden: 1},
	{name: "mixed line ends", src: strings.ReplaceAll(mail(1, "x"), "\n", "\r\n") + mail(2, "x"), strict: 2, lax: 2},
	{name: "NUL tail", src: mail(1, "x") + strings.Repeat("\x00", 4096), strict: 1, lax: 1},
	{name: "no final newline", src: mail(1, "x") + strings.TrimSpace(mail(2, "y")), strict: 2, lax: 2},
	{name: "truncated From_ at end", src: mail(1, "x") + "From a@b Thu", strict: 1, lax: 2},
	{name: "whole From_ at end without end", src: mail(1, "x") + strings.TrimSuffix(fromValid, "\n"), strict: 1, lax: 2},
	{name: "From_ within headers", src: fromValid + "S: 1\n" + mail(2, "x") + mail(3, "x"), strict: 3, lax: 3},
	{name: "invalid From_ within headers", src: fromValid + "S: 1\nFrom me\nT: 2\n\n" + mail(3, "x"), strict: 2, lax: 3},
	{name: "CRLF From_ within headers", src: fromValid + "S: 1\r\n" + mail(2, "x"), strict: 2, lax: 2},
	{name: "bare From hides the next line", src: mail(1, "x\nFrom \n"+fromValid+"y") + mail(2, "x"), strict: 2, lax: 4},
	{name: "two bare Froms do not", src: mail(1, "x\nFrom \nFrom \n"+fromValid+"y"), strict: 2, lax: 4},
	{name: "bare From within headers", src: fromValid + "S: 1\nFrom \n" + fromValid + "T: 1\n\nx\n", strict: 1, lax: 3},
	{name: "bare From as first header", src: fromValid + "From \n" + fromValid + "T: 1\n\nx\n", strict: 2, lax: 3},
	{name: "weekday may be a line end", src: mail(1, "x\nFrom y Thu\nJan  1 00:00:01 2015\n\nz"), strict: 2, lax: 2},
	{name: "pseudo message", src: pseudo + mail(2, "x"), strict: 2, lax: 2},
	{name: "pseudo message alone", src: pseudo, strict: 1, lax: 1},
	{name: "long From_ line", src: mail(1, "x") + "From " + strings.Repeat("a", 9000) + fromValid[8:] + "S: 1\n\nx\n", strict: 1, lax: 2},
	{name: "long tail of the From_ line", src: mail(1, "x") + fromValid[:len(fromValid)-1] + " remote from " + strings.Repeat("a", 9000) + "\nS: 1\n\nx\n", strict: 2, lax: 2, odd: "2.3.19 crashes when it shows the message"},
	{name: "quoted", src: mail(1, "x\n>From a\n>>From b\n> From c"), strict: 1, lax: 1},
	{name: "header without end at end of file", src: fromValid + "S: 1\nStatus: RO", strict: 1, lax: 1},
	{name: "header without blank line", src: fromValid + "S: 1\nStatus: RO\n", strict: 1, lax: 1},
	{name: "two final blank lines", src: fromValid + "S: 1\n\n\n", strict: 1, lax: 1},
}

const pseudo = "From MAILER-DAEMON Thu Jan  1 00:00:01 2015\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1420070401 0000000007 $Work\nStatus: RO\n\ninternal\n\n"

// withLength is a message whose Content-Length is off by wrong.
func withLength(body string, wrong int) string {
	return fromValid + fmt.Sprintf("Subject: s\nContent-Length: %d\n\n%s\n\n", len(body)+1+wrong, body)
}

// fromCases are what follows "From " in a line, and whether Dovecot takes it for the beginning of a message.
var fromCases = []struct {
	line string
	ok   bool
}{
	{"a@b Thu Jan  1 00:00:01 2015", true},
	{"a@b  Thu Jan  1 00:00:01 2015", true},
	{"a@b Thu Jan 01 00:00:01 2015", true},
	{"a@b Thu Jan 1 00:00:01 2015", true},
	{"a@b Thu Jan 31 23:59:59 2015", true},
	{"a@b Thu Jan  1 00:00 2015", true},
	{"a@b Thu Jan 1 00:00 2015", true},
	{"a@b Thu Jan  1 00:00:01 MET 2015", true},
	{"a@b Thu Jan  1 00:00:01 MET DST 2015", false},
	{"a@b Thu Jan  1 00:00:01 +0300 2015", true},
	{"a@b Thu Jan  1 00:00:01 2015 +0300", true},
	{"a@b Thu Jan  1 00:00:01 2015 -1100", true},
	{"a@b Thu Feb 31 00:00:01 2015", true},
	{"a@b Thu Feb 31 00:00:01 2015 +0300", false},
	{"a@b Thu Jan 31 00:00:60 2015 +0300", true},
	{"a@b Thu Jan 31 00:00:61 2015 +0300", false},
	{"a@b Wed Dec 31 23:59:59 1969 +0000", false},
	{"a@b Thu Jan  1 00:00:01 2015 remote from host", true},
	{"a@b Thu Jan  1 00:00:01 2015trailing", true},
	{"a@b Thu, 1 Jan 2015 00:00:01", true},
	{"a@b Thu, 1 Jan 2015 00:00:01 +0100", true},
	{"a@b Thu, 01 Jan 2015 00:00", true},
	{"a@b Thu, 1 Jan 15 00:00:01", false},
	{"a@b Xyz Jan  1 00:00:01 2015", true},
	{"a@b Thu jAN  1 00:00:01 2015", true},
	{"a@b Thu ??? 1 00:00:01 2015", true},
	{"a@b Thu Jan  0 00:00:01 2015", true},
	{"???@??? Thu Jan  1 00:00:01 2015", true},
	{"MAILER-DAEMON Thu Jan  1 00:00:01 2015", true},
	{"- Thu Jan  1 00:00:01 2015", true},
	{"\"a b\"@c Thu Jan  1 00:00:01 2015", true},
	{"\"a \\\" b\"@c Thu Jan  1 00:00:01 2015", true},
	{"\"a b@c Thu Jan  1 00:00:01 2015", false},
	{" Thu Jan  1 00:00:01 2015", true},
	{"Thu Jan  1 00:00:01 2015", false},
	{"a b@c Thu Jan  1 00:00:01 2015", false},
	{"a@b Thu Jan  1 00:00:01 15", false},
	{"a@b Thu Foo  1 00:00:01 2015", false},
	{"a@b Thu Jan  1 00:00:1 2015", false},
	{"a@b Thu Jan  1 0:00:01 2015", false},
	{"a@b Thu Jan 1st 00:00:01 2015", false},
	{"a@b Thu Jan", false},
	{"a@b", false},
	{"", false},
}

// uidCases are mailboxes whose headers give UIDs, flags and keywords.
var uidCases = []struct {
	name string
	src  string
	want []string // "uid flags keywords xuid" of each message, the pseudo message as "-"
}{
	{"kept and next", head(base, "X-UID: 3") + head("X-UID: 5") + head("Status: R"), []string{"3 [] kept", "5 [] kept", `8 \Seen [] missing`}},
	{"before base", head("X-UID: 3", base) + head("X-UID: 5"), []string{"8 [] early", "9 [] not rising"}},
	{"not rising", head(base, "X-UID: 5") + head("X-UID: 4") + head("X-UID: 6"), []string{"5 [] kept", "8 [] not rising", "9 [] not rising"}},
	{"too large", head(base, "X-UID: 3") + head("X-UID: 99") + head("X-UID: 8"), []string{"3 [] kept", "8 [] too large", "9 [] not rising"}},
	{"next one is allowed", head(base, "X-UID: 8") + head("X-UID: 9"), []string{"8 [] kept", "9 [] kept"}},
	{"no base", head("X-UID: 3") + head("X-UID: 2") + head("X-UID: 9"), []string{"1 [] early", "2 [] kept", "3 [] too large"}},
	{"broken then good", head(base, "X-UID: 3x", "X-UID: 4", "X-UID: 5"), []string{"4 [] kept"}},
	{"blank before the number", head(base, "X-UID:  3") + head("X-UID:4"), []string{"8 [] broken", "9 [] not rising"}},
	{"trailing blanks", head(base, "X-UID: 3      "), []string{"3 [] kept"}},
	{"folded", head(base, "X-UID: 3\n  "), []string{"3 [] kept"}},
	{"base broken, second read", head("X-IMAPbase: x 5", base, "X-UID: 3"), []string{"3 [] kept"}},
	{"base with tab", head("X-IMAPbase: 5\t7", "X-UID: 3"), []string{"1 [] early"}},
	{"base without last uid", head("X-IMAPbase: 1420070401", "X-UID: 1"), []string{"1 [] kept"}},
	{"base in second message", head("S: 1") + head(base, "X-UID: 5"), []string{"1 [] missing", "2 [] too large"}},
	{"pseudo", pseudo + head("X-UID: 3", "X-Keywords: $Work"), []string{"-", "3 [$Work] kept"}},
	{"X-IMAP after base is no pseudo", head(base, "X-IMAP: 5 7", "X-UID: 3"), []string{"3 [] kept"}},
	{"flags", head(base, "Status: RO", "X-Status: AFTD") + head("Status: O", "X-Status: F", "X-Status: x A"), []string{`8 \Answered \Flagged \Deleted \Seen \Draft [] missing`, `9 \Answered \Flagged [] missing`}},
	{"names in any case", head("x-imapBASE : 1420070401 7", "X-uid : 3", "STATUS:R"), []string{`3 \Seen [] kept`}},
	{"keywords", head(base+" $Work  NonJunk", "X-UID: 1", "X-Keywords: nonjunk $Work NonJunk") + head("X-Keywords: other $Work") + head("X-Keywords:   "), []string{"1 [$Work NonJunk] kept", "8 [] missing", "9 [] missing"}},
	{"keywords twice", head(base+" a b", "X-UID: 1", "X-Keywords: ", "X-Keywords: a", "X-Keywords: b"), []string{"1 [a] kept"}},
	{"keywords before base", head("X-Keywords: a", base+" a", "X-UID: 1"), []string{"1 [] kept"}},
	{"bad keywords", head(base+" a(b * ok "+strings.Repeat("k", 51), "X-UID: 1", "X-Keywords: ok") + head("X-Keywords: a(b"), []string{"1 [ok] kept", "8 [] missing"}},
	{"folded keywords", head(base+"\n\ta\n b", "X-UID: 1", "X-Keywords: a\n\tb"), []string{"1 [a b] kept"}},
	{"NUL in the name", head(base, "X-UID\x00foo: 3"), []string{"3 [] kept"}},
	{"numbers wrap at 32 bits", head("X-IMAPbase: 4294967297 4294967299", "X-UID: 4294967298"), []string{"2 [] kept"}},
}
