package mx

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// machineRules are SM09, SM11 and SM14 to SM16: the backup's own configuration.
func machineRules(f *facts, o *Options, fs *findings) {
	m := o.Machine
	if m == nil {
		return
	}
	domain := show(f.domain)
	if m.Local != "" {
		fs.add("SM09", Warn, "take the domain out of it: the backup must relay the mail, not keep it",
			"the backup delivers mail for %s on itself (%s): it never comes back to the primary", domain, clean(m.Local))
	}
	if m.Bounces > 0 && m.Bounces < m.Lifetime && m.Bounces < o.Downtime+o.Downtime/2 {
		fs.add("SM11", Warn, "raise bounce_queue_lifetime (Postfix) or confTO_QUEUERETURN_DSN (sendmail) too",
			"the backup keeps bounces for %s only, messages for %s: notices to the domain's users get lost", span(m.Bounces), span(m.Lifetime))
	}
	if m.Local == "" && m.Route == "" && !m.doubts("transport_maps") && !m.doubts("-bv") {
		fs.add("SM14", Warn, "pin the route to the primary's address (Configs): preferences and DNS then cannot make mail bounce (MX07, MX09)",
			"the backup finds the primary by MX")
	}
	if m.Smart != "" {
		fs.add("SM16", Warn, "pin the route of the domain on the backup, and leave its fallback relay empty",
			"on the backup %s takes the mail when the primary is down: it does not stay in the queue", clean(m.Smart))
	}
	spaceRule(o, fs)
	for _, what := range m.Unseen {
		fs.add("SM09", Info, "look there by hand", "of the backup's configuration was not seen: %s", clean(what))
	}
}

func (m *Machine) doubts(what string) bool {
	return slices.ContainsFunc(m.Unseen, func(s string) bool { return strings.Contains(s, what) })
}

// spaceRule is SM15: the disk of the queue against what comes in.
func spaceRule(o *Options, fs *findings) {
	m := o.Machine
	if m.Free == 0 {
		return
	}
	advice := "make room on the backup, or move the queue to a larger disk"
	left := m.Free - m.MinFree
	switch need := float64(o.Daily) * o.Downtime.Hours() / 24; {
	case left <= 0:
		fs.add("SM15", Warn, advice, "the backup takes no mail now: %s free for the queue, it wants %s", size(m.Free), size(m.MinFree))
	case need > float64(left):
		fs.add("SM15", Warn, advice, "%s are left for the backup's queue; a downtime of %s brings %s", size(left), span(o.Downtime), size(int64(need)))
	}
}

// size prints bytes as df -h does, in powers of 1024.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"}
	x, u := float64(n), 0
	for x >= 1024 && u < len(units)-1 {
		x, u = x/1024, u+1
	}
	return fmt.Sprintf("%.4g %s", x, units[u])
}

// returnRule is SM13: whether the new host takes the mail that comes back from the backup. Its refusal is permanent for
// the backup, which bounces. The question ends before DATA, so that filters on content are not seen.
func (c *checker) returnRule(ctx context.Context, f *facts) []Finding {
	o := &c.opt
	to := o.New
	if !to.IsValid() {
		to = pin(f, o)
	}
	if o.FromBackup == nil || !to.IsValid() {
		return nil
	}
	var fs findings
	advice := "let the backup in at the new host: its address in the allowed networks, no greylisting, SPF check or block list for it"
	r, err := c.deliverFromBackup(ctx, to)
	switch {
	case err != nil:
		fs.add("SM13", Unknown, "ask again while the new host's mail service runs", "whether %s takes mail from the backup is unknown: %s", to, clean(err.Error()))
	case r.positive():
	case r.transient():
		fs.add("SM13", Warn, advice, "%s puts off mail that comes from the backup, twice: %s", to, r)
	default:
		fs.add("SM13", Fail, advice, "%s refuses mail that comes from the backup, which will bounce: %s", to, r)
	}
	return fs
}

// deliverFromBackup asks for the known recipient on a connection that begins at the backup, twice where it is put off.
// It returns the first reply that refuses, or the one to RCPT.
func (c *checker) deliverFromBackup(ctx context.Context, to netip.Addr) (r smtpReply, err error) {
	o := c.opt
	o.Dial = o.FromBackup
	for range 2 {
		if r, err = c.deliver(ctx, &o, to); err != nil || !r.transient() {
			break
		}
	}
	return r, err
}

func (c *checker) deliver(ctx context.Context, o *Options, to netip.Addr) (smtpReply, error) {
	s, r, done, err := open(ctx, o, net.JoinHostPort(to.String(), fmt.Sprint(o.SMTPPort)), o.SMTPWait)
	if err != nil {
		return r, err
	}
	defer done()
	defer s.quit()
	if !r.positive() {
		return r, nil
	}
	if r, err = s.hello(); err != nil || !r.positive() {
		return r, err
	}
	for _, command := range []string{"MAIL FROM:<>", "RCPT TO:<" + cmp.Or(o.Rcpt, "postmaster@"+show(c.domain)) + ">"} {
		if r, err = s.command("%s", command); err != nil || !r.positive() {
			return r, err
		}
	}
	return r, nil
}

// lifetimeOf is the backup's lifetime where nothing is given: its own, else the default of Postfix and sendmail.
func lifetimeOf(o *Options) time.Duration {
	if o.Machine != nil && o.Machine.Lifetime > 0 {
		return o.Machine.Lifetime
	}
	return defaultLifetime
}
