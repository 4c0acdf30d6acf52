package mx

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Mock answers as a real server with the same zone does.
func TestMockIsLikeAServer(t *testing.T) {
	s := serve(t, good+"alias CNAME mx1\ndeep.below A 192.0.2.7\ndangling CNAME gone")
	c, err := newClient(&Options{Server: s.addr})
	require.NoError(t, err)
	checked, err := newChecker("example.test", &Options{Server: s.addr})
	require.NoError(t, err)
	c.dial, c.timeout, c.tries = checked.opt.Dial, checked.opt.Timeout, checked.opt.Tries
	m := &Mock{
		MX:    map[string][]string{"example.test": {"10 mx1.example.test.", "20 mx2.example.test."}},
		A:     map[string][]string{"mx1.example.test.": {"192.0.2.1"}, "mx2.example.test": {"198.51.100.2"}, "deep.below.example.test": {"192.0.2.7"}, "ns.example.test": {"192.0.2.53"}},
		NS:    map[string][]string{"example.test": {"ns.example.test."}},
		SOA:   map[string]string{"example.test": "ns.example.test. hostmaster.example.test. 1 7200 900 1209600 60"},
		CNAME: map[string]string{"alias.example.test": "mx1.example.test", "dangling.example.test": "gone.example.test."},
		TTL:   map[string]uint32{},
	}
	for _, name := range []string{"", "mx1.", "alias.", "below.", "dangling.", "gone.", "ns."} {
		m.TTL[name+"example.test"] = 300
		for _, typ := range []string{"MX", "A", "AAAA", "NS", "SOA"} {
			want, err := c.Lookup(t.Context(), "", name+"example.test.", typ)
			require.NoError(t, err)
			got, err := m.Lookup(t.Context(), "", name+"example.test.", typ)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s %s", name, typ)
		}
	}
}

func TestMockFails(t *testing.T) {
	m := &Mock{
		A:       map[string][]string{"example.test": {"192.0.2.1"}},
		CNAME:   map[string]string{"loop.test": "loop.test"},
		Fail:    map[string]string{"example.test A": "SERVFAIL", "slow.test *": "timeout"},
		Servers: map[string]*Mock{"192.0.2.53:53": {A: map[string][]string{"example.test": {"192.0.2.2"}}}},
	}
	a, err := m.Lookup(t.Context(), "", "example.test.", "A")
	require.NoError(t, err)
	require.Equal(t, "SERVFAIL", a.Code)
	_, err = m.Lookup(t.Context(), "", "slow.test.", "MX")
	require.ErrorContains(t, err, "timeout")
	a, err = m.Lookup(t.Context(), "192.0.2.53:53", "example.test.", "A")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.2", a.Answers[0].Value)
	_, err = m.Lookup(t.Context(), "192.0.2.54:53", "example.test.", "A")
	require.Error(t, err)
	a, err = m.Lookup(t.Context(), "", "loop.test.", "A")
	require.NoError(t, err)
	require.LessOrEqual(t, len(a.Answers), maxChain+1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Lookup(ctx, "", "example.test.", "A")
	require.ErrorIs(t, err, context.Canceled)
}
