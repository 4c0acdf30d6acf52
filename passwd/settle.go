package passwd

import "slices"

// settle finds out what stands for a group on the target.
//
// A second merge has nothing to do because of what is written, and for whom: lines and members for those who come, and
// beyond that only a group whose name is free. The next time nobody comes any more, and no such name is free.
func (m *merger) settle(t *team) {
	if t.owner != nil {
		m.settlePrivate(t)
		return
	}
	if t.system {
		m.settleSystem(t)
		return
	}
	switch g, ok := m.namesake(t); {
	case ok:
		m.stand(t, g)
	case slices.ContainsFunc(t.primaries, (*person).joins), slices.ContainsFunc(t.members, (*person).joins):
		m.settleNew(t)
	default:
		m.settleIdle(t)
	}
}

// settleSystem finds the group of the target's system that stands for one of the old host's. Where there is none and people
// have it as their primary one, it becomes a group of people.
func (m *merger) settleSystem(t *team) {
	if g, ok := m.counterpartGroup(t.Name); ok {
		m.stand(t, g)
		return
	}
	if len(t.primaries) > 0 {
		if g, ok := m.namesake(t); ok {
			m.stand(t, g)
			return
		}
	}
	if slices.ContainsFunc(t.primaries, (*person).joins) {
		m.warn("primary-group-created", t.Name, t.at, "a group of the old host's system and the primary one of people; the target has none of that name, so it becomes a group of people")
		m.settleNew(t)
		return
	}
	m.warn("group-missing", t.Name, t.at, "the target has no such group; its members lose it, and its files keep gid %d", t.GID)
	t.missing = true
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

// settlePrivate finds what its owner has there, or whether its name is free, or waits for him since an earlier run that was
// cut short.
func (m *merger) settlePrivate(t *team) {
	if o := t.owner.target; o != nil {
		m.adopt(t, o.GID)
		return
	}
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

// adopt lets the gid that the people of a group have on the target stand for it, be there a group of that gid or not.
func (m *merger) adopt(t *team, gid uint32) {
	if g, ok := m.new.Group.LookupID(gid); ok {
		m.stand(t, g)
		return
	}
	t.target, t.gid, t.settled = &Group{Name: t.Name, GID: gid}, gid, true
}

// namesake finds the group of the target that is one of several here: by its name, or by the one that an earlier run gave it.
func (m *merger) namesake(t *team) (Group, bool) {
	if g, ok := m.new.Group.Lookup(t.Name); ok && m.shares(t, &g) {
		return g, true
	}
	return m.earlierTeam(t)
}

// shares tells whether a group of that name is open to the people of t: their primary one already, or one of people, or one
// that gives power and so is joined on request alone. The private group of somebody else is not.
func (m *merger) shares(t *team, g *Group) bool {
	for _, p := range m.holders[t.GID] {
		if p.target != nil && p.target.GID == g.GID {
			return true
		}
	}
	return !m.private(g) && (m.newGIDs.has(g.GID) || privileged[g.Name])
}

// private tells whether a group of the target is the primary one of a user of its name.
func (m *merger) private(g *Group) bool {
	owner, ok := m.new.Passwd.Lookup(g.Name)
	return ok && owner.GID == g.GID
}

// settleNew makes room for a group that somebody who comes needs and that the target lacks.
func (m *merger) settleNew(t *team) {
	if !m.new.Group.taken(t.Name) {
		return
	}
	g, there := m.new.Group.Lookup(t.Name)
	at := m.new.Group.where(t.Name)
	switch {
	case m.opt.OnConflict == Rename:
		t.to = m.freeName(t.Name)
	case !there:
		m.blockTeam(t, "malformed-target", "the target has that name in a malformed line, %s", at)
	case !m.private(&g):
		m.blockTeam(t, "same-name-system", "the name is that of a group of the target's system, gid %d, %s", g.GID, at)
	case m.opt.OnConflict == Keep:
		t.members = nil
		m.stand(t, g)
	default:
		m.blockTeam(t, "same-name-group", "a group of several here, the private group of a user on the target, %s", at)
	}
}

// settleIdle finds a place for a group that nobody who comes is in: what its people have there, else its name when that is
// free. For those who are there already, no other group is made and no question asked.
func (m *merger) settleIdle(t *team) {
	g, there := m.new.Group.Lookup(t.Name)
	gid, one := t.common()
	switch {
	case there && m.private(&g) && (m.opt.OnConflict == Keep || m.came[g.Name]):
		m.stand(t, g)
	case one:
		m.adopt(t, gid)
	case m.new.Group.taken(t.Name):
		m.warn("group-left", t.Name, t.at, "the target has another group of that name, %s, and nobody comes who is in this one; it stays behind, and its files keep gid %d",
			m.new.Group.where(t.Name), t.GID)
		t.missing = true
	}
}

// common is the gid that everybody who has the group as primary one has on the target.
func (t *team) common() (gid uint32, ok bool) {
	for i, p := range t.primaries {
		if p.target == nil || i > 0 && p.target.GID != gid {
			return 0, false
		}
		gid = p.target.GID
	}
	return gid, len(t.primaries) > 0
}

// earlierTeam finds the group that an earlier run made of a group of several under a new name: the last one that it may have
// made, as the names before were not free.
func (m *merger) earlierTeam(t *team) (last Group, found bool) {
	for n := 2; ; n++ {
		name := numbered(t.Name, n)
		if !m.used(name) {
			return last, found
		}
		if g, there := m.new.Group.Lookup(name); there && m.newGIDs.has(g.GID) && m.madeOf(t, &g) {
			last, found = g, true
		}
	}
}

// madeOf tells whether a group of the target was t: by record, or because it is the primary one of the same people, or has all
// of them as members. Who keeps the target's groups makes no new names, and one that the old host uses was given to nobody.
func (m *merger) madeOf(t *team, g *Group) bool {
	if gid, recorded := m.opt.GIDs[t.Name]; recorded {
		return gid == g.GID
	}
	if m.opt.OnConflict == Keep || m.old.uses(g.Name) {
		return false
	}
	primary := func(p *person) bool { return p.target != nil && p.target.GID == g.GID }
	lacks := func(p *person) bool { return p.target == nil || !slices.Contains(g.Members, p.to) }
	return slices.ContainsFunc(t.primaries, primary) || len(t.members) > 0 && !slices.ContainsFunc(t.members, lacks)
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
