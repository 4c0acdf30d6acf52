// Package shadow reads, edits and merges the password files of a Unix host, etc/shadow and etc/gshadow, and checks
// passwords against them.
//
// The promise: parsing takes any bytes and loses none of them. A file that was not edited prints as it was read, and
// an edit changes one line. What an entry means is what glibc reads from its line (fgetspent(3), fgetsgent(3)), so a
// line that libc cannot read gives no entry: its owner cannot log in, and a [Problem] says so. Merge adds the users of
// an old host to the files of a new one. It never changes an entry that is there and never shows a password hash: the
// [Secret] type, errors, plans and their JSON name a hash by its scheme only.
//
// Not promised: a host that has no etc/shadow or no etc/gshadow is not given one. Which users move, their ids and the
// locks and renames of the commit are not the business of this package; [Plan.Edits] hands over the bytes.
//
//	old, err := shadow.ReadHost("/mnt/old")
//	target, err := shadow.ReadHost("/")
//	plan := shadow.Merge(old, target, &shadow.Options{Users: []shadow.Rename{{From: "alice", To: "alice"}}})
//	fmt.Print(plan)
//	for path, content := range plan.Edits() { ... } // content[0] before, content[1] after
package shadow

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound  = errors.New("no such entry")                       // Set, Remove: there is no readable line of that name
	ErrExists    = errors.New("entry exists")                        // Add: there is one already
	ErrMalformed = errors.New("malformed")                           // the line or the hash is not what libc accepts
	ErrInvalid   = errors.New("not writable")                        // a value that would break the line or the file
	ErrTooLong   = errors.New("longer than shadow-utils will write") // the 32768 byte limit of shadow-utils
	ErrNUL       = errors.New("NUL byte in file")                    // libc and shadow-utils differ on such a file: it is never written
)

// Number is a numeric field as it stands in the file. The empty text is not zero: an account whose Expire is "" never
// expires, one whose Expire is "0" has expired.
type Number string

// Value gives what glibc reads: a decimal number, blanks and a sign before it included, as 32 bits. set is false for an
// empty field, for one that glibc rejects and for 4294967295, which glibc takes for -1, that is unset.
func (n Number) Value() (v int64, set bool) {
	u, digits, ok := strtou32(string(n))
	if !ok || !digits || u == 1<<32-1 {
		return 0, false
	}
	return int64(int32(u)), true
}

// Entry is one user of etc/shadow (shadow(5)). Dates are days since 1970-01-01, periods are days. All fields are the
// bytes of the file.
type Entry struct {
	Name       string
	Hash       Secret
	LastChange Number // date of the last password change; "" no ageing, 0 must change at the next login
	Min        Number // days before a change is allowed
	Max        Number // days after which a change is due; "" never
	Warn       Number // days of warning before that
	Inactive   Number // days after Max until the account is closed; "" never, 0 at once
	Expire     Number // date from which the account is closed; "" never, 0 closed
	Flag       Number // reserved
}

// record is the nine fields of an Entry in the order of the file, the password as text. It stays inside this package, and
// in what it seals.
type record [9]string

// The fields of a record that are asked for by name.
const (
	fieldName = iota
	fieldHash
	fieldLastChange
	fieldMin
	fieldMax
	_
	fieldInactive
	fieldExpire
)

func (e *Entry) raw() record {
	return record{
		e.Name, e.Hash.Reveal(), string(e.LastChange), string(e.Min), string(e.Max),
		string(e.Warn), string(e.Inactive), string(e.Expire), string(e.Flag),
	}
}

func entryOf(f record) Entry {
	return Entry{
		Name: f[0], Hash: NewSecret(f[1]), LastChange: Number(f[2]), Min: Number(f[3]), Max: Number(f[4]),
		Warn: Number(f[5]), Inactive: Number(f[6]), Expire: Number(f[7]), Flag: Number(f[8]),
	}
}

var fieldNames = [9]string{"name", "password", "last change", "min", "max", "warn", "inactive", "expire", "flag"}

// File is an etc/shadow. Its methods must not be called at once with an edit.
type File struct{ t func() *table } // sealed

// Parse reads an etc/shadow. It takes any bytes: what it cannot read it keeps and reports. name is for positions only.
// src is not kept.
func Parse(name string, src []byte) *File {
	return &File{seal(parseTable(name, src, shadowLine))}
}

// Format writes the path for every verb, so that no hash is printed.
func (f File) Format(s fmt.State, _ rune) { format(f.t, s) }

// Bytes gives the file as it now stands: what was parsed, but for the edited lines.
func (f *File) Bytes() []byte { return f.t().bytes() }

// Problems lists what is wrong with the file as it was parsed, by line.
func (f *File) Problems() []Problem { return append([]Problem(nil), f.t().problems...) }

// Lookup gives the entry that getspnam(3) finds: the first line of that name that libc can read.
func (f *File) Lookup(name string) (Entry, bool) {
	l := f.t().lookup(name)
	if l == nil {
		return Entry{}, false
	}
	return entryOf(shadowFields(l)), true
}

// All gives the entries that Lookup finds, in the order of the file. Duplicates that libc never reaches are left out.
func (f *File) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for l := range f.t().effective() {
			if !yield(entryOf(shadowFields(l))) {
				return
			}
		}
	}
}

// Add writes a new line, before the first NIS line ("+...") when there is one, as shadow-utils does. Errors: ErrExists,
// ErrMalformed when an unreadable line of that name is there, ErrInvalid, ErrTooLong, ErrNUL.
func (f *File) Add(e Entry) error {
	return f.add(e.raw())
}

func (f *File) add(e record) error {
	if err := f.t().addable(e[fieldName]); err != nil {
		return err
	}
	text, err := f.format(e, nil)
	if err != nil {
		return err
	}
	f.t().add(e[fieldName], text)
	return nil
}

// Set changes the fields of the entry that Lookup finds. Fields that stay keep their bytes; with none changed nothing
// happens. A line of the old five-field form gets nine. Errors: ErrNotFound, ErrInvalid, ErrTooLong, ErrNUL.
func (f *File) Set(e Entry) error {
	l, err := f.t().editable(e.Name)
	if err != nil {
		return err
	}
	old, want := shadowFields(l), e.raw()
	if old == want {
		return nil
	}
	text, err := f.format(want, &old)
	if err != nil {
		return err
	}
	l.rewrite(text)
	return nil
}

// Remove deletes the line that Lookup finds. A duplicate further down, if any, then counts. Errors: ErrNotFound, ErrNUL.
func (f *File) Remove(name string) error {
	l, err := f.t().editable(name)
	if err != nil {
		return err
	}
	f.t().remove(name, l)
	return nil
}

// maxLine is the buffer of shadow-utils (lib/shadowio.c, putspent); it keeps 1000 bytes of it for the other fields.
const maxLine = 32768

// format renders a record. Values equal to those of old are what the file holds already and are not judged.
func (f *File) format(fields record, old *record) (string, error) {
	name := fields[fieldName]
	for i, v := range fields {
		if old != nil && v == old[i] {
			continue
		}
		if i > 1 && !plainNumber(v) {
			return "", f.t().fail(name, ErrInvalid, fieldNames[i]+" must be empty or a decimal number below 4294967296")
		}
		if i == 1 && !plainText(v, ":") {
			return "", f.t().fail(name, ErrInvalid, "password has a colon or a control character")
		}
	}
	if len(fields[0])+len(fields[1])+1000 > maxLine {
		return "", f.t().fail(name, ErrTooLong, "")
	}
	return strings.Join(fields[:], ":"), nil
}

// plainNumber tells whether every tool reads v alike.
func plainNumber(v string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	_, _, ok := strtou32(v)
	return ok
}

// plainText is the rule of shadow-utils' valid_field for what may be written.
func plainText(v, not string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] < ' ' || v[i] == 0x7f {
			return false
		}
	}
	return !strings.ContainsAny(v, not)
}

// validName tells why name cannot begin a line, or "".
func validName(name string) string {
	switch {
	case name == "":
		return "name is empty"
	case !plainText(name, ":,"):
		return "name has a colon, a comma or a control character"
	case strings.ContainsAny(name[:1], "+-# "):
		return "name begins with a character that makes the line something else"
	case name[len(name)-1] == ' ':
		return "name ends with a blank"
	}
	return ""
}
