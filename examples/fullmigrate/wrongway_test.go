package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/netcfg"
)

// TestWrongWay: who reaches the old host by the address that shall move is told what to type instead.
func TestWrongWay(t *testing.T) {
	plan := func(addrs ...string) *netcfg.Plan {
		p := &netcfg.Plan{}
		for _, a := range addrs {
			p.Addresses = append(p.Addresses, netip.MustParsePrefix(a))
		}
		return p
	}
	here := netip.MustParseAddr("192.0.2.10")
	m := &migration{src: "root@mail:/", to: "/", runDir: "/var/lib/mailmove/mail", iface: "eth0", users: []string{"anna", "bert"}}
	const tail = " -to / -run /var/lib/mailmove/mail -users anna,bert -iface eth0"
	for _, c := range []struct {
		plan *netcfg.Plan
		want string
	}{
		{plan(), ""},
		{plan("192.0.2.11/24", "192.0.2.10/24"), ""},
		{plan("192.0.2.10/24", "192.0.2.11/24"), "name another address of the old host, which stays with it: fullmigrate plan -from root@192.0.2.11:/" + tail},
		{plan("192.0.2.10/24", "2001:db8::11/64"), "name another address of the old host, which stays with it: fullmigrate plan -from 'root@[2001:db8::11]:/'" + tail},
		{plan("192.0.2.10/24"), "give the old host a further address (there: ip address add ADDRESS/24 dev eth0), which stays with it, and name it: fullmigrate plan -from root@ADDRESS:/" + tail},
	} {
		f, ok := m.wrongWay(c.plan, here)
		require.Equal(t, c.want != "", ok)
		require.Equal(t, c.want, f.Advice)
	}
	m.src, m.oldIface = "mail:/", "em1"
	f, ok := m.wrongWay(plan("192.0.2.10/26"), here)
	require.True(t, ok)
	require.Contains(t, f.Advice, "ADDRESS/26 dev em1), which stays with it, and name it: fullmigrate plan -from ADDRESS:/ -to / ")
	require.Contains(t, f.Detail, "-from leads to the address that moves, 192.0.2.10")
	require.Equal(t, netcfg.Fail, f.Severity)
}
