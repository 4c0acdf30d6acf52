package passwd

import (
	"cmp"
	"slices"
)

// lastID is the end of what may be given to people: from 524288 on ids belong to containers (systemd, UIDS-GIDS).
const lastID = 524287

// reservedID tells ids that are not for people: home areas and dynamic users of systemd, nobody, -1 of 16 bits.
func reservedID(id uint32) bool {
	return id >= 60001 && id <= 60577 || id >= 61184 && id <= 65535 || id > lastID
}

// survey gathers every id that the target knows, and those that records hold for others.
func (m *merger) survey() {
	m.taken = make(map[uint32]bool, len(m.new.Passwd.entries)+len(m.new.Group.entries))
	for u := range m.new.Passwd.Users() {
		m.taken[u.UID], m.taken[u.GID] = true, true
	}
	for _, h := range m.new.Passwd.hidden {
		m.taken[h.uid], m.taken[h.gid] = true, true
	}
	for g := range m.new.Group.Groups() {
		m.taken[g.GID] = true
	}
	for _, h := range m.new.Group.hidden {
		m.taken[h.gid] = true
	}
	for _, f := range []*SubIDFile{m.new.SubUID, m.new.SubGID} {
		if f != nil {
			m.subs = append(m.subs, f.ranges...)
		}
	}
	m.subs = united(m.subs)
	m.recorded = map[uint32][]string{}
	for _, records := range []map[string]uint32{m.opt.UIDs, m.opt.GIDs} {
		for name, id := range records {
			m.recorded[id] = append(m.recorded[id], name)
		}
	}
	m.movedGID = make(map[uint32]uint32, len(m.teams))
	m.assigned, m.givenGID = make(map[uint32]bool, len(m.people)), make(map[uint32]bool, len(m.teams))
}

// united sorts ranges and joins those that touch.
func united(list []SubID) []SubID {
	slices.SortFunc(list, func(a, b SubID) int { return cmp.Compare(a.Start, b.Start) })
	var out []SubID
	for _, s := range list {
		if n := len(out); n > 0 && uint64(s.Start) <= out[n-1].end() {
			end := min(max(out[n-1].end(), s.end()), 1<<32-1)
			out[n-1].Count = uint32(end - uint64(out[n-1].Start))
		} else {
			out = append(out, s)
		}
	}
	return out
}

// free tells whether nobody but the bearers of these old names has or will have a claim on an id of the target.
func (m *merger) free(id uint32, names ...string) bool {
	if m.taken[id] || reservedID(id) {
		return false
	}
	if i, hit := slices.BinarySearchFunc(m.subs, id, func(s SubID, id uint32) int { return cmp.Compare(s.Start, id) }); hit || i > 0 && uint64(id) < m.subs[i-1].end() {
		return false
	}
	for _, n := range m.recorded[id] {
		if !slices.Contains(names, n) {
			return false
		}
	}
	return true
}

func (m *merger) fresh(id uint32, names ...string) bool {
	return !m.assigned[id] && m.free(id, names...)
}

// unit is a uid of the old host and all who share it: they stay together.
type unit struct {
	id      uint32
	people  []*person
	names   []string
	private *team // their private group, when it is to be added under the same number
}

// give puts everybody of the unit at an id.
func (u *unit) give(m *merger, id uint32) {
	m.assigned[id] = true
	for _, p := range u.people {
		if p.target == nil {
			p.uid = id
		}
	}
	if t := u.private; t != nil && !m.taken[id] {
		m.setGID(t, id)
	}
}

// numberPeople gives every person who comes a uid.
func (m *merger) numberPeople() {
	within := func(u *unit, id uint32) bool {
		return m.newUIDs.has(id) && (u.private == nil || m.newGIDs.has(id))
	}
	var moving []*unit
	for _, u := range m.units() {
		if id, ok := m.settled(u); ok {
			u.give(m, id)
		} else if within(u, u.id) && m.free(u.id, u.names...) {
			u.give(m, u.id)
		} else {
			moving = append(moving, u)
		}
	}
	m.keepTeams()
	ids := make([]uint32, len(moving))
	for i, u := range moving {
		ids[i] = u.id
	}
	free := func(i int, id uint32) bool { return within(moving[i], id) && m.fresh(id, moving[i].names...) }
	given, delta := place(ids, m.newUIDs, 0, free)
	m.delta = delta
	for i, u := range moving {
		if given[i] != noID {
			u.give(m, given[i])
			continue
		}
		for _, p := range u.people {
			m.block(p, "uid-taken", "uid %d is taken or out of range, and no id of the target from %d to %d is free", p.UID, m.newUIDs.min, m.newUIDs.max)
		}
	}
}

// units groups the people by uid. Only units of which somebody comes are listed.
func (m *merger) units() []*unit {
	var us []*unit
	for _, p := range m.people {
		if p.conflict {
			continue
		}
		if n := len(us); n == 0 || us[n-1].id != p.UID {
			us = append(us, &unit{id: p.UID})
		}
		u := us[len(us)-1]
		u.people, u.names = append(u.people, p), append(u.names, p.Name)
	}
	for _, t := range m.teams {
		if t.owner == nil || !t.comes() || t.GID != t.owner.UID {
			continue
		}
		if i, ok := slices.BinarySearchFunc(us, t.GID, func(u *unit, id uint32) int { return cmp.Compare(u.id, id) }); ok {
			us[i].private, us[i].names, t.follows = t, append(us[i].names, t.Name), true
		}
	}
	return slices.DeleteFunc(us, func(u *unit) bool { return !slices.ContainsFunc(u.people, (*person).joins) })
}

// settled tells the id of a unit that is decided already: an alias is there, it is on record, or its private group
// came with an earlier run that was cut short.
func (m *merger) settled(u *unit) (uint32, bool) {
	id, found := uint32(0), false
	for _, p := range u.people {
		if p.target == nil {
			continue
		}
		if found && p.uid != id {
			m.block(p, "alias-pair", "shares uid %d with %s here, and has uid %d on the target, the other %d", p.UID, quote(u.people[0].Name), p.uid, id)
			continue
		}
		id, found = p.uid, true
	}
	if found {
		return id, true
	}
	for _, p := range u.people {
		if id, ok := m.opt.UIDs[p.Name]; ok {
			if m.uidOnTarget(id) || m.assigned[id] || !m.newUIDs.has(id) || reservedID(id) {
				m.block(p, "uid-taken", "an earlier run gave it uid %d, which the target has given away or keeps for itself", id)
			}
			return id, true
		}
		t := p.primary
		if t != nil && t.owner != nil && t.target != nil && t.GID == p.UID && m.newUIDs.has(t.gid) && !m.uidOnTarget(t.gid) && !m.assigned[t.gid] {
			return t.gid, true
		}
	}
	return 0, false
}

func (m *merger) uidOnTarget(id uint32) bool {
	_, ok := m.new.Passwd.LookupID(id)
	return ok || slices.ContainsFunc(m.new.Passwd.hidden, func(h hidden) bool { return h.uid == id })
}

func (m *merger) gidOnTarget(id uint32) bool {
	_, ok := m.new.Group.LookupID(id)
	return ok || slices.ContainsFunc(m.new.Group.hidden, func(h hidden) bool { return h.gid == id })
}

// keepTeams settles the groups that stay at their gid or have one on record, before people are moved.
func (m *merger) keepTeams() {
	for _, t := range m.teams {
		if t.settled || t.follows || !t.comes() {
			continue
		}
		id, recorded := m.opt.GIDs[t.Name]
		switch {
		case recorded && (m.gidOnTarget(id) || m.assigned[id] || !m.newGIDs.has(id) || reservedID(id)):
			m.blockTeam(t, "gid-taken", "an earlier run gave it gid %d, which the target has given away or keeps for itself", id)
		case recorded:
			m.setGID(t, id)
		case m.newGIDs.has(t.GID) && m.free(t.GID, t.Name):
			m.setGID(t, t.GID)
		}
	}
}

// setGID settles a group that comes. Other names of its old gid stay with it.
func (m *merger) setGID(t *team, id uint32) {
	m.assigned[id], m.givenGID[id], t.gid, t.settled = true, true, id, true
	if _, ok := m.movedGID[t.GID]; !ok {
		m.movedGID[t.GID] = id
	}
}

// numberTeams gives every group that comes and has none yet a gid, and everybody the gid of his group.
func (m *merger) numberTeams() {
	var moving []*team
	var ids []uint32
	names := map[uint32][]string{}
	for _, t := range m.teams {
		// The gid of its user is the first choice for a private group.
		o := t.owner
		switch {
		case o == nil || t.settled || !t.comes():
		case o.conflict:
			t.conflict = true
		case o.joins() && m.newGIDs.has(o.uid) && !m.givenGID[o.uid] && m.free(o.uid, o.Name, t.Name):
			m.setGID(t, o.uid)
		}
	}
	for _, t := range m.teams {
		if t.settled || !t.comes() {
			continue
		}
		if id, ok := m.movedGID[t.GID]; ok {
			m.setGID(t, id)
			continue
		}
		if names[t.GID] == nil {
			ids = append(ids, t.GID)
		}
		moving, names[t.GID] = append(moving, t), append(names[t.GID], t.Name)
	}
	free := func(i int, id uint32) bool { return m.newGIDs.has(id) && m.fresh(id, names[ids[i]]...) }
	given, _ := place(ids, m.newGIDs, m.delta, free)
	for _, t := range moving {
		i, _ := slices.BinarySearch(ids, t.GID)
		if given[i] == noID {
			m.blockTeam(t, "gid-taken", "gid %d is taken or out of range, and no id of the target from %d to %d is free", t.GID, m.newGIDs.min, m.newGIDs.max)
			continue
		}
		m.setGID(t, given[i])
	}
	for _, p := range m.people {
		if p.joins() && p.primary != nil && p.primary.settled {
			p.gid = p.primary.gid
		}
	}
}

// noID marks an id that place found no room for.
const noID = 1<<32 - 1

// place finds room for a block of ids, ascending and distinct: all by hint when that frees them, else by the smallest
// distance that does, else each at the first free id. It tells the distance, 0 when there is no common one.
func place(ids []uint32, r idRange, hint uint32, free func(i int, id uint32) bool) (given []uint32, delta uint32) {
	given = make([]uint32, len(ids))
	if len(ids) == 0 {
		return given, 0
	}
	r.max = min(r.max, lastID)
	delta, ok := distance(ids, r, hint, free)
	next := r.min
	for i, id := range ids {
		if ok {
			given[i] = id + delta
			continue
		}
		for next <= r.max && !free(i, next) {
			next++
		}
		given[i] = noID
		if next <= r.max {
			given[i] = next
			next++
		}
	}
	return given, delta
}

func distance(ids []uint32, r idRange, hint uint32, free func(i int, id uint32) bool) (uint32, bool) {
	first, last := ids[0], ids[len(ids)-1]
	fits := func(d uint32) (bad uint32, ok bool) {
		for i, id := range ids {
			if !free(i, id+d) {
				return id + d, false
			}
		}
		return 0, true
	}
	if hint > 0 && uint64(last)+uint64(hint) <= uint64(r.max) {
		if _, ok := fits(hint); ok {
			return hint, true
		}
	}
	d := uint32(0)
	if first < r.min {
		d = r.min - first
	}
	bad := uint32(0)
	for ; uint64(last)+uint64(d) <= uint64(r.max); d++ {
		// What stood in the way last time most often still does: a cheap look before the long one.
		if bad >= d {
			if i, hit := slices.BinarySearch(ids, bad-d); hit && !free(i, bad) {
				continue
			}
		}
		var ok bool
		if bad, ok = fits(d); ok {
			return d, true
		}
	}
	return 0, false
}
