package passwd

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Group is one group of group(5). Members are the names that libc takes from the list: without blanks before them and
// without empty ones. The password field is left out on purpose.
type Group struct {
	Name    string
	GID     uint32
	Members []string
}

// GroupFile is a group file. It may be read from several goroutines as long as none edits it.
type GroupFile struct{ book[Group] }

// ParseGroup reads the text of a group file. It never fails; see [Parse].
func ParseGroup(name string, src []byte) *GroupFile {
	f := &GroupFile{book[Group]{idWord: "gid", key: func(g *Group) (string, uint32) { return g.Name, g.GID }}}
	f.read(name, src, f.entry)
	return f
}

func (f *GroupFile) entry(row int, body string, whole bool) Kind {
	var v [4]string
	n := splitFields(body, v[:])
	if n < 3 {
		f.problem(row, Error, "field-count", "%d fields, want 4: no program sees a group here", n)
		return Invisible
	}
	gid, form := parseID(v[2])
	if form == badID {
		f.problem(row, Error, "number", "gid %s is not a number from 0 to 4294967295: no program sees a group here", quoteID(v[2]))
		return Invisible
	}
	if n > 4 || !whole {
		if whole {
			f.problem(row, Error, "field-count", "%d fields, want 4: libc sees a group here and spoils its members", n)
		}
		f.hide(hidden{v[0], gid, gid, row})
		return Visible
	}
	i := len(f.entries)
	if n == 3 {
		f.problem(row, Info, "field-count", "3 fields, want 4: a group without members")
	}
	if form == oddID {
		f.problem(row, Warning, "number-form", "gid %s is not written in plain digits", quote(v[2]))
		f.unfit[i] = "its gid is not written in plain digits"
	}
	f.reportLine(row, body, f.unfit, i)
	switch {
	case v[0] == "":
		f.problem(row, Error, "name", "the name is empty")
	case gid == 1<<32-1:
		f.problem(row, Error, "invalid-id", "4294967295 means no id to the system")
	}
	g := Group{v[0], gid, members(v[3])}
	if items := strings.Count(v[3], ",") + 1; v[3] != "" && !strings.HasSuffix(v[3], ",") && items != len(g.Members) {
		f.problem(row, Warning, "member", "empty names in the member list")
	}
	f.entries, f.at = append(f.entries, g), append(f.at, row)
	return Entry
}

// members reads a member list as libc does.
func members(list string) []string {
	if list == "" {
		return nil
	}
	var out []string
	for m := range strings.SplitSeq(list, ",") {
		if m = strings.TrimLeft(m, " \t"); m != "" {
			out = append(out, m)
		}
	}
	return out
}

// Lookup finds the group of that name; with several lines of one name it is the first, as for getgrnam(3).
func (f *GroupFile) Lookup(name string) (Group, bool) { return f.get(name) }

// LookupID finds the first group with that gid, as getgrgid(3) does.
func (f *GroupFile) LookupID(gid uint32) (Group, bool) { return f.getID(gid) }

// Groups goes through all groups in the order of the file, later lines of the same name or gid included. The pointers
// lead into the file: change nothing through them.
func (f *GroupFile) Groups() iter.Seq[*Group] { return f.all() }

// Add appends a group, before the first NIS line when there is one, with "x" as its password field. Errors are those of
// [File.Add].
func (f *GroupFile) Add(g Group) error {
	text, err := f.line(g, "x")
	if err == nil {
		g.Members = slices.Clone(g.Members)
		f.put(text, g)
	}
	return err
}

// line is that of a new group.
func (f *GroupFile) line(g Group, password string) (string, error) {
	if err := f.vacant(g.Name); err != nil {
		return "", err
	}
	if err := checkGroup(g); err != nil {
		return "", fmt.Errorf("%s: %w", f.name, err)
	}
	return g.Name + ":" + password + ":" + decimal(g.GID) + ":" + strings.Join(g.Members, ","), nil
}

// Set changes the group named g.Name to g. A field that is as before keeps its bytes, the member list too when it means
// the same names. Errors are those of [File.Set].
func (f *GroupFile) Set(g Group) error {
	i, err := f.find(g.Name)
	if err != nil {
		return err
	}
	if err := checkGroup(g); err != nil {
		return fmt.Errorf("%s: %w", f.place(f.at[i]), err)
	}
	old := f.entries[i]
	v := strings.Split(f.rows[f.at[i]].text, ":")
	if old.GID != g.GID {
		v[2] = decimal(g.GID)
	}
	if !slices.Equal(old.Members, g.Members) {
		v = append(v[:3], strings.Join(g.Members, ","))
	}
	text := strings.Join(v, ":")
	if text == f.rows[f.at[i]].text {
		return nil
	}
	f.update(i, text, Group{g.Name, g.GID, slices.Clone(g.Members)})
	return nil
}

// AddMember appends users to the member list of a group, those that are no members yet, and tells which it appended.
// What stands in the list stays as it is. Errors are those of [File.Set].
func (f *GroupFile) AddMember(group string, users ...string) (added []string, err error) {
	row, text, added, err := f.joined(group, users)
	if len(added) > 0 {
		f.replace(row, text)
		e := &f.entries[f.byName()[group]]
		e.Members = append(slices.Clone(e.Members), added...)
	}
	return added, err
}

// joined is the line of a group with more members, and who of them was none yet.
func (f *GroupFile) joined(group string, users []string) (row int, text string, added []string, err error) {
	i, err := f.find(group)
	if err != nil {
		return 0, "", nil, err
	}
	have := make(map[string]bool, len(f.entries[i].Members)+len(users))
	for _, m := range f.entries[i].Members {
		have[m] = true
	}
	row = f.at[i]
	for _, u := range users {
		if have[u] {
			continue
		}
		if err := checkName(u); err != nil {
			return 0, "", nil, fmt.Errorf("%s: %w", f.place(row), err)
		}
		have[u] = true
		added = append(added, u)
	}
	text = f.rows[row].text
	switch {
	case len(added) == 0:
		return row, text, nil, nil
	case strings.Count(text, ":") < 3:
		text += ":"
	case !strings.HasSuffix(text, ":") && !strings.HasSuffix(text, ","):
		text += ","
	}
	return row, text + strings.Join(added, ","), added, nil
}

// Remove deletes the line of a group. Errors are those of [File.Remove].
func (f *GroupFile) Remove(name string) error { return f.drop(name) }

func checkGroup(g Group) error {
	if err := checkName(g.Name); err != nil {
		return err
	}
	for _, m := range g.Members {
		if err := checkName(m); err != nil {
			return fmt.Errorf("group %s: member %w", quote(g.Name), err)
		}
	}
	if g.GID == 1<<32-1 {
		return fmt.Errorf("group %s: %w: 4294967295 means no id to the system", quote(g.Name), ErrValue)
	}
	return nil
}
