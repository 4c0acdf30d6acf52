package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Hash is what the new host will make of the password of one user.
type Hash struct {
	Name      string `json:"name"`   // on the new host
	Scheme    string `json:"scheme"` // as of Secret.Scheme
	Supported bool   `json:"supported"`
	Locked    bool   `json:"locked,omitempty"`
}

// Plan is what Merge found and would change. Its lists are never nil. It prints and marshals without any hash, and so
// cannot be loaded from its JSON: merge again, with the same Options; what is done already gives no edit.
type Plan struct {
	Version   int          `json:"version"` // of the JSON, 1
	Hashes    []Hash       `json:"hashes"`
	Conflicts []Finding    `json:"conflicts"` // a person must settle them; while there is one, nothing is to be written
	Warnings  []Finding    `json:"warnings"`
	Changed   []string     `json:"changed"` // paths below the root of the new host
	work      func() *work // sealed
}

// work is what the plan does: file contents, and the post-condition.
type work struct {
	files  []fileEdit
	users  []wantUser
	groups []wantGroup
}

type fileEdit struct {
	path          string
	before, after []byte
}

type wantUser struct {
	name  string
	entry *record // nil: any entry
}

type wantGroup struct {
	name    string
	members []string
}

// Edits gives the files to change: the path below the root, and the content before and after. While conflicts remain, or
// for a plan that was loaded from JSON, it is etc/shadow without content, neither before nor after, so that whoever
// commits them refuses.
func (p *Plan) Edits() iter.Seq2[string, [2][]byte] {
	return func(yield func(string, [2][]byte) bool) {
		if p.work == nil || len(p.Conflicts) > 0 {
			yield(shadowPath, [2][]byte{})
			return
		}
		for _, f := range p.work().files {
			if !yield(f.path, [2][]byte{f.before, f.after}) {
				return
			}
		}
	}
}

// Verify checks the post-condition in the files below root: libc reads, for each user and group of the plan, what was
// to be written. It changes nothing. The error lists every deviation by name.
func (p *Plan) Verify(ctx context.Context, root string) error {
	if p.work == nil {
		return errors.New("shadow: the plan does not come from Merge")
	}
	if n := len(p.Conflicts); n > 0 {
		return fmt.Errorf("shadow: the plan has %d conflicts, the first is %s", n, p.Conflicts[0])
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := ReadHost(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range p.work().users {
		if err := ctx.Err(); err != nil {
			return err
		}
		errs = append(errs, u.check(h.Shadow))
	}
	for _, g := range p.work().groups {
		errs = append(errs, g.check(h.Group))
	}
	return errors.Join(errs...)
}

func (w wantUser) check(f *File) error {
	if f == nil {
		return fmt.Errorf("%s: %s: %w, the file is gone", shadowPath, show(w.name), ErrNotFound)
	}
	l := f.t().lookup(w.name)
	if l == nil {
		return f.t().fail(w.name, ErrNotFound, "")
	}
	if e := shadowFields(l); w.entry != nil && e != *w.entry {
		return f.t().fail(w.name, errDiffers, strings.Join(differing(&e, w.entry), ", "))
	}
	return nil
}

func (w wantGroup) check(f *GroupFile) error {
	if f == nil {
		return fmt.Errorf("%s: %s: %w, the file is gone", gshadowPath, show(w.name), ErrNotFound)
	}
	g, ok := f.Lookup(w.name)
	if !ok {
		return f.t().fail(w.name, ErrNotFound, "")
	}
	for _, m := range w.members {
		if !slices.Contains(g.Members, m) {
			return f.t().fail(w.name, errDiffers, "member "+show(m)+" is missing")
		}
	}
	return nil
}

var errDiffers = errors.New("differs from the plan")

// differing names the fields that are not equal.
func differing(a, b *record) []string {
	var out []string
	for i := range a {
		if a[i] != b[i] {
			out = append(out, fieldNames[i])
		}
	}
	return out
}

// String tells what a person has to know, in a screenful: files, password schemes, conflicts, and warnings by kind.
func (p *Plan) String() string {
	var b strings.Builder
	if len(p.Changed) == 0 {
		b.WriteString("shadow: nothing to change\n")
	} else {
		fmt.Fprintf(&b, "shadow: changes %s\n", strings.Join(p.Changed, ", "))
	}
	count := map[Hash]int{}
	for _, h := range p.Hashes {
		count[Hash{Scheme: h.Scheme, Supported: h.Supported}]++
	}
	kinds := make([]Hash, 0, len(count))
	for h := range count {
		kinds = append(kinds, h)
	}
	slices.SortFunc(kinds, func(x, y Hash) int { return strings.Compare(x.key(), y.key()) })
	for _, h := range kinds {
		note := ""
		if !h.Supported {
			note = ", which the new host cannot check"
		}
		fmt.Fprintf(&b, "  %d with %s%s\n", count[h], h.Scheme, note)
	}
	writeFindings(&b, "conflict", p.Conflicts)
	writeFindings(&b, "warning", p.Warnings)
	return b.String()
}

// Format writes String for every verb, so that no hash is printed.
func (p Plan) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

func (h Hash) key() string { return fmt.Sprint(h.Supported, h.Scheme) }

// writeFindings prints two of each kind, in the order of the list, and counts the others. Findings of one kind that say
// the same are one.
func writeFindings(b *strings.Builder, label string, list []Finding) {
	const perKind = 2
	names := map[[2]string][]string{}
	said := map[string][]Finding{}
	var kinds []string
	for _, f := range list {
		key := [2]string{f.Kind, f.Detail}
		if names[key] == nil {
			if said[f.Kind] == nil {
				kinds = append(kinds, f.Kind)
			}
			said[f.Kind] = append(said[f.Kind], f)
		}
		names[key] = append(names[key], f.Name)
	}
	for _, kind := range kinds {
		for i, f := range said[kind] {
			if i == perKind {
				fmt.Fprintf(b, "  %s: %s: %d more\n", label, kind, len(said[kind])-perKind)
				break
			}
			who := names[[2]string{f.Kind, f.Detail}]
			if len(who) == 1 {
				fmt.Fprintf(b, "  %s: %s\n", label, f)
			} else {
				fmt.Fprintf(b, "  %s: %s: %d: %s\n", label, f.Detail, len(who), few(who))
			}
		}
	}
}

// few joins names, at most twelve of them.
func few(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
