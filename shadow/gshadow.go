package shadow

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Group is one group of etc/gshadow (gshadow(5)). An empty Hash means that members alone may newgrp; it is not the
// same as "!".
type Group struct {
	Name    string
	Hash    Secret
	Admins  []string
	Members []string
}

func (g *Group) equal(o *Group) bool {
	return g.Name == o.Name && g.Hash == o.Hash && slices.Equal(g.Admins, o.Admins) && slices.Equal(g.Members, o.Members)
}

// GroupFile is an etc/gshadow. Its methods must not be called at once with an edit.
type GroupFile struct{ t func() *table } // sealed

// ParseGroup reads an etc/gshadow. It takes any bytes: what it cannot read it keeps and reports. name is for positions
// only. src is not kept.
func ParseGroup(name string, src []byte) *GroupFile {
	return &GroupFile{seal(parseTable(name, src, gshadowLine))}
}

// gshadowLine judges a line of etc/gshadow. glibc reads one to four fields; with more it takes the rest for one member,
// and shadow-utils drops the line when it rewrites the file.
func gshadowLine(l *line, rep *notes) (kind, string) {
	text := trimSpace(l.content())
	name, _, _ := strings.Cut(text, ":")
	n := strings.Count(text, ":") + 1
	if l.cr() {
		rep.add(Error, "crlf", "ends in \\r\\n: libc takes the \\r for a part of the last member")
	}
	switch {
	case name == "":
		rep.add(Error, "no-name", "the name is empty")
		return odd, ""
	case n > 4:
		rep.add(Error, "field-count", fmt.Sprintf("%d fields, want 4; libc takes the rest for one member, shadow-utils drops the line", n))
		return odd, name
	case n < 4:
		rep.add(Warning, "field-count", fmt.Sprintf("%d fields, want 4; libc takes the others for empty, shadow-utils refuses the line", n))
	}
	if !plainText(l.content(), "") {
		rep.add(Warning, "control", "control character in the line")
	}
	return entry, name
}

// gshadowFields gives the four fields of an entry line; those that a short line lacks are empty. The \r of a DOS line
// belongs to none.
func gshadowFields(l *line) [4]string {
	var f [4]string
	cutFields(trimSpace(l.content()), f[:])
	return f
}

func groupOf(l *line) Group {
	f := gshadowFields(l)
	return Group{Name: f[0], Hash: NewSecret(f[1]), Admins: readList(f[2]), Members: readList(f[3])}
}

// Format writes the path for every verb, so that no hash is printed.
func (f GroupFile) Format(s fmt.State, _ rune) { format(f.t, s) }

// Bytes gives the file as it now stands: what was parsed, but for the edited lines.
func (f *GroupFile) Bytes() []byte { return f.t().bytes() }

// Problems lists what is wrong with the file as it was parsed, by line.
func (f *GroupFile) Problems() []Problem { return append([]Problem(nil), f.t().problems...) }

// Lookup gives the first entry of that name. Lines of one to three fields count, lines of five and more do not.
func (f *GroupFile) Lookup(name string) (Group, bool) {
	l := f.t().lookup(name)
	if l == nil {
		return Group{}, false
	}
	return groupOf(l), true
}

// All gives the entries that Lookup finds, in the order of the file.
func (f *GroupFile) All() iter.Seq[Group] {
	return func(yield func(Group) bool) {
		for l := range f.t().effective() {
			if !yield(groupOf(l)) {
				return
			}
		}
	}
}

// Add writes a new line at the end. Errors as of File.Add.
func (f *GroupFile) Add(g Group) error {
	if err := f.t().addable(g.Name); err != nil {
		return err
	}
	text, err := f.format(&g, [4]string{})
	if err != nil {
		return err
	}
	f.t().add(g.Name, text)
	return nil
}

// Set changes the entry that Lookup finds. Fields that stay keep their bytes, names put after the end of a list are
// appended to it as it stands, and with nothing changed nothing happens. A short line gets four fields. Errors:
// ErrNotFound, ErrInvalid, ErrNUL.
func (f *GroupFile) Set(g Group) error {
	l, err := f.t().editable(g.Name)
	if err != nil {
		return err
	}
	if old := groupOf(l); old.equal(&g) {
		return nil
	}
	text, err := f.format(&g, gshadowFields(l))
	if err != nil {
		return err
	}
	l.rewrite(text)
	return nil
}

// Remove deletes the line that Lookup finds. Errors: ErrNotFound, ErrNUL.
func (f *GroupFile) Remove(name string) error {
	l, err := f.t().editable(name)
	if err != nil {
		return err
	}
	f.t().remove(name, l)
	return nil
}

// format renders g over the fields was of its line, all empty for a new one.
func (f *GroupFile) format(g *Group, was [4]string) (string, error) {
	text := g.Hash.Reveal()
	if text != was[1] && !plainText(text, ":") {
		return "", f.t().fail(g.Name, ErrInvalid, "password has a colon or a control character")
	}
	admins, err := editList(was[2], g.Admins)
	if err != nil {
		return "", f.t().fail(g.Name, ErrInvalid, "administrators: "+err.Error())
	}
	members, err := editList(was[3], g.Members)
	if err != nil {
		return "", f.t().fail(g.Name, ErrInvalid, "members: "+err.Error())
	}
	return strings.Join([]string{g.Name, text, admins, members}, ":"), nil
}

// editList makes the list raw mean names. Names that follow those of raw are appended to its bytes.
func editList(raw string, names []string) (string, error) {
	had := readList(raw)
	keep := len(had) <= len(names) && slices.Equal(had, names[:len(had)])
	fresh := names
	if keep {
		fresh = names[len(had):]
	}
	known := make(map[string]bool, len(had))
	for _, n := range had {
		known[n] = true
	}
	for _, n := range fresh {
		if known[n] {
			continue
		}
		if why := validName(n); why != "" {
			return "", errors.New(why)
		}
	}
	switch {
	case !keep:
		return strings.Join(names, ","), nil
	case len(fresh) == 0:
		return raw, nil
	case raw != "" && raw[len(raw)-1] != ',':
		raw += ","
	}
	return raw + strings.Join(fresh, ","), nil
}
