package shadow

import (
	"strings"
)

// follow lets the entry of a user who came over earlier go with the old host's: what was changed there since, such as a
// password, comes along field by field. A field that is not any more what came over was changed on the new host, and
// stands; the password and its date are one.
func (m *merger) follow(u Rename) {
	if m.shadow == nil || m.opt.Carried == nil {
		return
	}
	l := m.shadow.t().lookup(u.To)
	was, ok1 := m.opt.Carried.written(u, m.opt.Carried.Password)
	now, ok2 := m.old.written(u, m.opt.Password)
	if l == nil || !ok1 || !ok2 || was == now {
		return // a line that is gone or cannot be read, as in the middle of an edit by hand, locks nobody out
	}
	has := shadowFields(l)
	want, stays := has, []string{}
	for _, part := range [][]int{{fieldHash, fieldLastChange}, {3}, {4}, {5}, {6}, {7}, {8}} {
		switch {
		case same(&now, &has, part), same(&now, &was, part):
		case same(&has, &was, part):
			for _, i := range part {
				want[i] = now[i]
			}
		default:
			stays = append(stays, fieldNames[part[0]])
		}
	}
	at := m.shadow.t().pos(m.shadow.t().index[u.To])
	if len(stays) > 0 {
		m.warn("differs", u.To, at, "changed on both hosts since it came over, and that of the new host stands: %s", strings.Join(stays, ", "))
	}
	if want == has {
		return
	}
	if err := m.shadow.Set(entryOf(want)); err != nil {
		m.warn("unwritable", u.To, at, "it changed on the old host to something that cannot be written here: left as it is")
		return
	}
	_, from, _ := m.old.source(u.From)
	m.warn("followed", u.To, from, "changed on the old host since it came over, and comes along: %s", strings.Join(differing(&has, &want), ", "))
	m.report(&want, from)
	m.work.users = append(m.work.users, wantUser{u.To, &want})
}

// written is what Merge makes of a user's entry, when it can be read.
func (h *Host) written(u Rename, password func(string) string) (record, bool) {
	if _, ok := h.effective(u.From); !ok {
		return record{}, false
	}
	e, _ := newMerger(h, nil, &Options{Password: password}).wanted(u)
	return e, true
}

func same(a, b *record, fields []int) bool {
	for _, i := range fields {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
