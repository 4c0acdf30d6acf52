package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/netcfg"
	"github.com/mailmove/mailmove/passwd"
)

// fileMail keeps what the last sync found of each user's mail, for the report of a cutover, which counts no messages.
const fileMail = "mail.json"

// summarise gathers what the report tells: the last plan, and what the run directory says.
func (m *migration) summarise(err error) (*summary, error) {
	s := &summary{Version: 1, Written: time.Now().Truncate(time.Second), Old: "the old host", New: "the new host", State: "planned",
		Users: []person{}, Blockers: []finding{}, Findings: []finding{}, Phases: []phase{}, Kept: []string{}, Next: []string{}, Versions: tools()}
	for root, name := range map[string]*string{m.from: &s.Old, m.to: &s.New} {
		if host, err := netcfg.ReadHost(root); root != "" && err == nil && host.Hostname != "" {
			*name = visible(host.Hostname)
		}
	}
	if name, err := os.Hostname(); m.to == "/" && err == nil {
		s.New = visible(name)
	}
	if s.Old == s.New {
		s.Old, s.New = s.Old+" (old)", s.New+" (new)"
	}
	mail, err1 := s.setJournal(m)
	if err1 != nil {
		return nil, err1
	}
	if p := m.made; p != nil {
		s.known = true
		if o := p.Outcome; o != nil && o.Users != nil {
			mail = o.Users
			if s.State == "planned" {
				s.State = "copied"
			}
		}
		s.setPeople(p, mail, m.fullNames())
		s.setFindings(p)
		s.Estimate = p.Mail.SecondsEstimated
		for i, c := range p.dovecots {
			if c != nil {
				s.Versions = append(s.Versions, component{"Dovecot on the " + [2]string{"old", "new"}[i] + " host", c.Version})
			}
		}
	}
	if err != nil && !settled(err) {
		s.State, s.Error = "stopped", visible(strings.TrimRight(err.Error(), "."))
	}
	s.phrase(m.made)
	s.advise(m)
	return s, nil
}

// fullNames gives the full names of users of the old host.
func (m *migration) fullNames() func(user string) string {
	old, err := passwd.ReadHost(m.from)
	if err != nil {
		return func(string) string { return "" }
	}
	return func(user string) string {
		u, _ := old.Passwd.Lookup(user)
		full, _, _ := strings.Cut(u.Gecos, ",")
		return visible(full)
	}
}

// setJournal takes from the run directory how far the move came, how long its steps took, what is kept, and what the last
// sync found of the mail.
func (s *summary) setJournal(m *migration) (mail []userMail, err error) {
	dir, err := run.View(m.runDir)
	if m.runDir == "" || errors.Is(err, fs.ErrNotExist) {
		s.Phases = append(s.Phases, m.phases...)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := dir.Load(fileMail, &mail); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	st := statusOf(dir)
	s.Downtime = st.Downtime
	for _, k := range st.Kept {
		s.Kept = append(s.Kept, fmt.Sprintf("%s: %s, %s, in %s", k.User, counted(k.Messages, "message", "messages"), size(k.Bytes), k.At))
	}
	if st.Phase == "moved" || st.Phase == "copied" {
		s.State = st.Phase
	}
	began := map[string]time.Time{}
	for _, e := range dir.History() {
		switch {
		case e.State == run.Begun:
			began[e.Step] = e.Time
		case e.State != run.Done:
			continue
		case e.Step == stepRollback:
			s.State = "went back"
		case e.Step == stepCopied && s.State == "went back":
			s.State = "copied"
		case stepTitles[e.Step] != "":
			s.Phases = append(s.Phases, phase{stepTitles[e.Step], began[e.Step], e.Time.Sub(began[e.Step]).Seconds()})
		}
	}
	if st.Phase == "moved" {
		s.State = "moved"
	}
	s.Phases = append(s.Phases, m.phases...)
	slices.SortStableFunc(s.Phases, func(a, b phase) int { return a.Began.Compare(b.Began) })
	return mail, nil
}

// stepTitles are what the report calls the steps; those of no interest are left out.
var stepTitles = map[string]string{
	stepAccounts: "write accounts", stepStopNew: "stop the new host's mail daemons", stepStopIn: "stop the old host's mail transfer",
	stepStopOld: "stop the old host's other mail daemons", stepFinal: "last pass, while nobody serves",
	stepSwitch: "move the address and start the new host's daemons", stepFiles: "write the network's files", stepFlush: "fetch mail from the backup MX",
	stepBackStop: "stop the new host's daemons again", stepBackMove: "give the address back", stepBackStart: "start the old host's daemons", stepBackKeep: "keep mail of the new host",
}
