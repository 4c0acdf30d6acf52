package passwd

import (
	"fmt"
	"slices"
	"strings"
)

// String tells people what the plan does, in a screenful for any number of users: what they are asked to settle comes
// first, and who moves alike stands together.
func (p *Plan) String() string {
	var b strings.Builder
	counts := map[Action]int{}
	for _, u := range p.Users {
		counts[u.Action]++
	}
	writeFindings(&b, "conflicts", p.Conflicts, 20)
	fmt.Fprintf(&b, "users: %d added with their ids, %d renumbered, %d present, %d left behind, %d in conflict\n",
		counts[ActionAdd], counts[ActionRenumber], counts[ActionPresent], counts[ActionSkip], counts[ActionConflict])
	for _, a := range []Action{ActionAdd, ActionRenumber, ActionPresent, ActionSkip, ActionConflict} {
		if a != ActionConflict { // told already
			writeLines(&b, p.userRuns(a), 5)
		}
	}
	p.writeGroups(&b)
	p.writeSystem(&b)
	writeFindings(&b, "warnings", p.Warnings, 12)
	if len(p.Changed) == 0 {
		b.WriteString("nothing to change\n")
	} else {
		fmt.Fprintf(&b, "files that change: %s\n", strings.Join(p.Changed, ", "))
	}
	return b.String()
}

// userRuns makes one line of neighbours that move by the same distance.
func (p *Plan) userRuns(a Action) []string {
	var lines []string
	var run []UserChange
	flush := func() {
		if len(run) > 0 {
			lines = append(lines, runLine(a, run))
		}
		run = nil
	}
	var mine []UserChange
	for _, u := range p.Users {
		if u.Action == a {
			mine = append(mine, u)
		}
	}
	slices.SortStableFunc(mine, func(x, y UserChange) int {
		if dx, dy := int64(x.ToUID)-int64(x.FromUID), int64(y.ToUID)-int64(y.FromUID); dx != dy {
			return int(max(-1, min(1, dx-dy)))
		}
		return strings.Compare(x.Reason, y.Reason)
	})
	for _, u := range mine {
		if len(run) > 0 {
			last := run[len(run)-1]
			if int64(u.ToUID)-int64(u.FromUID) != int64(last.ToUID)-int64(last.FromUID) || u.Reason != last.Reason {
				flush()
			}
		}
		run = append(run, u)
	}
	flush()
	return lines
}

func runLine(a Action, run []UserChange) string {
	names := make([]string, len(run))
	for i, u := range run {
		names[i] = printable(u.Name)
		if u.To != u.Name {
			names[i] += " as " + printable(u.To)
		}
	}
	first, last := run[0], run[len(run)-1]
	ids := decimal(first.FromUID)
	if last.FromUID != first.FromUID {
		ids += "-" + decimal(last.FromUID)
	}
	if first.ToUID != first.FromUID {
		ids += fmt.Sprintf(" -> %d", first.ToUID)
		if last.ToUID != first.ToUID {
			ids += "-" + decimal(last.ToUID)
		}
		ids += fmt.Sprintf(" (%+d)", int64(first.ToUID)-int64(first.FromUID))
	}
	s := fmt.Sprintf("  %-8s  %s: %s", a, ids, few(names))
	if first.Reason != "" {
		s += " (" + first.Reason + ")"
	}
	return s
}

func (p *Plan) writeGroups(b *strings.Builder) {
	private := map[[2]uint32]bool{}
	for _, u := range p.Users {
		private[[2]uint32{u.FromUID, u.ToUID}] = true
	}
	follow, lines := 0, []string(nil)
	for _, g := range p.Groups {
		if private[[2]uint32{g.FromGID, g.ToGID}] && len(g.MembersAdded) == 0 && g.Action != ActionConflict {
			follow++
			continue
		}
		if g.Action == ActionPresent && len(g.MembersAdded) == 0 && g.FromGID == g.ToGID {
			continue
		}
		s := fmt.Sprintf("  %-8s  %s: gid %d", g.Action, printable(g.Name), g.FromGID)
		if g.To != g.Name {
			s = fmt.Sprintf("  %-8s  %s as %s: gid %d", g.Action, printable(g.Name), printable(g.To), g.FromGID)
		}
		if g.ToGID != g.FromGID {
			s += fmt.Sprintf(" -> %d", g.ToGID)
		}
		if len(g.MembersAdded) > 0 {
			s += ", members added: " + few(g.MembersAdded)
		}
		lines = append(lines, s)
	}
	fmt.Fprintf(b, "groups: %d, of them %d with the id of their user\n", len(p.Groups), follow)
	writeLines(b, lines, 5)
}

// writeSystem names the ids of the system that have another number on the target.
func (p *Plan) writeSystem(b *strings.Builder) {
	write := func(what string, ids map[uint32]uint32, people map[uint32]bool) {
		var froms []uint32
		for from, to := range ids {
			if from != to && !people[from] {
				froms = append(froms, from)
			}
		}
		slices.Sort(froms)
		var pairs []string
		for _, from := range froms {
			pairs = append(pairs, fmt.Sprintf("%d -> %d", from, ids[from]))
		}
		if len(pairs) > 0 {
			fmt.Fprintf(b, "%ss of system accounts that have another number on the target; files of theirs get it: %s\n", what, few(pairs))
		}
	}
	users, groups := map[uint32]bool{}, map[uint32]bool{}
	for _, u := range p.Users {
		users[u.FromUID] = true
	}
	for _, g := range p.Groups {
		groups[g.FromGID] = true
	}
	write("uid", p.UIDMap, users)
	write("gid", p.GIDMap, groups)
}

func writeLines(b *strings.Builder, lines []string, most int) {
	for i, l := range lines {
		if i == most {
			fmt.Fprintf(b, "  and %d more lines like these\n", len(lines)-most)
			return
		}
		b.WriteString(l + "\n")
	}
}

// printable keeps a name of a file from playing tricks on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
