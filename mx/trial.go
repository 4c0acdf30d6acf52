package mx

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Bounds of the SMTP trial.
const (
	maxTrialHosts = 5 // backups, and as many primaries
	maxTrialAddrs = 4 // addresses of one host
)

// probe is a kind of recipient that the backup is asked about.
type probe int

const (
	probeKnown probe = iota
	probeRandom
	probeSub
	probeForeign
	probePostmaster
	probeKinds
)

// trial is what one address of an exchanger answered.
type trial struct {
	host     string
	tlsa     lookup
	addr     netip.Addr
	backup   bool
	dialErr  error     // no greeting
	greeting smtpReply // also a negative one
	err      error     // the session broke off after the greeting
	caps     map[string]string
	mail     smtpReply // to MAIL FROM:<>
	rcpt     [probeKinds]smtpReply
	first    smtpReply // to the known recipient, where it was asked about twice
	etrn     smtpReply
	tlsFault string
	tlsErr   error
}

func (t *trial) name() string { return show(t.host) + " (" + t.addr.String() + ")" }

// trySMTP tries every address of the backups by RCPT without DATA, and greets the primary for comparison.
func (c *checker) trySMTP(ctx context.Context, f *facts) []Finding {
	s := f.sides(&c.opt)
	var trials []*trial
	add := func(hosts []host, backup bool) {
		for _, h := range hosts[:min(len(hosts), maxTrialHosts)] {
			for _, a := range h.addrs[:min(len(h.addrs), maxTrialAddrs)] {
				trials = append(trials, &trial{host: h.name, tlsa: h.tlsa, addr: a, backup: backup})
			}
		}
	}
	add(s.primary, false)
	add(s.rest, true)
	var jobs []func()
	for _, t := range trials {
		jobs = append(jobs, func() { c.try(ctx, t) })
	}
	parallel(jobs)
	var fs findings
	for _, t := range trials {
		if t.backup {
			trialRules(t, trials, &fs)
		}
	}
	return fs
}

// try holds one session. Each recipient has a transaction of its own, since a bounce has but one recipient.
func (c *checker) try(ctx context.Context, t *trial) {
	address := net.JoinHostPort(t.addr.String(), strconv.Itoa(c.opt.SMTPPort))
	s, greeting, done, err := open(ctx, &c.opt, address, c.opt.SMTPWait)
	if err != nil {
		t.dialErr = err
		return
	}
	defer done()
	defer s.quit()
	t.greeting = greeting
	if !greeting.positive() {
		return
	}
	r, err := s.hello()
	if err == nil && !r.positive() {
		err = errors.New("EHLO refused: " + r.String())
	}
	t.caps = s.caps
	if err != nil {
		t.err = err
		return
	}
	if t.backup {
		c.ask5(s, t)
	}
}

// ask5 asks about the five kinds of recipients, and about the known one again where it was put off. TLS comes last, or
// first where the server insists on it.
func (c *checker) ask5(s *session, t *trial) {
	name, domain := show(t.host), show(c.domain)
	random := c.opt.Random()
	recipients := [probeKinds]string{
		probeKnown:      c.opt.Rcpt,
		probeRandom:     random + "@" + domain,
		probeSub:        random + "@" + random + "." + domain,
		probeForeign:    random + "@relay-" + random + ".example", // RFC 2606 keeps .example free
		probePostmaster: "postmaster@" + domain,
	}
	_, offered := s.caps["STARTTLS"]
	secured := false
	if t.mail, t.err = s.command("MAIL FROM:<>"); t.err != nil {
		return
	}
	if t.mail.code == 530 && offered {
		secured = true
		if t.tlsFault, t.tlsErr = s.secure(name, t.tlsa); t.tlsErr != nil {
			return
		}
		t.caps = s.caps
		t.caps["STARTTLS"] = "" // not offered again inside of TLS
		if t.mail, t.err = s.command("MAIL FROM:<>"); t.err != nil {
			return
		}
	}
	if !t.mail.positive() {
		return
	}
	for kind, rcpt := range recipients {
		if t.rcpt[kind], t.err = s.recipient(rcpt); t.err != nil {
			return
		}
	}
	if t.rcpt[probeKnown].transient() {
		t.first = t.rcpt[probeKnown]
		if t.rcpt[probeKnown], t.err = s.recipient(c.opt.Rcpt); t.err != nil {
			return
		}
	}
	if offered && !secured {
		t.tlsFault, t.tlsErr = s.secure(name, t.tlsa)
	}
	if c.opt.AskETRN && t.tlsErr == nil {
		if _, t.err = s.command("RSET"); t.err == nil { // no ETRN within a transaction
			t.etrn, t.err = s.command("ETRN %s", domain)
		}
	}
}

// recipient asks about one within the open transaction and begins the next transaction.
func (s *session) recipient(rcpt string) (smtpReply, error) {
	r, err := s.command("RCPT TO:<%s>", rcpt)
	if err != nil {
		return smtpReply{}, err
	}
	if _, err := s.command("RSET"); err != nil {
		return r, err
	}
	m, err := s.command("MAIL FROM:<>")
	if err == nil && !m.positive() {
		err = errors.New("MAIL FROM:<> refused: " + m.String())
	}
	return r, err
}

// reachable reports whether any of these trials got a greeting over the address family of a.
func reachable(trials []*trial, a netip.Addr) bool {
	return slices.ContainsFunc(trials, func(t *trial) bool { return t.dialErr == nil && t.addr.Is4() == a.Is4() })
}

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// relayDenied and unverified read the words of a refusal; the enhanced codes do not tell these cases apart.
func relayDenied(r smtpReply) bool {
	text := strings.ToLower(r.text)
	return r.code == 454 || strings.Contains(text, "relay") && (strings.Contains(text, "denied") || strings.Contains(text, "not permitted"))
}

func unverified(r smtpReply) bool {
	text := strings.ToLower(r.text)
	return r.transient() && (strings.Contains(text, "unverified address") || strings.Contains(text, "address verification"))
}
