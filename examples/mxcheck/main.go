// Command mxcheck tells whether a domain's mail survives the time in which its server is moved: the MX set, its faults
// by rule, the plan of the move, and what the backup MX needs in its configuration. Afterwards it asks for the backup's
// queue.
package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mx"
)

const usage = `usage: mxcheck -domain D [flags]
       mxcheck -flush -domain D -backup HOST[:PORT] [-on HOST] [-json]

Looks at the MX set of a domain and says what happens to its mail while the primary server is down. With -flush it asks
the backup, after the move, to deliver what it holds. Without sight of the queue (-on) a yes is "unproven". Exit code 1:
mail would bounce or is left in the queue (fail), or it cannot be known (unknown).

example: mxcheck -domain example.org -backup mx2.example.net -old 192.0.2.10 -downtime 4h
example: mxcheck -flush -domain example.org -backup mx2.example.net -on root@mx2.example.net`

func main() { cli.Main("mxcheck", usage, run) }

func run(ctx context.Context, c *cli.Call) error {
	opt := mx.Options{}
	domain := c.Flags.String("domain", "", "the domain whose mail moves")
	flush := c.Flags.Bool("flush", false, "ask the backup for its queue (ETRN)")
	on := c.Flags.String("on", "", "run the backup's own programs there: `[user@]HOST` through ssh, or localhost")
	wait := c.Flags.Duration("wait", 5*time.Minute, "how long -flush watches the queue")
	from := c.Flags.String("from", "", "root `DIR` of the old server: its users and aliases become the backup's recipients")
	c.Flags.StringVar(&opt.Server, "dns", "", "DNS server `HOST:PORT` to ask (default: the system's, and the zone's own)")
	c.Flags.StringVar(&opt.Backup, "backup", "", "`host` that queues mail meanwhile")
	c.Flags.TextVar(&opt.Old, "old", netip.Addr{}, "`address` of the old server")
	c.Flags.TextVar(&opt.New, "new", netip.Addr{}, "temporary `address` of the new server")
	c.Flags.DurationVar(&opt.Downtime, "downtime", 0, "planned time without the primary")
	c.Flags.DurationVar(&opt.Lifetime, "lifetime", 0, "how long the backup keeps a message (default: as -on says, else 120h)")
	c.Flags.StringVar(&opt.Rcpt, "rcpt", "", "known recipient `user@D`: tries the backup by SMTP, without sending")
	c.Flags.IntVar(&opt.SMTPPort, "smtp-port", 25, "port of that trial")
	c.Flags.BoolVar(&opt.AskETRN, "etrn", false, "the trial also asks for the queue: for a run on the new server")
	c.Flags.Int64Var(&opt.Daily, "daily", 0, "`bytes` of mail that come in a day, for the disk of -on")
	c.Flags.Func("cutover", "`time` at which the old server stops, as 2026-11-30T22:00:00+01:00", func(s string) (err error) {
		opt.Cutover, err = time.Parse(time.RFC3339, s)
		return err
	})
	if err := c.Parse(0, 0); err != nil {
		return err
	}
	switch {
	case *domain == "":
		return c.Misused("-domain is missing")
	case *flush && opt.Backup == "":
		return c.Misused("-flush wants -backup")
	case *flush:
		return flushQueue(ctx, c, opt.Backup, *domain, *on, *wait)
	}
	if err := surroundings(ctx, c, &opt, *domain, *from, *on); err != nil {
		return err
	}
	report, err := mx.Check(ctx, *domain, &opt)
	if err != nil {
		return err
	}
	return answer(c, report, report, report.Status)
}
