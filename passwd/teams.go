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
	missing   bool     // a group of the system that the target lacks
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

// settle finds out what stands for a group on the target.
func (m *merger) settle(t *team) {
	switch {
	case t.owner != nil && t.owner.target != nil:
		t.gid, t.settled = t.owner.target.GID, true
		if g, ok := m.new.Group.LookupID(t.gid); ok {
			m.stand(t, g)
			return
		}
		t.target = &Group{Name: t.Name, GID: t.gid}
	case t.owner != nil:
		m.settlePrivate(t)
	case t.system:
		g, ok := m.counterpartGroup(t.Name)
		switch {
		case ok:
			m.stand(t, g)
		case slices.ContainsFunc(t.primaries, (*person).joins):
			m.warn("primary-group-created", t.Name, t.at, "a group of the old host's system and the primary one of people; the target has none of that name, so it becomes a group of people")
			m.settleShared(t)
		default:
			m.warn("group-missing", t.Name, t.at, "the target has no such group; its members lose it, and its files keep gid %d", t.GID)
			t.missing = true
		}
	default:
		m.settleShared(t)
	}
}

// stand lets a group of the target stand for t, and finds the members to append.
func (m *merger) stand(t *team, g Group) {
	t.target, t.to, t.gid, t.settled = &g, g.Name, g.GID, true
	power := m.powerful(&g)
	if power && g.Name != "mail" {
		for _, p := range t.primaries {
			if p.joins() {
				m.block(p, "privileged-primary", "its primary group %s is %s on the target, which gives power over it", quote(t.Name), quote(g.Name))
			}
		}
	}
	have := map[string]bool{}
	if len(t.members) > 0 {
		have = m.membersOnTarget(g.Name)
	}
	var refused, absent []string
	for _, p := range t.members {
		switch {
		case have[p.to] || p.conflict:
		case power:
			refused = append(refused, p.to)
		case p.target != nil:
			absent = append(absent, p.to)
		default:
			t.appended = append(t.appended, p.to)
		}
	}
	if len(refused) > 0 {
		m.warn("privileged-group", g.Name, t.at, "not joined, as it gives power over the target: %s", few(refused))
	}
	if len(absent) > 0 {
		m.warn("membership", g.Name, t.at, "on the target already, and not joined to the group: %s", few(absent))
	}
}

// membersOnTarget gathers the members that all lines of a name list.
func (m *merger) membersOnTarget(name string) map[string]bool {
	if m.lists == nil {
		m.lists = map[string][]*Group{}
		for g := range m.new.Group.Groups() {
			m.lists[g.Name] = append(m.lists[g.Name], g)
		}
	}
	have := map[string]bool{}
	for _, g := range m.lists[name] {
		for _, n := range g.Members {
			have[n] = true
		}
	}
	return have
}

// settlePrivate looks whether the name of a private group is free, or waits for its user since an earlier run that was
// cut short.
func (m *merger) settlePrivate(t *team) {
	if t.Name == t.owner.Name {
		t.to = t.owner.to
	}
	g, there := m.new.Group.Lookup(t.to)
	if !there && !m.new.Group.taken(t.to) {
		return
	}
	people := there && m.newGIDs.has(g.GID)
	if people && !m.primaryOnTarget(g.GID) && !slices.ContainsFunc(g.Members, func(n string) bool { return !m.isMember(t, n) }) {
		m.stand(t, g)
		return
	}
	switch {
	case m.opt.OnConflict == Rename:
		t.to = m.freeName(t.Name)
	case people && m.opt.OnConflict == Keep:
		m.stand(t, g)
	default:
		m.blockTeam(t, "group-taken", "the private group of %s has a name that the target gave to another group, %s", quote(t.owner.Name), m.new.Group.where(t.to))
	}
}

// settleShared looks for the name of a group of several on the target.
func (m *merger) settleShared(t *team) {
	g, there := m.new.Group.Lookup(t.Name)
	if !there && !m.new.Group.taken(t.Name) {
		return
	}
	at := m.new.Group.where(t.Name)
	owner, private := m.new.Passwd.Lookup(t.Name)
	came := there && slices.ContainsFunc(t.primaries, func(p *person) bool {
		return p.target != nil && p.target.GID == g.GID && m.same(p, p.target) // with somebody who is there already
	})
	private = private && there && owner.GID == g.GID && !came
	people := there && (m.newGIDs.has(g.GID) || came) && !private
	earlier, renamed := m.earlierTeam(t)
	switch {
	case people, there && !private && privileged[g.Name]:
		m.stand(t, g)
	case renamed:
		m.stand(t, earlier)
	case m.opt.OnConflict == Rename:
		t.to = m.freeName(t.Name)
	case !there:
		m.blockTeam(t, "malformed-target", "the target has that name in a malformed line, %s", at)
	case private && m.opt.OnConflict == Keep:
		t.members = nil
		m.stand(t, g)
	case private:
		m.blockTeam(t, "same-name-group", "a group of several here, the private group of a user on the target, %s", at)
	default:
		m.blockTeam(t, "same-name-system", "the name is that of a group of the target's system, gid %d, %s", g.GID, at)
	}
}

// earlierTeam finds the group that an earlier run made of a group of several under a new name: by record, or because it
// is the primary one of the same people, or has all of them as members.
func (m *merger) earlierTeam(t *team) (Group, bool) {
	gid, recorded := m.opt.GIDs[t.Name]
	for n := 2; ; n++ {
		name := numbered(t.Name, n)
		if !m.used(name) {
			return Group{}, false
		}
		g, there := m.new.Group.Lookup(name)
		primary := func(p *person) bool { return p.target != nil && p.target.GID == g.GID }
		lacks := func(p *person) bool { return p.target == nil || !slices.Contains(g.Members, p.to) }
		switch {
		case !there || !m.newGIDs.has(g.GID) || recorded && gid != g.GID:
		case recorded, slices.ContainsFunc(t.primaries, primary), len(t.members) > 0 && !slices.ContainsFunc(t.members, lacks):
			return g, true
		}
	}
}

func (m *merger) blockTeam(t *team, kind, format string, args ...any) {
	t.conflict = true
	m.conflict(kind, t.Name, t.at, format, args...)
}

// isMember tells whether a member on the target is one who moves and was in the group, or owns it.
func (m *merger) isMember(t *team, name string) bool {
	return name == t.owner.to || slices.ContainsFunc(t.members, func(p *person) bool { return p.to == name })
}

func (m *merger) primaryOnTarget(gid uint32) bool {
	m.loadPrimaries()
	return m.primaries[gid]
}

func (m *merger) loadPrimaries() {
	if m.primaries != nil {
		return
	}
	m.primaries = map[uint32]bool{}
	for u := range m.new.Passwd.Users() {
		m.primaries[u.GID] = true
	}
	for _, h := range m.new.Passwd.hidden {
		m.primaries[h.gid] = true
	}
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
