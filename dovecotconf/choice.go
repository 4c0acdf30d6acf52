package dovecotconf

import (
	"fmt"
	"slices"
)

// Choice is how a server picks the UIDL of a message (pop3-commands.c, since 1.1).
type Choice struct {
	Format           *Format
	ReuseXUIDL       bool // pop3_reuse_xuidl
	RenameDuplicates bool // pop3_uidl_duplicates = rename (2.1.7 and later)
}

// UIDLs gives the UIDLs of one mailbox in the order of ms: a saved one, else with ReuseXUIDL the X-UIDL header, else
// the format; then, in order of UID, repeated ones get -2, -3 ... when RenameDuplicates is set. The error is that of the
// first message that the format cannot name.
func (c Choice) UIDLs(ms []Message) ([]string, error) {
	out := make([]string, len(ms))
	for i, m := range ms {
		switch {
		case m.Saved != "":
			out[i] = m.Saved
		case c.ReuseXUIDL && m.XUIDL != "":
			out[i] = m.XUIDL
		default:
			uidl, err := c.Format.Render(m)
			if err != nil {
				return nil, err
			}
			out[i] = uidl
		}
	}
	if c.RenameDuplicates {
		renameDuplicates(ms, out)
	}
	return out, nil
}

func renameDuplicates(ms []Message, uidls []string) {
	order := make([]int, len(ms))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(int64(ms[a].UID) - int64(ms[b].UID)) })
	seen := map[string]int{}
	for _, i := range order {
		uidl := uidls[i]
		seen[uidl]++
		if n := seen[uidl]; n > 1 {
			uidls[i] = fmt.Sprintf("%s-%d", uidl, n)
		}
	}
}
