package mx

import (
	"crypto/x509"
	"slices"

	"github.com/miekg/dns"
)

// bogusRule is MX22: senders whose resolver validates get SERVFAIL and keep the mail.
func bogusRule(name string, fs *findings) {
	fs.add("MX22", Warn, "sign the zone anew, or take the DS record out of the zone above: senders whose resolver validates do not find the name",
		"the DNSSEC signatures of %s are broken: the resolver answers only when it is told not to check them", name)
}

// daneRules are MX22: broken signatures of an exchanger's name, and a backup that stays behind the primary's DANE (RFC
// 7672). TLSA records count only where the resolver has validated the MX set.
func daneRules(f *facts, o *Options, fs *findings) {
	s := f.sides(o)
	dane := ""
	for _, h := range s.primary {
		if h.tlsa.state == found && h.tlsa.validated {
			dane = show(h.name)
		}
	}
	for _, h := range s.rest {
		switch {
		case dane == "" || h.beyond:
		case h.tlsa.state == unanswered:
			fs.add("MX22", Info, "ask again: senders that use DANE do not deliver to a host whose TLSA records cannot be found out",
				"%sthe TLSA records of %s are unknown: %s", planText(f), show(h.name), h.tlsa.why)
		case h.tlsa.state != found || !h.tlsa.validated:
			fs.add("MX22", Warn, "publish TLSA records for it in a signed zone, for the certificate that it has",
				"%sthe primary %s has DANE, %s has no validated TLSA record: an attacker may lead mail there in clear", planText(f), dane, show(h.name))
		}
	}
	for _, h := range slices.Concat(f.judged(), f.extra) {
		if h.bogus {
			bogusRule(show(h.name), fs)
		}
	}
}

// daneFault says why senders that use DANE refuse the server with these certificates (RFC 7672 section 3.1: only usages 2
// and 3 count), "" where they take it or there is nothing to hold it to.
func daneFault(l lookup, chain []*x509.Certificate) string {
	if l.state != found || !l.validated {
		return ""
	}
	usable := false
	for _, r := range l.values {
		rr, err := dns.NewRR("x. TLSA " + r.Value)
		tlsa, ok := rr.(*dns.TLSA)
		if err != nil || !ok || tlsa.Usage != 2 && tlsa.Usage != 3 {
			continue
		}
		usable = true
		for i, cert := range chain {
			if (tlsa.Usage == 2 || i == 0) && tlsa.Verify(cert) == nil {
				return ""
			}
		}
	}
	if !usable {
		return ""
	}
	return "no TLSA record fits the certificate"
}
