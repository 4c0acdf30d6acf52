// Package passwd reads, edits and merges the account files of Unix hosts: passwd(5) and group(5), with login.defs(5),
// subuid(5), subgid(5) and shells(5) beside them.
//
// What it promises: Parse never fails and never loses a byte. A line that nobody understands is kept and reported, a
// comment is never an account, and an edit changes one line. Merge moves the people of an old host into a new one by
// the rules of both, leaves every line of the new host as it is, and never gives an id to two. Apply writes all files
// or none, under the locks of shadow-utils.
//
// What it does not promise: it knows no passwords. The lines it adds carry "x"; shadow and gshadow belong to another
// package, whose plan joins the same commit through Edits. It copies no files; it yields the maps to do so.
//
//	old, err := passwd.ReadHost("/mnt/old")
//	new, err := passwd.ReadHost("/")
//	plan := passwd.Merge(old, new, nil)
//	fmt.Print(plan)
//	receipt, err := plan.Apply(ctx, "/")
package passwd

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// User is one account of passwd(5). The strings are the file's bytes and need not be UTF-8. The password field is left
// out on purpose, so that a User may be printed; see [File.Password].
type User struct {
	Name               string
	UID, GID           uint32
	Gecos, Home, Shell string
}

// File is a passwd file. It may be read from several goroutines as long as none edits it.
type File struct{ book[User] }

// Parse reads the text of a passwd file. It never fails: lines that are no account are kept and, where somebody ought
// to know, reported by Problems. name is only for positions, usually "etc/passwd". src is copied.
func Parse(name string, src []byte) *File {
	f := &File{book[User]{idWord: "uid", key: func(u *User) (string, uint32) { return u.Name, u.UID }}}
	f.read(name, src, f.entry)
	return f
}

// entry judges one line as glibc's nss_files and shadow-utils do. whole is false when a NUL byte cut the line short.
func (f *File) entry(row int, body string, whole bool) Kind {
	var v [7]string
	n := splitFields(body, v[:])
	if n < 4 {
		f.problem(row, Error, "field-count", "%d fields, want 7: no program sees an account here", n)
		return Invisible
	}
	uid, uform := parseID(v[2])
	gid, gform := parseID(v[3])
	if uform == badID || gform == badID {
		bad, what := v[2], "uid"
		if uform != badID {
			bad, what = v[3], "gid"
		}
		f.problem(row, Error, "number", "%s %s is not a number from 0 to 4294967295: no program sees an account here", what, quoteID(bad))
		return Invisible
	}
	if n != 7 || !whole {
		if whole {
			f.problem(row, Error, "field-count", "%d fields, want 7: libc sees an account here, shadow-utils does not", n)
		}
		f.hide(hidden{v[0], uid, gid, row})
		return Visible
	}
	i := len(f.entries)
	if uform == oddID || gform == oddID {
		f.problem(row, Warning, "number-form", "uid %s or gid %s is not written in plain digits", quote(v[2]), quote(v[3]))
		f.unfit[i] = "its uid or gid is not written in plain digits"
	}
	f.reportLine(row, body, f.unfit, i)
	f.entries, f.at = append(f.entries, User{v[0], uid, gid, v[4], v[5], v[6]}), append(f.at, row)
	f.reportUser(row, &f.entries[i])
	return Entry
}

func (f *File) reportUser(row int, u *User) {
	switch {
	case u.Name == "":
		f.problem(row, Error, "name", "the name is empty")
	case u.UID == 1<<32-1 || u.GID == 1<<32-1:
		f.problem(row, Error, "invalid-id", "4294967295 means no id to the system")
	case u.UID == 65535:
		f.problem(row, Error, "invalid-id", "uid 65535 meant no id to systems with 16 bits")
	}
	if len(u.Name)+len(u.Gecos)+len(u.Home)+len(u.Shell)+100 > maxEntry {
		f.problem(row, Warning, "too-long", "shadow-utils will not write a line of more than %d bytes", maxEntry)
	}
}

// Lookup finds the account of that name; with several lines of one name it is the first, as for getpwnam(3).
func (f *File) Lookup(name string) (User, bool) { return f.get(name) }

// LookupID finds the first account with that uid, as getpwuid(3) does.
func (f *File) LookupID(uid uint32) (User, bool) { return f.getID(uid) }

// Users goes through all accounts in the order of the file, later lines of the same name or uid included. The pointers
// lead into the file: change nothing through them.
func (f *File) Users() iter.Seq[*User] { return f.all() }

// Password gives the raw password field of an account: "x" when shadow(5) holds the password, a hash on hosts without
// shadow file. Never print it.
func (f *File) Password(name string) string {
	i, ok := f.byName()[name]
	if !ok {
		return ""
	}
	return strings.SplitN(f.rows[f.at[i]].text, ":", 3)[1]
}

// Add appends an account, before the first NIS line when there is one, with "x" as its password field. A last line
// without its newline gets one. Errors: fs.ErrExist when a line, even a malformed one, has that name; ErrValue for
// a field that cannot be written; ErrMalformed for a file with a NUL byte.
func (f *File) Add(u User) error {
	text, err := f.line(u, "x")
	if err == nil {
		f.put(text, u)
	}
	return err
}

// line is that of a new account.
func (f *File) line(u User, password string) (string, error) {
	if err := f.vacant(u.Name); err != nil {
		return "", err
	}
	if err := checkUser(u); err != nil {
		return "", fmt.Errorf("%s: %w", f.name, err)
	}
	return strings.Join([]string{u.Name, password, decimal(u.UID), decimal(u.GID), u.Gecos, u.Home, u.Shell}, ":"), nil
}

// Set changes the account named u.Name to u. Fields that are as before keep their bytes, so that 01000 stays 01000.
// Errors: fs.ErrNotExist; ErrValue; ErrMalformed when the only line of that name is malformed or the file has a NUL byte.
func (f *File) Set(u User) error {
	i, err := f.find(u.Name)
	if err != nil {
		return err
	}
	if err := checkUser(u); err != nil {
		return fmt.Errorf("%s: %w", f.place(f.at[i]), err)
	}
	old := f.entries[i]
	if old == u {
		return nil
	}
	v := strings.Split(f.rows[f.at[i]].text, ":")
	if old.UID != u.UID {
		v[2] = decimal(u.UID)
	}
	if old.GID != u.GID {
		v[3] = decimal(u.GID)
	}
	v[4], v[5], v[6] = u.Gecos, u.Home, u.Shell
	f.update(i, strings.Join(v, ":"), u)
	return nil
}

// Remove deletes the line of an account. When a later line has the same name, that one counts from then on.
// Errors are those of Set.
func (f *File) Remove(name string) error { return f.drop(name) }

func checkUser(u User) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	for _, v := range []struct{ what, text string }{{"gecos", u.Gecos}, {"home", u.Home}, {"shell", u.Shell}} {
		if err := checkValue(v.what, v.text); err != nil {
			return fmt.Errorf("account %s: %w", quote(u.Name), err)
		}
	}
	if u.UID == 1<<32-1 || u.GID == 1<<32-1 {
		return fmt.Errorf("account %s: %w: 4294967295 means no id to the system", quote(u.Name), ErrValue)
	}
	if n := len(u.Name) + len(u.Gecos) + len(u.Home) + len(u.Shell) + 100; n > maxEntry {
		return fmt.Errorf("account %s: %w: %d bytes with overhead, want at most %d", quote(u.Name), ErrValue, n, maxEntry)
	}
	return nil
}

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
