package netcfg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Check tells how a host of this name with these addresses of its own fares with the file. hostname is the one that
// hostname(1) prints. Rules: CANON (an alias stands before the full name), NAME-LOOPBACK (the name is on a line of
// 127.0.0.1 or ::1, so that hostname -f says localhost), NAME-127.0.1.1 (the way of Debian's installer, wrong for a mail
// server), STALE-ADDRESS (the name is on an address that is not the host's), NAME-MISSING.
func (h *Hosts) Check(hostname string, own []netip.Addr) []Finding {
	var out []Finding
	if hostname == "" {
		return nil
	}
	short, _, _ := strings.Cut(hostname, ".")
	seen := false
	for _, e := range h.Entries() {
		if !e.has(hostname) && !e.has(short) {
			continue
		}
		pos := at(h.name, e.Line)
		switch a := e.Addr.Unmap(); {
		case a == netip.AddrFrom4([4]byte{127, 0, 1, 1}):
			seen = true
			out = append(out, Finding{"NAME-127.0.1.1", Warn, pos + "the host's name is on 127.0.1.1, which other hosts cannot reach", "put it on the line of the service address"})
		case a.IsLoopback():
			out = append(out, Finding{"NAME-LOOPBACK", Fail, fmt.Sprintf("%s%s is on the line of %v: hostname -f says %s", pos, hostname, e.Addr, e.Names[0]),
				"take the name off that line and give the service address a line of its own"})
		case len(own) > 0 && !slices.Contains(own, a):
			out = append(out, Finding{"STALE-ADDRESS", Warn, fmt.Sprintf("%s%s is on %v, which is not an address of this host", pos, hostname, e.Addr), "remove the name there"})
		default:
			seen = true
			out = append(out, canon(pos, e, hostname)...)
		}
	}
	if !seen {
		out = append(out, Finding{"NAME-MISSING", Warn, fmt.Sprintf("%s: no line for %s", h.name, hostname), "add the service address with the full name first"})
	}
	return out
}

// canon tells whether the first name of a host's own line is its full one.
func canon(pos string, e Entry, hostname string) []Finding {
	full := fullName(e.Names, hostname)
	if full == "" || foldEqual(e.Names[0], full) {
		return nil
	}
	return []Finding{{"CANON", Warn, fmt.Sprintf("%s%s stands before %s: hostname -f says %s", pos, e.Names[0], full, e.Names[0]), "put " + full + " first"}}
}

// fullName picks the host's fully qualified name from a line: hostname itself when it has a dot, otherwise the first
// name that begins with it; "" when there is none.
func fullName(names []string, hostname string) string {
	for _, n := range names {
		if strings.Contains(hostname, ".") && foldEqual(n, hostname) {
			return n
		}
		if !strings.Contains(hostname, ".") && len(n) > len(hostname) && n[len(hostname)] == '.' && foldEqual(n[:len(hostname)], hostname) {
			return n
		}
	}
	return ""
}
