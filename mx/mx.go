package mx

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Status is an outcome: that of a whole Report, of a single Finding (its severity) or of a Flush.
type Status string

// The outcomes.
const (
	OK       Status = "ok"       // nothing to do
	Info     Status = "info"     // worth knowing; only as the severity of a finding
	Warn     Status = "warn"     // works, yet something should be done
	Unknown  Status = "unknown"  // could not be found out: no answer, SERVFAIL, a lame server. Neither good nor bad
	Fail     Status = "fail"     // mail will be lost, bounced or accepted for strangers
	Unproven Status = "unproven" // of a Flush only: the server said yes, nobody saw the queue
)

// Options are the further facts about a planned move, and the means to look. nil and every zero value are usable.
type Options struct {
	Server    string // DNS server "host:port" to ask; "" reads those of /etc/resolv.conf (at most three, as resolver(5))
	Authority bool   // also ask the zone's own name servers directly (MX17, true TTLs); false asks only Server

	Backup  string     // host name of the backup exchanger; "" takes every exchanger behind the primary for one
	Old     netip.Addr // address of the host that goes; the zero Addr is not known
	New     netip.Addr // temporary address of the host that comes; the zero Addr is not known
	Planned []Host     // MX set that is to be published (Host and Pref count): judged in place of the present one; empty judges the present one

	Cutover  time.Time     // T0, when the old host stops; zero is not known, and the plan's times stay relative
	Now      time.Time     // the present for MX18; zero is time.Now()
	Downtime time.Duration // planned time without the primary; 0 judges no budget
	Lifetime time.Duration // how long the backup keeps a message; 0 is that of Machine, else 120 h, the default of Postfix and sendmail
	Daily    int64         // bytes of mail that come in a day, for SM15; 0 judges only whether the backup takes mail now
	Machine  *Machine      // the backup's own configuration, from Inspect (SM09 to SM16); nil judges none

	Recipients []string // mail addresses or bare user names that the backup shall accept; nil writes no recipient list into Configs

	Rcpt     string        // a known recipient user@domain: tries the backup by SMTP (SM rules); "" tries nothing
	SMTPPort int           // port of that trial, 1 to 65535; 0 is 25
	Helo     string        // name given in EHLO; "" is the address literal of the connection
	SMTPWait time.Duration // limit of one SMTP connection, from connecting to QUIT; 0 is 60 s
	AskETRN  bool          // the trial also says ETRN (SM12), which starts a queue run; true only makes sense from the new host's address

	Timeout  time.Duration // limit of one DNS query; 0 is 3 s
	Tries    int           // rounds over the DNS servers until a question counts as unanswered, 1 to 10; 0 is 2
	MaxHosts int           // exchangers whose addresses are looked up, best preference first, 1 to 100; Backup is besides; 0 is 20

	Resolver Resolver // answers DNS questions in place of Server; nil asks over the network
	// Dial opens every connection (network "udp" or "tcp", address "ip:port"); nil is that of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// FromBackup opens a connection that begins at the backup, such as the pipes of "ssh -W": whether the new host takes
	// mail from there (SM13). nil asks nothing.
	FromBackup func(ctx context.Context, network, address string) (net.Conn, error)
	Roots      *x509.CertPool // that the certificate of an MTA-STS policy is judged by; nil is the system's
	// Random yields the 16 hexadecimal digits of the recipient that must not exist; nil draws them from crypto/rand.
	Random func() string
}

// Host is an exchanger of the MX set.
type Host struct {
	Host  string       `json:"host"`  // lower case, without the final dot; "." is the null MX of RFC 7505
	Pref  uint16       `json:"pref"`  // lowest first, RFC 5321 section 5.1
	TTL   uint32       `json:"ttl"`   // seconds, of the MX record; the zone's own where Authority could ask
	Addrs []netip.Addr `json:"addrs"` // IPv4 and IPv6, sorted; empty when there are none or they are unknown
}

// Finding is what one rule says. A rule without a finding has nothing against the domain or did not apply.
type Finding struct {
	Rule     string `json:"rule"`     // MX01 to MX23, SM01 to SM16; stable
	Severity Status `json:"severity"` // Fail, Warn, Info or Unknown
	Detail   string `json:"detail"`   // what was found
	Advice   string `json:"advice"`   // what to do about it
}

// Step is one line of the plan.
type Step struct {
	At string `json:"at"` // RFC 3339 in UTC when the time is known, else relative: T0 the old host stops, T1 the new one has taken over
	Do string `json:"do"`
}

// Report is the answer of Check. Its lists and its map are never nil.
type Report struct {
	Status   Status            `json:"status"`   // the gravest of the findings: Fail, Unknown, Warn, else OK
	MX       []Host            `json:"mx"`       // the MX set as published, by preference and name, as far as MaxHosts; empty for the implicit MX
	Findings []Finding         `json:"findings"` // by rule
	Plan     []Step            `json:"plan"`     // in the order of time; empty when the domain's state is unknown or it takes no mail
	Configs  map[string]string `json:"configs"`  // file of the backup exchanger -> text; empty unless Backup and the primary's address are known
}

// Check examines domain, a host name in ASCII (IDNs in their xn-- form), with or without a final dot. The error is
// about an argument that cannot be used, an unreadable resolv.conf, or ctx; all that the network says is in the Report.
//
// A question takes at most Tries x servers x 2 x Timeout (UDP, then TCP where it was truncated or garbled); questions
// that do not depend on each other are asked at once, at most sixteen at a time. A Report needs up to seven such rounds,
// and at most 20 s for an MTA-STS policy.
func Check(ctx context.Context, domain string, opt *Options) (*Report, error) {
	c, err := newChecker(domain, opt)
	if err != nil {
		return nil, err
	}
	f := c.gather(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check %s: %w", show(c.domain), err)
	}
	r := &Report{MX: []Host{}, Findings: evaluate(f, &c.opt), Plan: []Step{}, Configs: map[string]string{}}
	for _, h := range f.hosts {
		if h.beyond {
			continue
		}
		r.MX = append(r.MX, Host{Host: show(h.name), Pref: h.pref, TTL: h.ttl, Addrs: append([]netip.Addr{}, h.addrs...)})
	}
	if c.opt.Rcpt != "" {
		r.Findings = append(r.Findings, c.trySMTP(ctx, f)...)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("check %s: %w", show(c.domain), err)
		}
	}
	r.Findings = append(r.Findings, c.returnRule(ctx, f)...)
	if f.mx.state == found || f.mx.state == nodata {
		r.Findings = append(r.Findings, budget(&c.opt, proven(f, &c.opt, r.Findings))...)
	}
	sortFindings(r.Findings)
	r.Status = worst(r.Findings)
	if steps := plan(f, &c.opt); steps != nil {
		r.Plan = steps
	}
	if texts := configs(f, &c.opt); texts != nil {
		r.Configs = texts
	}
	return r, nil
}

// worst is the status of a report with these findings.
func worst(findings []Finding) Status {
	rank := map[Status]int{Warn: 1, Unknown: 2, Fail: 3}
	status := OK
	for _, f := range findings {
		if rank[f.Severity] > rank[status] {
			status = f.Severity
		}
	}
	return status
}
