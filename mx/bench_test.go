package mx

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// BenchmarkDomains checks 10,000 domains, 32 at a time, against a name server in this process. The server stays
// silent about every hundredth.
func BenchmarkDomains(b *testing.B) {
	const domains, atOnce = 10_000, 32
	var zone strings.Builder
	for i := range domains {
		fmt.Fprintf(&zone, "d%d MX 10 mx1\nd%d MX 20 mx2\n", i, i)
	}
	s := serve(b, zone.String()+"mx1 A 192.0.2.1\nmx2 A 198.51.100.2\n")
	s.oddly(func(m *dns.Msg, _ string) (*dns.Msg, bool) {
		return nil, m.Question[0].Qtype == dns.TypeMX && strings.HasSuffix(strings.SplitN(m.Question[0].Name, ".", 2)[0], "00")
	})
	for b.Loop() {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i := range domains {
			g.Go(func() error {
				name := fmt.Sprintf("d%d.example.test", i)
				r, err := Check(b.Context(), name, &Options{Server: s.addr, Timeout: 300 * time.Millisecond, Tries: 3})
				if err == nil && (r.Status == Unknown) != strings.HasSuffix(fmt.Sprintf("d%d", i), "00") {
					return fmt.Errorf("%s: %s", name, r)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(domains)*float64(b.N)/b.Elapsed().Seconds(), "domains/s")
}
