package passwd

import (
	"path"
	"strings"
)

// homeless tells homes that mean there is none.
func homeless(home string) bool {
	switch path.Clean(home) {
	case ".":
		return home == ""
	case "/nonexistent", "/dev/null", "/var/empty", "/no-home":
		return true
	}
	return false
}

// peopleHome tells whether a home lies where those of people do.
func peopleHome(home string) bool {
	for _, dir := range []string{"/home/", "/export/", "/srv/", "/var/mail/", "/var/spool/mail/", "/var/vmail/", "/users/", "/Users/"} {
		if strings.HasPrefix(home, dir) {
			return true
		}
	}
	return false
}

// systemDirs belong to the system as a whole (hier(7)); a home that is one of them is never copied.
var systemDirs = dirSet(`/ /bin /boot /data /dev /etc /export /home /lib /lib32 /lib64 /libx32 /lost+found /media /mnt /opt /proc
	/root /run /sbin /selinux /snap /srv /sys /tmp /usr /var
	/usr/bin /usr/games /usr/include /usr/lib /usr/lib64 /usr/libexec /usr/local /usr/local/bin /usr/local/etc /usr/local/lib
	/usr/local/sbin /usr/local/share /usr/sbin /usr/share /usr/src
	/var/adm /var/backups /var/cache /var/db /var/empty /var/games /var/lib /var/local /var/lock /var/log /var/mail /var/opt
	/var/run /var/spool /var/spool/mail /var/tmp /var/vmail /var/www /var/www/html`)

// systemTrees are directories of which nothing below is a home either.
var systemTrees = dirSet("/bin /boot /dev /etc /lib /lib32 /lib64 /proc /root /run /sbin /sys /usr/bin /usr/lib /usr/lib64 /usr/sbin /var/run")

func dirSet(list string) map[string]bool {
	set := map[string]bool{}
	for d := range strings.FieldsSeq(list) {
		set[d] = true
	}
	return set
}

// systemDir tells whether a clean path is a directory of the system or lies in one of its trees.
func systemDir(home string) bool {
	if systemDirs[home] {
		return true
	}
	for dir := range parents(home) {
		if systemTrees[dir] {
			return true
		}
	}
	return false
}

// parents goes through the directories above a clean absolute path, nearest first, without "/".
func parents(p string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			n := strings.LastIndexByte(p, '/')
			if n <= 0 {
				return
			}
			if p = p[:n]; !yield(p) {
				return
			}
		}
	}
}

// homes knows who lives where, and what lies above it.
type homes struct {
	at    map[string]string // home -> name
	above map[string]string // a directory above a home -> name
}

func (h homes) add(home, name string) {
	if _, ok := h.at[home]; !ok {
		h.at[home] = name
	}
	for dir := range parents(home) {
		if _, ok := h.above[dir]; ok {
			return
		}
		h.above[dir] = name
	}
}

// meets tells whose home is the same, above or below.
func (h homes) meets(home string) (name, how string) {
	if n, ok := h.at[home]; ok {
		return n, "is"
	}
	for dir := range parents(home) {
		if n, ok := h.at[dir]; ok {
			return n, "lies in"
		}
	}
	if n, ok := h.above[home]; ok {
		return n, "holds"
	}
	return "", ""
}

func newHomes(n int) homes { return homes{make(map[string]string, n), map[string]string{}} }

// checkHomes refuses homes that would be copied over what is somebody else's.
func (m *merger) checkHomes() {
	there, behind, coming := newHomes(len(m.new.Passwd.entries)), newHomes(len(m.left)), newHomes(len(m.people))
	for t := range m.new.Passwd.Users() {
		if home := path.Clean(t.Home); path.IsAbs(home) && !m.came[t.Name] && !homeless(home) && !systemDirs[home] {
			there.add(home, t.Name)
		}
	}
	for _, p := range m.left {
		if home := path.Clean(p.Home); path.IsAbs(home) && !homeless(home) && !systemDirs[home] {
			behind.add(home, p.Name)
		}
	}
	for _, p := range m.people {
		if p.home != "" && !p.conflict {
			m.checkHome(p, there, behind, coming)
		}
	}
}

func plainPath(p string) bool { return path.IsAbs(p) && !strings.Contains(p+"/", "/../") }

func (m *merger) checkHome(p *person, there, behind, coming homes) {
	switch {
	case !plainPath(p.Home):
		m.block(p, "home-invalid", "home %s is no absolute path without \"..\"", quote(p.Home))
		return
	case p.target != nil && !plainPath(p.target.Home):
		m.block(p, "home-invalid", "home %s of the target is no absolute path without \"..\"", quote(p.target.Home))
		return
	case systemDir(p.home) || systemDir(p.toHome):
		m.block(p, "home-system", "home %s is a directory of the system and never copied", quote(p.Home))
		return
	}
	if n, how := behind.meets(p.home); how == "is" || how == "lies in" {
		m.block(p, "home-collision", "home %s %s the home of %s, who stays behind", quote(p.home), how, quote(n))
		return
	}
	if p.target == nil {
		if n, how := there.meets(p.toHome); n != "" {
			m.block(p, "home-collision", "home %s %s the home of %s of the target", quote(p.toHome), how, quote(n))
			return
		}
	}
	if n, how := coming.meets(p.home); n != "" && m.byName[n].UID != p.UID {
		m.warn("home-shared", p.Name, p.at, "home %s %s the home of %s", quote(p.home), how, quote(n))
	}
	coming.add(p.home, p.Name)
}
