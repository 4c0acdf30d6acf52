package mx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	senderRetry  = 5 * 24 * time.Hour // senders give up after 4 to 5 days, RFC 5321 section 4.5.4.1
	safeShare    = 0.66               // of the backup's lifetime that downtime and delivery afterwards may take
	unprovenWarn = 12 * time.Hour     // some large senders give up as early as this
	unprovenFail = 24 * time.Hour     // and others here, without having reached a backup
)

// latest is the longest downtime that a backup with this lifetime bears.
func latest(lifetime time.Duration) time.Duration {
	return time.Duration(float64(lifetime) * safeShare).Truncate(time.Minute)
}

// budget is SM10: the planned downtime against the time that queued mail may wait.
func budget(o *Options, proven bool) []Finding {
	var fs findings
	if o.Downtime > latest(o.Lifetime) {
		fs.add("SM10", Fail, "raise the lifetime on the backup before the oldest message reaches it; it is evaluated at each attempt, so raising it rescues what is queued",
			"a downtime of %s is more than 0.66 of the backup's queue lifetime %s, which is %s", span(o.Downtime), span(o.Lifetime), span(latest(o.Lifetime)))
	}
	advice := "try the backup with a known recipient (Rcpt), or keep the downtime shorter"
	switch {
	case proven:
	case o.Downtime > unprovenFail:
		fs.add("SM10", Fail, advice, "a downtime of %s, and the backup is unproven: large senders give up after 24h", span(o.Downtime))
	case o.Downtime > unprovenWarn:
		fs.add("SM10", Warn, advice, "a downtime of %s, and the backup is unproven: some senders give up after 12h", span(o.Downtime))
	}
	return fs
}

// moment is a step before its time is put into words.
type moment struct {
	after1 bool // counted from T1, the end of the take-over, instead of T0, the stop of the old host
	offset time.Duration
	do     string
}

// plan is the order of work. It is empty where the domain's state is unknown or it takes no mail.
func plan(f *facts, o *Options) []Step {
	if f.mx.state != found && f.mx.state != nodata || f.mx.state == found && len(f.hosts) == 0 {
		return nil
	}
	if f.planned == nil && len(f.hosts) == 1 && isNull(f.hosts[0]) {
		return nil
	}
	ms := slices.Concat(before(f, o), during(o), afterwards(f, o))
	key := func(m moment) time.Duration {
		switch {
		case !m.after1:
			return m.offset
		case o.Downtime > 0:
			return o.Downtime + m.offset
		}
		return latest(o.Lifetime) + m.offset // unknown: behind everything that counts from T0
	}
	slices.SortStableFunc(ms, func(a, b moment) int { return cmp.Compare(key(a), key(b)) })
	steps := []Step{}
	for _, m := range ms {
		steps = append(steps, Step{At: when(m, o), Do: m.do})
	}
	return steps
}

// when is the absolute time of a step where it is known.
func when(m moment, o *Options) string {
	name := "T0"
	if m.after1 {
		name = "T1"
	}
	if !o.Cutover.IsZero() && (!m.after1 || o.Downtime > 0) {
		t := o.Cutover.Add(m.offset)
		if m.after1 {
			t = t.Add(o.Downtime)
		}
		return t.UTC().Format(time.RFC3339)
	}
	switch {
	case m.offset < 0:
		return name + "-" + span(-m.offset)
	case m.offset > 0:
		return name + "+" + span(m.offset)
	}
	return name
}

// before are the steps up to the stop of the old host.
func before(f *facts, o *Options) []moment {
	refresh := time.Duration(f.zone.refresh) * time.Second
	lead := ttl(f) + refresh + time.Hour
	backup := backupName(f, o)
	var ms []moment
	reason := fmt.Sprintf("TTL %s + refresh %s + 1h", span(ttl(f)), span(refresh))
	if !f.mx.exact {
		reason += "; the TTL was seen in a cache, the zone's own may be longer"
	}
	if records := toPublish(f, o); len(records) > 0 {
		ms = append(ms, moment{offset: -lead, do: fmt.Sprintf(
			"publish in one change: %s; first A, AAAA and PTR of %s, TLSA and MTA-STS where the primary has them (%s)",
			strings.Join(records, " and "), backup, reason)})
	} else {
		ms = append(ms, moment{offset: -lead, do: "last moment for a change of the MX set, which needs none (" + reason + ")"})
	}
	return append(ms,
		moment{offset: -48 * time.Hour, do: "configure the backup; give it the recipients, postmaster too"},
		moment{offset: -24 * time.Hour, do: "rehearse: block port 25 of the old host for 15 minutes, see a message queued on the backup, unblock, flush, see it delivered"},
		moment{offset: -time.Hour, do: "on the backup: messages and bounces kept for 30d, soft_bounce on"},
	)
}

// during are the steps of the outage.
func during(o *Options) []moment {
	take := "take over the address and announce it (ARP, neighbour advertisement); A and MX stay"
	if !o.Old.IsValid() {
		take = "take over the old host's address; or change the primary's A and AAAA, and wait for their TTL"
	}
	limit := fmt.Sprintf("the primary must be back: 0.66 of the lifetime %s, the rest is for delivery", span(o.Lifetime))
	if o.Downtime > 0 {
		limit += fmt.Sprintf("; planned are %s", span(o.Downtime))
	}
	return []moment{
		{do: "stop the old host's mail service; mail now waits on the backup"},
		{offset: latest(o.Lifetime), do: limit + "; else raise it again"},
		{after1: true, do: take},
		{after1: true, do: "or back: the new host off, the old one on, announce the address there; the backup keeps the mail meanwhile"},
	}
}

// afterwards are the steps back to normal.
func afterwards(f *facts, o *Options) []moment {
	backup := backupName(f, o)
	return []moment{
		{after1: true, offset: 5 * time.Minute, do: "send a message straight to the primary and read it there"},
		{after1: true, offset: 10 * time.Minute, do: "flush from the new host: ETRN " + show(f.domain) + " on " + backup + ", until the queue is empty"},
		{after1: true, offset: 24 * time.Hour, do: "on the backup: soft_bounce off, lifetimes as before"},
		{after1: true, offset: o.Lifetime, do: "if the backup was added for the move: remove its MX, only that"},
		{after1: true, offset: o.Lifetime + ttl(f) + senderRetry, do: "then relay domain, route and recipients on the backup"},
	}
}

const (
	noBackup  = "BACKUP"  // stands in the plan for a host that has to be found yet
	noPrimary = "PRIMARY" // likewise
)

// backupName is the backup as the plan calls it.
func backupName(f *facts, o *Options) string {
	if o.Backup != "" {
		return show(o.Backup)
	}
	if rest := sides(f.judged(), o).rest; len(rest) > 0 {
		best := rest[0]
		for _, h := range rest[1:] {
			if h.pref > best.pref {
				best = h
			}
		}
		return show(best.name)
	}
	return noBackup
}

// toPublish are the MX records that the plan asks for: the planned set, or the present one brought into order. It is
// empty when nothing has to change.
func toPublish(f *facts, o *Options) []string {
	record := func(pref uint16, host string) string {
		return fmt.Sprintf("\"%s. MX %d %s\"", show(f.domain), pref, dotted(host))
	}
	var out []string
	if f.planned != nil {
		for _, h := range f.planned {
			out = append(out, record(h.pref, h.name))
		}
		return out
	}
	s := sides(f.hosts, o)
	if len(s.primary) > 0 && slices.ContainsFunc(s.rest, func(h host) bool { return h.pref > s.pref }) {
		return nil
	}
	keep, pref := slices.Concat(s.primary, s.others), s.pref
	if len(s.primary) == 0 {
		pref = 10
		name := noPrimary
		if f.own.state == found {
			name = f.domain
		}
		keep = []host{{name: name, pref: pref}}
	}
	if pref > 65535-10 {
		pref = 10
		for i := range keep {
			keep[i].pref = pref
		}
	}
	for _, h := range keep {
		out = append(out, record(h.pref, h.name))
	}
	return append(out, record(pref+10, backupName(f, o)))
}

func dotted(name string) string {
	if name == noBackup || name == noPrimary || strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}
