package mbox

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// uidlistName is the file in a Maildir that maps UIDs to names.
const uidlistName = "dovecot-uidlist"

// maildir hands the messages of the Maildir box, which is name below root, to fn in the order of their UIDs.
func maildir(ctx context.Context, root, box *os.Root, name string, opt *Options, fn func(Entry) error) error {
	files, strays, err := maildirFiles(box, name)
	if err != nil {
		return err
	}
	list, err := uidlist(root, box, name, opt.UIDList, files)
	if err != nil {
		return err
	}
	for _, r := range list.Records {
		if err := ctx.Err(); err != nil {
			return err
		}
		base := baseName(r.Name)
		delete(files, base)
		e := Entry{Identity: maildirIdentity(base), Known: true}
		e.UID, e.UIDValidity, e.Saved = r.UID, list.UIDValidity, r.UIDL
		if r.GUID != "" {
			e.GUID = r.GUID
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	unlisted := make([]string, 0, len(files))
	for base := range files {
		unlisted = append(unlisted, base)
	}
	slices.SortFunc(unlisted, byArrival)
	slices.SortFunc(strays, byArrival)
	next := list.NextUID
	for _, base := range append(unlisted, strays...) {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := Entry{Identity: maildirIdentity(base)}
		e.UID, e.UIDValidity = next, list.UIDValidity
		next++
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func maildirIdentity(base string) Identity { return Identity{Filename: base, GUID: base} }

// maildirFiles lists the base names in new and cur as maildir-sync.c sees them. Strays are files that Dovecot renames
// before it uses them: without a base name, or with that of another one.
func maildirFiles(box *os.Root, name string) (files map[string]bool, strays []string, err error) {
	files = make(map[string]bool)
	for _, sub := range []string{"new", "cur"} {
		list, err := names(box, sub)
		if err != nil {
			return nil, nil, located(err, name+"/"+sub)
		}
		here := make(map[string]bool)
		for _, name := range list {
			base := baseName(name)
			switch {
			case name[0] == '.' || strings.ContainsAny(name, "\r\n"):
			case base == "" || here[base]:
				strays = append(strays, base)
			default:
				here[base], files[base] = true, true
			}
		}
	}
	return files, strays, nil
}

// uidlist reads the list of the Maildir, or the one at elsewhere below root. That a Maildir has none is no error.
func uidlist(root, box *os.Root, name, elsewhere string, files map[string]bool) (*UIDList, error) {
	dir, base, at := box, uidlistName, name+"/"+uidlistName
	if elsewhere != "" {
		at = elsewhere
		var err error
		if dir, base, err = enter(root, at); err != nil {
			return nil, err
		}
		defer dir.Close()
	}
	f, _, err := openFile(dir, base)
	if errors.Is(err, fs.ErrNotExist) && elsewhere == "" {
		return &UIDList{NextUID: 1}, nil
	}
	if err != nil {
		return nil, located(err, at)
	}
	defer f.Close()
	return readUIDList(f, func(base string) bool { return files[base] })
}

// byArrival is the order in which Dovecot numbers new files: by the time stamp in the name, then its microseconds, then
// the rest of the base name (maildir-filename.c, maildir_filename_sort_cmp).
func byArrival(a, b string) int {
	secsA, restA := decimal([]byte(a))
	secsB, restB := decimal([]byte(b))
	if secsA != secsB {
		return cmp.Compare(secsA, secsB)
	}
	usecsA, okA := micros(string(restA))
	usecsB, okB := micros(string(restB))
	if okA && okB && usecsA != usecsB {
		return cmp.Compare(usecsA, usecsB)
	}
	return cmp.Compare(string(restA), string(restB))
}

// micros finds the number after the first M in the unique part of a name: ".M12345P6.host".
func micros(s string) (uint64, bool) {
	if s == "" || s[0] != '.' {
		return 0, false
	}
	unique, _, _ := strings.Cut(s[1:], ".")
	_, digits, ok := strings.Cut(unique, "M")
	v, _ := decimal([]byte(digits))
	return v, ok
}
