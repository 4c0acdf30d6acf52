package passwd

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Merge plans how the people of old come to new. People are the accounts whose uid lies in UID_MIN to UID_MAX of the
// old host's own login.defs, whatever their shell. Nothing of the target changes but for lines that are added and
// members appended.
//
// An id stays when it is free on the target and in its range. The others move by one distance that frees all of them,
// so that their order stays; where there is none, each gets the first free id. An id is free when no line of passwd
// or group of the target, not even a malformed one, no subordinate range and no record of Options names it. A group
// of one's own gets the new uid. Names that simple case folding of Unicode makes equal ("case-twin") are a conflict with
// the target's and a warning among those who come; names that only a normal form (NFC, NFD) makes equal are not seen.
// For those who are on the target already nothing is written, but for a group of theirs whose name is free there; where it
// is not, and nobody who comes needs the group, it stays behind ("group-left"). So a second Merge that knows who came, by
// Options.UIDs or SamePerson, changes nothing and gives the same maps.
// Merge does no I/O, and its result depends neither on the order of lines nor on the clock.
// Passwd and Group of both hosts must be set.
func Merge(old, new *Host, opt *Options) *Plan {
	if opt == nil {
		opt = &Options{}
	}
	n := len(old.Passwd.entries)
	m := &merger{
		old: old, new: new, opt: opt,
		people: make([]*person, 0, n), byName: make(map[string]*person, n), claimed: map[string]bool{}, came: map[string]bool{}, holders: make(map[uint32][]*person, n),
		plan: &Plan{
			Version: 1, Users: []UserChange{}, Groups: []GroupChange{}, UIDMap: make(map[uint32]uint32, n), GIDMap: make(map[uint32]uint32, len(old.Group.entries)),
			Conflicts: []Finding{}, Warnings: []Finding{}, Changed: []string{}, merged: true, timeout: opt.LockTimeout, backupDir: opt.BackupDir,
		},
	}
	m.readRanges()
	m.reportFiles()
	m.selectPeople()
	for _, p := range m.people {
		m.match(p)
	}
	m.checkPeople()
	m.checkHomes()
	m.collectTeams()
	for _, t := range m.teams {
		m.settle(t)
	}
	m.survey()
	m.numberPeople()
	m.numberTeams()
	m.mapIDs()
	m.write()
	return m.finish()
}

// merger is one run of Merge.
type merger struct {
	old, new *Host
	opt      *Options
	plan     *Plan

	oldUIDs, oldGIDs idRange
	newUIDs, newGIDs idRange
	outside          string // the reason of those who are not in newUIDs

	people  []*person // who is chosen, ascending by uid
	left    []*person // who lies in the range and stays behind
	byName  map[string]*person
	claimed map[string]bool // new names that this run gave
	came    map[string]bool // accounts of the target that are people of the old host
	teams   []*team
	holders map[uint32][]*person // by old primary gid

	taken    map[uint32]bool   // ids that the target knows, as uid or gid
	assigned map[uint32]bool   // ids that this run gave
	givenGID map[uint32]bool   // those of them that groups got
	movedGID map[uint32]uint32 // old gids of groups that come, and their new ones
	recorded map[uint32][]string
	subs     []SubID
	delta    uint32 // distance of the block of people

	high        []uint32            // taken and assigned ids that may lie in subordinate ranges
	lists       map[string][]*Group // the target's groups by name
	primaries   map[uint32]bool     // gids that are primary on the target
	twins       map[string]bool     // names of the target, folded
	shells      map[string]bool     // those that the target names
	shellByBase map[string]string   // the first of them with that last element
}

// person is an account of the old host that was chosen.
type person struct {
	User
	at       string
	to       string // name on the target
	home     string // clean; "" when there is none to copy
	toHome   string
	target   *User // the account that is there already
	reason   string
	conflict bool
	uid, gid uint32 // on the target
	primary  *team
}

// joins tells whether a line is to be added for the person.
func (p *person) joins() bool { return !p.conflict && p.target == nil }

func (m *merger) warn(kind, name, at, format string, args ...any) {
	m.plan.Warnings = append(m.plan.Warnings, Finding{kind, name, fmt.Sprintf(format, args...), at})
}

func (m *merger) conflict(kind, name, at, format string, args ...any) {
	m.plan.Conflicts = append(m.plan.Conflicts, Finding{kind, name, fmt.Sprintf(format, args...), at})
}

// block marks a person as in conflict.
func (m *merger) block(p *person, kind, format string, args ...any) {
	m.conflict(kind, p.Name, p.at, format, args...)
	p.conflict = true
}

func (m *merger) readRanges() {
	read := func(h *Host, host string) (uids, gids idRange) {
		warn := func(kind, key, detail string) { m.warn(kind, key, h.Defs.at(key), "%s: %s", host, detail) }
		uids = h.Defs.people("UID_MIN", "UID_MAX", guessMin(h), false, warn)
		gids = h.Defs.people("GID_MIN", "GID_MAX", uids.min, true, warn)
		return uids, gids
	}
	m.oldUIDs, m.oldGIDs = read(m.old, "old host")
	m.newUIDs, m.newGIDs = read(m.new, "target")
	m.outside = "not among " + decimal(m.newUIDs.min) + "-" + decimal(m.newUIDs.max) + ", the people of the target"
}

// guessMin tells where people begin on a host that does not say so: at 500 as on Red Hat before 2011 when somebody
// lives there, else at 1000.
func guessMin(h *Host) uint32 {
	if _, set := h.Defs.Lookup("SYS_UID_MAX"); set {
		return 1000
	}
	for u := range h.Passwd.Users() {
		if u.UID >= 500 && u.UID < 1000 && peopleHome(u.Home) {
			return 500
		}
	}
	return 1000
}

// reportFiles passes on what is wrong in the lines of both hosts.
func (m *merger) reportFiles() {
	pass := func(host string, lists ...[]Problem) {
		for _, l := range lists {
			for _, p := range l {
				if p.Severity >= Warning {
					m.warn(p.Kind, "", p.At(), "%s: %s", host, p.Text)
				}
			}
		}
	}
	pass("old host", m.old.Passwd.Problems(), m.old.Group.Problems())
	pass("target", m.new.Passwd.Problems(), m.new.Group.Problems())
	if f := m.new.Passwd; len(f.entries) > 0 && f.count("crlf") >= len(f.entries) {
		m.conflict("crlf", "", f.Name(), "every line of the target's file ends in a CR, which to libc is a part of each login shell: nobody can log in there")
	}
}

// picks is a list of names and uids, and what of it was met.
type picks struct {
	wanted map[string]bool
	met    map[string]bool
}

func newPicks(list []string) picks {
	p := picks{map[string]bool{}, map[string]bool{}}
	for _, s := range list {
		p.wanted[s] = true
	}
	return p
}

func (p picks) has(u *User) bool {
	if len(p.wanted) == 0 {
		return false
	}
	hit := false
	for _, s := range []string{u.Name, decimal(u.UID)} {
		if p.wanted[s] {
			p.met[s], hit = true, true
		}
	}
	return hit
}

func (p picks) unmet() []string {
	var out []string
	for s := range p.wanted {
		if !p.met[s] {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func (m *merger) selectPeople() {
	include, exclude := newPicks(m.opt.Include), newPicks(m.opt.Exclude)
	f := m.old.Passwd
	byName, room := f.byName(), make([]person, len(f.entries))
	for i := range f.entries {
		u := &f.entries[i]
		if byName[u.Name] != i {
			continue
		}
		in := m.oldUIDs.has(u.UID) && !nobody(u.Name, u.UID)
		p := &room[i]
		*p = person{User: *u, at: f.place(f.at[i]), to: u.Name, uid: u.UID, gid: u.GID}
		chosen, excluded := include.has(u), exclude.has(u)
		switch {
		case !in && chosen && !excluded:
			m.conflict("not-a-person", u.Name, p.at, "uid %d is not in %d to %d, the people of the old host; accounts of the system are not migrated", u.UID, m.oldUIDs.min, m.oldUIDs.max)
		case !in:
			m.reportSystem(u, p.at)
		case excluded:
			m.leave(p, "excluded")
		case len(m.opt.Include) > 0 && !chosen:
			m.leave(p, "not chosen")
		case f.unfit[i] != "":
			m.warn("malformed", u.Name, p.at, "not migrated: %s", f.unfit[i])
			m.leave(p, f.unfit[i])
		default:
			m.people = append(m.people, p)
			m.byName[u.Name] = p
		}
	}
	for _, h := range f.hidden {
		if m.oldUIDs.has(h.uid) {
			m.leave(&person{User: User{Name: h.name, UID: h.uid, GID: h.gid}, at: f.place(h.row), to: h.name}, "its line is malformed")
		}
	}
	for _, s := range include.unmet() {
		m.conflict("no-such-user", s, "", "the old host has no account of that name or uid")
	}
	for _, s := range exclude.unmet() {
		m.warn("no-such-user", s, "", "to be left out, but the old host has no account of that name or uid")
	}
	slices.SortStableFunc(m.people, func(a, b *person) int { return cmp.Compare(a.UID, b.UID) })
}

func (m *merger) leave(p *person, why string) {
	p.reason = why
	m.left = append(m.left, p)
}

// reportSystem names the accounts outside of the people's range that may be people after all.
func (m *merger) reportSystem(u *User, at string) {
	switch {
	case u.UID == 0:
		if u.Name != "root" {
			m.warn("uid-0", u.Name, at, "another name for root; never migrated")
		}
	case !loginShell(u.Shell) || nobody(u.Name, 0):
	case nobody(u.Name, u.UID):
		m.warn("nobody-id", u.Name, at, "uid %d stands for nobody or for no id; not migrated", u.UID)
	case u.UID < m.oldUIDs.min:
		if _, there := m.counterpartUser(u.Name); !there {
			m.warn("below-uid-min", u.Name, at, "uid %d has a login shell but is below %d; not migrated", u.UID, m.oldUIDs.min)
		}
	default:
		m.warn("above-uid-max", u.Name, at, "uid %d has a login shell but is above %d; not migrated", u.UID, m.oldUIDs.max)
	}
}

// nobody tells the accounts and groups that stand for nobody, by name or by the numbers used for it.
func nobody(name string, id uint32) bool {
	switch name {
	case "nobody", "nfsnobody", "nogroup":
		return true
	}
	return id == 65534 || id == 65535 || id >= 1<<32-2
}

func loginShell(shell string) bool {
	switch path.Base(shell) {
	case "nologin", "false", "true", "sync", "shutdown", "halt":
		return false
	}
	return true
}

// finish puts the plan together.
func (m *merger) finish() *Plan {
	p := m.plan
	p.Users, p.Groups = make([]UserChange, 0, len(m.people)+len(m.left)), make([]GroupChange, 0, len(m.teams))
	for _, who := range slices.Concat(m.people, m.left) {
		p.Users = append(p.Users, m.userChange(who))
	}
	slices.SortStableFunc(p.Users, func(a, b UserChange) int {
		return cmp.Or(cmp.Compare(a.FromUID, b.FromUID), strings.Compare(a.Name, b.Name))
	})
	for _, t := range m.teams {
		if c, ok := t.change(); ok {
			p.Groups = append(p.Groups, c)
		}
	}
	for _, e := range p.edits {
		p.Changed = append(p.Changed, e.name)
	}
	slices.Sort(p.Changed)
	return p
}

func (m *merger) userChange(p *person) UserChange {
	c := UserChange{Name: p.Name, To: p.to, FromUID: p.UID, ToUID: p.UID, FromGID: p.GID, ToGID: p.GID, Home: p.home, ToHome: p.toHome, Reason: p.reason}
	switch {
	case p.conflict:
		c.Action = ActionConflict
	case m.byName[p.Name] != p:
		c.Action = ActionSkip
	default:
		c.ToUID, c.ToGID, c.Action = p.uid, p.gid, ActionAdd
		if p.target != nil {
			c.Action = ActionPresent
		} else if p.uid != p.UID || p.gid != p.GID {
			c.Action = ActionRenumber
			if c.Reason == "" {
				c.Reason = m.whyMoved(p)
			}
		}
	}
	return c
}

// whyMoved tells why somebody does not keep his ids.
func (m *merger) whyMoved(p *person) string {
	switch {
	case p.uid == p.UID:
		return "its primary group has another gid"
	case !m.newUIDs.has(p.UID):
		return m.outside
	case m.taken[p.UID]:
		return "the target uses that id"
	}
	return "that id is reserved, or kept for somebody else"
}
