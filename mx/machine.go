package mx

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// Machine is how the backup exchanger is set up for the domain: what Inspect has read there, or what the caller knows.
type Machine struct {
	Lifetime time.Duration // how long it keeps a message; 0 is unknown
	Bounces  time.Duration // how long it keeps a bounce, whose loss nobody is told of; 0 is unknown
	Local    string        // what makes it deliver the domain's mail itself, such as "mydestination"; "" is nothing known
	Route    string        // where it hands the mail by a route of its own, "relay:[192.0.2.1]"; "" is by MX
	Smart    string        // relay that takes the mail in place of the primary: relayhost, a smart host; "" is none
	Free     int64         // bytes that are free where the queue lies; 0 is unknown
	MinFree  int64         // bytes below which it takes no mail (queue_minfree, MinFreeBlocks); 0 is no limit known
	Unseen   []string      // what of this could not be read, and why
}

// Inspect reads the configuration of a Postfix or sendmail by its own programs, run where it runs: postconf and postmap,
// or sendmail -bv and sendmail.cf, and df. The error says that neither mail server was found there; what else cannot be
// read is in Unseen.
func Inspect(ctx context.Context, run Run, domain string) (*Machine, error) {
	name, err := argument("domain", domain)
	if err != nil {
		return nil, err
	}
	i := &inspection{run: run, domain: show(name)}
	conf, err := run(ctx, "postconf")
	if err == nil {
		i.postfix(ctx, conf)
		return &i.m, nil
	}
	cf, cfErr := run(ctx, "cat", "/etc/mail/sendmail.cf")
	if cfErr != nil {
		return nil, fmt.Errorf("no Postfix and no sendmail: %w", errors.Join(err, cfErr))
	}
	i.sendmail(ctx, string(cf))
	return &i.m, nil
}

type inspection struct {
	run      Run
	domain   string
	m        Machine
	conf     map[string]string
	replaced int // names so far in this value
}

func (i *inspection) unseen(format string, args ...any) {
	i.m.Unseen = append(i.m.Unseen, clean(fmt.Sprintf(format, args...)))
}

// postfix reads the output of postconf(1): all parameters, defaults included, one a line.
func (i *inspection) postfix(ctx context.Context, conf []byte) {
	i.conf = map[string]string{}
	for line := range strings.Lines(string(conf)) {
		if name, value, ok := strings.Cut(line, "="); ok {
			i.conf[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	i.m.Lifetime = i.lifetime("maximal_queue_lifetime")
	i.m.Bounces = i.lifetime("bounce_queue_lifetime")
	for _, list := range []string{"mydestination", "virtual_alias_domains", "virtual_mailbox_domains"} {
		for _, entry := range i.list(list) {
			switch {
			case strings.Contains(entry, ":"):
				if _, found := i.query(ctx, entry, i.domain); found {
					i.m.Local = list
				}
			case strings.HasPrefix(entry, "/"):
				i.unseen("%s: the names in %s", list, entry)
			case lower(entry) == i.domain:
				i.m.Local = list
			}
		}
	}
	for _, table := range i.list("transport_maps") {
		if route, found := i.query(ctx, table, i.domain); found {
			i.m.Route = route
			break
		}
	}
	if transport, hop, ok := strings.Cut(i.expand(i.conf["relay_transport"], 0), ":"); i.m.Route == "" && ok && hop != "" {
		i.m.Route = transport + ":" + hop
	}
	for _, name := range []string{"relayhost", "smtp_fallback_relay"} {
		if value := i.expand(i.conf[name], 0); value != "" && (i.m.Route == "" || name != "relayhost") {
			i.m.Smart = name + " " + value
			break
		}
	}
	i.m.MinFree = number(i.expand(i.conf["queue_minfree"], 0))
	if limit := number(i.expand(i.conf["message_size_limit"], 0)); i.m.MinFree == 0 {
		i.m.MinFree = limit + limit/2 // smtpd(8) refuses mail below this
	}
	i.free(ctx, i.expand(i.conf["queue_directory"], 0))
}

// postfixTime is a time of postconf(5): a number and a unit, days for lifetimes that have none.
var postfixTime = regexp.MustCompile(`^(\d+)([smhdw]?)$`)

func (i *inspection) lifetime(name string) time.Duration {
	d, ok := lifetime(i.expand(i.conf[name], 0))
	if !ok {
		i.unseen("%s = %s", name, i.conf[name])
	}
	return d
}

func lifetime(text string) (time.Duration, bool) {
	f := postfixTime.FindStringSubmatch(text)
	if f == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(f[1], 10, 32)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "": 24 * time.Hour, "w": 7 * 24 * time.Hour}[f[2]]
	return time.Duration(n) * unit, err == nil && n <= 36500
}

// list is a parameter's value as a list; a table inline:{ a=b, c=d } is one entry.
func (i *inspection) list(name string) []string {
	var out []string
	depth, entry := 0, ""
	for _, r := range i.expand(i.conf[name], 0) + " " {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth <= 0 && strings.ContainsRune(" ,\t", r) {
			if entry != "" {
				out = append(out, entry)
			}
			entry = ""
			continue
		}
		entry += string(r)
	}
	return out
}

var postfixName = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)\}|\((\w+)\))`)

// expand replaces $name, ${name} and $(name). Names that stand for each other end at a bound of all replacements, since
// two at each step would double the work.
func (i *inspection) expand(value string, depth int) string {
	if depth == 0 {
		i.replaced = 0
	}
	if depth > 20 {
		return ""
	}
	return postfixName.ReplaceAllStringFunc(value, func(s string) string {
		if i.replaced++; i.replaced > 1000 {
			return ""
		}
		return i.expand(i.conf[strings.Trim(s, "${}()")], depth+1)
	})
}

// query looks a key up in a table of the backup. postmap ends with 1 for a key that is not there.
func (i *inspection) query(ctx context.Context, table, key string) (string, bool) {
	out, err := i.run(ctx, "postmap", "-q", key, table)
	if err == nil {
		return strings.TrimSpace(string(out)), len(out) > 0
	}
	if !exitedWith(err, 1) || strings.Contains(err.Error(), "fatal:") {
		i.unseen("%s: %s", table, err)
	}
	return "", false
}

func exitedWith(err error, code int) bool {
	var exit interface{ ExitCode() int }
	return errors.As(err, &exit) && exit.ExitCode() == code
}

// sendmail reads options of sendmail.cf, and asks sendmail itself where the mail goes.
func (i *inspection) sendmail(ctx context.Context, cf string) {
	options := map[string]string{"Timeout.queuereturn": "5d"}
	queue := "/var/spool/mqueue"
	for line := range strings.Lines(cf) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "O "), "="); ok && strings.HasPrefix(line, "O ") {
			options[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if i.m.Lifetime, _ = lifetime(options["Timeout.queuereturn"]); i.m.Lifetime == 0 {
		i.unseen("Timeout.queuereturn = %s", options["Timeout.queuereturn"])
	}
	i.m.Bounces = i.m.Lifetime
	if d, ok := lifetime(options["Timeout.queuereturn.dsn"]); ok {
		i.m.Bounces = d
	}
	if hop := options["FallbackMXhost"]; hop != "" {
		i.m.Smart = "FallbackMXhost " + hop
	}
	i.m.MinFree = 1024 * number(options["MinFreeBlocks"])
	i.deliverable(ctx)
	if dir := options["QueueDirectory"]; strings.HasPrefix(dir, "/") {
		queue = strings.TrimSuffix(dir, "/*")
	}
	i.free(ctx, queue)
}

var verified = regexp.MustCompile(`deliverable: mailer (\S+?), (?:host (\S+), )?user`)

// deliverable reads the answer of sendmail -bv: "...deliverable: mailer esmtp, host [192.0.2.1], user x@example.org".
func (i *inspection) deliverable(ctx context.Context) {
	out, err := i.run(ctx, "sendmail", "-bv", "--", "postmaster@"+i.domain)
	f := verified.FindStringSubmatch(string(out))
	switch {
	case f == nil && err != nil:
		i.unseen("sendmail -bv: %s", err)
	case f == nil:
		i.unseen("sendmail -bv: %s", out)
	case f[2] == "":
		i.m.Local = "class w"
	case strings.TrimSuffix(lower(f[2]), ".") == i.domain: // by MX
	case strings.HasPrefix(f[2], "["):
		i.m.Route = f[1] + ":" + f[2]
	default:
		i.m.Smart = f[1] + ":" + f[2]
	}
}

// free reads df(1) in its POSIX form: blocks of 1024 bytes, the available ones in the fourth column.
func (i *inspection) free(ctx context.Context, dir string) {
	out, err := i.run(ctx, "df", "-Pk", dir)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	f := strings.Fields(lines[len(lines)-1])
	if err != nil || len(f) < 6 {
		if !hostcmd.Absent(err) {
			i.unseen("free space of %s", dir)
		}
		return
	}
	i.m.Free = 1024 * number(f[3])
}

// number is 0 for what is none, or too large to be one of bytes.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<52 {
		return 0
	}
	return n
}
