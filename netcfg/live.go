package netcfg

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// VerifyLive tells whether the interface has the plan's addresses and can use them, by the output of `ip -j address show`
// (ip-address(8)) on the new host. Rules, all of severity Fail: LIVE-MISSING, and LIVE-TENTATIVE for an IPv6 address that the
// kernel has not tried out yet, or found on another host: it stays unusable then until it is deleted and added again. The
// error says that the text is not that of ip.
func (p *Plan) VerifyLive(ipJSON []byte) ([]Finding, error) {
	var links []struct {
		Name  string `json:"ifname"`
		Addrs []struct {
			Local     string `json:"local"`
			Length    int    `json:"prefixlen"`
			Tentative bool   `json:"tentative"`
			Failed    bool   `json:"dadfailed"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(ipJSON, &links); err != nil {
		return nil, fmt.Errorf("output of ip -j address show: %w", err)
	}
	state := map[netip.Prefix]string{}
	for _, l := range links {
		for _, a := range l.Addrs {
			addr, err := netip.ParseAddr(a.Local)
			if err != nil || l.Name != p.Iface {
				continue
			}
			word := "usable"
			if a.Failed {
				word = "on another host too (dadfailed)"
			} else if a.Tentative {
				word = "not tried out yet (tentative)"
			}
			state[netip.PrefixFrom(addr, a.Length)] = word
		}
	}
	found := []Finding{}
	for _, want := range p.Addresses {
		switch word := state[want]; word {
		case "usable":
		case "":
			found = append(found, Finding{"LIVE-MISSING", Fail, fmt.Sprintf("%s does not have %v", p.Iface, want), "run the plan's commands, and read what they say"})
		default:
			found = append(found, Finding{"LIVE-TENTATIVE", Fail, fmt.Sprintf("%v on %s is %s", want, p.Iface, word), "when the other host is gone, delete the address and add it again"})
		}
	}
	return found, nil
}
