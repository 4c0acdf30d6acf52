package main

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
)

// foldersOf lists where below a home a server keeps mail, up to what depends on the user; "." is the home itself.
func foldersOf(places []dovecotconf.Value) (dirs []string) {
	for _, v := range places {
		below, ok := strings.CutPrefix(v.Value+"/", "%{home}/")
		if !ok && (path.IsAbs(v.Value) || strings.HasPrefix(v.Value, "%{")) {
			continue
		}
		fixed, _, cut := strings.Cut(below, "%{")
		if cut {
			fixed = path.Dir(fixed + "x")
		}
		if dir := path.Clean(fixed); fs.ValidPath(dir) && (dir != "." || !cut) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// judgePlaces tells of mail that the old Dovecot keeps neither in homes nor in the spool: nobody copies it here. It also tells where
// all that is in a home counts as mail.
func (p *plan) judgePlaces(places []dovecotconf.Value) {
	var told []string
	for _, v := range places {
		within := func(dir string) bool { return strings.HasPrefix(v.Value+"/", dir+"/") }
		switch {
		case slices.ContainsFunc(told, within):
		case v.Value == "%{home}":
			p.note(finding{Part: "mail", Rule: "HOME-IS-MAIL", Severity: "info", Name: v.Value, At: v.At,
				Detail: "the old server takes all that is in a home for mail", Advice: "nothing: every file of a home is compared, and waited for, as mail is"})
		case path.IsAbs(v.Value) && !p.copied(v.Value):
			told = append(told, v.Value)
			dir, _, _ := strings.Cut(v.Value, "%{")
			p.note(finding{Part: "mail", Rule: "ELSEWHERE", Severity: "loss", Name: v.Value, At: v.At,
				Detail: "the old server keeps mail in a place that is neither a home nor /var/mail", Advice: "copy " + dir + " with copymail"})
		}
	}
}

// copied tells whether a place lies, for each who moves, in the home or the inbox; one without variables is somebody's, and lies in
// what is copied of anybody.
func (p *plan) copied(place string) bool {
	if !strings.Contains(place, "%") {
		return slices.ContainsFunc(p.trees, func(t userTree) bool { return strings.HasPrefix(place+"/", "/"+t.From+"/") })
	}
	for i := range p.Users {
		u := &p.Users[i]
		if !u.Moves() {
			continue
		}
		low := strings.ToLower(u.Name)
		at := strings.NewReplacer("%{user}", u.Name, "%{username}", u.Name, "%{user | lower}", low, "%{username | lower}", low).Replace(place)
		if fixed, _, cut := strings.Cut(at, "%{"); cut {
			at = path.Dir(fixed + "x")
		}
		in := func(dir string) bool { return strings.HasPrefix(at+"/", dir+"/") }
		if home := path.Clean("/" + u.Home); u.Home != "" && in(home) || in("/var/mail/"+u.Name) || in("/var/spool/mail/"+u.Name) {
			continue
		}
		if !slices.ContainsFunc(p.trees, func(t userTree) bool { return t.user == i && in("/"+t.From) }) {
			return false
		}
	}
	return true
}
