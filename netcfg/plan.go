package netcfg

import (
	"fmt"
	"net/netip"
	"strings"
)

// Plan is what a take-over does: data for programs (JSON) and people (String). It can be saved and applied later.
type Plan struct {
	Version   int            `json:"version"` // of this form, 1
	Iface     string         `json:"iface"`
	Backend   Backend        `json:"backend"`
	Addresses []netip.Prefix `json:"addresses"` // that are taken over, the service address first
	Files     []FileChange   `json:"files"`     // in the order in which they are written
	Findings  []Finding      `json:"findings"`
	Commands  []string       `json:"commands"` // for the administrator, after Apply, in order
}

// FileChange is one file of a plan.
type FileChange struct {
	Path   string `json:"path"`   // below the root, without a leading slash
	Diff   string `json:"diff"`   // unified
	Before []byte `json:"before"` // null: the file does not exist
	After  []byte `json:"after"`
}

// Blockers lists the findings that forbid Apply.
func (p *Plan) Blockers() []Finding {
	var out []Finding
	for _, f := range p.Findings {
		if f.Severity == Fail {
			out = append(out, f)
		}
	}
	return out
}

// String shows the plan to people: what is taken over, findings, the differences, the commands.
func (p *Plan) String() string {
	var b strings.Builder
	words := make([]string, len(p.Addresses))
	for i, a := range p.Addresses {
		words[i] = a.String()
	}
	switch {
	case len(words) > 0 && p.Backend != Auto:
		fmt.Fprintf(&b, "%s takes over %s (%s)\n", p.Iface, strings.Join(words, ", "), p.Backend)
	case len(words) > 0:
		fmt.Fprintf(&b, "%s takes over %s\n", p.Iface, strings.Join(words, ", "))
	default:
		fmt.Fprintf(&b, "%s takes over nothing\n", p.Iface)
	}
	for _, f := range p.Findings {
		fmt.Fprintf(&b, "%s\n", f)
	}
	if n := len(p.Blockers()); n > 0 {
		fmt.Fprintf(&b, "not applicable: %d of these must be settled first\n", n)
	}
	for _, f := range p.Files {
		fmt.Fprintf(&b, "\n%s", f.Diff)
	}
	if len(p.Files) == 0 {
		b.WriteString("no file changes\n")
	}
	if len(p.Commands) > 0 {
		b.WriteString("\nafter that, on the new host, with the old one off the network:\n")
		for _, c := range p.Commands {
			fmt.Fprintf(&b, "    %s\n", c)
		}
	}
	return b.String()
}
