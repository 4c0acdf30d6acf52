package mx

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// zoneRules are MX16 and MX17.
func zoneRules(f *facts, o *Options, fs *findings) {
	nameServerRule(f, f.zone, o, fs)
	for _, z := range f.zones {
		nameServerRule(f, z, o, fs)
	}
	if o.Authority {
		agreementRule(f, fs)
	}
}

// nameServerRule is MX16: with all name servers on the host that goes, nobody finds the backup. Without the old address
// the primary's addresses count as those of the host.
func nameServerRule(f *facts, z zone, o *Options, fs *findings) {
	name := show(z.name)
	if z.state != found {
		if z.state == unanswered && !z.limited {
			fs.add("MX16", Unknown, "ask again", "the name servers of %s are unknown: %s", name, z.why)
		} else {
			fs.add("MX16", Info, "check by hand that the zone is served from more than the old host",
				"the name servers of %s cannot be seen from here", name)
		}
		return
	}
	gone := allAddrs(f.sides(o).primary)
	if o.Old.IsValid() {
		gone = []netip.Addr{o.Old}
	}
	unsure, dying := "", 0
	for _, s := range z.servers {
		for _, a := range s.addrs {
			if !contains(gone, a) {
				return
			}
			dying++
		}
		if s.why != "" {
			unsure = join(unsure, show(s.name)+" "+s.why)
		}
	}
	switch {
	case dying == 0 && unsure == "":
		fs.add("MX16", Info, "check the name servers of the zone", "no name server of %s has an address", name)
	case unsure != "":
		fs.add("MX16", Unknown, "ask again", "whether a name server of %s survives the old host is unknown: %s", name, unsure)
	default:
		fs.add("MX16", Fail, "add a name server elsewhere before the move: without DNS no sender finds the backup",
			"all name servers of %s are on the host that goes (%s)", name, gone[0])
	}
}

// agreementRule is MX17.
func agreementRule(f *facts, fs *findings) {
	sets, serials := map[string][]string{}, map[string][]string{}
	var mute []string
	for _, r := range f.replies {
		if r.fault != "" {
			mute = append(mute, r.server+": "+r.fault)
			continue
		}
		sets[r.set] = append(sets[r.set], r.server)
		if r.serial != "" {
			serials[r.serial] = append(serials[r.serial], r.server)
		}
	}
	advice := "reload the zone on the one that is behind and wait until all answer alike"
	if len(sets) == 0 {
		fs.add("MX17", Info, "allow DNS to the outside, or compare the servers by hand",
			"no name server of %s could be asked directly: agreement not judged, and TTLs may be what a cache had left", show(f.domain))
		return
	}
	if len(sets) > 1 {
		fs.add("MX17", Warn, advice, "name servers disagree on the MX set: %s", versions(sets))
	} else if len(serials) > 1 {
		fs.add("MX17", Warn, advice, "name servers have different serials: %s", versions(serials))
	}
	for _, m := range mute {
		fs.add("MX17", Warn, "repair the server or remove it from the delegation", "a name server gives no answer of its own: %s", m)
	}
}

func versions(m map[string][]string) string {
	var out []string
	for v, servers := range m {
		out = append(out, fmt.Sprintf("%s at %s", v, strings.Join(servers, ", ")))
	}
	slices.Sort(out)
	return strings.Join(out, " / ")
}

// ttl is how long the world may keep what it knows of the MX set now.
func ttl(f *facts) time.Duration {
	var seconds uint32
	for _, h := range f.hosts {
		seconds = max(seconds, h.ttl)
	}
	if f.mx.state == nodata {
		seconds = negativeTTL(f.mx)
	}
	// RFC 2181 section 8: a value with the top bit set is to be taken for 0.
	if seconds > 1<<31-1 {
		seconds = 0
	}
	return time.Duration(seconds) * time.Second
}

// ttlRule is MX18.
func ttlRule(f *facts, o *Options, fs *findings) {
	left := o.Cutover.Sub(o.Now)
	if o.Cutover.IsZero() || left < 0 || ttl(f) <= left {
		return
	}
	of := "the MX set"
	if f.mx.state == nodata {
		of = "the absence of MX records"
	}
	fs.add("MX18", Warn, "lower the TTL now and move the cut-over behind the old one, or change nothing in the MX set before it",
		"%s may be remembered for %s, the cut-over is in %s", of, span(ttl(f)), span(left))
}

// span prints a duration as people do: 5d, 12h, 1h30m, 90s.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "-" + span(-d)
	case d > 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d == 0:
		return "0s"
	}
	s := ""
	if h := d / time.Hour; h > 0 {
		s += fmt.Sprintf("%dh", h)
	}
	if m := d % time.Hour / time.Minute; m > 0 {
		s += fmt.Sprintf("%dm", m)
	}
	if sec := d % time.Minute / time.Second; sec > 0 {
		s += fmt.Sprintf("%ds", sec)
	}
	return s
}
