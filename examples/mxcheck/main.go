// Command mxcheck tells whether a domain's mail survives the time in which its server is moved: the MX set, its faults
// by rule, the plan of the move, and what the backup MX needs in its configuration.
package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mx"
)

const usage = `usage: mxcheck -domain D [flags]

Looks at the MX set of a domain and says what happens to its mail while the primary server is down. Exit code 1: mail
would bounce (fail), or it cannot be known (unknown).

example: mxcheck -domain example.org -backup mx2.example.net -old 192.0.2.10 -downtime 4h`

func main() { cli.Main("mxcheck", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	opt := mx.Options{}
	domain := c.Flags.String("domain", "", "the domain whose mail moves")
	c.Flags.StringVar(&opt.Server, "dns", "", "DNS server `HOST:PORT` to ask (default: the system's, and the zone's own)")
	c.Flags.StringVar(&opt.Backup, "backup", "", "`host` that queues mail meanwhile")
	c.Flags.TextVar(&opt.Old, "old", netip.Addr{}, "`address` of the old server")
	c.Flags.TextVar(&opt.New, "new", netip.Addr{}, "temporary `address` of the new server")
	c.Flags.DurationVar(&opt.Downtime, "downtime", 0, "planned time without the primary")
	c.Flags.DurationVar(&opt.Lifetime, "lifetime", 120*time.Hour, "how long the backup keeps a message")
	c.Flags.StringVar(&opt.Rcpt, "rcpt", "", "known recipient `user@D`: tries the backup by SMTP, without sending")
	c.Flags.IntVar(&opt.SMTPPort, "smtp-port", 25, "port of that trial")
	c.Flags.Func("cutover", "`time` at which the old server stops, as 2026-11-30T22:00:00+01:00", func(s string) (err error) {
		opt.Cutover, err = time.Parse(time.RFC3339, s)
		return err
	})
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	if *domain == "" {
		return c.Misused("-domain is missing")
	}
	opt.Authority = opt.Server == ""
	report, err := mx.Check(ctx, *domain, &opt)
	if err != nil {
		return err
	}
	if err := c.Report(report, report); err != nil {
		return err
	}
	if report.Status == mx.Fail || report.Status == mx.Unknown {
		return cli.ErrFinding
	}
	return nil
}
