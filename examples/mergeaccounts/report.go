package main

import (
	"strings"
	"time"

	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

// list reads a,b.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// passwordsOf tells the merge of shadow and gshadow what the merge of passwd and group decided.
func passwordsOf(accounts *passwd.Plan, today time.Time) *shadow.Options {
	opt := &shadow.Options{Members: map[string][]string{}, Today: today}
	for _, u := range accounts.Users {
		if u.Added() {
			opt.Users = append(opt.Users, shadow.Rename{From: u.Name, To: u.To})
		}
	}
	for _, g := range accounts.Groups {
		if g.Added() {
			opt.Groups = append(opt.Groups, shadow.Rename{From: g.Name, To: g.To})
		}
		opt.Members[g.To] = g.MembersAdded
	}
	return opt
}

// report is the plan of accounts with what shadow adds to it.
type report struct {
	*passwd.Plan
	Hashes    []shadow.Hash    `json:"hashes"`
	Conflicts []shadow.Finding `json:"conflicts"`
	Warnings  []shadow.Finding `json:"warnings"`
	Changed   []string         `json:"changed"`
	Applied   bool             `json:"applied"`
	passwords *shadow.Plan
}

func newReport(accounts *passwd.Plan, passwords *shadow.Plan) *report {
	r := &report{Plan: accounts, Hashes: passwords.Hashes, Conflicts: []shadow.Finding{}, Warnings: []shadow.Finding{},
		Changed: append(append([]string{}, accounts.Changed...), passwords.Changed...), passwords: passwords}
	for _, f := range accounts.Conflicts {
		r.Conflicts = append(r.Conflicts, shadow.Finding(f))
	}
	for _, f := range accounts.Warnings {
		r.Warnings = append(r.Warnings, shadow.Finding(f))
	}
	r.Conflicts = append(r.Conflicts, passwords.Conflicts...)
	r.Warnings = append(r.Warnings, passwords.Warnings...)
	return r
}

// String is what both plans have to say.
func (r *report) String() string {
	s := strings.TrimSpace(r.Plan.String()) + "\n" + strings.TrimSpace(r.passwords.String())
	switch {
	case len(r.Conflicts) > 0:
		s += "\nnothing is written before the conflicts are settled"
	case r.Applied && len(r.Changed) > 0:
		s += "\napplied; the old files are etc/NAME-"
	case r.Applied || len(r.Changed) == 0:
		s += "\nnothing to do"
	default:
		s += "\nnothing was written; -apply carries the plan out"
	}
	return s
}
