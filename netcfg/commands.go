package netcfg

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// commands says, in the administrator's own tools, what makes the files count. The first is one detached line: it may
// cut the connection through which it was given.
func (t *takeover) commands() {
	iface, service := t.opt.Iface, t.from.addrs[0]
	add := func(format string, args ...any) {
		t.plan.Commands = append(t.plan.Commands, fmt.Sprintf(format, args...))
	}
	// ifup has to run whatever ifdown says of an interface that was not up
	up := fmt.Sprintf("ifdown %s; ifup %s", iface, iface)
	switch t.plan.Backend {
	case BackendKeyfile:
		up = t.activate()
	case BackendInterfaces: // whose ifdown stumbles over the new address, which is not there yet
		up = fmt.Sprintf("ifdown --ignore-errors %s; ifup %s", iface, iface)
	case BackendNetplan:
		up = "netplan generate && netplan apply"
	case BackendIfcfg:
		if t.new.nmReads(ParseIfcfg(t.to.path, t.new.Files[t.to.path])) {
			up = t.activate()
		}
	}
	add("nohup sh -c '%s' >/dev/null 2>&1 </dev/null &", up)
	if t.from.gateway.IsValid() {
		add("ping -c 3 -I %v %v", service.Addr(), t.from.gateway)
	}
	add("ip address show dev %s", iface)
	add("hostname -f")
	t.neighbours(service.Addr())
}

// activate gives NetworkManager's part: load the file, and activate its profile only when it has the new address, because
// `nmcli connection load` exits with 0 also when NetworkManager refused the file and keeps the old profile.
func (t *takeover) activate() string {
	load := "nmcli connection load /" + shellPath(t.to.path)
	uuid := ParseIfcfg("", t.new.Files[t.to.path]).Var("UUID").NM
	if t.plan.Backend == BackendKeyfile {
		uuid = ParseKeyfile("", t.new.Files[t.to.path]).Get("connection", "uuid")
	}
	if !uuidForm.MatchString(uuid) {
		return fmt.Sprintf("%s && nmcli connection up ifname %s", load, t.opt.Iface)
	}
	return fmt.Sprintf("%s && nmcli -g ipv4.addresses connection show uuid %s | grep -qwF %v && nmcli connection up uuid %s", load, uuid, t.from.addrs[0], uuid)
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// neighbours says how a person finds out that the address is free, and tells the network where it is now.
func (t *takeover) neighbours(service netip.Addr) {
	iface := t.opt.Iface
	control := "another host of the network"
	if t.from.gateway.IsValid() {
		control = t.from.gateway.String()
	}
	t.find(Finding{"PROBE", Info, fmt.Sprintf("whether %v is free was not looked at: Linux adds an address that another host still has", service),
		fmt.Sprintf("before the commands, with arping of iputils: `arping -c 3 -I %s %s` must get answers, otherwise silence proves nothing; then `arping -D -c 3 -w 3 -I %s %v` exits with 0 when nobody has the address, 1 when somebody has (Debian's package arping means the reverse)", iface, control, iface, service)},
		Finding{"ANNOUNCE", Info, fmt.Sprintf("neighbours and routers keep sending %v to the old host's card until their ARP entries expire, up to hours", service),
			fmt.Sprintf("after the commands, with arping of iputils: `arping -U -c 2 -I %s %v` (ARP requests) and `arping -A -c 2 -I %s %v` (replies) tell them the new card; again after 5, 30 and 60 seconds, and after going back", iface, service, iface, service)})
	if len(t.from.addrs6) > 0 {
		t.find(Finding{"ANNOUNCE", Info, fmt.Sprintf("of %v neighbours are told only when the kernel is asked to", t.from.addrs6[0].Addr()), fmt.Sprintf("before the commands: `sysctl -w net.ipv6.conf.%s.ndisc_notify=1`", strings.ReplaceAll(iface, ".", "/"))})
	}
}

// shellPath quotes a path for use within single quotes.
func shellPath(p string) string {
	if strings.IndexFunc(p, func(r rune) bool { return r >= 0x80 || !nameByte(byte(r), false) && !strings.ContainsRune("/.-:@", r) }) < 0 {
		return p
	}
	var b strings.Builder
	for i := range len(p) {
		if c := p[i]; c >= 0x80 || nameByte(c, false) || strings.IndexByte("/.-:@", c) >= 0 {
			b.WriteByte(c)
		} else if c == '\'' {
			b.WriteString(`\'\''`)
		} else {
			b.WriteString(`\` + string(c))
		}
	}
	return b.String()
}
