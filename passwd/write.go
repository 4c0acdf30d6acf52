package passwd

import (
	"slices"
	"strconv"
)

// write makes the new text of the target's files.
func (m *merger) write() {
	group, users := m.new.Group.draft(), m.new.Passwd.draft()
	group.insert(m.groupLines(group)...)
	users.insert(m.userLines()...)
	// A group of people is not for the readers of shadow, whatever its name.
	if g, ok := m.new.Group.Lookup("shadow"); ok && !m.newGIDs.has(g.GID) {
		m.plan.readers = g.GID
	}
	m.edit(&m.new.Group.table, group)
	m.carrySubIDs(m.new.SubUID, m.old.SubUID, "SUB_UID_MIN")
	m.carrySubIDs(m.new.SubGID, m.old.SubGID, "SUB_GID_MIN")
	m.edit(&m.new.Passwd.table, users)
}

// userLines are the lines of those who come.
func (m *merger) userLines() []string {
	password := "*"
	if m.new.Shadow {
		password = "x"
	}
	var lines []string
	for _, p := range m.people {
		if !p.joins() {
			continue
		}
		line, err := m.new.Passwd.line(m.line(p), password)
		if err != nil {
			m.block(p, "value", "%v", err)
			continue
		}
		if !m.new.Shadow {
			m.warn("no-shadow", p.Name, p.at, "the target has no etc/shadow; the account comes without password")
		}
		lines = append(lines, line)
	}
	return lines
}

// groupLines are the lines of the groups that come. Members who come to a group of the target go to its line in file;
// several groups of the old host may come to the same.
func (m *merger) groupLines(file *table) []string {
	password := "*"
	if m.new.GShadow {
		password = "x"
	}
	var lines []string
	joining := map[string][]string{}
	for _, t := range m.teams {
		switch {
		case t.conflict || t.missing:
		case t.target == nil && t.settled:
			t.appended = m.memberNames(t)
			line, err := m.new.Group.line(Group{t.to, t.gid, t.appended}, password)
			if err != nil {
				m.blockTeam(t, "value", "%v", err)
				continue
			}
			lines = append(lines, line)
		case len(t.appended) > 0:
			joining[t.to] = append(joining[t.to], t.appended...)
			row, text, _, err := m.new.Group.joined(t.to, joining[t.to])
			if err != nil {
				m.blockTeam(t, "value", "%v", err)
				continue
			}
			file.replace(row, text)
		}
	}
	return lines
}

// edit notes a file when its rows changed.
func (m *merger) edit(before, after *table) {
	same := len(before.rows) == len(after.rows)
	for i := 0; same && i < len(before.rows); i++ {
		same = before.rows[i] == after.rows[i]
	}
	if !same {
		m.plan.edits = append(m.plan.edits, edit{before.name, before.Bytes(), after.Bytes()})
	}
}

// carrySubIDs gives those who come their subordinate ids, under other numbers where the target uses them.
func (m *merger) carrySubIDs(there, here *SubIDFile, minKey string) {
	if here == nil {
		return
	}
	var file *SubIDFile
	for _, p := range m.people {
		ranges := here.owned(p.Name, p.UID)
		if len(ranges) == 0 || !p.joins() {
			continue
		}
		if there == nil {
			m.warn("subid", p.Name, p.at, "has subordinate ids; the target has no such file, they do not move")
			continue
		}
		if len(there.owned(p.to, p.uid)) > 0 {
			continue // an earlier run that was cut short
		}
		if file == nil {
			file = ParseSubID(there.name, there.Bytes())
		}
		for _, s := range ranges {
			m.carrySubID(file, p, s, minKey)
		}
	}
	if file != nil {
		m.edit(&there.table, &file.table)
	}
}

func (m *merger) carrySubID(file *SubIDFile, p *person, s SubID, minKey string) {
	was := s.Start
	if s.Owner == strconv.FormatUint(uint64(p.UID), 10) {
		s.Owner = decimal(p.uid)
	} else {
		s.Owner = p.to
	}
	if s.Count == 0 {
		return
	}
	if !m.subFree(file, s) {
		start, ok := m.subRoom(file, s.Count, minKey)
		if !ok {
			m.warn("subid", p.Name, p.at, "no room on the target for its %d subordinate ids; they do not move", s.Count)
			return
		}
		s.Start = start
		m.warn("subid", p.Name, p.at, "its subordinate ids move from %d to %d; files that bear them need a map of their own", was, start)
	}
	if err := file.Add(s); err != nil {
		m.block(p, "value", "%v", err)
	}
}

// subFree tells whether a range overlaps no other, no id of the target and none that this run gave.
func (m *merger) subFree(file *SubIDFile, s SubID) bool {
	if file.overlap(s) >= 0 || s.Start < lastPeople {
		return false
	}
	if m.high == nil {
		m.high = []uint32{}
		for _, ids := range []map[uint32]bool{m.taken, m.assigned} {
			for id := range ids {
				if id >= lastPeople {
					m.high = append(m.high, id)
				}
			}
		}
		slices.Sort(m.high)
	}
	i, _ := slices.BinarySearch(m.high, s.Start)
	return i == len(m.high) || uint64(m.high[i]) >= s.end()
}

// lastPeople is the end of what login.defs gives to people by default, and of what systemd keeps behind it.
const lastPeople = 65536

// subRoom finds the first room for count subordinate ids, from SUB_UID_MIN on as useradd(8) does.
func (m *merger) subRoom(file *SubIDFile, count uint32, minKey string) (uint32, bool) {
	start, ok := m.new.Defs.Number(minKey)
	if !ok || start < lastPeople {
		start = 100000
	}
	for next := uint64(start); next+uint64(count) <= 600100000; {
		s := SubID{Start: uint32(next), Count: count}
		if m.subFree(file, s) {
			return s.Start, true
		}
		if i := file.overlap(s); i >= 0 {
			next = file.ranges[i].end()
		} else {
			next += uint64(count)
		}
	}
	return 0, false
}
