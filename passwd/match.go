package passwd

import (
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// match looks for the person on the target, and settles what happens when the name belongs to somebody else.
func (m *merger) match(p *person) {
	p.home = path.Clean(p.Home)
	if homeless(p.Home) {
		p.home = ""
	}
	p.toHome = p.home
	t, there := m.new.Passwd.Lookup(p.Name)
	if !there && !m.new.Passwd.taken(p.Name) {
		return
	}
	if there && (m.alike(p, &t) || m.proven(p, &t) || m.onRecord(p, &t) && m.opt.OnConflict == Keep) {
		m.present(p, &t)
		return
	}
	// An id on record is the weakest sign: a stranger of that name may share it with one who got a new name.
	if e, ok := m.earlier(p); ok {
		m.present(p, &e)
		return
	}
	if there && m.onRecord(p, &t) {
		m.present(p, &t)
		return
	}
	if m.opt.OnConflict == Rename {
		m.rename(p)
		return
	}
	at := m.new.Passwd.where(p.Name)
	switch {
	case !there:
		m.block(p, "malformed-target", "the target has that name in a malformed line, %s", at)
	case !m.newUIDs.has(t.UID) || nobody(t.Name, t.UID):
		m.block(p, "same-name-system", "the name is that of an account of the target's system, uid %d, %s", t.UID, at)
	case m.opt.OnConflict == Keep:
		m.present(p, &t)
		p.reason = "the target's account of that name stands"
	case t.UID != p.UID:
		m.block(p, "same-name-different-uid", "uid %d here, uid %d on the target, %s", p.UID, t.UID, at)
	case t.GID != p.GID:
		m.block(p, "same-name-different-gid", "gid %d here, gid %d on the target, %s", p.GID, t.GID, at)
	default:
		m.block(p, "same-name-different-home", "home %s here, %s on the target, %s", quote(p.Home), quote(t.Home), at)
	}
}

func (m *merger) present(p *person, t *User) {
	m.came[t.Name] = true
	p.target, p.to, p.uid, p.gid = t, t.Name, t.UID, t.GID
	if p.home != "" && !homeless(t.Home) {
		p.toHome = path.Clean(t.Home)
	} else {
		p.home, p.toHome = "", ""
	}
}

// alike tells whether ids and home are the same.
func (m *merger) alike(p *person, t *User) bool {
	if p.UID != t.UID || path.Clean(p.Home) != path.Clean(t.Home) {
		return false
	}
	if p.GID == t.GID {
		return true
	}
	a, okA := m.old.Group.LookupID(p.GID)
	b, okB := m.new.Group.LookupID(t.GID)
	return okA && okB && (a.Name == b.Name || sameRole(groupRoles, a.Name, b.Name))
}

// onRecord tells whether an earlier run gave the person the uid of t.
func (m *merger) onRecord(p *person, t *User) bool {
	uid, ok := m.opt.UIDs[p.Name]
	return ok && uid == t.UID
}

// proven tells whether the caller has proof. An account outside of the range of people is believed to be one of them under
// the uid that he had alone.
func (m *merger) proven(p *person, t *User) bool {
	return m.opt.SamePerson != nil && (m.newUIDs.has(t.UID) || t.UID == p.UID) && m.opt.SamePerson(p.Name, t.Name)
}

// earlier finds the account that an earlier run made of the person under a new name.
func (m *merger) earlier(p *person) (User, bool) {
	for n := 2; ; n++ {
		name := numbered(p.Name, n)
		if t, ok := m.new.Passwd.Lookup(name); ok && (m.proven(p, &t) || m.onRecord(p, &t) && !m.old.uses(name)) {
			return t, true
		}
		if !m.used(name) {
			return User{}, false
		}
	}
}

// numbered makes alice-2 of alice, within the 32 bytes that useradd(8) allows.
func numbered(name string, n int) string {
	end := "-" + strconv.Itoa(n)
	return name[:min(len(name), 32-len(end))] + end
}

// freeName is the first of NAME-2, NAME-3 ... that neither host uses.
func (m *merger) freeName(name string) string {
	for n := 2; ; n++ {
		s := numbered(name, n)
		if !m.claimed[s] && !m.used(s) {
			m.claimed[s] = true
			return s
		}
	}
}

// uses tells whether the host has an account or a group of that name.
func (h *Host) uses(name string) bool { return h.Passwd.taken(name) || h.Group.taken(name) }

// used tells whether either host has an account or a group of that name, or the target an account that differs in case alone.
func (m *merger) used(name string) bool {
	if m.old.uses(name) || m.new.uses(name) {
		return true
	}
	if m.twins == nil {
		m.twins = make(map[string]bool, len(m.new.Passwd.entries))
		for t := range m.new.Passwd.Users() {
			m.twins[fold(t.Name)] = true
		}
	}
	return m.twins[fold(name)]
}

func (m *merger) rename(p *person) {
	p.to = m.freeName(p.Name)
	p.reason = "renamed: the target has another " + quote(p.Name)
	if p.home == "" {
		return
	}
	if path.Base(p.home) == p.Name {
		p.toHome = path.Join(path.Dir(p.home), p.to)
	} else {
		p.toHome = p.home + p.to[strings.LastIndexByte(p.to, '-'):]
	}
}

// checkPeople looks at names, lengths, shells and GECOS of those who come.
func (m *merger) checkPeople() {
	strangers := make(map[string]*User, len(m.new.Passwd.entries))
	for t := range m.new.Passwd.Users() {
		if !m.came[t.Name] {
			strangers[fold(t.Name)] = t
		}
	}
	first := make(map[string]*person, len(m.people))
	for _, p := range m.people {
		low := fold(p.to)
		if other := first[low]; other == nil {
			first[low] = p
		} else {
			m.warn("case-twin", p.Name, p.at, "differs from %s in case alone; clients and mail boxes may take them for one", quote(other.Name))
		}
		if bad := p.pathBreaker(); bad != "" && !p.conflict {
			m.block(p, "name-invalid", "%s is no name that mail and homes can go by", quote(bad))
		}
		if !p.joins() {
			continue
		}
		if t := strangers[low]; t != nil && t.Name != p.to {
			if e, ok := m.earlier(p); ok {
				m.present(p, &e)
				continue
			}
			if m.opt.OnConflict == Rename {
				m.rename(p)
			} else {
				m.block(p, "case-twin", "differs from %s of the target in case alone, %s", quote(t.Name), m.new.Passwd.where(t.Name))
			}
		}
		m.checkPerson(p)
	}
}

// pathBreaker is the name of the person, here or there, that as a part of a path would lead elsewhere.
func (p *person) pathBreaker() string {
	for _, name := range []string{p.Name, p.to} {
		if name == "." || name == ".." || strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

func (m *merger) checkPerson(p *person) {
	refused, odd := nameTrouble(p.to)
	switch {
	case refused != "":
		m.block(p, "name-invalid", "%s", refused)
		return
	case odd != "":
		m.warn("name-odd", p.Name, p.at, "%s", odd)
	}
	if err := checkUser(m.line(p)); err != nil {
		m.block(p, "value", "%v", err)
		return
	}
	if !utf8.ValidString(p.Gecos) {
		m.warn("gecos", p.Name, p.at, "the GECOS field is not UTF-8; Postfix with smtputf8_enable = yes defers the user's mail with 451")
	}
	if !loginShell(p.Shell) && p.home != "" && !peopleHome(p.home) {
		m.warn("probable-service", p.Name, p.at, "no login shell and home %s: perhaps a service, not a person", quote(p.Home))
	}
	if shell := m.shell(p); shell != "" && !m.knownShell(shell) {
		m.warn("shell", p.Name, p.at, "the target does not list shell %s%s", quote(shell), m.shellAdvice(shell))
	}
}

// line is the account as it will stand in the target's file.
func (m *merger) line(p *person) User {
	u := User{p.to, p.uid, p.gid, p.Gecos, p.Home, m.shell(p)}
	if p.toHome != p.home {
		u.Home = p.toHome
	}
	return u
}

func (m *merger) shell(p *person) string {
	if s, ok := m.opt.Shells[p.Shell]; ok {
		return s
	}
	return p.Shell
}

// knownShell tells whether the target names the shell, in its shells(5) or in an account of its own.
func (m *merger) knownShell(shell string) bool {
	m.loadShells()
	return m.shells[shell]
}

func (m *merger) loadShells() {
	if m.shells != nil {
		return
	}
	m.shells, m.shellByBase = map[string]bool{}, map[string]string{}
	note := func(s string) {
		m.shells[s] = true
		if b := path.Base(s); m.shellByBase[b] == "" {
			m.shellByBase[b] = s
		}
	}
	for _, s := range m.new.Shells {
		note(s)
	}
	for t := range m.new.Passwd.Users() {
		if t.Shell != "" && !m.oldUIDs.has(t.UID) && !m.newUIDs.has(t.UID) {
			note(t.Shell)
		}
	}
}

func (m *merger) shellAdvice(shell string) string {
	if s := m.shellByBase[path.Base(shell)]; s != "" {
		return "; its counterpart there is " + quote(s)
	}
	return ""
}
