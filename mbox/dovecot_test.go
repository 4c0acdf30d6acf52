package mbox

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// told is what Dovecot says of one message.
type told struct {
	uid             uint32
	flags, keywords []string
	date            time.Time
	guid            string
	body            string
}

// toldBox is what Dovecot says of one mailbox.
type toldBox struct {
	refused              bool
	broken               bool // Dovecot gave up with an internal error
	uidvalidity, uidnext uint32
	messages             []told
}

var (
	fetchRE = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE "([^"]*)"(?: X-GUID (\w+))?(?:\)| BODY\[TEXT\] (?:\{(\d+)\}|"(.*)"\)))$`)
	// brokenRE: hostile bytes let Dovecot stumble over its own rewriting or caching.
	brokenRE = regexp.MustCompile(`Mailbox box(\d+): Sync failed for mbox`)
	okRE     = regexp.MustCompile(`^\* OK \[(UIDVALIDITY|UIDNEXT) (\d+)\]`)
	tagRE    = regexp.MustCompile(`^t(\d+) (OK|NO|BAD)`)
)

// ask lets Dovecot read the mailboxes, in one session. items are asked of each message beyond what is always asked.
func ask(t *testing.T, boxes, items []string, settings ...string) []toldBox {
	t.Helper()
	d := oracle.Dovecot(t, settings...)
	var commands []string
	for i, src := range boxes {
		name := fmt.Sprintf("box%d", i)
		require.NoError(t, os.WriteFile(filepath.Join(d.Home, "mail", name), []byte(src), 0o400))
		commands = append(commands, "EXAMINE "+name, "FETCH 1:* ("+strings.Join(append([]string{"UID FLAGS INTERNALDATE"}, items...), " ")+")")
	}
	d.Own()
	lines := d.IMAP(commands...)
	out := parseTold(t, lines, len(boxes))
	for _, m := range brokenRE.FindAllStringSubmatch(d.Log, -1) {
		i, _ := strconv.Atoi(m[1])
		out[i].broken = true
	}
	return out
}

func parseTold(t *testing.T, lines []string, n int) []toldBox {
	t.Helper()
	out, cur := make([]toldBox, n), toldBox{}
	for i := 0; i < len(lines); i++ {
		if m := okRE.FindStringSubmatch(lines[i]); m != nil {
			v, err := strconv.ParseUint(m[2], 10, 32)
			require.NoError(t, err)
			if m[1] == "UIDNEXT" {
				cur.uidnext = uint32(v)
			} else {
				cur.uidvalidity = uint32(v)
			}
		}
		if m := tagRE.FindStringSubmatch(lines[i]); m != nil {
			tag, _ := strconv.Atoi(m[1])
			switch {
			case tag == 2*n:
			case tag%2 == 0 && m[2] == "NO":
				cur.refused = true
			case tag%2 == 0:
				require.Equal(t, "OK", m[2], lines[i])
			default:
				out[tag/2], cur = cur, toldBox{}
			}
		}
		if !strings.Contains(lines[i], " FETCH (") {
			continue
		}
		m := fetchRE.FindStringSubmatch(lines[i])
		require.NotNil(t, m, lines[i])
		uid, _ := strconv.ParseUint(m[1], 10, 32)
		date, err := time.Parse("02-Jan-2006 15:04:05 -0700", m[3])
		require.NoError(t, err)
		msg := told{uid: uint32(uid), date: date, guid: m[4], body: m[6]}
		for f := range strings.FieldsSeq(m[2]) {
			if strings.HasPrefix(f, `\`) {
				msg.flags = append(msg.flags, f)
			} else {
				msg.keywords = append(msg.keywords, f)
			}
		}
		if m[5] != "" {
			size, _ := strconv.Atoi(m[5])
			msg.body = ""
			for i++; len(msg.body) < size; i++ {
				msg.body += lines[i] + "\r\n"
			}
			i--
			msg.body = msg.body[:size]
		}
		cur.messages = append(cur.messages, msg)
	}
	return out
}

// wire is a body as IMAP shows it.
func wire(body string) string {
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n")
	return strings.ReplaceAll(body, "\x00", "\x80")
}

// same requires that we say of src what Dovecot says. Without md5 only what needs no second look at the mailbox is asked.
func same(t *testing.T, src string, d toldBox, md5 string) {
	t.Helper()
	ms, sum := scan(t, src, &Options{MD5: md5})
	require.Equal(t, d.refused, sum.Refused, "refused")
	if d.refused {
		return
	}
	if sum.UIDValidity != 0 {
		require.Equal(t, d.uidvalidity, sum.UIDValidity, "uidvalidity")
	}
	ms = slices.DeleteFunc(ms, func(m Message) bool { return m.Pseudo })
	require.Len(t, ms, len(d.messages), "messages")
	for i, m := range ms {
		if m.XUID == XUIDTooLarge && !m.Known {
			return // Dovecot's own choice changes with the number of times that it looks
		}
		want := d.messages[i]
		require.Equal(t, want.uid, m.UID, "uid of message %d", i+1)
		flags := slices.DeleteFunc(want.flags, func(f string) bool { return f == `\Recent` })
		require.Equal(t, strings.Join(flags, " "), m.Flags.String(), "flags of message %d", i+1)
		require.ElementsMatch(t, want.keywords, m.Keywords, "keywords of message %d", i+1)
		if md5 != "" {
			require.Equal(t, want.guid, m.MD5, "md5 of message %d", i+1)
			require.Equal(t, want.body, wire(src[m.Body:m.End]), "body of message %d", i+1)
		}
		require.True(t, want.date.Equal(m.Date), "date of message %d: %v, %v", i+1, want.date, m.Date)
	}
	if len(ms) > 0 {
		require.Equal(t, d.uidnext, sum.UIDNext, "uidnext")
	}
}

func TestDovecotReadsTheSame(t *testing.T) {
	var names, boxes []string
	add := func(name, src string) { names, boxes = append(names, name), append(boxes, src) }
	for _, c := range boxCases {
		if c.odd == "" {
			add(c.name, c.src)
		}
	}
	for _, c := range uidCases {
		add(c.name, c.src)
	}
	for _, c := range fromCases {
		add("From "+c.line, mail(1, "x")+"From "+c.line+"\nSubject: s\n\nlonger than the shortest date\n")
		add("first From "+c.line, "From "+c.line+"\nSubject: s\n\nlonger than the shortest date\n")
	}
	for i, c := range md5Cases {
		add(fmt.Sprintf("md5 %d", i), c)
	}
	for _, md5 := range []string{"apop3d", "all"} {
		for i, d := range ask(t, boxes, []string{"X-GUID", "BODY.PEEK[TEXT]"}, "mbox_md5 = "+md5) {
			t.Run(md5+"/"+names[i], func(t *testing.T) { same(t, boxes[i], d, md5) })
		}
	}
}

// md5Cases are headers that the header MD5 is sensitive to.
var md5Cases = []string{
	head("Date: a", "Message-ID: b", "Received: c\n\td\n e", "Date: f", "Received: g", "Delivered-To: h", "X-Delivery-ID:  i", "Message-ID: j"),
	head("date : a", "DELIVERED-TO:\tb  ", "Message-Id:c", "X-UIDL: d", "Subject:", "no colon here", "Date"),
	head("Date: a\r", "Received: c\r\n\td\r", "Message-ID: x\r"),
	head("Delivered-To: "+strings.Repeat("word ", 4000), "Date: y"),
	head(strings.Repeat("n", 1001)+": v", strings.Repeat("m", 1000)+": v"),
	head("X-UID: 1", "Status: RO", "Content-Length: 5", "X-Keywords: a", "X-Status: A", base, "X-IMAP: 1 2"),
	head(" leading blank: a", "Date: b"),
}

var blindLength = regexp.MustCompile(`(?s)(?i:content-length).*\nFrom \r?\nFrom `)

func TestDovecotReadsRandomBoxesTheSame(t *testing.T) {
	n, seed := 600, uint64(time.Now().UnixNano())
	if testing.Short() {
		n = 100
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	boxes := make([]string, n)
	for i := range boxes {
		// A Content-Length that ends right behind a bare "From " is trusted by Dovecot only when the next valid From_
		// line is not in its read buffer yet; we always trust it.
		for boxes[i] = randomBox(rng); blindLength.MatchString(boxes[i]); {
			boxes[i] = randomBox(rng)
		}
	}
	broken, asked := 0, ask(t, boxes, nil)
	for i, d := range asked {
		if d.broken {
			broken++
			continue
		}
		if !t.Run(strconv.Itoa(i), func(t *testing.T) { same(t, boxes[i], d, "") }) {
			t.Logf("%q", boxes[i])
		}
	}
	require.Less(t, broken, n/10)
}
