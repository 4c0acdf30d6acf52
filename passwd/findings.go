package passwd

import (
	"fmt"
	"slices"
	"strings"
)

// String is one line: kind, name, position and detail.
func (f Finding) String() string {
	s := f.Kind
	if f.Name != "" {
		s += " " + printable(f.Name)
	}
	if f.At != "" {
		s += " (" + f.At + ")"
	}
	return s + ": " + printable(f.Detail)
}

// waysOut tells what a person may do about a kind of conflict; "mend" stands for those that it does not name.
var waysOut = map[string]string{
	"same-name-different-uid":  "exclude it, or on conflict keep the target's account for it or rename it",
	"same-name-different-gid":  "exclude it, or on conflict keep the target's account for it or rename it",
	"same-name-different-home": "exclude it, or on conflict keep the target's account for it or rename it",
	"same-name-system":         "exclude it, or on conflict rename it",
	"same-name-group":          "on conflict keep the target's group for it or rename it",
	"group-taken":              "on conflict keep the target's group for it or rename it",
	"case-twin":                "exclude it, or on conflict rename it",
	"malformed-target":         "mend the line of the target, or on conflict rename it",
	"home-collision":           "exclude it, or give it another home on one of the hosts",
	"home-system":              "exclude it, or give it another home on the old host",
	"privileged-primary":       "exclude it, or give it another primary group on the old host",
	"not-a-person":             "do not ask for it",
	"no-such-user":             "do not ask for it",
	"mend":                     "exclude it, or mend the line",
}

// alike are findings of one kind that say the same about several names.
type alike struct {
	Finding
	names []string
}

// byKind gathers what says the same; kinds are in the order of their first finding.
func byKind(list []Finding) (kinds []string, said map[string][]*alike) {
	said = map[string][]*alike{}
	same := map[[2]string]*alike{}
	for _, f := range list {
		key := [2]string{f.Kind, f.Detail}
		a := same[key]
		if a == nil {
			if said[f.Kind] == nil {
				kinds = append(kinds, f.Kind)
			}
			a = &alike{Finding: f}
			same[key] = a
			said[f.Kind] = append(said[f.Kind], a)
		}
		if name := printable(f.Name); name != "" && !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
	}
	return kinds, said
}

// writeFindings shows findings in at most that many lines and a few: two of each kind, and who else it is about.
func writeFindings(b *strings.Builder, what string, list []Finding, most int) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "%s: %d\n", what, len(list))
	kinds, said := byKind(list)
	lines := 0
	for i, kind := range kinds {
		if lines >= most {
			fmt.Fprintf(b, "  and of other kinds: %s\n", few(kinds[i:]))
			return
		}
		lines += writeKind(b, kind, said[kind])
		if way, ok := waysOut[kind]; what == "conflicts" {
			if !ok {
				way = waysOut["mend"]
			}
			fmt.Fprintf(b, "    way out: %s\n", way)
			lines++
		}
	}
}

// writeKind shows two of a kind and names the others.
func writeKind(b *strings.Builder, kind string, said []*alike) (lines int) {
	const most = 2
	for _, a := range said[:min(most, len(said))] {
		if len(a.names) > 1 {
			fmt.Fprintf(b, "  %s: %s: %d: %s\n", kind, printable(a.Detail), len(a.names), few(a.names))
		} else {
			fmt.Fprintf(b, "  %s\n", a.Finding)
		}
		lines++
	}
	if len(said) <= most {
		return lines
	}
	var others []string
	for _, a := range said[most:] {
		others = append(others, a.names...)
	}
	fmt.Fprintf(b, "  %s: %d more: %s\n", kind, len(said)-most, few(others))
	return lines + 1
}
