package mx

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const (
	benchDomains = 10_000
	benchAtOnce  = 32
)

// trouble is what the name server of the benchmarks does with a domain: of a hundred, one gets no answer, one SERVFAIL,
// one a lame referral, one does not exist, and one gets its answer over TCP only.
func trouble(name string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(name, ".", 2)[0], "d"))
	if err != nil {
		return ""
	}
	return map[int]string{0: "silent", 20: "SERVFAIL", 40: "lame", 60: "NXDOMAIN", 80: "truncated"}[n%100]
}

func benchServer(b *testing.B) *dnsServer {
	var zone strings.Builder
	for i := range benchDomains {
		if i%100 != 60 {
			fmt.Fprintf(&zone, "d%d MX 10 mx1\nd%d MX 20 mx2\n", i, i)
		}
	}
	s := serve(b, zone.String()+"mx1 A 192.0.2.1\nmx2 A 198.51.100.2\n")
	s.oddly(func(m *dns.Msg, network string) (*dns.Msg, bool) {
		r := new(dns.Msg).SetReply(m)
		switch trouble(m.Question[0].Name) {
		case "silent":
			return nil, true
		case "SERVFAIL":
			return r.SetRcode(m, dns.RcodeServerFailure), true
		case "lame":
			ns, _ := dns.NewRR("test. 60 NS a.test.")
			r.Ns = []dns.RR{ns}
			return r, true
		case "truncated":
			r.Truncated = true
			return r, network == "udp"
		}
		return nil, false
	})
	return s
}

// BenchmarkDomains checks 10,000 domains, 32 at a time, against a name server in this process that makes trouble for five
// in a hundred. Memory and goroutines are those of both, sampled.
func BenchmarkDomains(b *testing.B) {
	s := benchServer(b)
	want := map[string]Status{"silent": Unknown, "SERVFAIL": Unknown, "lame": Unknown, "NXDOMAIN": Fail, "truncated": Warn, "": OK}
	peak := watch(b)
	var lost atomic.Int64 // healthy domains whose answers a busy machine lost
	for b.Loop() {
		everyDomain(b, func(name string) error {
			r, err := Check(b.Context(), name, &Options{Server: s.addr, Timeout: time.Second})
			if err == nil && r.Status == Unknown && want[trouble(name)] != Unknown {
				lost.Add(1)
				return nil
			}
			if err == nil && r.Status != want[trouble(name)] {
				return fmt.Errorf("%s: %s", name, r)
			}
			return err
		})
	}
	b.ReportMetric(float64(benchDomains)*float64(b.N)/b.Elapsed().Seconds(), "domains/s")
	b.ReportMetric(float64(s.asked(""))/benchDomains/float64(b.N), "questions/domain")
	b.ReportMetric(float64(lost.Load())/float64(b.N), "lost")
	require.Less(b, lost.Load(), int64(benchDomains/10)*int64(b.N))
	peak()
}

// BenchmarkLookupMX is what a script would do instead: the resolver of the standard library, for MX and addresses only. It
// does not tell a domain in trouble from one that does not exist.
func BenchmarkLookupMX(b *testing.B) {
	s := benchServer(b)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr)
	}}
	var lost atomic.Int64
	for b.Loop() {
		everyDomain(b, func(name string) error {
			ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
			defer cancel()
			hosts, err := resolver.LookupMX(ctx, name+".")
			for _, h := range hosts {
				_, err = resolver.LookupNetIP(ctx, "ip", h.Host)
			}
			if (err == nil) != (trouble(name) == "" || trouble(name) == "truncated") {
				lost.Add(1)
			}
			return nil
		})
	}
	b.ReportMetric(float64(benchDomains)*float64(b.N)/b.Elapsed().Seconds(), "domains/s")
	b.ReportMetric(float64(s.asked(""))/benchDomains/float64(b.N), "questions/domain")
	b.ReportMetric(float64(lost.Load())/float64(b.N), "lost")
	require.Less(b, lost.Load(), int64(benchDomains/10)*int64(b.N))
}

// everyDomain calls f for each domain, at most benchAtOnce at a time.
func everyDomain(b *testing.B, f func(name string) error) {
	var g errgroup.Group
	g.SetLimit(benchAtOnce)
	for i := range benchDomains {
		g.Go(func() error { return f(fmt.Sprintf("d%d.example.test", i)) })
	}
	require.NoError(b, g.Wait())
}

// watch samples the heap and the number of goroutines until its answer is called, which reports the peaks.
func watch(b *testing.B) func() {
	var heap, goroutines atomic.Uint64
	done, over := make(chan struct{}), make(chan struct{})
	runtime.GC()
	go func() {
		defer close(over)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap.Store(max(heap.Load(), m.HeapInuse))
				goroutines.Store(max(goroutines.Load(), uint64(runtime.NumGoroutine())))
			}
		}
	}()
	return func() {
		close(done)
		<-over
		b.ReportMetric(float64(heap.Load())/(1<<20), "peak-MiB")
		b.ReportMetric(float64(goroutines.Load()), "peak-goroutines")
	}
}
