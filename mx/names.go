package mx

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// absolute is name in lower case with a final dot, which is how names are held and compared here.
func absolute(name string) string {
	name = lower(name)
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	return name
}

// show is name without the final dot, for people and for the Report.
func show(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// lower folds ASCII only, as DNS compares (RFC 4343).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// parent is the name without its first label, "" above the root.
func parent(name string) string {
	if name == "." || name == "" {
		return ""
	}
	_, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		return "."
	}
	return rest
}

// below reports whether name is zone or lies in it.
func below(name, zone string) bool {
	return name == zone || zone == "." || strings.HasSuffix(name, "."+zone)
}

// hostnameFault says why name is no host name (RFC 1123 section 2.1, RFC 5321 section 2.3.5), "" when it is one.
// DNS itself carries any byte; it shows those that do not print as \DDD.
func hostnameFault(name string) string {
	name = show(name)
	if len(name) > 253 {
		return "longer than 253 characters"
	}
	for _, label := range strings.Split(name, ".") {
		switch {
		case label == "":
			return "has an empty label"
		case len(label) > 63:
			return "has a label longer than 63 characters"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "has a label that begins or ends with a hyphen"
		}
		for i := 0; i < len(label); i++ {
			switch c := label[i]; {
			case c >= 0x80 || c == '\\':
				return "has characters outside of ASCII letters, digits and hyphen"
			case c == '_':
				return "has an underscore"
			case !(c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'):
				return fmt.Sprintf("has the character %q", c)
			}
		}
	}
	return ""
}

// argument checks a host name or domain given by the caller and makes it absolute. Underscores are let through, since
// DNS names may have them.
func argument(what, name string) (string, error) {
	if a, ok := literal(name); ok {
		return "", fmt.Errorf("%s %q: is the address %s, wanted a host name", what, name, a)
	}
	if name == "" || name == "." {
		return "", fmt.Errorf("%s %q: wanted a host name", what, name)
	}
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			return "", fmt.Errorf("%s %q: not ASCII, wanted its xn-- form", what, name)
		}
	}
	if fault := hostnameFault(strings.ReplaceAll(name, "_", "x")); fault != "" {
		return "", fmt.Errorf("%s %q: %w", what, name, errors.New(fault))
	}
	return absolute(name), nil
}

// literal recognises an address that stands where a host name belongs: 192.0.2.1, [192.0.2.1], 2001:db8::1.
func literal(name string) (netip.Addr, bool) {
	s := strings.ReplaceAll(show(name), `\.`, ".")
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
		if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
			s = s[5:]
		}
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == ""
}

// relativeLiteral recognises an IPv4 address to which a zone file has added its origin: 192.0.2.1.example.org.
func relativeLiteral(name string) (a netip.Addr, rest string, ok bool) {
	labels := strings.SplitN(name, ".", 5)
	if len(labels) < 5 || labels[4] == "" {
		return netip.Addr{}, "", false
	}
	a, err := netip.ParseAddr(strings.Join(labels[:4], "."))
	return a, labels[4], err == nil
}
