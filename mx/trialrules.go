package mx

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// trialRules are SM01 to SM08 and SM12 for one address of a backup.
func trialRules(t *trial, all []*trial, fs *findings) {
	if t.dialErr != nil {
		unreachableRule(t, all, fs)
		return
	}
	if !t.greeting.positive() {
		fs.add("SM01", Fail, "start the mail service there and let the world connect", "%s does not take connections: %s", t.name(), t.greeting)
		return
	}
	knownRule(t, fs)
	acceptRules(t, fs)
	sizeRule(t, all, fs)
	tlsRule(t, fs)
	etrnRule(t, fs)
}

// etrnRule is SM12. An offer says little: only ETRN from the new host's address shows whether it may ask.
func etrnRule(t *trial, fs *findings) {
	advice := "allow ETRN to the new host's address, or flush on the backup itself"
	var r FlushResult
	if t.etrn.code != 0 {
		meaning(t.etrn, &r)
	}
	if _, ok := t.caps["ETRN"]; !ok && t.caps != nil {
		fs.add("SM12", Warn, advice, "%s does not offer ETRN", t.name())
	} else if r.Status == Fail {
		fs.add("SM12", Warn, advice, "%s: %s", t.name(), r.Detail)
	} else if r.Status == Unknown {
		fs.add("SM12", Info, "ask again", "%s: %s", t.name(), r.Detail)
	}
}

// unreachableRule is SM01 without a greeting. Only where another exchanger answers over the same address family is it
// the backup's fault; else port 25 may be closed to the outside where this runs.
func unreachableRule(t *trial, all []*trial, fs *findings) {
	advice := "open port 25 on it to the world"
	why := clean(t.dialErr.Error())
	primaries := slices.ContainsFunc(all, func(x *trial) bool { return !x.backup })
	sibling := slices.ContainsFunc(all, func(x *trial) bool { return x.host == t.host && x.dialErr == nil })
	switch {
	case reachable(all, t.addr), refused(t.dialErr) && !primaries:
		fs.add("SM01", Fail, advice, "%s cannot be reached: %s", t.name(), why)
	case sibling:
		fs.add("SM01", Info, "try from a network that has this address family", "%s not judged from here: %s", t.name(), why)
	default:
		fs.add("SM01", Unknown, "try from another network: nothing answered, so outgoing port 25 may be blocked here", "%s: %s", t.name(), why)
	}
}

// knownRule is SM02 and SM03.
func knownRule(t *trial, fs *findings) {
	r := t.rcpt[probeKnown]
	relay := "add the domain to relay_domains (Postfix) or relay-domains (sendmail), and the recipient to the list; see Configs"
	verify := "give the backup a list of recipients instead of call-forward verification: with the primary down it refuses whom it has not seen"
	switch {
	case r.code == 0:
		fs.add("SM02", Unknown, "ask again", "%s: whether it takes the known recipient is unknown: %s", t.name(), broken(t))
	case r.positive() && unverified(t.first):
		fs.add("SM03", Warn, verify, "%s verified the known recipient at the primary first: %s", t.name(), t.first)
	case r.positive():
	case unverified(r):
		fs.add("SM03", Fail, verify, "%s refuses the known recipient: %s", t.name(), r)
	case r.code/100 == 5 || relayDenied(r):
		fs.add("SM02", Fail, relay, "%s refuses the known recipient: %s", t.name(), r)
	default:
		fs.add("SM02", Unknown, "ask again later, this may be greylisting", "%s puts the known recipient off, twice: %s", t.name(), r)
	}
}

// broken says why a session has no answer about a recipient.
func broken(t *trial) string {
	switch {
	case t.err != nil:
		return clean(t.err.Error())
	case t.tlsErr != nil:
		return clean(t.tlsErr.Error())
	}
	return "MAIL FROM:<> answered " + t.mail.String()
}

// acceptRules are SM04 to SM07.
func acceptRules(t *trial, fs *findings) {
	for _, rule := range []struct {
		id       string
		kind     probe
		severity Status
		advice   string
		what     string
	}{
		{"SM04", probeRandom, Warn, "give the backup a list of recipients: it will bounce to forged senders (backscatter)", "a recipient that does not exist"},
		{"SM05", probeSub, Warn, "set parent_domain_matches_subdomains (Postfix) or refuse them in the access map (sendmail)", "a recipient in a subdomain"},
		{"SM06", probeForeign, Fail, "close the open relay before anything else", "a recipient of a foreign domain"},
	} {
		switch r := t.rcpt[rule.kind]; {
		case r.positive():
			fs.add(rule.id, rule.severity, rule.advice, "%s accepts %s: %s", t.name(), rule.what, r)
		case r.code == 0 && rule.severity == Fail:
			fs.add(rule.id, Unknown, "ask again", "%s: whether it accepts %s is unknown: %s", t.name(), rule.what, broken(t))
		case r.code == 0:
			fs.add(rule.id, Info, "ask again", "%s: whether it accepts %s was not seen: %s", t.name(), rule.what, broken(t))
		}
	}
	switch r := t.rcpt[probePostmaster]; {
	case r.code/100 == 5:
		fs.add("SM07", Warn, "add postmaster to the backup's list of recipients (RFC 5321 section 4.5.1)", "%s refuses postmaster: %s", t.name(), r)
	case r.code == 0, r.transient():
		fs.add("SM07", Info, "ask again", "%s: whether it takes postmaster was not seen", t.name())
	}
}

// sizeRule is SM08 for SIZE (RFC 1870): what the primary takes must fit into the backup. 0 is no
// limit, no number says nothing.
func sizeRule(t *trial, all []*trial, fs *findings) {
	here, ok := sizeOf(t)
	if !ok || here == 0 {
		return
	}
	for _, p := range all {
		there, ok := sizeOf(p)
		if p.backup || !ok || there != 0 && there <= here {
			continue
		}
		limit := strconv.FormatUint(there, 10) + " bytes"
		if there == 0 {
			limit = "messages without a limit"
		}
		fs.add("SM08", Warn, "raise message_size_limit (Postfix) or confMAX_MESSAGE_SIZE (sendmail) on the backup",
			"%s takes at most %d bytes, the primary %s takes %s", t.name(), here, p.name(), limit)
		return
	}
}

func sizeOf(t *trial) (uint64, bool) {
	text, ok := t.caps["SIZE"]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

// tlsRule is SM08 for STARTTLS (RFC 3207).
func tlsRule(t *trial, fs *findings) {
	if t.caps == nil {
		return
	}
	_, offered := t.caps["STARTTLS"]
	switch {
	case !offered:
		fs.add("SM08", Warn, "offer STARTTLS: some senders insist on it", "%s does not offer STARTTLS", t.name())
	case t.tlsErr != nil:
		fs.add("SM08", Warn, "repair the certificate or the TLS settings", "%s: %s", t.name(), clean(t.tlsErr.Error()))
	case t.tlsFault != "":
		fs.add("SM08", Warn, "get a certificate for the backup's name: senders that insist on it (MTA-STS, DANE) refuse this one", "%s: %s", t.name(), t.tlsFault)
	}
}

// proven reports whether the SMTP trial has shown that a backup takes the known recipient.
func proven(f *facts, o *Options, fs []Finding) bool {
	var addrs []netip.Addr
	for _, h := range f.sides(o).rest {
		addrs = append(addrs, h.addrs...)
	}
	bad := slices.ContainsFunc(fs, func(x Finding) bool {
		return (x.Rule == "SM01" || x.Rule == "SM02" || x.Rule == "SM03") && (x.Severity == Fail || x.Severity == Unknown)
	})
	return o.Rcpt != "" && len(addrs) > 0 && !bad
}
