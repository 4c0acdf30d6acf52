package dovecotconf

import (
	"fmt"
	"slices"
)

func (p part) equal(o part) bool {
	return p.lit == o.lit && p.name == o.name && slices.Equal(p.ops, o.ops)
}

// Equal tells whether two formats, of whatever versions, give the same UIDL for every message. If not, reason says
// where they differ, with an example. It never holds for formats that differ for some message; two that are equal only
// by an accident of their steps may be called unequal.
func Equal(a, b *Format) (equal bool, reason string) {
	if slices.EqualFunc(a.parts, b.parts, part.equal) {
		return true, ""
	}
	return false, differ(a, b) + example(a, b)
}

// On replaces what another variable stands for in a storage: in "mbox" the guid is the header MD5. Other storages, such
// as "maildir", change nothing.
func (f *Format) On(storage string) *Format {
	if storage != "mbox" || !f.Uses("guid") {
		return f
	}
	out := *f
	out.parts = slices.Clone(f.parts)
	for i := range out.parts {
		if out.parts[i].name == "guid" {
			out.parts[i].name = "md5"
		}
	}
	out.parts = normalise(out.parts)
	return &out
}

func differ(a, b *Format) string {
	vars := func(f *Format) (names []string) {
		for _, p := range f.parts {
			if p.name != "" {
				names = append(names, p.name)
			}
		}
		return names
	}
	va, vb := vars(a), vars(b)
	sa, sb := slices.Sorted(slices.Values(va)), slices.Sorted(slices.Values(vb))
	switch {
	case !slices.Equal(sa, sb):
		return fmt.Sprintf("different variables: %v and %v", va, vb)
	case !slices.Equal(va, vb):
		return fmt.Sprintf("different order: %v and %v", va, vb)
	}
	for i := range min(len(a.parts), len(b.parts)) {
		if p, q := a.parts[i], b.parts[i]; !p.equal(q) {
			if p.name != "" && p.name == q.name {
				return fmt.Sprintf("different form: %s and %s", p, q)
			}
			return fmt.Sprintf("different text: %s and %s", p, q)
		}
	}
	return fmt.Sprintf("different text at the end: %s and %s", a.Canonical(), b.Canonical())
}

// probes are messages on which formats that look alike come apart: small and large numbers, hex letters, long names.
var probes = []Message{
	{UID: 10, UIDValidity: 1293872400, MD5: "de2c3f1d41802ba0356a1e5f2f69a0e0", Filename: "1293872400.M1P2.host,S=12", GUID: "ab12cd34ef56ab12cd34ef56ab12cd34"},
	{UID: 1, UIDValidity: 1, MD5: "00000000000000000000000000000001", Filename: "a'B \"c\\d", GUID: "a.B"},
	{UID: 4294967295, UIDValidity: 4294967294, MD5: "ffffffffffffffffffffffffffffffff", Filename: "9", GUID: "Z"},
	{UID: 70000, UIDValidity: 3735928559, MD5: "12345678901234567890123456789012", Filename: "x ", GUID: "0123456789abcdef"},
}

func example(a, b *Format) string {
	for _, m := range probes {
		x, errX := a.Render(m)
		y, errY := b.Render(m)
		if errX == nil && errY == nil && x != y {
			return fmt.Sprintf("; UID %d in UIDVALIDITY %d is %q and %q", m.UID, m.UIDValidity, x, y)
		}
	}
	return ""
}
