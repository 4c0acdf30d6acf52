package mx

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxLines = 12 // of findings and exchangers are printed; the rest is counted
	columns  = 80 // of a screen
)

// String is the report for people, on one screen: texts of Configs are only named.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status   %s\n", r.Status)
	for i, h := range r.MX {
		if i == maxLines {
			fmt.Fprintf(&b, "mx       and %d more\n", len(r.MX)-maxLines)
			break
		}
		fmt.Fprintf(&b, "mx       %d %s  ttl %s ", h.Pref, clean(h.Host), span(time.Duration(h.TTL)*time.Second))
		for _, a := range h.Addrs[:min(len(h.Addrs), 4)] {
			fmt.Fprintf(&b, " %s", a)
		}
		if len(h.Addrs) > 4 {
			fmt.Fprintf(&b, " and %d more", len(h.Addrs)-4)
		}
		b.WriteByte('\n')
	}
	printed := 0
	for _, severity := range []Status{Fail, Unknown, Warn, Info} {
		for _, f := range r.Findings {
			if f.Severity != severity {
				continue
			}
			if printed++; printed <= maxLines {
				wrap(&b, fmt.Sprintf("%-8s %s ", f.Severity, f.Rule), clean(f.Detail))
				wrap(&b, "           -> ", f.Advice)
			}
		}
	}
	if printed > maxLines {
		fmt.Fprintf(&b, "%14s and %d more findings\n", "", printed-maxLines)
	}
	for _, s := range r.Plan {
		at := s.At
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			at = t.Format("Jan 02 15:04Z")
		}
		wrap(&b, fmt.Sprintf("plan %-9s ", at), s.Do)
	}
	if len(r.Configs) > 0 {
		wrap(&b, "configs  ", strings.Join(slices.Sorted(maps.Keys(r.Configs)), " "))
	}
	return b.String()
}

// wrap prints text behind head in lines of a screen's width; a longer word keeps its line.
func wrap(b *strings.Builder, head, text string) {
	column := len(head)
	b.WriteString(head)
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > columns:
			b.WriteString("\n" + strings.Repeat(" ", len(head)))
			column = len(head)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
