package mx

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// do finds the step whose text has all words.
func do(t testing.TB, r *Report, words ...string) Step {
	t.Helper()
next:
	for _, s := range r.Plan {
		for _, w := range words {
			if !strings.Contains(s.Do, w) {
				continue next
			}
		}
		return s
	}
	require.Failf(t, "no step", "%q in\n%s", words, r)
	return Step{}
}

// What the plan publishes for a set: the records, or nothing.
func TestPlannedRecords(t *testing.T) {
	const named = "mx2.example.test"
	for _, c := range []struct {
		name    string
		records string
		opt     Options
		want    []string
	}{
		{"nothing to change", good, Options{}, nil},
		{"nothing to change, named", good, Options{Backup: named}, nil},
		{"implicit MX: both records", "@ A 192.0.2.1", Options{Backup: named},
			[]string{`"example.test. MX 10 example.test."`, `"example.test. MX 20 mx2.example.test."`}},
		{"implicit MX, no backup yet", "@ A 192.0.2.1", Options{}, []string{`MX 10 example.test."`, `MX 20 BACKUP"`}},
		{"nothing at all", "", Options{}, []string{`MX 10 PRIMARY"`, `MX 20 BACKUP"`}},
		{"single exchanger", "@ MX 5 mx1\nmx1 A 192.0.2.1", Options{Backup: named}, []string{`MX 5 mx1.example.test."`, `MX 15 mx2.example.test."`}},
		{"equal", strings.Replace(good, "20", "10", 1), Options{Backup: named}, []string{`MX 10 mx1.example.test."`, `MX 20 mx2.example.test."`}},
		{"equal, unnamed", strings.Replace(good, "20", "10", 1), Options{}, []string{`MX 10 mx1.example.test."`, `MX 20 mx2.example.test."`}},
		{"backup first", good, Options{Backup: "mx1.example.test"}, []string{`MX 20 mx2.example.test."`, `MX 30 mx1.example.test."`}},
		{"highest preference", "@ MX 65535 mx1\nmx1 A 192.0.2.1", Options{Backup: named}, []string{`MX 10 mx1.example.test."`, `MX 20 mx2.example.test."`}},
		{"others stay", good + "@ MX 15 mx3\nmx3 A 203.0.113.3", Options{Backup: "mx4.example.test"},
			[]string{`MX 10 mx1.example.test."`, `MX 15 mx3.example.test."`, `MX 20 mx2.example.test."`, `MX 20 mx4.example.test."`}},
		{"planned set", good, Options{Planned: []Host{{Host: "mx2.example.test", Pref: 7}, {Host: "MX1.example.test.", Pref: 3}}},
			[]string{`MX 3 mx1.example.test."`, `MX 7 mx2.example.test."`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := check(t, serve(t, c.records), c.opt)
			if c.want == nil {
				do(t, r, "MX set", "needs none")
				return
			}
			s := do(t, r, "publish in one change")
			at := 0
			for _, record := range c.want {
				i := strings.Index(s.Do[at:], record)
				require.GreaterOrEqual(t, i, 0, "%s in %s", record, s.Do)
				at += i
			}
			require.Equal(t, len(c.want), strings.Count(s.Do, ". MX "), s.Do)
		})
	}
}

func TestPlanTimes(t *testing.T) {
	s := serve(t, "@ 86400 MX 10 mx1\nmx1 A 192.0.2.1\nmx2 A 198.51.100.2")
	opt := Options{Backup: "mx2.example.test", Old: ip("192.0.2.1"), Now: day, Lifetime: 100 * time.Hour}
	r := check(t, s, opt)
	require.Equal(t, "T0-27h", do(t, r, "publish").At, "TTL 24h, refresh 2h, 1h")
	require.Equal(t, "T0-48h", do(t, r, "recipients").At)
	require.Equal(t, "T0+66h", do(t, r, "must be back").At)
	require.Equal(t, "T1+10m", do(t, r, "ETRN example.test on mx2.example.test").At)

	opt.Cutover = day.Add(72 * time.Hour)
	r = check(t, s, opt)
	require.Equal(t, "2026-11-25T09:00:00Z", do(t, r, "publish").At)
	require.Equal(t, "2026-11-26T12:00:00Z", do(t, r, "stop the old").At)
	require.Equal(t, "T1", do(t, r, "take over").At, "unknown without a downtime")

	opt.Downtime = 4 * time.Hour
	r = check(t, s, opt)
	require.Equal(t, "2026-11-26T16:00:00Z", do(t, r, "take over").At)
	require.Equal(t, "2026-11-30T20:00:00Z", do(t, r, "remove its MX").At, "T1 and the lifetime")
	for i := range r.Plan[1:] {
		require.LessOrEqual(t, r.Plan[i].At, r.Plan[i+1].At, "in the order of time")
	}
}

func TestNegativeAnswerLead(t *testing.T) {
	r := check(t, serve(t, "@ A 192.0.2.1"), Options{})
	require.Equal(t, "T0-3h1m", do(t, r, "publish").At, "minimum 60 s, refresh 2h, 1h")
}

func TestString(t *testing.T) {
	r := check(t, serve(t, strings.Replace(good, "20", "10", 1)), Options{Backup: "mx2.example.test"})
	text := r.String()
	for _, want := range []string{"status   fail\n", "mx       10 mx1.example.test  ttl 5m  192.0.2.1\n", "fail     MX07 ", "plan T0 ", "configs  postfix/etrn_clients postfix/main.cf"} {
		require.Contains(t, text, want)
	}
	requireScreen(t, text)
	sound := check(t, serve(t, good), Options{Backup: "mx2.example.test", Old: ip("192.0.2.1"), New: ip("192.0.2.99"), Downtime: 4 * time.Hour,
		Cutover: day.Add(100 * time.Hour), Now: day, Recipients: []string{"alice"}})
	requireScreen(t, sound.String())
	require.Contains(t, sound.String(), "plan Nov 27 16:00Z stop the old host's mail service")
	do(t, sound, "or back", "old one on")
	do(t, sound, "must be back", "0.66 of the lifetime 5d", "planned are 4h")

	hostile := &Report{Status: Fail, MX: make([]Host, 50), Findings: make([]Finding, 0, 50)}
	for range 50 {
		hostile.Findings = append(hostile.Findings, Finding{Rule: "MX19", Severity: Warn, Detail: "a\x1b[2Jb\nc" + strings.Repeat("x", 999)})
	}
	text = hostile.String()
	require.NotContains(t, text, "\x1b")
	require.Less(t, len(text), 12000)
	require.Contains(t, text, "and 38 more")
}

// requireScreen wants what a terminal of 80 columns shows without scrolling far.
func requireScreen(t testing.TB, text string) {
	t.Helper()
	require.LessOrEqual(t, strings.Count(text, "\n"), 30, "one screen:\n%s", text)
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len(line), columns+1, line)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", time.Hour: "1h", 24 * time.Hour: "24h", 48 * time.Hour: "48h", 120 * time.Hour: "5d",
		49 * time.Hour: "49h", -time.Minute: "-1m",
	} {
		require.Equal(t, want, span(d))
	}
}
