package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/mailmove/mailmove/dovecotconf"
)

// summary is what the report of a run tells, for people and as JSON: plain data, without a secret and without mail.
type summary struct {
	Version  int         `json:"version"` // of this form: 1
	Written  time.Time   `json:"written"`
	Old      string      `json:"old"` // names of the hosts
	New      string      `json:"new"`
	State    string      `json:"state"`    // planned, copied, moved, went back, stopped
	Sentence string      `json:"sentence"` // all of it in one
	Error    string      `json:"error"`    // what stopped the run
	Users    []person    `json:"users"`
	Total    counts      `json:"total"`
	Blockers []finding   `json:"blockers"`
	Findings []finding   `json:"findings"` // gravest first
	Phases   []phase     `json:"phases"`
	Downtime float64     `json:"downtime_seconds"` // 0: none yet
	Estimate float64     `json:"seconds_estimated"`
	Kept     []string    `json:"kept"` // mail that reached the new host before it went back, and where it is
	Next     []string    `json:"next"`
	Versions []component `json:"versions"`

	known  bool // a plan was made
	mailed bool // mailboxes were counted
}

// person is one row of the report.
type person struct {
	Name     string `json:"name"`
	To       string `json:"to"`
	FullName string `json:"full_name"`
	FromUID  uint32 `json:"from_uid"`
	ToUID    uint32 `json:"to_uid"`
	Action   string `json:"action"`

	counts
	Problems []string `json:"problems"`
}

// counts are what a mailbox is made of. Same messages keep their UIDL; the unpredictable had none yet.
type counts struct {
	Mailboxes int   `json:"mailboxes"`
	Bytes     int64 `json:"bytes"`
	dovecotconf.Counts
}

// phase is a piece of work and how long it took.
type phase struct {
	Name    string    `json:"name"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
}

type component struct {
	What    string `json:"what"`
	Version string `json:"version"`
}

// setPeople fills in accounts and mail. names gives the full name of a user of the old host.
func (s *summary) setPeople(p *plan, mail []userMail, names func(user string) string) {
	row := map[string]int{}
	for _, u := range p.Users {
		if !u.Moves() {
			continue
		}
		row[u.Name] = len(s.Users)
		s.Users = append(s.Users, person{Name: u.Name, To: u.To, FullName: names(u.Name), FromUID: u.FromUID, ToUID: u.ToUID, Action: string(u.Action), Problems: []string{}})
	}
	for _, m := range mail {
		if i, ok := row[m.Name]; ok {
			s.mailed = true
			u := &s.Users[i]
			u.counts, u.Problems = counts{m.Mailboxes, m.Bytes, m.Counts}, append([]string{}, m.Problems...)
		}
	}
	for _, u := range s.Users {
		t := &s.Total
		t.Mailboxes += u.Mailboxes
		t.Bytes += u.Bytes
		t.Checked += u.Checked
		t.Same += u.Same
		t.Changed += u.Changed
		t.Unpredictable += u.Unpredictable
	}
}

// setFindings sorts them by gravity and adds what the outcome lacks.
func (s *summary) setFindings(p *plan) {
	s.Blockers = p.Blockers
	s.Findings = append([]finding{}, p.Findings...)
	if o := p.Outcome; o != nil {
		for _, f := range o.Failures {
			s.Findings = append(s.Findings, finding{Part: "accounts", Rule: "VERIFY", Severity: "loss", Detail: f})
		}
		if o.Verified != nil {
			for _, pr := range o.Verified.Problems {
				s.Findings = append(s.Findings, finding{Part: "mail", Rule: "VERIFY", Severity: "loss", Name: pr.Path, Detail: pr.Op + ": " + pr.Error})
			}
		}
		if o.Copy != nil {
			for _, pr := range o.Copy.Problems {
				s.Findings = append(s.Findings, finding{Part: "mail", Rule: "COPY", Severity: "loss", Name: pr.Path, Detail: pr.Op + ": " + pr.Error})
			}
		}
	}
	slices.SortStableFunc(s.Findings, func(a, b finding) int { return cmp.Compare(a.grade(), b.grade()) })
}

// grade is 0 for what has to be settled, 1 for what is worth doing, 2 for what is good to know.
func (f finding) grade() int {
	switch {
	case f.grave():
		return 0
	case f.Severity == "info":
		return 2
	}
	return 1
}
