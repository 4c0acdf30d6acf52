package mx_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/mailmove/mailmove/mx"
)

func ExampleCheck() {
	zone := &mx.Mock{
		MX: map[string][]string{"example.org": {"10 mx1.example.org.", "10 mx2.example.org."}},
		A: map[string][]string{
			"mx1.example.org": {"192.0.2.1"},
			"mx2.example.org": {"198.51.100.2"},
			"ns.example.net":  {"203.0.113.53"},
		},
		NS: map[string][]string{"example.org": {"ns.example.net."}},
	}
	report, err := mx.Check(context.Background(), "example.org", &mx.Options{Resolver: zone, Backup: "mx2.example.org"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Status)
	for _, f := range report.Findings {
		fmt.Println(f.Rule, f.Severity, f.Detail)
	}
	// Output:
	// fail
	// MX07 fail mx2.example.org (10) has the same preference as the primary mx1.example.org (10)
}

// A change is judged before it is published.
func ExampleCheck_planned() {
	zone := &mx.Mock{
		A:  map[string][]string{"example.org": {"192.0.2.1"}, "mx2.example.org": {"198.51.100.2"}, "ns.example.net": {"203.0.113.53"}},
		NS: map[string][]string{"example.org": {"ns.example.net."}},
	}
	opt := &mx.Options{
		Resolver: zone,
		Backup:   "mx2.example.org",
		Old:      netip.MustParseAddr("192.0.2.1"),
		Planned:  []mx.Host{{Host: "mx2.example.org", Pref: 20}},
	}
	for range 2 {
		report, err := mx.Check(context.Background(), "example.org", opt)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Status)
		for _, f := range report.Findings {
			fmt.Println(f.Rule, f.Detail)
		}
		opt.Planned = append(opt.Planned, mx.Host{Host: "example.org", Pref: 10})
	}
	// Output:
	// fail
	// MX04 the planned set leaves out example.org (192.0.2.1), which takes the mail now as implicit MX; any MX record ends that
	// MX06 planned set: example.org has one exchanger that names a host: no backup
	// MX09 planned set: the backup mx2.example.org is the only exchanger: it finds no one to relay to and bounces
	// ok
}

// A project that uses this package tests itself without a network: records from a Mock, mail servers from a MockMail.
func ExampleMockMail() {
	zone := &mx.Mock{
		MX: map[string][]string{"example.org": {"10 mx1.example.org.", "20 mx2.example.org."}},
		A: map[string][]string{
			"mx1.example.org": {"192.0.2.1"},
			"mx2.example.org": {"198.51.100.2"},
			"ns.example.net":  {"203.0.113.53"},
		},
		NS: map[string][]string{"example.org": {"ns.example.net."}},
	}
	backup := &mx.MockServer{
		Offers:  []string{"SIZE 10240000", "ETRN"},
		Replies: map[string]string{"RCPT TO:<alice@": "450 4.1.1 unverified address: connect to mx1 timed out", "RCPT TO:<postmaster@": "250 Ok"},
	}
	mail := mx.MockMail{"192.0.2.1:25": {Offers: []string{"SIZE 10240000"}}, "198.51.100.2:25": backup}
	report, err := mx.Check(context.Background(), "example.org", &mx.Options{Resolver: zone, Dial: mail.Dial, Rcpt: "alice@example.org"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		fmt.Println(f.Rule, f.Severity, f.Detail)
	}
	// Output:
	// SM03 fail mx2.example.org (198.51.100.2) refuses the known recipient: 450 4.1.1 unverified address: connect to mx1 timed out
	// SM08 warn mx2.example.org (198.51.100.2) does not offer STARTTLS
}

// The backup's list of recipients is made from the names that the old host takes mail for.
func ExampleAliases() {
	names, problems := mx.Aliases("etc/aliases", []byte("postmaster: root\nsales: alice,\n bob\n\"no good\": carol\n"))
	fmt.Println(names)
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// [postmaster sales]
	// etc/aliases:4: alias "no good": the part before @ has characters that a backup's tables cannot hold
}

// The backup's own configuration, read by its own programs.
func ExampleInspect() {
	run := func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch name {
		case "postconf":
			return []byte("mydestination = example.org, localhost\nmaximal_queue_lifetime = 5d\nbounce_queue_lifetime = 5d\n"), nil
		case "df":
			return []byte("/dev/vda1 1000000 400000 600000 40% /\n"), nil
		}
		return nil, fmt.Errorf("%s: not here", name)
	}
	machine, err := mx.Inspect(context.Background(), run, "example.org")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(machine.Local, machine.Lifetime)
	// Output: mydestination 120h0m0s
}

func ExampleFlush() {
	queue := func(context.Context) ([]mx.Queued, error) {
		// the output of "postqueue -j" on the backup
		return mx.PostfixQueue([]byte(`{"queue_name": "deferred", "queue_id": "4X1", "recipients": [{"address": "alice@example.org", "delay_reason": "connection refused"}]}`))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	result, err := mx.Flush(ctx, "127.0.0.1:1", "example.org", &mx.FlushOptions{Queue: queue, Poll: time.Millisecond, Wait: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Status, *result.Queued, result.Left[0].Reason)
	// Output: fail 1 connection refused
}
