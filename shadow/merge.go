package shadow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rename is an account or group that comes from the old host: its name there and on the new one.
type Rename struct{ From, To string }

// Options of Merge. nil is the same as &Options{}.
type Options struct {
	Users    []Rename                 // users to be added on the new host, in the order of their lines; none: none
	Groups   []Rename                 // groups to be added there
	Members  map[string][]string      // group of the new host to users that join it, for etc/gshadow to keep in step with etc/group
	Password func(name string) string // as Host.Password of the old host; nil: that one

	// Follow are users who came over earlier, and Carried is the old host as it was then: what was changed there since comes
	// along, as far as the new host has what came over. nil: no entry that is there already is changed.
	Follow  []Rename
	Carried *Host

	Today          time.Time // for reports on ageing; zero: what needs a date is not reported
	Libcrypt       Libcrypt  // of the new host; zero: libxcrypt with all methods
	GroupPasswords bool      // carry the password of groups over; false: "!" for all
}

// Merge plans the entries of users and groups that come from old to new. It reads nothing but its arguments, changes
// none of them and gives the same plan for the same input. An entry carries its nine fields byte for byte; a user for
// whom the old host has no readable line gets a locked one with no dates, since his password is not known. Where the
// old etc/passwd holds a password of its own, that is the one in force and comes along (pam_unix asks etc/shadow only
// for "x"). An entry of that name on the new host stands as it is, but for Options.Follow. A file that new does not have is not created. The
// second Merge of the same users has nothing to change.
//
// Kinds of conflicts: nul, crlf (all of the new etc/shadow: everybody is locked out already), malformed-target, bad-name,
// twice. Kinds of warnings: those of Problem, and no-shadow-line, malformed-line, expanded, moved-from-passwd,
// locked-in-passwd, unwritable, differs, followed, unsupported-hash, truncated-hash, unknown-hash, locked, empty-password,
// expired, change-forced, locked-out, future-change, min-lost, lost-later, no-target-file, no-gshadow-line,
// group-password, admin-dropped.
func Merge(old, new *Host, opt *Options) *Plan {
	if old == nil {
		old = &Host{}
	}
	if new == nil {
		new = &Host{}
	}
	if opt == nil {
		opt = &Options{}
	}
	m := newMerger(old, new, opt)
	m.plan.work = seal(m.work)
	for _, u := range opt.Users {
		m.users[u.From] = u.To
	}
	m.target()
	m.plan.Hashes = make([]Hash, 0, len(opt.Users))
	m.work.users = make([]wantUser, 0, len(opt.Users))
	for _, u := range opt.Users {
		m.user(u)
	}
	for _, u := range opt.Follow {
		m.follow(u)
	}
	m.allGroups()
	m.sourceProblems()
	m.finish()
	return m.plan
}

type merger struct {
	old, new *Host
	opt      *Options
	plan     *Plan
	work     *work
	shadow   *File             // edited copy, nil when the new host has none or it cannot be written
	group    *GroupFile        // likewise
	users    map[string]string // old name to new name
	told     map[string]bool   // positions on the old host that a warning names already
}

func newMerger(old, new *Host, opt *Options) *merger {
	return &merger{old: old, new: new, opt: opt, work: &work{}, told: map[string]bool{}, users: map[string]string{}, plan: &Plan{
		Version: 1, Hashes: []Hash{}, Conflicts: []Finding{}, Warnings: []Finding{}, Changed: []string{},
	}}
}

// lockedEntry is for users whose password is not known or cannot be written.
func lockedEntry(name string) record { return record{name, "!"} }

func (m *merger) warn(kind, name, at, format string, args ...any) {
	m.plan.Warnings = append(m.plan.Warnings, Finding{Kind: kind, Name: show(name), At: at, Detail: fmt.Sprintf(format, args...)})
}

func (m *merger) conflict(kind, name, at, format string, args ...any) {
	if name != "" {
		name = show(name)
	}
	m.plan.Conflicts = append(m.plan.Conflicts, Finding{Kind: kind, Name: name, At: at, Detail: fmt.Sprintf(format, args...)})
}

// problem warns of a Problem of one of the hosts.
func (m *merger) problem(p Problem, host string) {
	m.plan.Warnings = append(m.plan.Warnings, Finding{Kind: p.Kind, Name: p.Name, At: p.At(), Detail: host + " host: " + p.Detail})
}

// target makes the copies to edit, and stops at files that must not be written.
func (m *merger) target() {
	if f := m.new.Shadow; f != nil {
		m.targetProblems(f.t())
		if m.open(f.t()) {
			m.shadow = &File{seal(f.t().clone(len(m.opt.Users)))}
		}
		m.lostLater(f.t())
	} else if len(m.opt.Users) > 0 {
		m.plan.Warnings = append(m.plan.Warnings, Finding{Kind: "no-target-file", At: shadowPath, Detail: "the new host has no such file and none is made: passwords are not carried over"})
	}
	if f := m.new.Group; f != nil {
		m.targetProblems(f.t())
		if m.open(f.t()) {
			m.group = &GroupFile{seal(f.t().clone(len(m.opt.Groups)))}
		}
	} else if len(m.opt.Groups) > 0 {
		m.plan.Warnings = append(m.plan.Warnings, Finding{Kind: "no-target-file", At: gshadowPath, Detail: "the new host has no such file and none is made"})
	}
}

func (m *merger) targetProblems(t *table) {
	for _, p := range t.problems {
		if p.Severity != Info {
			m.problem(p, "new")
		}
	}
}

// open tells whether the file may be edited.
func (m *merger) open(t *table) bool {
	if t.nul > 0 {
		m.conflict("nul", "", t.pos(t.nul-1), "NUL byte: the file is not written before it is gone")
		return false
	}
	if len(t.index) > 0 {
		return true
	}
	for i := range t.lines {
		if l := &t.lines[i]; l.kind == hidden && l.cr() {
			m.conflict("crlf", "", t.pos(i), "libc can read no line of the file, this one and others for their \\r\\n: everybody is locked out already")
			return false
		}
	}
	return true
}

// lostLater tells of lines that pam_unix drops when it rewrites the file by fgetspent and putspent.
func (m *merger) lostLater(t *table) {
	first, n := -1, 0
	for i := range t.lines {
		if k := t.lines[i].kind; k == comment || k == hidden {
			if n++; first < 0 {
				first = i
			}
		}
	}
	if n > 0 {
		m.plan.Warnings = append(m.plan.Warnings, Finding{Kind: "lost-later", At: t.pos(first), Detail: fmt.Sprintf(
			"new host: the next password change by passwd(1) deletes this and all comments and unreadable lines, %d in all", n)})
	}
}

func (m *merger) user(u Rename) {
	e, at := m.wanted(u)
	e, present := m.place(u, e, at)
	m.report(&e, at)
	want := wantUser{name: u.To}
	if present {
		want.entry = &e
	}
	if m.shadow != nil {
		m.work.users = append(m.work.users, want)
	}
}

// wanted gives the entry that u is to have, and where it comes from.
func (m *merger) wanted(u Rename) (record, string) {
	e, at, o := m.old.source(u.From)
	if o == garbled || o == cleaned {
		m.told[at] = true
	}
	if o < cleaned {
		e = lockedEntry(u.To)
	}
	e[fieldName] = u.To
	moved := m.passwd(&e, u, at, o)
	switch {
	case o == absent && !moved:
		m.warn("no-shadow-line", u.To, at, "the old host has no shadow line for %s: added locked, with no dates", show(u.From))
	case o == garbled && !moved:
		m.warn("malformed-line", u.To, at, "libc cannot read the line on the old host: added locked, with no dates; its content was not used")
	case o == garbled:
		m.warn("malformed-line", u.To, at, "libc cannot read the line on the old host: its dates were not used")
	case o == cleaned:
		m.warn("crlf", u.To, at, "the line on the old host ends in \\r\\n, so that %s could not log in there; carried over without the \\r", show(u.From))
	case o == found && m.isShort(u.From):
		m.warn("expanded", u.To, at, "the line has fewer than nine fields: carried over with the others empty")
	}
	m.plainNumbers(&e, at)
	return e, at
}

// isShort is for users that have a line on the old host.
func (m *merger) isShort(name string) bool {
	l := m.old.Shadow.t().lookup(name)
	return strings.Count(l.text, ":") < 8
}

// passwd brings in the password field of the old etc/passwd where that is the one in force. It tells whether a hash
// moved.
func (m *merger) passwd(e *record, u Rename, at string, o origin) bool {
	ask := m.opt.Password
	if ask == nil {
		ask = m.old.Password
	}
	was := e[fieldHash]
	switch inForce(ask, u.From, e) {
	case passwdHash:
		if o >= cleaned && was != e[fieldHash] && bareHash(was) != "" {
			m.warn("moved-from-passwd", u.To, at, "the old etc/passwd has a password of its own, which is the one in force there; the other one, of etc/shadow, is not used")
		} else {
			m.warn("moved-from-passwd", u.To, at, "the password came from the old etc/passwd")
		}
		return true
	case passwdLock:
		if o >= cleaned && was != e[fieldHash] {
			m.warn("locked-in-passwd", u.To, at, "the password field of the old etc/passwd matches no password: locked here as well")
		}
	}
	return false
}

// plainNumbers writes numbers with signs or blanks as digits, which every tool reads alike.
func (m *merger) plainNumbers(e *record, at string) {
	for i := fieldLastChange; i < len(e); i++ {
		if plainNumber(e[i]) {
			continue
		}
		was := e[i]
		e[i] = ""
		if u, digits, ok := strtou32(was); ok && digits {
			e[i] = fmt.Sprint(u)
		}
		m.warn("number-form", e[fieldName], at, "%s has a sign or a blank: written as a plain number", fieldNames[i])
	}
}

// place adds the entry, or finds that it is there. It gives the entry that the user will have and whether that is the
// one that was wanted.
func (m *merger) place(u Rename, e record, at string) (record, bool) {
	if m.shadow == nil {
		return e, false
	}
	var has record
	l := m.shadow.t().lookup(u.To)
	ok := l != nil
	if ok {
		has = shadowFields(l)
	}
	_, before := m.new.Shadow.t().index[u.To]
	switch {
	case ok && !before:
		m.conflict("twice", u.To, at, "two users of the old host are to have this name")
		return e, false
	case ok && has == e:
		return e, true
	case ok:
		i := m.shadow.t().index[u.To]
		m.warn("differs", u.To, m.shadow.t().pos(i), "the new host has an entry of this name, which stands; different: %s", strings.Join(differing(&has, &e), ", "))
		return has, false
	}
	err := m.shadow.add(e)
	if err == nil {
		return e, true
	}
	if errors.Is(err, ErrMalformed) {
		i := m.shadow.t().bad[u.To]
		m.conflict("malformed-target", u.To, m.shadow.t().pos(i), "the new host has a line of this name that libc cannot read")
		return e, false
	}
	if why := validName(u.To); why != "" {
		m.conflict("bad-name", u.To, at, "%s", why)
		return e, false
	}
	locked := lockedEntry(u.To)
	m.warn("unwritable", u.To, at, "the password field is too long or has a control character: added locked, with no dates")
	if err := m.shadow.add(locked); err != nil {
		m.conflict("bad-name", u.To, at, "the name is too long")
		return e, false
	}
	return locked, true
}

// report tells what the new host will make of the entry.
func (m *merger) report(e *record, at string) {
	name, field := e[fieldName], e[fieldHash]
	h := Hash{Name: name, Scheme: schemeOf(field), Locked: locked(field)}
	known := parseHash(unbang(field)).complete
	h.Supported = m.opt.Libcrypt.Supports(h.Scheme) && (known || h.Scheme == schemeNone || h.Scheme == schemeLocked)
	m.plan.Hashes = append(m.plan.Hashes, h)
	switch {
	case h.Scheme == schemeNone:
		m.warn("empty-password", name, at, "the password field is empty: no password is asked for")
	case h.Scheme == schemeUnknown:
		m.warn("unknown-hash", name, at, "the password field is no hash that any libcrypt knows: no password matches")
	case h.Scheme != schemeLocked && !known && h.Scheme != "argon2":
		m.warn("truncated-hash", name, at, "the %s hash is cut off or damaged: no password matches", h.Scheme)
	case !h.Supported:
		m.warn("unsupported-hash", name, at, "the new host cannot check %s: a new password is needed", h.Scheme)
	}
	if h.Locked {
		m.warn("locked", name, at, "the password is locked, and stays so")
	}
	day := m.opt.Today.Unix() / 86400
	for _, f := range ageing(e, day, !m.opt.Today.IsZero()) {
		m.warn(f.Kind, name, at, "%s", f.Detail)
	}
}

// sourceProblems tells of unreadable lines on the old host, and of others where they concern a user that moves.
func (m *merger) sourceProblems() {
	elsewhere := []string{"no-newline", "empty-password", "number-form", "flag-missing"} // of no matter, or told by user
	report := func(t *table, moves func(string) bool) {
		for _, p := range t.problems {
			if p.Severity == Info || slices.Contains(elsewhere, p.Kind) || m.told[p.At()] && p.Kind != "duplicate-name" {
				continue
			}
			if p.Name == "" || moves(p.Name) {
				m.problem(p, "old")
			}
		}
	}
	if f := m.old.Shadow; f != nil {
		report(f.t(), func(name string) bool { _, ok := m.users[name]; return ok })
	}
	if f := m.old.Group; f != nil {
		report(f.t(), func(name string) bool {
			return slices.ContainsFunc(m.opt.Groups, func(g Rename) bool { return g.From == name })
		})
	}
}

// finish compares the copies with what was there.
func (m *merger) finish() {
	if len(m.plan.Conflicts) > 0 {
		return
	}
	if m.group != nil {
		m.changed(gshadowPath, m.new.Group.t(), m.group.t())
	}
	if m.shadow != nil {
		m.changed(shadowPath, m.new.Shadow.t(), m.shadow.t())
	}
}

func (m *merger) changed(path string, before, after *table) {
	b, a := before.bytes(), after.bytes()
	if string(b) == string(a) {
		return
	}
	m.work.files = append(m.work.files, fileEdit{path, b, a})
	m.plan.Changed = append(m.plan.Changed, path)
}
