package mx

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mockOf builds a zone from fuzz input: lines "owner type value", and "fail owner type code".
func mockOf(text string) *Mock {
	m := &Mock{
		MX: map[string][]string{}, A: map[string][]string{}, AAAA: map[string][]string{}, NS: map[string][]string{},
		SOA: map[string]string{}, CNAME: map[string]string{}, TTL: map[string]uint32{}, Fail: map[string]string{},
	}
	m.Servers = map[string]*Mock{"192.0.2.53:53": m}
	for _, line := range strings.Split(text, "\n") {
		f := strings.SplitN(line, " ", 3)
		if len(f) < 3 {
			continue
		}
		owner := f[0]
		switch f[1] {
		case "MX":
			m.MX[owner] = append(m.MX[owner], f[2])
		case "A":
			m.A[owner] = append(m.A[owner], f[2])
		case "AAAA":
			m.AAAA[owner] = append(m.AAAA[owner], f[2])
		case "NS":
			m.NS[owner] = append(m.NS[owner], f[2])
		case "SOA":
			m.SOA[owner] = f[2]
		case "CNAME":
			m.CNAME[owner] = f[2]
		case "TTL":
			m.TTL[owner] = uint32(len(f[2])) << 28
		case "fail":
			m.Fail[owner+" "+strings.ToUpper(f[2])] = "SERVFAIL"
		case "timeout":
			m.Fail[owner+" "+strings.ToUpper(f[2])] = "timeout"
		}
	}
	return m
}

// FuzzCheck: no set of records makes the rules panic or give two answers, and a report keeps its promises.
func FuzzCheck(f *testing.F) {
	for i, c := range ruleCases {
		var seed strings.Builder
		for _, line := range strings.Split(apex+c.records, "\n") {
			w := strings.Fields(line)
			if len(w) >= 3 {
				fmt.Fprintf(&seed, "%s %s %s\n", named(w[0]), w[1], named(strings.Join(w[2:], " ")))
			}
		}
		f.Add(seed.String(), uint8(i))
	}
	f.Add("example.test MX 65536 a\nexample.test MX x\nexample.test MX 10 \nexample.test SOA x\n", uint8(255))
	f.Add("example.test CNAME example.test\nexample.test timeout *", uint8(7))
	f.Fuzz(func(t *testing.T, text string, bits uint8) {
		opt := &Options{Resolver: mockOf(text), Now: day, Authority: bits&1 != 0, MaxHosts: 1 + int(bits)}
		if opt.MaxHosts > 100 {
			opt.MaxHosts = 0
		}
		if bits&2 != 0 {
			opt.Backup = "mx2.example.test"
		}
		if bits&4 != 0 {
			opt.Old, opt.Recipients = netip.MustParseAddr("192.0.2.1"), []string{"alice"}
		}
		if bits&8 != 0 {
			opt.Planned = []Host{{Host: "mx1.example.test", Pref: 10}, {Host: "mx2.example.test", Pref: uint16(bits)}}
		}
		if bits&16 != 0 {
			opt.Cutover, opt.Downtime = day.Add(time.Hour), time.Duration(bits)*time.Hour
		}
		r, err := Check(t.Context(), "example.test", opt)
		require.NoError(t, err)
		again, err := Check(t.Context(), "example.test", opt)
		require.NoError(t, err)
		one, err := json.Marshal(r)
		require.NoError(t, err)
		two, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(one), string(two))
		require.NotContains(t, string(one), ":null")
		require.Equal(t, r.String(), again.String())
		require.Equal(t, worst(r.Findings), r.Status)
		for _, x := range r.Findings {
			require.NotEmpty(t, x.Advice)
			require.Contains(t, []Status{Fail, Warn, Info, Unknown}, x.Severity)
			if x.Rule == "MX02" {
				require.Equal(t, Unknown, x.Severity)
				require.Empty(t, r.MX)
			}
		}
	})
}

func named(s string) string {
	s = strings.ReplaceAll(s, "@", "example.test")
	w := strings.Fields(s)
	last := w[len(w)-1]
	if _, err := netip.ParseAddr(last); err != nil && !strings.Contains(last, ".") && len(w) < 3 {
		w[len(w)-1] = last + ".example.test"
	}
	return strings.Join(w, " ")
}

// FuzzReply: no text of a server makes the reader of replies panic or read on without end.
func FuzzReply(f *testing.F) {
	f.Add("220 mx\r\n")
	f.Add("250-a\r\n250-SIZE 1\r\n250 b\r\n")
	f.Add("250\n")
	f.Add("25")
	f.Add("253 OK, 3 pending messages\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &session{in: bufio.NewReaderSize(strings.NewReader(text), replyBuffer)}
		r, err := s.read()
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, r.code, 200)
		require.Less(t, r.code, 600)
		require.NotContains(t, r.String(), "\n")
		meaning(r, &FlushResult{})
	})
}

// FuzzPostfixQueue: what is no output of postqueue -j is an error, never a panic.
func FuzzPostfixQueue(f *testing.F) {
	f.Add([]byte(postqueueOutput))
	f.Add([]byte("Mail queue is empty"))
	f.Fuzz(func(t *testing.T, src []byte) {
		q, _ := PostfixQueue(src)
		for _, x := range q {
			require.NotEmpty(t, x.ID)
		}
	})
}
