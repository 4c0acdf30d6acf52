//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/dovecotconf"
)

var update = flag.Bool("update", false, "write the golden report anew")

// moved is the summary of a move with all that a report can show, and names as hostile users choose them.
func moved() *summary {
	at := time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)
	s := &summary{Version: 1, Written: at, Old: "mail.example.org", New: "new.example.org", State: "moved", Downtime: 1.42, mailed: true, known: true,
		Users: []person{
			{Name: "anna", To: "anna", FullName: "Anna Berg", FromUID: 500, ToUID: 1001, Action: "renumber", counts: counts{12, 3 << 30, dovecotconf.Counts{Checked: 104210, Same: 104208, Unpredictable: 2}}, Problems: []string{}},
			{Name: "bert", To: "bert2", FullName: `"><script>alert(1)</script><img src=x onerror=y>`, FromUID: 501, ToUID: 1002, counts: counts{3, 5 << 20, dovecotconf.Counts{Checked: 20, Same: 17, Changed: 3}},
				Problems: []string{"\"mail/Sent\": 20 messages, on the new host 19"}},
			{Name: "c\x1b[2J\u202e&'", To: "c\x1b[2J\u202e&'", FullName: "Jos\xe9", FromUID: 502, ToUID: 1003, Problems: []string{}},
		},
		Total:    counts{15, 3<<30 + 5<<20, dovecotconf.Counts{Checked: 104230, Same: 104225, Changed: 3, Unpredictable: 2}},
		Blockers: []finding{{"accounts", "home", "blocks", "eve", "its home is /etc", "", "etc/passwd:26"}},
		Findings: []finding{
			{"around", "ALIASES", "loss", "etc/aliases", "2 aliases are not on the new host", "add to /etc/aliases:\nlist: bob, carol\nfax: \"|/usr/bin/fax <x>\"", "etc/aliases:3"},
			{"around", "CRONTAB", "degraded", "bert", "1 job of this user", "crontab -u bert FILE", "var/spool/cron/bert"},
			{"address", "PROBE", "info", "eth0", "whether it is free", "", ""},
		},
		Phases: []phase{{"accounts", at.Add(-3 * time.Hour), 0.31}, {"copy homes and mail", at.Add(-2 * time.Hour), 1330}, {"final pass", at, 0.6}},
		Kept:   []string{"bert: 2 messages in /var/lib/mailmove/old/kept/bert"}, Next: []string{"Look at <it>."}, Versions: []component{{"mailmove", "v1.2.3"}, {"Go", "1.26"}}}
	s.phrase(&plan{})
	return s
}

func TestGoldenReport(t *testing.T) {
	page, err := moved().render(false)
	require.NoError(t, err)
	const golden = "testdata/report.html"
	if *update {
		require.NoError(t, os.WriteFile(golden, page, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(page), "go test -run GoldenReport -update writes it anew")
}

// TestReportIsWellFormed: as XML, which is stricter than a browser; nothing from elsewhere, nothing that runs.
func TestReportIsWellFormed(t *testing.T) {
	empty := &summary{State: "planned", known: true, Old: "a", New: "b", Written: time.Unix(0, 0).UTC()}
	empty.phrase(&plan{})
	for name, s := range map[string]*summary{"moved": moved(), "empty": empty} {
		t.Run(name, func(t *testing.T) {
			page, err := s.render(false)
			require.NoError(t, err)
			d := xml.NewDecoder(bytes.NewReader(page))
			d.Entity = xml.HTMLEntity
			heading := 0
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				e, ok := token.(xml.StartElement)
				if !ok {
					continue
				}
				require.NotContains(t, []string{"script", "img", "link", "iframe", "object", "form", "a"}, e.Name.Local)
				if level := strings.TrimPrefix(e.Name.Local, "h"); len(level) == 1 && level >= "1" && level <= "6" {
					require.LessOrEqual(t, int(level[0]-'0'), heading+1, "no level of heading is left out")
					heading = int(level[0] - '0')
				}
				for _, a := range e.Attr {
					require.NotRegexp(t, `^on|^src|^href`, a.Name.Local)
				}
				if e.Name.Local == "th" {
					require.Equal(t, "scope", e.Attr[0].Name.Local)
				}
			}
			require.NotRegexp(t, `https?://|url\(|@import`, string(page))
			require.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", string(page))
			require.Contains(t, string(page), `<html lang="en">`)
			require.Contains(t, string(page), "width=device-width")
			require.Contains(t, string(page), "prefers-color-scheme: dark")
			require.Contains(t, string(page), "@media print")
		})
	}
}

// TestReportOfARun: written as a whole, for its owner alone, without a hash or a line of mail.
func TestReportOfARun(t *testing.T) {
	from, to := hosts(t)
	dir := t.TempDir()
	page, data := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json")
	require.NoError(t, os.WriteFile(page, []byte("an earlier one"), 0o644))
	for _, c := range []struct{ file, verb, state string }{{page, "plan", "planned"}, {data, "sync", "copied"}, {data, "verify", "copied"}, {page, "verify", "copied"}} {
		out, err := command(c.verb, "-from", from, "-to", to, "-report", c.file).CombinedOutput()
		require.NoError(t, err, string(out))
		info, err := os.Stat(c.file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		text, err := os.ReadFile(c.file)
		require.NoError(t, err)
		secrets(t, from, string(text))
		if c.file == data {
			var s summary
			require.NoError(t, json.Unmarshal(text, &s))
			require.Equal(t, c.state, s.State)
			require.Len(t, s.Users, 4)
			require.Equal(t, 22, s.Total.Same)
			require.NotContains(t, string(text), "null")
		}
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left beside them")

	// What stops a run stands in its report too; a place that cannot be written is an error before the work.
	require.NoError(t, os.Remove(filepath.Join(from, "etc/passwd")))
	out, err := command("sync", "-from", from, "-to", to, "-report", page).CombinedOutput()
	require.Error(t, err, string(out))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "The run stopped before its end:")
	out, err = command("plan", "-from", from, "-to", to, "-report", filepath.Join(dir, "no/such/r.html")).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "-report")
	require.NoError(t, os.Symlink(data, filepath.Join(dir, "link.html")))
	out, err = command("plan", "-from", from, "-to", to, "-report", filepath.Join(dir, "link.html")).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "want a regular file")
}

// secrets looks for password hashes of the old host, and for lines of its mail.
func secrets(t *testing.T, from, text string) {
	t.Helper()
	shadow, err := os.ReadFile(filepath.Join(from, "etc/shadow"))
	require.NoError(t, err)
	for _, hash := range regexp.MustCompile(`\$[^:$]+\$[^:]+`).FindAllString(string(shadow), -1) {
		require.NotContains(t, text, hash)
	}
	require.NotRegexp(t, `\$(1|5|6|y|2[aby])\$`, text)
	mail, err := os.ReadFile(filepath.Join(from, "var/spool/mail/bert"))
	require.NoError(t, err)
	for line := range strings.Lines(string(mail)) {
		if len(line) > 20 {
			require.NotContains(t, text, strings.TrimSpace(line))
		}
	}
	require.NotContains(t, text, "order 100")
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(data)
}
