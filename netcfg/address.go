package netcfg

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Address is one IPv4 address that an ifcfg file gives the interface.
type Address struct {
	Key    string // IPADDR, IPADDR0, IPADDR1, ...
	Prefix netip.Prefix
}

// Addresses reads the IPv4 addresses as the network scripts and NetworkManager do: the suffixes "", 0 and 1 may each be
// absent, from 2 on the first gap ends the list; PREFIXn and NETMASKn belong to IPADDRn of the same suffix; PREFIX beats
// NETMASK; without either the length is that of the address's class. Findings: BAD-ADDRESS and BAD-NETMASK (fail: the
// address is left out), CLASSFUL, PREFIX-NETMASK, ADDRESS-GAP, OPAQUE-KEY.
func (f *Ifcfg) Addresses() ([]Address, []Finding) {
	var out []Address
	var found []Finding
	gap := false
	for _, suffix := range f.suffixes("IPADDR") {
		key := "IPADDR" + suffix
		v := f.read(key)
		if v.Opaque {
			found = append(found, Finding{"OPAQUE-KEY", Fail, at(f.name, v.Line) + key + " is the result of a shell expansion", "write the address itself"})
			continue
		}
		if n, err := strconv.Atoi(suffix); err == nil && n > 2 && f.plain(fmt.Sprint("IPADDR", n-1)) == "" {
			gap = true
		}
		if v.Bash == "" {
			continue
		}
		if gap {
			found = append(found, Finding{"ADDRESS-GAP", Warn, at(f.name, v.Line) + key + " follows a gap in the numbers and is ignored", "number the addresses without gaps"})
			continue
		}
		a, err := netip.ParseAddr(v.Bash)
		if err != nil || !a.Is4() {
			found = append(found, Finding{"BAD-ADDRESS", Fail, fmt.Sprintf("%s%s %q is no IPv4 address", at(f.name, v.Line), key, v.Bash), ""})
			continue
		}
		n, fs, ok := f.prefixLength(suffix, a)
		found = append(found, fs...)
		if ok {
			out = append(out, Address{key, netip.PrefixFrom(a, n)})
		}
	}
	return out, found
}

// named gives all that the file has in the place of addresses, whatever comes of it.
func (f *Ifcfg) named() (out []netip.Addr) {
	for _, suffix := range f.suffixes("IPADDR") {
		v := f.read("IPADDR" + suffix)
		for _, text := range []string{v.Bash, v.NM} {
			if a, err := netip.ParseAddr(text); err == nil {
				out = append(out, a)
			}
		}
	}
	for _, word := range strings.Fields(f.plain("IPV6ADDR") + " " + f.plain("IPV6ADDR_SECONDARIES")) {
		text, _, _ := strings.Cut(word, "/")
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// suffixes lists the numbers behind a key in the order in which the readers look: "", 0, 1, 2, ...
func (f *Ifcfg) suffixes(key string) []string {
	var numbers []int
	out := []string{}
	for _, k := range f.Keys() {
		rest, ok := strings.CutPrefix(k, key)
		n, err := strconv.Atoi(rest)
		switch {
		case ok && rest == "":
			out = append(out, "")
		case ok && err == nil && strconv.Itoa(n) == rest && n < 1000:
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

func (f *Ifcfg) prefixLength(suffix string, a netip.Addr) (n int, found []Finding, ok bool) {
	prefix, mask := f.read("PREFIX"+suffix), f.read("NETMASK"+suffix)
	if prefix.Opaque || mask.Opaque {
		return 0, []Finding{{"OPAQUE-KEY", Fail, at(f.name, max(prefix.Line, mask.Line)) + "the network mask is the result of a shell expansion", "write PREFIX" + suffix + " itself"}}, false
	}
	fromMask := -1
	if mask.Bash != "" {
		if fromMask = maskLength(mask.Bash); fromMask < 0 && prefix.Bash == "" {
			return 0, []Finding{{"BAD-NETMASK", Fail, fmt.Sprintf("%sNETMASK%s %q is no network mask", at(f.name, mask.Line), suffix, mask.Bash), ""}}, false
		}
	}
	switch {
	case prefix.Bash != "":
		n, err := strconv.Atoi(prefix.Bash)
		if err != nil || n < 0 || n > 32 || strconv.Itoa(n) != prefix.Bash {
			return 0, []Finding{{"BAD-NETMASK", Fail, fmt.Sprintf("%sPREFIX%s %q: want 0 to 32", at(f.name, prefix.Line), suffix, prefix.Bash), ""}}, false
		}
		if mask.Bash != "" && fromMask != n {
			found = append(found, Finding{"PREFIX-NETMASK", Warn, fmt.Sprintf("%sPREFIX%s %d and NETMASK%s %s differ; the prefix counts", at(f.name, prefix.Line), suffix, n, suffix, mask.Bash), "remove the one that is wrong"})
		}
		return n, found, true
	case fromMask >= 0:
		return fromMask, nil, true
	}
	n = classLength(a)
	return n, []Finding{{"CLASSFUL", Warn, fmt.Sprintf("%s: neither PREFIX%s nor NETMASK%s: %v gets the mask of its class, /%d", f.name, suffix, suffix, a, n), "write PREFIX" + suffix}}, true
}

// maskLength counts the ones of a dotted mask, -1 when it is none.
func maskLength(s string) int {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return -1
	}
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^v)
	if v<<n != 0 {
		return -1
	}
	return n
}

func classLength(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}
