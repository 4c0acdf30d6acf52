package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// gauges are the metrics of one mailbox. Names and base units follow Prometheus' conventions; a value that does not exist
// is left out.
var gauges = []struct {
	name, help string
	value      func(m *mailbox) (v float64, ok bool)
}{
	{"mail_mailbox_size_bytes", "Size of the mailbox.", func(m *mailbox) (float64, bool) { return float64(m.Bytes), !m.failed }},
	{"mail_mailbox_messages", "Messages in the mailbox.", func(m *mailbox) (float64, bool) { return float64(m.Messages), !m.failed }},
	{"mail_mailbox_oldest_message_timestamp_seconds", "Arrival of the oldest message.", func(m *mailbox) (float64, bool) { return float64(m.oldest.Unix()), m.Messages > 0 }},
	{"mail_mailbox_newest_message_timestamp_seconds", "Arrival of the newest message.", func(m *mailbox) (float64, bool) { return float64(m.newest.Unix()), m.Messages > 0 }},
	{"mail_mailbox_problems", "Kinds of damage found in the mailbox, or 1 when it could not be read.", func(m *mailbox) (float64, bool) { return float64(len(m.Problems)), true }},
	{"mail_mailbox_quota_bytes", "Limit of the Maildir++ quota.", func(m *mailbox) (float64, bool) {
		if m.Quota == nil || m.Quota.Bytes == 0 {
			return 0, false
		}
		return float64(m.Quota.Bytes), true
	}},
	{"mail_mailbox_quota_used_bytes", "Use of the Maildir++ quota.", func(m *mailbox) (float64, bool) {
		if m.Quota == nil {
			return 0, false
		}
		return float64(m.Quota.UsedBytes), true
	}},
}

// writeMetrics replaces file, so that node_exporter's textfile collector never reads half of it.
func writeMetrics(ctx context.Context, file string, r *spoolReport, started time.Time) error {
	var b bytes.Buffer
	for _, f := range families(r, started) {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return err
		}
	}
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	old, err := atomicfile.Read(dir, filepath.Base(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return replace(ctx, dir, filepath.Base(file), old, b.Bytes(), 0o644)
}

func families(r *spoolReport, started time.Time) []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for _, g := range gauges {
		f := family(g.name, g.help)
		for _, m := range r.Mailboxes {
			if v, ok := g.value(m); ok {
				f.Metric = append(f.Metric, &dto.Metric{
					Label: []*dto.LabelPair{label("path", m.Path), label("user", m.User)},
					Gauge: &dto.Gauge{Value: &v},
				})
			}
		}
		if len(f.Metric) > 0 {
			out = append(out, f)
		}
	}
	at, took := float64(started.Unix()), time.Since(started).Seconds()
	for _, s := range []struct {
		name, help string
		value      *float64
	}{
		{"mail_report_timestamp_seconds", "When this report was made.", &at},
		{"mail_report_duration_seconds", "How long it took.", &took},
	} {
		f := family(s.name, s.help)
		f.Metric = []*dto.Metric{{Gauge: &dto.Gauge{Value: s.value}}}
		out = append(out, f)
	}
	return out
}

func family(name, help string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()}
}

// label keeps names apart that are not UTF-8, which a label has to be.
func label(name, value string) *dto.LabelPair {
	if !utf8.ValidString(value) {
		value = strings.Trim(strconv.QuoteToASCII(value), `"`)
	}
	return &dto.LabelPair{Name: &name, Value: &value}
}
