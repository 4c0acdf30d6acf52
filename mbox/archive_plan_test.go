package mbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dated is a message of a year, with these header lines.
func dated(year int, lines ...string) string {
	return fmt.Sprintf("From a@b Thu Jan  1 00:00:01 %d\n", year) + strings.Join(lines, "\n") + fmt.Sprintf("\n\nbody of %d\n\n", year)
}

var cutoff = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

func rule(change ...func(*Archive)) *Archive {
	a := &Archive{Before: cutoff, Into: "/archive/%u", Location: time.UTC}
	for _, c := range change {
		c(a)
	}
	return a
}

func planOf(t testing.TB, a *Archive, src string) *ArchivePlan {
	t.Helper()
	p, err := a.PlanOf(context.Background(), strings.NewReader(src), int64(len(src)), "/var/mail/anna", Owner{Name: "anna", Home: "/home/anna"})
	require.NoError(t, err)
	return p
}

// carryOut does in memory what Apply does to files.
func carryOut(p *ArchivePlan, src string) (left string, moved []string) {
	var b bytes.Buffer
	for _, e := range p.edit.pieces {
		if e.text != nil {
			b.Write(e.text)
		} else {
			b.WriteString(src[e.off : e.off+e.n])
		}
	}
	moved = make([]string, len(p.Targets))
	for _, r := range p.edit.runs {
		moved[r.target] += src[r.off:r.end]
	}
	return b.String(), moved
}

// checked runs the check that Apply makes.
func checked(p *ArchivePlan, src, left string) error {
	return p.check(context.Background(), strings.NewReader(src), strings.NewReader(left[p.edit.from:]))
}

func TestArchivePlan(t *testing.T) {
	numbered := func(n int) string { return fmt.Sprintf("X-UID: %d", n) }
	ten := "X-IMAPbase: 1420070401 0000000010 $Work  Later"
	padded := ten + "          "
	pseudoLine := "X-IMAP: 1420070401 0000000010 $Work  Later"
	for _, c := range []struct {
		name      string
		src       []string // messages
		change    func(*Archive)
		want      []string // messages that stay; one with "+" has X-IMAPbase before its headers now
		held      ArchiveHeld
		refused   bool
		keepsFrom int64 // first byte that changes; 0: not looked at
	}{
		{name: "nothing is old", src: []string{dated(2015, ten, numbered(3))}, want: nil},
		{name: "empty"},
		{name: "first leaves", src: []string{dated(2014, ten, numbered(3)), dated(2016, numbered(4))},
			want: []string{dated(2016, ten, numbered(4))}},
		{name: "padding moves too", src: []string{dated(2014, padded, numbered(3)), dated(2016, numbered(4))},
			want: []string{dated(2016, padded, numbered(4))}},
		{name: "last leaves", src: []string{dated(2016, ten, numbered(3)), dated(2014, numbered(4))},
			want: []string{dated(2016, ten, numbered(3))}},
		{name: "middle leaves", src: []string{dated(2016, ten, numbered(3)), dated(2014, numbered(4)), dated(2017, numbered(5))},
			want: []string{dated(2016, ten, numbered(3)), dated(2017, numbered(5))}},
		{name: "pseudo message stays", src: []string{pseudo, dated(2014, numbered(3)), dated(2016, numbered(4))},
			want: []string{pseudo, dated(2016, numbered(4))}},
		{name: "pseudo message alone is left", src: []string{pseudo, dated(2014, numbered(3))}, want: []string{pseudo}},
		{name: "all leave", src: []string{dated(2013, ten, numbered(3)), dated(2014, numbered(9))},
			want: []string{"From MAILER-DAEMON Thu Jan  1 00:00:00 2015\nDate: Thu, 01 Jan 2015 00:00:00 +0000\n" +
				"From: Mail System Internal Data <MAILER-DAEMON@localhost>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n" +
				"Message-ID: <1420070400@localhost>\n" + pseudoLine + "\nStatus: RO\n\n" +
				"This message belongs to the mail system and is not shown by mail clients. It keeps the\n" +
				"numbers by which they know the messages of this mailbox. Leave it where it is.\n\n"}},
		{name: "all leave a mailbox without numbers", src: []string{dated(2013, "S: 1"), dated(2014, "S: 2")}, want: []string{}},
		{name: "no numbers", src: []string{dated(2013, "S: 1"), dated(2016, "S: 2"), dated(2014, "S: 3")}, want: []string{dated(2016, "S: 2")}},
		{name: "flagged and unread stay", src: []string{dated(2013, ten, numbered(1), "X-Status: F"), dated(2013, numbered(2), "Status: RO"), dated(2013, numbered(3), "Status: O")},
			change: func(a *Archive) { a.KeepFlagged, a.KeepUnread = true, true },
			want:   []string{dated(2013, ten, numbered(1), "X-Status: F"), dated(2013, numbered(3), "Status: O")},
			held:   ArchiveHeld{Flagged: 1, Unread: 1}},
		{name: "new mail leaves: its number is never given again", src: []string{dated(2016, ten, numbered(1)), dated(2014, "S: 1"), dated(2016, "S: 2")},
			want: []string{dated(2016, "X-IMAPbase: 1420070401 0000000011 $Work  Later", numbered(1)), dated(2016, "S: 2")}},
		{name: "new mail leaves with the first", src: []string{dated(2013, ten, numbered(1)), dated(2014, "S: 1"), dated(2016, "S: 2")},
			want: []string{dated(2016, "X-IMAPbase: 1420070401 0000000011 $Work  Later", "S: 2")}},
		{name: "new mail behind new mail that stays", src: []string{dated(2016, ten, numbered(1)), dated(2016, "S: 1"), dated(2014, "S: 2"), dated(2013, numbered(7))},
			want: nil, held: ArchiveHeld{Unnumbered: 2}},
		{name: "all new mail leaves", src: []string{dated(2014, ten, numbered(1)), dated(2014, "S: 1"), dated(2014, "S: 2")},
			want: []string{"~0000000012"}},
		{name: "an X-UID above the last UID leaves", src: []string{dated(2016, ten, numbered(1)), dated(2014, numbered(11))},
			want: []string{dated(2016, "X-IMAPbase: 1420070401 0000000011 $Work  Later", numbered(1))}},
		{name: "forged X-IMAPbase of the heir stays without effect", src: []string{dated(2014, ten, numbered(1)), dated(2016, "X-IMAPbase: 5 6", numbered(2))},
			want: []string{dated(2016, ten, "X-IMAPbase: 5 6", numbered(2))}},
		{name: "folded base", src: []string{dated(2014, "X-IMAPbase: 1420070401 0000000010\n\t$Work\n  Later", numbered(1)), dated(2016, numbered(2))},
			want: []string{dated(2016, "X-IMAPbase: 1420070401 0000000010\n\t$Work\n  Later", numbered(2))}},
		{name: "base without last uid", src: []string{dated(2014, "X-IMAPbase: 1420070401", "S: 1"), dated(2016, "S: 2")},
			want: []string{dated(2016, "X-IMAPbase: 1420070401 0000000001", "S: 2")}},
		{name: "CRLF", src: []string{crlf(dated(2014, ten, numbered(3))), crlf(dated(2016, numbered(4)))},
			want: []string{crlf(dated(2016, ten, numbered(4)))}},
		{name: "the heir would hide itself", src: []string{dated(2014, "S: 1"), dated(2016, "X-IMAP: 5 6")}, refused: true, want: []string{dated(2016, "X-IMAP: 5 6")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := rule()
			if c.change != nil {
				c.change(a)
			}
			src := strings.Join(c.src, "")
			p := planOf(t, a, src)
			require.Equal(t, c.held, p.Held)
			require.EqualValues(t, len(src), p.Size)
			if c.want == nil {
				require.Zero(t, p.Messages)
				require.Empty(t, p.edit.pieces)
				return
			}
			left, moved := carryOut(p, src)
			require.Equal(t, int64(len(moved[0])), p.Bytes)
			require.EqualValues(t, len(left), p.edit.size)
			require.Equal(t, src[:p.edit.from], left[:p.edit.from])
			if last, ok := strings.CutPrefix(strings.Join(c.want, ""), "~"); ok {
				require.Contains(t, left, last)
			} else {
				require.Equal(t, strings.Join(c.want, ""), left)
			}
			if c.refused {
				require.ErrorContains(t, checked(p, src, left), "would look different")
				return
			}
			require.NoError(t, checked(p, src, left))
		})
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// A Content-Length that points nowhere may point to a From_ line when messages between have gone.
func TestArchivePlanContentLengthOverOthers(t *testing.T) {
	swallow := dated(2016, "X: 1", "Content-Length: %d")
	old, next := dated(2014, "S: 2", "X: makes it longer"), dated(2017, "S: 3")
	body := "body of 2016\n"
	// True when only next stands between.
	swallow = fmt.Sprintf(swallow, len(body)+1+len(next)-1)
	src := swallow + old + next + dated(2018, "S: 4")
	ms, _ := scan(t, src, nil)
	require.Len(t, ms, 4)
	p := planOf(t, rule(), src)
	require.Equal(t, 1, p.Messages)
	left, _ := carryOut(p, src)
	ms, _ = scan(t, left, nil)
	require.Len(t, ms, 2)
	require.ErrorContains(t, checked(p, src, left), "would look different")
}

func TestArchivePlanTargets(t *testing.T) {
	src := dated(2013, base, "X-UID: 1") + dated(2014, "X-UID: 2") + dated(2013, "X-UID: 3") + dated(2013, "X-UID: 4") + dated(2016, "X-UID: 5")
	p := planOf(t, rule(func(a *Archive) { a.Into = "/a/%u/b/%h/c%%/%Y/%f-%m%d" }), src)
	names := []string{"/a/anna/b//home/anna/c%/2013/anna-0101", "/a/anna/b//home/anna/c%/2014/anna-0101"}
	require.Equal(t, []ArchiveTarget{
		{Path: names[0], Messages: 3, Bytes: int64(len(dated(2013, base, "X-UID: 1")) + 2*len(dated(2013, "X-UID: 3"))),
			dirs: []string{"/a/anna", "/a/anna/b//home/anna/c%", "/a/anna/b//home/anna/c%/2013"}},
		{Path: names[1], Messages: 1, Bytes: int64(len(dated(2014, "X-UID: 2"))),
			dirs: []string{"/a/anna", "/a/anna/b//home/anna/c%", "/a/anna/b//home/anna/c%/2014"}},
	}, p.Targets)
	require.Equal(t, 2013, p.Oldest.Year())
	require.Equal(t, 2014, p.Newest.Year())
	require.Len(t, p.edit.runs, 3, "neighbours are one run")
	_, moved := carryOut(p, src)
	require.Equal(t, []string{dated(2013, base, "X-UID: 1") + dated(2013, "X-UID: 3") + dated(2013, "X-UID: 4"), dated(2014, "X-UID: 2")}, moved)
}

func TestArchivePath(t *testing.T) {
	day := time.Date(2007, 3, 9, 23, 0, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct{ template, want, err string }{
		{"/a/%u.mbox", "/a/anna.mbox", ""},
		{"%h/mail/%f-%Y-%m-%d.gz", "/home/anna/mail/INBOX-2007-03-09.gz", ""},
		{"100%%", "100%", ""},
		{"", "", ""},
		{"x%", "", "at the end"},
		{"%x", "", "unknown directive %x"},
	} {
		got, err := ArchivePath(c.template, Owner{"anna", "/home/anna"}, "INBOX", day)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for _, o := range []Owner{{Name: ".."}, {Name: "a/b"}, {Name: ""}, {Name: "a\x00b"}} {
		_, err := ArchivePath("/a/%u", o, "f", day)
		require.ErrorContains(t, err, "is no part of a path")
	}
	_, err := ArchivePath("%h/x", Owner{Name: "anna"}, "f", day)
	require.ErrorContains(t, err, "no home directory")
}

func TestArchivePlanErrors(t *testing.T) {
	ctx, o := context.Background(), Owner{Name: "anna"}
	_, err := rule().PlanOf(ctx, strings.NewReader("x\n"), 2, "/m", o)
	require.ErrorIs(t, err, ErrRefused)
	src := dated(2014, "S: 1")
	_, err = rule(func(a *Archive) { a.Into = "%q" }).PlanOf(ctx, strings.NewReader(src), int64(len(src)), "/m", o)
	require.ErrorContains(t, err, "unknown directive")
	_, err = rule().PlanOf(ctx, failing{}, 5, "/m", o)
	require.Error(t, err)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = rule().PlanOf(cancelled, strings.NewReader(src), int64(len(src)), "/m", o)
	require.ErrorIs(t, err, context.Canceled)
	var many strings.Builder
	for y := range maxTargets + 1 {
		many.WriteString(dated(1800+y, "S: 1"))
	}
	_, err = rule(func(a *Archive) { a.Into = "/a/%Y" }).PlanOf(ctx, strings.NewReader(many.String()), int64(many.Len()), "/m", o)
	require.ErrorContains(t, err, "more than 100 archives")
	huge := dated(2014, base, "X: "+strings.Repeat("x", baseMax))
	_, err = rule().PlanOf(ctx, strings.NewReader(huge), int64(len(huge)), "/m", o)
	require.ErrorContains(t, err, "header of the first message")
}

// law: each message is in one place, none changed; or the check refuses.
func archiveLaw(t *testing.T, a *Archive, src string) (refused bool) {
	t.Helper()
	p, err := a.PlanOf(context.Background(), strings.NewReader(src), int64(len(src)), "/m/anna", Owner{Name: "anna"})
	if errors.Is(err, ErrRefused) || err != nil && strings.Contains(err.Error(), "X-IMAPbase") {
		return true
	}
	require.NoError(t, err)
	if p.Messages == 0 {
		return false
	}
	left, moved := carryOut(p, src)
	require.EqualValues(t, len(left), p.edit.size)
	require.Equal(t, src[:p.edit.from], left[:p.edit.from])
	if checked(p, src, left) != nil {
		return true
	}
	was, sumWas := scan(t, src, &Options{Location: time.UTC})
	now, sumNow := scan(t, left, &Options{Location: time.UTC})
	require.Equal(t, sumWas.Messages, p.Messages+sumNow.Messages)
	require.Equal(t, p.Kept, sumNow.Messages)
	if sumWas.UIDValidity != 0 {
		require.Equal(t, sumWas.UIDValidity, sumNow.UIDValidity)
		require.Equal(t, sumWas.UIDNext, sumNow.UIDNext)
		require.Equal(t, sumWas.Keywords, sumNow.Keywords)
	}
	i, gone := 0, strings.Join(moved, "")
	for _, m := range was {
		text := src[m.Offset:m.Next]
		if !slices.ContainsFunc(p.edit.runs, func(r leaving) bool { return r.off <= m.Offset && m.Offset < r.end }) {
			require.True(t, strings.HasSuffix(left[now[i].Offset:now[i].Next], src[m.Body:m.End]+src[m.End:m.Next]))
			if m.Known && now[i].Known {
				require.Equal(t, m.UID, now[i].UID)
			}
			require.Equal(t, m.Flags, now[i].Flags)
			require.Equal(t, m.Keywords, now[i].Keywords)
			i++
			continue
		}
		require.Contains(t, gone, text)
	}
	return false
}

// A From_ line right behind another is hidden by it; with X-IMAPbase between the two it would begin a message of its own.
func TestArchiveHiddenFromLine(t *testing.T) {
	src := dated(2014, base, "X-UID: 3") + "From b@c Fri Jan  2 00:00:01 2015\nFrom a@b Thu Jan  1 00:00:01 2015\r\nFrom a@b Thu Jan  1 00:00:01 2016\n\r"
	require.True(t, archiveLaw(t, rule(), src))
}

func TestArchiveLaw(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for range 800 {
		src := randomBox(rng)
		for strings.Contains(src, "2015\n") && rng.IntN(4) > 0 {
			src = strings.Replace(src, "2015\n", fmt.Sprintf("%d\n", 2012+rng.IntN(3)), 1)
		}
		if archiveLaw(t, rule(func(a *Archive) { a.KeepFlagged, a.KeepUnread = rng.IntN(2) == 0, rng.IntN(3) == 0 }), src) {
			refused++
		}
	}
	t.Logf("%d refused", refused)
	require.Less(t, refused, 400)
}

func FuzzArchivePlan(f *testing.F) {
	for _, c := range boxCases {
		f.Add(c.src, cutoff.Unix())
	}
	for _, c := range uidCases {
		f.Add(strings.Replace(c.src, "2015\n", "2014\n", 1)+mail(9, "new"), cutoff.Unix())
	}
	f.Fuzz(func(t *testing.T, src string, before int64) {
		archiveLaw(t, rule(func(a *Archive) { a.Before = time.Unix(before, 0) }), src)
	})
}
