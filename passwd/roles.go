package passwd

import "slices"

// groupRoles are the names that systems give to groups of one purpose. A group of the old host's system that the
// target lacks by name is looked for under the others, in this order.
var groupRoles = [][]string{
	{"wheel", "sudo"},
	{"nobody", "nogroup", "nfsnobody"},
	{"saslauth", "sasl"},
	{"apache", "www-data", "http", "www"},
	{"named", "bind"},
	{"dbus", "messagebus"},
	{"slocate", "mlocate", "plocate"},
	{"exim", "Debian-exim"},
	{"mailnull", "smmsp"},
	{"chrony", "_chrony"},
	{"rpc", "_rpc"},
}

// userRoles are the same for accounts.
var userRoles = [][]string{
	{"nobody", "nfsnobody"},
	{"apache", "www-data", "http", "wwwrun"},
	{"named", "bind"},
	{"dbus", "messagebus"},
	{"exim", "Debian-exim"},
	{"mailnull", "smmsp"},
	{"rpc", "_rpc"},
	{"rpcuser", "statd"},
	{"chrony", "_chrony"},
	{"ntp", "ntpsec"},
}

func roleOf(roles [][]string, name string) []string {
	for _, r := range roles {
		if slices.Contains(r, name) {
			return r
		}
	}
	return nil
}

func sameRole(roles [][]string, a, b string) bool {
	return a == b || slices.Contains(roleOf(roles, a), b)
}

// privileged are groups whose members rule the machine, read other people's mail, or come near to it.
var privileged = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range []string{
		"root", "wheel", "sudo", "admin", "adm", "daemon", "bin", "sys", "disk", "kmem", "mem", "tty", "shadow", "staff", "operator", "backup",
		"docker", "lxd", "lxc", "incus", "incus-admin", "podman", "libvirt", "libvirt-qemu", "libvirtd", "qemu", "kvm", "vboxusers", "mock",
		"systemd-journal", "wireshark", "pcap", "input", "utmp", "tape", "crontab", "ssl-cert", "sasl", "saslauth",
		"mail", "postfix", "postdrop", "dovecot", "dovenull", "vmail", "mysql", "postgres", "www-data", "apache", "nobody", "nogroup",
	} {
		set[name] = true
	}
	return set
}()

// powerful tells whether joining a group of the target needs the caller's word.
func (m *merger) powerful(g *Group) bool {
	return (privileged[g.Name] || g.GID == 0) && !slices.Contains(m.opt.Privileged, g.Name)
}

// counterpartUser finds the account of the target's system that stands for one of the old host's. Names that are empty, as
// in a damaged line, stand for nothing.
func (m *merger) counterpartUser(name string) (User, bool) {
	for _, n := range append([]string{name}, roleOf(userRoles, name)...) {
		if t, ok := m.new.Passwd.Lookup(n); ok && n != "" && (!m.newUIDs.has(t.UID) || nobody(t.Name, t.UID)) {
			return t, true
		}
	}
	return User{}, false
}

// counterpartGroup finds the group of the target's system that stands for one of the old host's.
func (m *merger) counterpartGroup(name string) (Group, bool) {
	for _, n := range append([]string{name}, roleOf(groupRoles, name)...) {
		if t, ok := m.new.Group.Lookup(n); ok && n != "" && (!m.newGIDs.has(t.GID) || nobody(t.Name, t.GID)) {
			return t, true
		}
	}
	return Group{}, false
}

// systemGroup tells whether a group of the old host belongs to its system.
func (m *merger) systemGroup(g *Group) bool { return !m.oldGIDs.has(g.GID) || nobody(g.Name, g.GID) }

// mapIDs fills the maps. What people and their groups got comes first: an id that a system account shares with them
// is theirs.
func (m *merger) mapIDs() {
	uids, gids := m.plan.UIDMap, m.plan.GIDMap
	put := func(ids map[uint32]uint32, from, to uint32) {
		if _, ok := ids[from]; !ok {
			ids[from] = to
		}
	}
	for _, p := range m.people {
		if !p.conflict {
			put(uids, p.UID, p.uid)
		}
	}
	for _, primary := range []bool{true, false} {
		for _, t := range m.teams {
			if !t.settled || (len(t.primaries) > 0) != primary {
				continue
			}
			put(gids, t.GID, t.gid)
			if gids[t.GID] != t.gid {
				m.warn("gid-split", t.Name, t.at, "shares gid %d with another group here and has gid %d on the target; files go to gid %d", t.GID, t.gid, gids[t.GID])
			}
		}
	}
	for u := range m.old.Passwd.Users() {
		if m.oldUIDs.has(u.UID) && !nobody(u.Name, u.UID) {
			continue
		}
		if t, ok := m.counterpartUser(u.Name); ok {
			put(uids, u.UID, t.UID)
		}
	}
	for g := range m.old.Group.Groups() {
		if !m.systemGroup(g) {
			continue
		}
		if t, ok := m.counterpartGroup(g.Name); ok {
			put(gids, g.GID, t.GID)
		}
	}
}
