package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox"
)

// mailbox is one line of the report.
type mailbox struct {
	User     string   `json:"user"`
	Path     string   `json:"path"`
	Bytes    int64    `json:"bytes"`
	Messages int      `json:"messages"`
	Oldest   string   `json:"oldest"` // RFC 3339; "" when there are no messages
	Newest   string   `json:"newest"`
	Growth   *int64   `json:"growth_bytes,omitempty"` // since the last report, with -state
	Quota    *quota   `json:"quota,omitempty"`        // of a Maildir++ that has one
	Problems []string `json:"problems"`

	failed         bool // could not be read
	oldest, newest time.Time
}

type quota struct {
	Bytes        int64 `json:"bytes"`
	Messages     int64 `json:"messages"`
	UsedBytes    int64 `json:"used_bytes"`
	UsedMessages int64 `json:"used_messages"`
}

type spoolReport struct {
	Mailboxes  []*mailbox `json:"mailboxes"`
	TotalBytes int64      `json:"total_bytes"`

	count int // mailboxes, those included that -top leaves out
}

func report(ctx context.Context, c *cli.Call) error {
	top := c.Flags.Int("top", 0, "show only so many mailboxes; 0: all")
	by := c.Flags.String("sort", "size", "`order`: size, growth, messages, oldest or name")
	prom := c.Flags.String("prom", "", "write metrics to `FILE` for node_exporter's textfile collector")
	var warn size
	c.Flags.Var(&warn, "warn", "exit code 1 when a mailbox has this `SIZE` or more, such as 500M or 2G")
	state := c.Flags.String("state", "", "`FILE` that remembers sizes, so that the next report tells the growth")
	if err := c.Parse(1, 1); err != nil {
		return err
	}
	order, ok := orders[*by]
	if !ok || *top < 0 {
		return c.Misused("-sort %q, -top %d: want size, growth, messages, oldest or name, and 0 or more", *by, *top)
	}
	started := time.Now()
	r, err := look(ctx, c.Flags.Arg(0))
	if err != nil {
		return err
	}
	if *state != "" {
		if err := remember(ctx, *state, r); err != nil {
			return err
		}
	}
	slices.SortFunc(r.Mailboxes, func(a, b *mailbox) int { return cmp.Or(order(a, b), cmp.Compare(a.Path, b.Path)) })
	if *prom != "" {
		if err := writeMetrics(ctx, *prom, r, started); err != nil {
			return err
		}
	}
	finding := r.settle(c, int64(warn))
	if *top > 0 && *top < len(r.Mailboxes) {
		r.Mailboxes = r.Mailboxes[:*top]
	}
	return errors.Join(c.Report(r, r), finding)
}

// settle says what a person must look at.
func (r *spoolReport) settle(c *cli.Call, warn int64) (finding error) {
	for _, m := range r.Mailboxes {
		if m.failed {
			c.Warn("%s: %s", m.Path, m.Problems[0])
			finding = cli.ErrFinding
		}
		if warn > 0 && m.Bytes >= warn {
			c.Warn("%s has %s", m.Path, size(m.Bytes))
			finding = cli.ErrFinding
		}
	}
	return finding
}

// look inspects every mailbox below dir, as many at a time as there are processors.
func look(ctx context.Context, dir string) (*spoolReport, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	r := &spoolReport{Mailboxes: []*mailbox{}}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	err = mbox.Find(ctx, root, func(name string, kind mbox.Kind, err error) error {
		m := &mailbox{User: userOf(dir, name), Path: filepath.Join(dir, name), Problems: []string{}}
		r.Mailboxes = append(r.Mailboxes, m)
		if err != nil {
			return m.fail(ctx, err)
		}
		g.Go(func() error {
			s, err := mbox.Inspect(gctx, root, name, kind)
			if err != nil {
				return m.fail(gctx, err)
			}
			m.fill(s)
			return nil
		})
		return gctx.Err()
	})
	if err := errors.Join(g.Wait(), err); err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	for _, m := range r.Mailboxes {
		r.TotalBytes += m.Bytes
	}
	r.count = len(r.Mailboxes)
	return r, nil
}

// userOf is the first element of the path: the mailbox file in a spool, the home in a directory of homes.
func userOf(dir, name string) string {
	if name == "." {
		if full, err := filepath.Abs(dir); err == nil {
			dir = full
		}
		return filepath.Base(filepath.Dir(dir))
	}
	user, _, _ := strings.Cut(path.Clean(name), "/")
	return user
}

// fail notes why a mailbox could not be read. That the report was cancelled is no fault of the mailbox.
func (m *mailbox) fail(ctx context.Context, err error) error {
	m.Problems, m.failed = []string{err.Error()}, true
	return ctx.Err()
}

func (m *mailbox) fill(s *mbox.Status) {
	m.Bytes, m.Messages, m.oldest, m.newest, m.Problems = s.Bytes, s.Messages, s.Oldest, s.Newest, s.Problems
	if s.Messages > 0 {
		m.Oldest, m.Newest = s.Oldest.Format(time.RFC3339), s.Newest.Format(time.RFC3339)
	}
	if q := s.Quota; q != nil {
		m.Quota = &quota{Bytes: q.Bytes, Messages: q.Messages, UsedBytes: q.UsedBytes, UsedMessages: q.UsedMessages}
	}
}

// orders put first what a person would look at first.
var orders = map[string]func(a, b *mailbox) int{
	"size":     func(a, b *mailbox) int { return cmp.Compare(b.Bytes, a.Bytes) },
	"messages": func(a, b *mailbox) int { return cmp.Compare(b.Messages, a.Messages) },
	"name":     func(a, b *mailbox) int { return cmp.Compare(a.Path, b.Path) },
	"growth": func(a, b *mailbox) int {
		var none int64
		return cmp.Compare(*cmp.Or(b.Growth, &none), *cmp.Or(a.Growth, &none))
	},
	"oldest": func(a, b *mailbox) int {
		if a.oldest.IsZero() != b.oldest.IsZero() {
			return cmp.Compare(b.oldest.Unix(), a.oldest.Unix())
		}
		return a.oldest.Compare(b.oldest)
	},
}

// String is a table, and below a mailbox what is wrong with it.
func (r *spoolReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8s %8s %9s  %-10s %-10s %s\n", "SIZE", "GROWTH", "MESSAGES", "OLDEST", "NEWEST", "MAILBOX")
	for _, m := range r.Mailboxes {
		growth := "-"
		if m.Growth != nil {
			growth = size(*m.Growth).String()
		}
		fmt.Fprintf(&b, "%8s %8s %9d  %-10.10s %-10.10s %s\n", size(m.Bytes), growth, m.Messages, cmp.Or(m.Oldest, "-"), cmp.Or(m.Newest, "-"), m.Path)
		if q := m.Quota; q != nil {
			fmt.Fprintf(&b, "%30squota: %s of %s, %d of %d messages\n", "", size(q.UsedBytes), size(q.Bytes), q.UsedMessages, q.Messages)
		}
		for _, p := range m.Problems {
			fmt.Fprintf(&b, "%30s%s\n", "", p)
		}
	}
	fmt.Fprintf(&b, "%8s in %d mailboxes", size(r.TotalBytes), r.count)
	return b.String()
}
