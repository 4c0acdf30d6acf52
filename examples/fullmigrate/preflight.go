package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mx"
)

// preflight looks at everything that could stop a cutover while there is time. It changes nothing.
func (c *cutover) preflight(ctx context.Context) (err error) {
	if !c.dir.Done(stepCopied) {
		return c.m.noSync()
	}
	if c.p, err = c.m.replan(ctx); err != nil {
		return err
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	c.rec = record{Version: 1, Began: time.Now().UTC().Truncate(time.Second), Chosen: c.m.chosen(), Ran: c.now, Domain: c.m.domain, Backups: []string{}, Trees: []ownTree{}}
	for i := range sides {
		c.rec.Mail[i] = c.p.mail(c.m, i)
	}
	for _, t := range c.p.trees {
		c.rec.Trees = append(c.rec.Trees, ownTree{c.p.Users[t.user].To, t.Pair})
	}
	c.judgeServices()
	if err := c.p.writers(ctx, c.m, c.p.block); err != nil {
		return err
	}
	c.rec.Ports = c.ports()
	if err := c.planMove(ctx); err != nil {
		return err
	}
	if err := c.checkBackups(ctx); err != nil {
		return err
	}
	c.judgeQueue(ctx)
	if len(c.p.Blockers) > 0 {
		return c.m.refuse(c.p)
	}
	c.sayFindings()
	return nil
}

// sayFindings repeats of the plan what is about the hour at hand.
func (c *cutover) sayFindings() {
	if c.m.c.JSON {
		return
	}
	for _, f := range c.p.Findings {
		if f.grave() || f.Severity == "warn" && (f.Part == "services" || f.Part == "address" || f.Part == "mx" || f.Part == "mail") {
			_ = c.m.c.Print(fmt.Sprintf("%-10s  %s", f.Severity, f)) // who reads it may be gone; the question comes next
		}
	}
	what := "no address moves (-iface): clients go on to the old host until DNS or a route leads them here"
	if mv := c.rec.Move; mv != nil {
		what = strings.SplitN(mv.Plan.String(), "\n", 2)[0]
	}
	_ = c.m.c.Print(what)
}

// longOutage is what the plan of the backup MX is made for: far more than a cutover takes.
const longOutage = time.Hour

// checkBackups looks whether mail waits at another exchanger while the old host is down.
func (c *cutover) checkBackups(ctx context.Context) error {
	if c.m.domain == "" {
		return nil
	}
	opt := &mx.Options{Server: c.m.dns, Authority: c.m.dns == "", Downtime: longOutage, SMTPWait: 15 * time.Second}
	if c.rec.Move != nil && len(c.rec.Move.Plan.Addresses) > 0 {
		opt.Old = c.rec.Move.Plan.Addresses[0].Addr()
	}
	for _, u := range c.p.Users {
		if u.Moves() {
			opt.Rcpt = u.Name + "@" + c.m.domain
			break
		}
	}
	r, err := mx.Check(ctx, c.m.domain, opt)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		g := finding{Part: "mx", Rule: f.Rule, Severity: string(f.Severity), Name: c.m.domain, Detail: f.Detail, Advice: f.Advice}
		// MX13: whoever runs a domain on private addresses does so before the move and after it.
		if f.Severity == mx.Fail && f.Rule != "MX13" {
			c.p.block(g)
			continue
		}
		if f.Severity == mx.Fail {
			g.Severity = "warn"
		}
		c.p.note(g)
	}
	for _, h := range r.MX {
		if h.Pref > r.MX[0].Pref && !slices.ContainsFunc(h.Addrs, func(a netip.Addr) bool { return a == opt.Old }) {
			c.rec.Backups = append(c.rec.Backups, h.Host)
		}
	}
	return nil
}

// queued counts the recipients that wait on a host, -1 when that cannot be known.
func queued(ctx context.Context, h *hostcmd.Host) int {
	if h == nil {
		return -1
	}
	list, err := mx.QueueOf(func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return h.Run(ctx, nil, "env", append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", name}, args...)...)
	})(ctx)
	if err != nil {
		return -1
	}
	return len(list)
}

// queueAdvice is what to do with the old host's queue once the new one serves.
const queueAdvice = "its transfer agent, started again as it is, would put mail for the people who moved into its own mailboxes; let it hand all to the new host first (Postfix: postconf -e mydestination= relayhost=[ADDRESS]; sendmail: DS[ADDRESS] in sendmail.cf, and the domains out of local-host-names)"

// judgeQueue tells of mail that waits in the old host's queue: nobody copies it.
func (c *cutover) judgeQueue(ctx context.Context) {
	if n := queued(ctx, c.m.old); n > 0 {
		c.p.note(finding{Part: "mail", Rule: "QUEUE", Severity: "warn", Name: "old", Detail: fmt.Sprintf("%d recipients wait in the queue of the old host, which is not copied", n), Advice: "have the queue run before the cutover (postqueue -f, sendmail -q); what is left stays there: " + queueAdvice})
	}
}
