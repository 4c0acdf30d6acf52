package netcfg

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerifyLive(t *testing.T) {
	p := &Plan{Iface: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}
	tests := []struct{ name, addrs, other, want string }{
		{"both", `{"local":"192.0.2.10","prefixlen":24},{"local":"2001:db8::10","prefixlen":64}`, "", ""},
		{"tentative", `{"local":"192.0.2.10","prefixlen":24},{"local":"2001:db8::10","prefixlen":64,"tentative":true}`, "", "fail LIVE-TENTATIVE"},
		{"failed", `{"local":"192.0.2.10","prefixlen":24},{"local":"2001:db8::10","prefixlen":64,"dadfailed":true,"tentative":true}`, "", "fail LIVE-TENTATIVE"},
		{"another length", `{"local":"192.0.2.10","prefixlen":32},{"local":"2001:db8::10","prefixlen":64}`, "", "fail LIVE-MISSING"},
		{"on another interface", `{"local":"192.0.2.10","prefixlen":24}`, `{"local":"2001:db8::10","prefixlen":64}`, "fail LIVE-MISSING"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := p.VerifyLive([]byte(`[{"ifname":"eth0","addr_info":[` + tt.addrs + `]},{"ifname":"eth1","addr_info":[` + tt.other + `]}]`))
			require.NoError(t, err)
			if tt.want == "" {
				require.Empty(t, found)
			} else {
				require.Equal(t, []string{tt.want}, rules(found))
			}
		})
	}
	_, err := p.VerifyLive([]byte("1: lo: <LOOPBACK>"))
	require.ErrorContains(t, err, "output of ip -j address show")
}
