package passwd

import (
	"cmp"
	"slices"
	"strings"
)

// team is a group of the old host that somebody who moves is in.
type team struct {
	Group
	at        string
	to        string
	owner     *person   // whose private group it is
	primaries []*person // who has it as primary group
	members   []*person // who is in its list
	others    []string  // who else is
	target    *Group    // the group of the target that stands for it
	gid       uint32    // on the target
	system    bool      // it belongs to the old host's system
	settled   bool      // gid is known
	follows   bool      // it gets the uid of its owner
	conflict  bool
	missing   bool     // nothing on the target stands for it
	appended  []string // members that its line on the target will get
}

// comes tells whether the group is to be added.
func (t *team) comes() bool { return !t.conflict && !t.missing && t.target == nil }

// collectTeams gathers the groups of those who move: primary ones, and those in whose list they are.
func (m *merger) collectTeams() {
	f := m.old.Group
	byName := make(map[string]*team, len(f.entries))
	get := func(i int) *team {
		g := f.entries[i]
		t := byName[g.Name]
		if t == nil {
			t = &team{Group: g, at: f.place(f.at[i]), to: g.Name, system: m.systemGroup(&g)}
			byName[g.Name] = t
			m.teams = append(m.teams, t)
		}
		return t
	}
	for _, p := range m.people {
		if p.conflict {
			continue
		}
		i, ok := f.byID()[p.GID]
		if !ok {
			if p.joins() {
				m.block(p, "dangling-primary-group", "no group of the old host has its gid %d", p.GID)
			}
			continue
		}
		if first := f.byName()[f.entries[i].Name]; f.entries[first].GID != p.GID {
			if p.joins() {
				m.block(p, "dangling-primary-group", "the group of its gid %d has a name that an earlier line gives to gid %d, %s", p.GID, f.entries[first].GID, f.place(f.at[i]))
			}
			continue
		}
		m.holders[p.GID] = append(m.holders[p.GID], p)
		p.primary = get(i)
		p.primary.primaries = append(p.primary.primaries, p)
	}
	for i := range f.entries {
		m.collectMembers(i, byName, get)
	}
	alone := m.soleUsers()
	for _, t := range m.teams {
		for _, p := range t.primaries {
			if alone[t.GID] && !t.system && (p.Name == t.Name || p.UID == t.GID) && t.owner == nil {
				t.owner = p
			}
		}
	}
	slices.SortStableFunc(m.teams, func(a, b *team) int {
		return cmp.Or(cmp.Compare(a.GID, b.GID), strings.Compare(a.Name, b.Name))
	})
}

// collectMembers adds a line's members to its team, when somebody who moves is among them. Several lines of one name
// and gid add up, as they do for initgroups(3).
func (m *merger) collectMembers(i int, byName map[string]*team, get func(int) *team) {
	g := &m.old.Group.entries[i]
	moving := func(name string) *person {
		if p := m.byName[name]; p != nil && !p.conflict {
			return p
		}
		return nil
	}
	t := byName[g.Name]
	if t == nil && slices.ContainsFunc(g.Members, func(n string) bool { return moving(n) != nil }) {
		t = get(m.old.Group.byName()[g.Name])
	}
	if t == nil || t.GID != g.GID {
		return
	}
	seen := make(map[string]bool, len(t.members)+len(t.others))
	for _, p := range t.members {
		seen[p.Name] = true
	}
	for _, name := range g.Members {
		if seen[name] {
			continue
		}
		seen[name] = true
		if p := moving(name); p != nil {
			t.members = append(t.members, p)
		} else {
			t.others = append(t.others, name)
		}
	}
}

// soleUsers tells the gids that are primary for one uid only. A line that lost its name is nobody's.
func (m *merger) soleUsers() map[uint32]bool {
	n := len(m.old.Passwd.entries)
	first, sole := make(map[uint32]uint32, n), make(map[uint32]bool, n)
	for u := range m.old.Passwd.Users() {
		if uid, seen := first[u.GID]; !seen {
			first[u.GID], sole[u.GID] = u.UID, true
		} else if uid != u.UID {
			sole[u.GID] = false
		}
	}
	for _, h := range m.old.Passwd.hidden {
		if uid, seen := first[h.gid]; seen && uid != h.uid && h.name != "" {
			sole[h.gid] = false
		}
	}
	return sole
}

// memberNames is the list of a group that is added: who moves, in the old order, and accounts of the system that
// both hosts have.
func (m *merger) memberNames(t *team) []string {
	var names, dropped []string
	for _, p := range t.members {
		if !p.conflict {
			names = append(names, p.to)
		}
	}
	for _, n := range t.others {
		u, here := m.old.Passwd.Lookup(n)
		_, there := m.new.Passwd.Lookup(n)
		if here && there && !m.oldUIDs.has(u.UID) {
			names = append(names, n)
		} else {
			dropped = append(dropped, n)
		}
	}
	if len(dropped) > 0 {
		m.warn("members-dropped", t.Name, t.at, "members who do not move: %s", few(dropped))
	}
	return names
}

// change is the line of the plan about the group. Those of the system have one when they get members.
func (t *team) change() (GroupChange, bool) {
	c := GroupChange{Name: t.Name, To: t.to, FromGID: t.GID, ToGID: t.gid, MembersAdded: append([]string{}, t.appended...), Action: ActionPresent}
	switch {
	case t.missing, t.system && t.target != nil && len(t.appended) == 0:
		return c, false
	case t.conflict:
		c.ToGID, c.Action = t.GID, ActionConflict
	case t.target == nil && t.gid == t.GID:
		c.Action = ActionAdd
	case t.target == nil:
		c.Action = ActionRenumber
	}
	return c, true
}

// few joins names for a message, at most twelve of them.
func few(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + decimal(uint32(len(names)-most)) + " more"
	}
	return strings.Join(names, ", ")
}
