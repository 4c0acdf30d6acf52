package mx

import (
	"fmt"
	"slices"
	"strings"
)

// findings collects what the rules say.
type findings []Finding

func (fs *findings) add(rule string, s Status, advice, format string, args ...any) {
	*fs = append(*fs, Finding{Rule: rule, Severity: s, Detail: fmt.Sprintf(format, args...), Advice: advice})
}

// evaluate applies the DNS rules. It is pure: the same facts and options give the same findings.
//
// A rule that could not be judged is Unknown where it would be a Fail, and Info where it would only be a Warn.
func evaluate(f *facts, o *Options) []Finding {
	fs := findings{}
	if !domainRules(f, &fs) {
		return fs
	}
	if !nullRules(f, &fs) {
		return fs
	}
	if f.planned != nil && f.mx.state == nodata {
		implicitRule(f, o, &fs)
	}
	if len(f.judged()) > 0 {
		setRules(f, o, &fs)
		preferenceRules(f, o, &fs)
		lostPrimaryRule(f, o, &fs)
	}
	targetRules(f, o, &fs)
	machineRules(f, o, &fs)
	shareRules(f, o, &fs)
	zoneRules(f, o, &fs)
	daneRules(f, o, &fs)
	policyRules(f, &fs)
	ttlRule(f, o, &fs)
	return fs
}

// domainRules are MX01, MX02, MX03 and MX21; false ends the examination.
func domainRules(f *facts, fs *findings) bool {
	name := show(f.domain)
	if len(f.mx.chain) > 0 {
		fs.add("MX21", Info, "publish the MX records at the name itself; a CNAME there also hides TXT records such as SPF",
			"%s is a CNAME for %s", name, show(f.mx.chain[len(f.mx.chain)-1]))
	}
	if f.mx.bogus {
		bogusRule(name, fs)
	}
	switch f.mx.state {
	case unanswered:
		fs.add("MX02", Unknown, "ask again, also from another network; this says nothing about the MX set",
			"the MX set of %s is unknown: %s", name, f.mx.why)
		return false
	case nxdomain:
		fs.add("MX01", Fail, "check the spelling and the delegation: mail to a name that does not exist bounces at once",
			"%s does not exist (NXDOMAIN)", name)
		return false
	case looping:
		fs.add("MX01", Fail, "replace the CNAME by records of its own",
			"%s has no MX set: its chain of CNAME records loops or is longer than %d", name, maxChain)
		return false
	}
	if f.mx.state == found && len(f.hosts) == 0 {
		fs.add("MX02", Unknown, "ask the zone's name servers directly", "the MX records of %s cannot be read", name)
		return false
	}
	if f.mx.state == nodata && f.planned == nil {
		implicit(f, fs)
	}
	return true
}

// implicit is MX03: RFC 5321 section 5.1 sends mail to the domain's own address when there is no MX record.
func implicit(f *facts, fs *findings) {
	name := show(f.domain)
	advice := fmt.Sprintf("publish the primary and the backup in one change, such as \"MX 10 %s.\" and \"MX 20\" with the backup: the backup alone would end the implicit MX (MX04)", name)
	switch f.own.state {
	case found:
		fs.add("MX03", Fail, advice, "%s has no MX record; mail goes to its own address %s and there is no backup", name, f.own.addrs[0])
	case unanswered:
		fs.add("MX03", Unknown, "ask again", "%s has no MX record; whether it has an address of its own is unknown: %s", name, f.own.why)
	default:
		fs.add("MX03", Fail, "publish MX records", "%s has no MX record and no address: mail to it bounces", name)
	}
	if f.own.state == found && f.own.why != "" {
		fs.add("MX10", Unknown, "ask again", "not all addresses of %s are known: %s", name, f.own.why)
	}
}

// nullRules is MX05; false ends the examination, for a domain that takes no mail needs no backup.
func nullRules(f *facts, fs *findings) bool {
	set := f.judged()
	i := slices.IndexFunc(set, isNull)
	if i < 0 {
		return true
	}
	switch {
	case len(set) > 1:
		fs.add("MX05", Fail, "remove the null MX: it must be the only one (RFC 7505 section 3)",
			"%s%s has a null MX among others", planText(f), show(f.domain))
	case set[i].pref != 0:
		fs.add("MX05", Fail, "remove the record, or write it \"MX 0 .\" if the domain shall take no mail",
			"%s%s has a null MX with preference %d instead of 0", planText(f), show(f.domain), set[i].pref)
	default:
		fs.add("MX05", Fail, "publish real exchangers if the domain shall take mail",
			"%s%s has the null MX: it takes no mail, and senders bounce at once (RFC 7505)", planText(f), show(f.domain))
	}
	return len(set) > 1
}

// planText marks findings about a set that is not published yet.
func planText(f *facts) string {
	if f.planned != nil {
		return "planned set: "
	}
	return ""
}

// implicitRule is MX04: the first MX record switches the implicit MX off.
func implicitRule(f *facts, o *Options, fs *findings) {
	unsure := ""
	for _, h := range usable(f.planned) {
		if h.name == o.Backup {
			continue
		}
		if _, ok := common(h.addrs, f.own.addrs); ok || h.name == f.domain {
			return
		}
		unsure = join(unsure, h.doubt())
	}
	advice := fmt.Sprintf("publish \"MX 10 %s.\" in the same change", show(f.domain))
	if f.own.state == unanswered {
		unsure = join(unsure, f.own.why)
	}
	switch {
	case unsure != "":
		fs.add("MX04", Unknown, advice, "whether the planned set keeps the host that takes the mail now is unknown: %s", unsure)
	case f.own.state == found:
		fs.add("MX04", Fail, advice, "the planned set leaves out %s (%s), which takes the mail now as implicit MX; any MX record ends that",
			show(f.domain), f.own.addrs[0])
	}
}

// setRules are MX06 and MX20.
func setRules(f *facts, o *Options, fs *findings) {
	hosts := usable(f.judged())
	inSet := slices.ContainsFunc(hosts, func(h host) bool { return h.name == o.Backup })
	advice := "add a second exchanger on another host, with a higher preference number than the primary's"
	switch {
	case len(hosts) < 2:
		fs.add("MX06", Fail, advice, "%s%s has %s that names a host: no backup", planText(f), show(f.domain), count(len(hosts), "exchanger"))
	case o.Backup != "" && !inSet:
		fs.add("MX06", Fail, "publish it with a higher preference number than the primary's",
			"%sthe backup %s is not in the MX set", planText(f), show(o.Backup))
	}
	for _, name := range f.doubles[:min(len(f.doubles), 5)] {
		fs.add("MX20", Warn, "keep one of the records", "%s is listed with two preferences", show(name))
	}
	examined := 0
	for _, h := range f.judged() {
		if !h.beyond {
			examined++
		}
	}
	if n := len(f.judged()); n > 10 {
		fs.add("MX20", Warn, "publish fewer: senders do not try them all",
			"%s%d exchangers, of which %d were examined", planText(f), n, examined)
	}
	if f.mx.truncated {
		fs.add("MX20", Warn, "publish fewer or shorter names: senders behind a firewall without DNS over TCP do not see the set",
			"the answer does not fit into UDP")
	}
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// preferenceRules are MX07 and MX08: a relay discards itself and everything at or behind its own preference (RFC 5321
// section 5.1), so only a host behind the primary can relay to it.
func preferenceRules(f *facts, o *Options, fs *findings) {
	s := sides(f.judged(), o)
	if len(s.primary) == 0 {
		return
	}
	var ahead, equal, behind []string
	for _, h := range s.rest {
		switch text := fmt.Sprintf("%s (%d)", show(h.name), h.pref); {
		case h.pref < s.pref:
			ahead = append(ahead, text)
		case h.pref == s.pref:
			equal = append(equal, text)
		default:
			behind = append(behind, text)
		}
	}
	primary := fmt.Sprintf("%s (%d)", show(s.primary[0].name), s.pref)
	if len(equal) > 0 {
		severity := Fail
		if len(behind) > 0 {
			severity = Warn
		}
		fs.add("MX07", severity, "give the backup a higher number; at an equal one it finds itself and bounces with 5.4.6 at once",
			"%s%s has the same preference as the primary %s", planText(f), some(equal), primary)
	}
	if len(ahead) > 0 {
		severity := Fail
		if len(behind) > 0 {
			severity = Warn
		}
		fs.add("MX08", severity, "give the primary the lowest number, or pin the route on the host before it",
			"%s%s comes before the primary %s", planText(f), some(ahead), primary)
	}
}

// some lists the first names.
func some(names []string) string {
	const most = 5
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// lostPrimaryRule is MX09, and MX04 seen afterwards: a backup that relays by MX and finds no better host than itself
// bounces with "loops back to myself".
func lostPrimaryRule(f *facts, o *Options, fs *findings) {
	s := sides(f.judged(), o)
	advice := "keep the primary in the MX set for as long as the backup holds mail, or pin the route on the backup (Configs)"
	if len(s.primary) == 0 && o.Backup != "" && len(s.rest) > 0 {
		fs.add("MX09", Fail, advice, "%sthe backup %s is the only exchanger: it finds no one to relay to and bounces", planText(f), show(o.Backup))
		if f.planned == nil && f.own.state == found {
			fs.add("MX04", Fail, fmt.Sprintf("publish \"MX 10 %s.\" too if that host shall take the mail", show(f.domain)),
				"%s has an address of its own, %s, but the only MX record is the backup's: there is no implicit MX any more", show(f.domain), f.own.addrs[0])
		}
		return
	}
	if f.planned != nil && f.mx.state == found {
		removedRule(f, o, s, advice, fs)
		return
	}
	all := slices.Concat(s.primary, s.others, s.rest)
	if !o.Old.IsValid() && !o.New.IsValid() || len(s.primary) == 0 || slices.ContainsFunc(all, func(h host) bool { return h.why != "" || h.beyond }) {
		return
	}
	reach := allAddrs(all)
	if !slices.Contains(reach, o.Old) && !slices.Contains(reach, o.New) {
		fs.add("MX09", Warn, "check the addresses given; if a filter takes the mail first, it needs the new address in time",
			"no exchanger has the old or the new host's address")
	}
}

// removedRule compares the planned set with the published one.
func removedRule(f *facts, o *Options, planned split, advice string, fs *findings) {
	now := sides(f.hosts, o)
	if len(now.primary) == 0 {
		return
	}
	home := allAddrs(now.primary)
	if o.Old.IsValid() {
		home = append(home, o.Old)
	}
	if o.New.IsValid() {
		home = append(home, o.New)
	}
	unsure := ""
	for _, h := range now.primary {
		unsure = join(unsure, h.why)
	}
	for _, h := range slices.Concat(planned.primary, planned.others, planned.rest) {
		if o.Backup != "" && h.name == o.Backup {
			continue
		}
		same := slices.ContainsFunc(now.primary, func(p host) bool { return p.name == h.name })
		if _, ok := common(h.addrs, home); ok || same {
			return
		}
		unsure = join(unsure, h.doubt())
	}
	if unsure != "" {
		fs.add("MX09", Unknown, advice, "whether the planned set keeps the primary %s is unknown: %s", show(now.primary[0].name), unsure)
		return
	}
	fs.add("MX09", Fail, advice, "the planned set has no exchanger that leads to the primary %s: a backup that relays by MX loops and bounces", show(now.primary[0].name))
}

// sortFindings orders by rule, MX before SM, and within a rule by text.
func sortFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return strings.Compare(a.Rule+"\x00"+a.Detail, b.Rule+"\x00"+b.Detail)
	})
}
