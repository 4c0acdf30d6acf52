package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/scripts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spool": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, scripts.Params("testdata"))
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 1536: "1.5K", 10 << 20: "10M", -2 << 30: "-2.0G", 5 << 50: "5.0P", 5000 << 50: "5000P"} {
		require.Equal(t, want, size(n).String())
	}
	for text, want := range map[string]int64{"1": 1, "10b": 10, "500M": 500 << 20, "1.5GiB": 3 << 29, "2g": 2 << 30, "1T": 1 << 40} {
		var s size
		require.NoError(t, s.Set(text), text)
		require.EqualValues(t, want, s, text)
	}
	for _, text := range []string{"", "M", "-1", "0", "x", "1X", "NaN", "Inf", "9999999999999P"} {
		var s size
		require.Error(t, s.Set(text), text)
	}
}

func TestCutoff(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for age, want := range map[string]string{
		"365d": "2025-03-01T12:00:00Z", "1y": "2025-03-01T12:00:00Z", "2w": "2026-02-15T12:00:00Z", "36h": "2026-02-28T00:00:00Z",
		"2024-01-01": "2024-01-01T00:00:00Z", "0d": "2026-03-01T12:00:00Z",
	} {
		got, err := cutoff(age, now)
		require.NoError(t, err, age)
		require.Equal(t, want, got.Format(time.RFC3339), age)
	}
	for _, age := range []string{"", "d", "365", "-1d", "-3h", "1.5d", "99999d", "tomorrow"} {
		_, err := cutoff(age, now)
		require.ErrorContains(t, err, "-older", age)
	}
}

// Prometheus' own parser reads what node_exporter would, and finds each mailbox under a name of its own.
func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mail.prom")
	growth := int64(5)
	r := &spoolReport{Mailboxes: []*mailbox{
		{User: "anna", Path: "m/anna", Bytes: 10, Messages: 2, Growth: &growth, oldest: time.Unix(1000, 0), newest: time.Unix(2000, 0), Problems: []string{"x"}},
		{User: "b\xff", Path: "m/b\xff", Quota: &quota{Bytes: 7, UsedBytes: 3}},
		{User: "b\xfe", Path: "m/b\xfe"},
		{User: "new\nline\"", Path: "m/new\nline\""},
		{User: "c", Path: "m/c", failed: true, Problems: []string{"permission denied"}},
	}}
	for range 2 { // made, then replaced
		require.NoError(t, writeMetrics(context.Background(), file, r, time.Now()))
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	p := expfmt.NewTextParser(model.LegacyValidation)
	got, err := p.TextToMetricFamilies(bytes.NewReader(data))
	require.NoError(t, err)
	require.Len(t, got, len(gauges)+2)
	require.Len(t, got["mail_mailbox_size_bytes"].Metric, 4, "one that could not be read has no size")
	require.Len(t, got["mail_mailbox_problems"].Metric, 5)
	require.InDelta(t, 1000, got["mail_mailbox_oldest_message_timestamp_seconds"].Metric[0].Gauge.GetValue(), 0)
	require.Len(t, got["mail_mailbox_quota_bytes"].Metric, 1)
	seen := map[string]bool{}
	for _, m := range got["mail_mailbox_problems"].Metric {
		require.False(t, seen[m.String()])
		seen[m.String()] = true
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside it")
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())
}
