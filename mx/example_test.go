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
