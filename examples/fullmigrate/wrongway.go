package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/netcfg"
)

// wrongWay is what keeps the old host's first address from moving: the connection to that host goes there. whole is the plan in
// which no address stays.
func (m *migration) wrongWay(whole *netcfg.Plan, here netip.Addr) (f netcfg.Finding, ok bool) {
	if len(whole.Addresses) == 0 || whole.Addresses[0].Addr() != here {
		return f, false
	}
	f = netcfg.Finding{Rule: "ADMIN-ADDRESS", Severity: netcfg.Fail,
		Detail: fmt.Sprintf("-from leads to the address that moves, %v: the old host could not be reached afterwards", here)}
	other, first := "ADDRESS", fmt.Sprintf("give the old host a further address (there: ip address add ADDRESS/%d dev %s), which stays with it, and name it", whole.Addresses[0].Bits(), m.oldInterface())
	for _, p := range whole.Addresses[1:] {
		if p.Addr() != here {
			other, first = p.Addr().String(), "name another address of the old host, which stays with it"
			if p.Addr().Is6() {
				other = "[" + other + "]"
			}
			break
		}
	}
	t := m.typed()
	user, _, named := strings.Cut(t.From, "@")
	if t.From = other + ":/"; named {
		t.From = user + "@" + t.From
	}
	t.Run = absolute(m.runDir) // which is found by the name in -from
	f.Advice = first + ": " + t.command("plan")
	return f, true
}

func (m *migration) oldInterface() string {
	if m.oldIface != "" {
		return hostcmd.Quote(m.oldIface)
	}
	return hostcmd.Quote(m.iface)
}
