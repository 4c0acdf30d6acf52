package shadow

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

// Paths of the two files below the root of a host.
const (
	shadowPath  = "etc/shadow"
	gshadowPath = "etc/gshadow"
)

// Host is the password files of one host; nil for one that it does not have.
type Host struct {
	Shadow *File
	Group  *GroupFile // etc/gshadow

	// Password gives the password field of a user in etc/passwd; nil: "x" for all. What is neither empty nor "x" there
	// is in force, whatever etc/shadow says. ReadHost leaves it nil.
	Password func(name string) string
}

// ReadHost reads the files below root, the root directory of a host, which may itself be a symbolic link such as
// /proc/PID/root. An absent file is not an error. A file that is no regular file, or cannot be read, is a
// *fs.PathError.
func ReadHost(root string) (*Host, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	h := &Host{}
	shadow, err := atomicfile.Read(dir, shadowPath)
	switch {
	case err == nil:
		h.Shadow = Parse(shadowPath, shadow.Data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	group, err := atomicfile.Read(dir, gshadowPath)
	switch {
	case err == nil:
		h.Group = ParseGroup(gshadowPath, group.Data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return h, nil
}

// origin tells what the old host knows of a user.
type origin int

const (
	absent  origin = iota // no line
	garbled               // a line that neither libc nor we can read
	cleaned               // a line that is good once its \r is gone
	found
)

// source gives the entry that a merge carries over, and its position.
func (h *Host) source(name string) (f record, at string, o origin) {
	if h == nil || h.Shadow == nil {
		return record{}, "", absent
	}
	t := h.Shadow.t()
	if i, ok := t.index[name]; ok {
		return shadowFields(t.at(i)), t.where(i), found
	}
	i, ok := t.bad[name]
	if !ok {
		return record{}, shadowPath, absent
	}
	l := t.at(i)
	if _, _, ok := readShadow(trimSpace(l.content()), &f); ok && l.cr() {
		return shadowFields(l), t.pos(i), cleaned
	}
	return record{}, t.pos(i), garbled
}

// SamePerson tells whether the shadow entries prove that newName on the new host is oldName of the old one, as after an
// earlier merge that gave him another uid. There are two proofs. An equal salted hash: two people never share one, as
// the salt is drawn anew for each password; a lock before it does not count, since locking an account does not change
// whose it is. Without a salted hash on either side (locked accounts, unsalted NT hashes) nine fields as a merge writes
// them: with the date of the last change, which it carries over and useradd would have set to the day of its run, or
// with a lone "!" and no dates, as a merge makes of a missing or unreadable line and useradd and pwconv never do. It is
// meant for names that are equal, or where a merge renamed one, and is false when in doubt.
func SamePerson(old, new *Host, oldName, newName string) bool {
	if old == nil {
		return false
	}
	has, ok := new.effective(newName)
	if !ok {
		return false
	}
	was, _ := old.effective(oldName)
	if h := bareHash(was[fieldHash]); h != "" && h == bareHash(has[fieldHash]) {
		return true
	}
	wants, _ := newMerger(old, new, &Options{}).wanted(Rename{oldName, newName})
	locked := lockedEntry(newName)
	if f := new.Shadow; f != nil {
		if _, err := f.format(wants, nil); err != nil {
			wants = locked
		}
	}
	return has == wants && (has[fieldLastChange] != "" || has == locked)
}

// effective is source with the password that is in force.
func (h *Host) effective(name string) (record, bool) {
	if h == nil {
		return record{}, false
	}
	e, _, o := h.source(name)
	from := inForce(h.Password, name, &e)
	return e, o >= cleaned || from == passwdHash
}

// What the password field of etc/passwd does to the one of etc/shadow.
type passwdField int

const (
	passwdNone passwdField = iota // nothing: it points to etc/shadow
	passwdHash                    // it is the password
	passwdLock                    // it matches no password
)

// inForce changes e as the field asks for, as pam_unix and pwconv(8) see it.
func inForce(ask func(string) string, name string, e *record) passwdField {
	if ask == nil {
		return passwdNone
	}
	field := ask(name)
	switch {
	case field == "", field == "x", strings.HasPrefix(field, "##"):
		return passwdNone // an empty field would let anybody in; what etc/shadow says is the safer reading
	case parseHash(field).real():
		e[fieldHash] = field
		return passwdHash
	}
	e[fieldHash] = lock(e[fieldHash])
	return passwdLock
}

// bareHash gives the salted hash of a field without a lock before it, or "".
func bareHash(text string) string {
	text = unbang(text)
	if h := parseHash(text); h.real() && h.salted() {
		return text
	}
	return ""
}
