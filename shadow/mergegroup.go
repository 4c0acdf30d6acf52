package shadow

import (
	"errors"
	"maps"
	"slices"
)

// allGroups plans the new groups, then the members of those that are there, by name.
func (m *merger) allGroups() {
	fresh := map[string]bool{}
	for _, g := range m.opt.Groups {
		fresh[g.To] = true
		m.newGroup(g)
	}
	for _, name := range slices.Sorted(maps.Keys(m.opt.Members)) {
		if !fresh[name] {
			m.join(name, m.opt.Members[name])
		}
	}
}

func (m *merger) newGroup(g Rename) {
	want := Group{Name: g.To, Hash: NewSecret("!"), Members: distinct(m.opt.Members[g.To])}
	at := gshadowPath
	if f := m.old.Group; f != nil {
		if i, ok := f.t().index[g.From]; ok {
			at = f.t().where(i)
			m.inherit(&want, groupOf(f.t().at(i)), at)
		} else if i, ok := f.t().bad[g.From]; ok {
			at = f.t().pos(i)
			m.told[at] = true
			m.warn("malformed-line", g.To, at, "the line on the old host has too many fields: its password and administrators were not used")
		}
	}
	if m.group == nil {
		return
	}
	has, ok := m.group.Lookup(g.To)
	_, before := m.new.Group.Lookup(g.To)
	switch {
	case ok && !before:
		m.conflict("twice", g.To, at, "two groups of the old host are to have this name")
		return
	case ok && has.equal(&want):
		m.want(g.To, want.Members)
		return
	case ok:
		i := m.group.t().index[g.To]
		m.warn("differs", g.To, m.group.t().pos(i), "the new host has an entry of this name: it stands, and members are appended")
		m.join(g.To, want.Members)
		return
	}
	if err := m.group.Add(want); err != nil {
		m.groupError(g.To, at, err)
		return
	}
	m.want(g.To, want.Members)
}

// inherit takes over what may be taken from the line of the old host.
func (m *merger) inherit(want *Group, src Group, at string) {
	if m.opt.GroupPasswords {
		if plainText(src.Hash.Reveal(), ":") {
			want.Hash = src.Hash
		} else {
			m.warn("unwritable", want.Name, at, "the password of the group has a control character: it is not carried over")
		}
	} else if parseHash(unbang(src.Hash.Reveal())).real() {
		m.warn("group-password", want.Name, at, "the password of the group is not carried over")
	}
	for _, a := range distinct(src.Admins) {
		if to, ok := m.users[a]; ok {
			want.Admins = append(want.Admins, to)
		} else if m.sameUser(a) {
			want.Admins = append(want.Admins, a)
		} else {
			m.warn("admin-dropped", want.Name, at, "the administrator %s of the group is not on the new host, or not provably the same person", show(a))
		}
	}
}

// sameUser tells whether the user of that name on the new host may be taken for the one of the old host.
func (m *merger) sameUser(name string) bool {
	if m.new.Shadow == nil {
		return false
	}
	_, ok := m.new.Shadow.Lookup(name)
	return ok && (name == "root" || SamePerson(m.old, m.new, name, name))
}

// join appends to the members of a group that is there.
func (m *merger) join(name string, members []string) {
	if m.group == nil || len(members) == 0 {
		return
	}
	g, ok := m.group.Lookup(name)
	if !ok {
		if i, ok := m.group.t().bad[name]; ok {
			m.conflict("malformed-target", name, m.group.t().pos(i), "the line on the new host has too many fields to be edited")
			return
		}
		m.warn("no-gshadow-line", name, gshadowPath, "the group has no line in the file of the new host, and gets none")
		return
	}
	had := make(map[string]bool, len(g.Members))
	for _, u := range g.Members {
		had[u] = true
	}
	for _, u := range distinct(members) {
		if !had[u] {
			g.Members = append(g.Members, u)
		}
	}
	if err := m.group.Set(g); err != nil {
		m.groupError(name, gshadowPath, err)
		return
	}
	m.want(name, members)
}

func (m *merger) want(name string, members []string) {
	m.work.groups = append(m.work.groups, wantGroup{name, members})
}

func (m *merger) groupError(name, at string, err error) {
	switch i, bad := m.group.t().bad[name]; {
	case errors.Is(err, ErrMalformed) && bad:
		m.conflict("malformed-target", name, m.group.t().pos(i), "the line on the new host has too many fields to be edited")
	case validName(name) != "":
		m.conflict("bad-name", name, at, "%s", validName(name))
	default:
		m.conflict("bad-name", name, at, "the name of a member or an administrator cannot be written")
	}
}

// distinct keeps the first of equal names.
func distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}
