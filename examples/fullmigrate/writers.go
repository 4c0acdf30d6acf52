package main

import (
	"context"
	"fmt"

	"github.com/mailmove/mailmove/internal/service"
)

// mostWriters is as many as a person reads the names of.
const mostWriters = 20

// writers tells of programs that write to mailboxes and end with no daemon, such as an editor: the last pass would wait for
// them in vain while nobody serves. A sync does not mind them.
func (p *plan) writers(ctx context.Context, m *migration, tell func(finding)) error {
	for i, h := range m.hosts() {
		if h == nil {
			continue
		}
		all, err := service.Writers(ctx, h, p.mail(m, i))
		if err != nil {
			return err
		}
		for n, w := range all {
			f := finding{Part: "services", Rule: "WRITER", Severity: "warn", Name: sides[i],
				Detail: fmt.Sprintf("on the %s host %s and belongs to no daemon: a cutover cannot begin while it is at work", sides[i], w.Doing()),
				Advice: "have its user close it, or end it: " + m.line(i, fmt.Sprintf("kill %d", w.PID))}
			if n == mostWriters {
				f.Detail, f.Advice = fmt.Sprintf("on the %s host %d more programs of users are at work on mail", sides[i], len(all)-n), "close these first, and look again"
				tell(f)
				break
			}
			tell(f)
		}
	}
	return nil
}
