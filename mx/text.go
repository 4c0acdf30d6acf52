package mx

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxLines of findings are printed; the rest is counted.
const maxLines = 12

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
				fmt.Fprintf(&b, "%-8s %s %s\n%14s %s\n", f.Severity, f.Rule, clean(f.Detail), "->", f.Advice)
			}
		}
	}
	if printed > maxLines {
		fmt.Fprintf(&b, "%14s and %d more findings\n", "", printed-maxLines)
	}
	for _, s := range r.Plan {
		fmt.Fprintf(&b, "plan     %-9s %s\n", s.At, s.Do)
	}
	if len(r.Configs) > 0 {
		fmt.Fprintf(&b, "configs  %s\n", strings.Join(slices.Sorted(maps.Keys(r.Configs)), " "))
	}
	return b.String()
}
