package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox"
)

// folders lets doveadm(1) do the work: messages go to another folder of the same user. Dovecot knows flags that it has not
// written to the mailbox yet, and keeps its index right by itself.
func folders(rule *mbox.Archive, apply bool) func(context.Context, string) (*moved, error) {
	return func(ctx context.Context, arg string) (*moved, error) {
		d := &doveadm{rule: rule, arg: arg}
		d.user, d.folder, _ = strings.Cut(arg, "/")
		if d.folder == "" {
			d.folder = "INBOX"
		}
		m, err := d.plan(ctx)
		if err != nil || !apply {
			return m, err
		}
		for _, t := range m.Archives {
			if err := d.move(ctx, t.Path); err != nil {
				return nil, err
			}
		}
		m.Applied = true
		return m, nil
	}
}

type doveadm struct {
	rule         *mbox.Archive
	arg          string
	user, folder string
	uids         map[string][]string // by folder that receives them
}

// query is what doveadm-search-query(7) calls the messages that leave.
func (d *doveadm) query() []string {
	q := []string{"mailbox", d.folder, "before", strconv.FormatInt(d.rule.Before.Unix(), 10)}
	if d.rule.KeepFlagged {
		q = append(q, "unflagged")
	}
	if d.rule.KeepUnread {
		q = append(q, "seen")
	}
	return q
}

// plan asks for the messages that leave. Dates are INTERNALDATEs, which in an mbox are those of the From_ lines.
func (d *doveadm) plan(ctx context.Context) (*moved, error) {
	args := append([]string{"-f", "flow", "fetch", "-u", d.user, "uid date.received.unixtime size.physical"}, d.query()...)
	out, err := hostcmd.Host{}.Run(ctx, nil, "doveadm", args...)
	if err != nil {
		return nil, err
	}
	m := &moved{Path: d.arg, Archives: []target{}}
	d.uids = map[string][]string{}
	for line := range strings.Lines(string(out)) {
		if err := d.message(m, line); err != nil {
			return nil, err
		}
	}
	all, err := hostcmd.Host{}.Run(ctx, nil, "doveadm", "-f", "flow", "mailbox", "status", "-u", d.user, "messages", d.folder)
	if err == nil {
		_, count, _ := strings.Cut(strings.TrimSpace(string(all)), "messages=")
		if m.Kept, err = strconv.Atoi(count); err != nil {
			err = fmt.Errorf("doveadm mailbox status: %q: want a count of messages", all)
		}
		m.Kept -= m.Messages
	}
	return m, err
}

func (d *doveadm) message(m *moved, line string) error {
	var uid uint32
	var unix, n int64
	if _, err := fmt.Sscanf(line, "uid=%d date.received.unixtime=%d size.physical=%d", &uid, &unix, &n); err != nil {
		return fmt.Errorf("doveadm fetch: %q: want uid, date and size", line)
	}
	date := time.Unix(unix, 0)
	to, err := mbox.ArchivePath(d.rule.Into, mbox.Owner{Name: d.user}, d.folder, date)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(m.Archives, func(t target) bool { return t.Path == to })
	if i < 0 {
		i = len(m.Archives)
		m.Archives = append(m.Archives, target{Path: to})
	}
	d.uids[to] = append(d.uids[to], strconv.FormatUint(uint64(uid), 10))
	m.Archives[i].Messages++
	m.Archives[i].Bytes += n
	m.Messages++
	m.Bytes += n
	text := date.Format(time.RFC3339)
	if m.Oldest == "" || date.Before(parsed(m.Oldest)) {
		m.Oldest = text
	}
	if m.Newest == "" || date.After(parsed(m.Newest)) {
		m.Newest = text
	}
	return nil
}

func parsed(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

// move moves the messages that go to one folder; it is made where it is absent. Asked again for the date and the flags,
// doveadm leaves alone what has changed since.
func (d *doveadm) move(ctx context.Context, to string) error {
	if _, err := (hostcmd.Host{}).Run(ctx, nil, "doveadm", "mailbox", "status", "-u", d.user, "messages", to); err != nil {
		if _, err := (hostcmd.Host{}).Run(ctx, nil, "doveadm", "mailbox", "create", "-u", d.user, to); err != nil {
			return err
		}
	}
	for uids := range slices.Chunk(d.uids[to], 1000) {
		args := append([]string{"move", "-u", d.user, to}, append(d.query(), "uid", strings.Join(uids, ","))...)
		if _, err := (hostcmd.Host{}).Run(ctx, nil, "doveadm", args...); err != nil {
			return err
		}
	}
	return nil
}
