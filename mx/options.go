package mx

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultHosts    = 20
	defaultLifetime = 120 * time.Hour // maximal_queue_lifetime of Postfix, confTO_QUEUERETURN of sendmail
	defaultSMTPWait = 60 * time.Second
	smtpPort        = 25
)

// newChecker checks the arguments, fills in the defaults and makes names absolute.
func newChecker(domain string, opt *Options) (*checker, error) {
	c := &checker{}
	if opt != nil {
		c.opt = *opt
	}
	o := &c.opt
	var err error
	if c.domain, err = argument("domain", domain); err != nil {
		return nil, err
	}
	if o.Backup != "" {
		if o.Backup, err = argument("backup", o.Backup); err != nil {
			return nil, err
		}
		if o.Backup == c.domain {
			return nil, fmt.Errorf("backup %q: is the domain itself, wanted another host", show(o.Backup))
		}
	}
	if err := checkNumbers(o); err != nil {
		return nil, err
	}
	if o.Old, err = address("old", o.Old); err != nil {
		return nil, err
	}
	if o.New, err = address("new", o.New); err != nil {
		return nil, err
	}
	if err := checkNames(o, c.domain); err != nil {
		return nil, err
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Daily < 0 {
		return nil, fmt.Errorf("daily volume %d: wanted 0 or more bytes", o.Daily)
	}
	if o.Random == nil {
		o.Random = random
	}
	if c.resolver = o.Resolver; c.resolver == nil {
		if c.resolver, err = newClient(o); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkNumbers fills in the defaults of numbers and durations and checks their ranges.
func checkNumbers(o *Options) error {
	for _, n := range []struct {
		name           string
		value          *int
		otherwise, top int
	}{
		{"tries", &o.Tries, defaultTries, 10},
		{"max hosts", &o.MaxHosts, defaultHosts, 100},
		{"SMTP port", &o.SMTPPort, smtpPort, 65535},
	} {
		if *n.value == 0 {
			*n.value = n.otherwise
		}
		if *n.value < 1 || *n.value > n.top {
			return fmt.Errorf("%s %d: wanted 1 to %d", n.name, *n.value, n.top)
		}
	}
	for _, d := range []struct {
		name      string
		value     *time.Duration
		otherwise time.Duration
	}{
		{"timeout", &o.Timeout, defaultTimeout},
		{"SMTP wait", &o.SMTPWait, defaultSMTPWait},
		{"lifetime", &o.Lifetime, lifetimeOf(o)},
		{"downtime", &o.Downtime, 0},
	} {
		if *d.value < 0 {
			return fmt.Errorf("%s %s: wanted 0 or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	return nil
}

func address(what string, a netip.Addr) (netip.Addr, error) {
	if a.Zone() != "" {
		return a, fmt.Errorf("%s address %s: has a zone, wanted an address that others reach", what, a)
	}
	return a.Unmap(), nil
}

// checkNames checks what goes into questions, SMTP commands and configuration texts.
func checkNames(o *Options, domain string) error {
	if o.Server != "" {
		if err := hostPort(o.Server); err != nil {
			return fmt.Errorf("DNS server %q: %w", o.Server, err)
		}
	}
	if len(o.Planned) > 100 {
		return fmt.Errorf("planned MX set: %d exchangers, wanted at most 100", len(o.Planned))
	}
	for _, h := range o.Planned {
		if h.Host == "" || len(h.Host) > 254 || strings.ContainsFunc(h.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("planned exchanger %q: wanted a host name in ASCII", h.Host)
		}
	}
	if o.Helo != "" && strings.ContainsFunc(o.Helo, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("EHLO name %q: wanted a host name or an address literal", o.Helo)
	}
	if o.Rcpt != "" {
		var err error
		if o.Rcpt, err = mailbox(o.Rcpt, domain); err != nil {
			return fmt.Errorf("known recipient %q: %w", o.Rcpt, err)
		}
	}
	var list []string
	for _, r := range o.Recipients {
		full := r
		if !strings.Contains(r, "@") {
			full += "@" + show(domain)
		}
		m, err := mailbox(full, domain)
		if err != nil {
			return fmt.Errorf("recipient %q: %w", r, err)
		}
		list = append(list, lower(m))
	}
	slices.Sort(list)
	o.Recipients = slices.Compact(list)
	return nil
}

func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("wanted host:port")
	}
	if n, err := strconv.Atoi(port); host == "" || err != nil || n < 1 || n > 65535 {
		return errors.New("wanted host:port")
	}
	return nil
}

// mailbox checks an address of the domain. Local parts are dot-atoms (RFC 5321 section 4.1.2): quoted ones could not be
// written into the tables of a backup as they are. A leading # would be a comment there.
func mailbox(s, domain string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return s, errors.New("wanted user@domain")
	}
	local, host := s[:at], s[at+1:]
	if absolute(host) != domain {
		return s, fmt.Errorf("not of the domain %s", show(domain))
	}
	if len(local) > 64 {
		return s, errors.New("the part before @ is longer than 64 characters")
	}
	if local[0] == '#' || slices.Contains(strings.Split(local, "."), "") || strings.ContainsFunc(local, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r))
	}) {
		return s, errors.New("the part before @ has characters that a backup's tables cannot hold")
	}
	return local + "@" + show(domain), nil
}

func random() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
