package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/run"
)

// status is where a migration stands, by its run directory alone.
type status struct {
	Run      string     `json:"run"`   // "": there is none
	Phase    string     `json:"phase"` // new, copied, cutting over, moved, going back
	LastCopy string     `json:"last_copy"`
	Steps    []stepView `json:"steps"`                    // of the cutover, or of the way back
	Downtime float64    `json:"downtime_seconds"`         // until the new host answered on all ports
	Clients  float64    `json:"clients_downtime_seconds"` // until it answered those who read mail
	Kept     []kept     `json:"kept"`
	Next     []string   `json:"next"`   // commands, some with a word behind #
	Others   []string   `json:"others"` // where nothing was begun: further migrations here
}

const goesOn = "   # goes on where it ended"

type stepView struct {
	Step  string `json:"step"`
	State string `json:"state"` // begun, done or waiting
	At    string `json:"at"`
}

// showStatus tells where the migration stands. It takes no lock and writes nothing.
func (m *migration) showStatus() error {
	named := m.runDir != ""
	if err := m.findAnyRun(); err != nil {
		return err
	}
	dir, err := run.View(m.runDir)
	if errors.Is(err, fs.ErrNotExist) && named {
		return fmt.Errorf("no such run directory: %w", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		t := m.typed()
		if t.From == "" {
			t.From = "root@OLD:/"
		}
		s := status{Phase: "new", Steps: []stepView{}, Kept: []kept{}, Next: []string{t.command("plan"), t.command("sync")}, Others: append([]string{}, m.otherRuns()...)}
		return m.c.Report(&s, &s)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	s := statusOf(dir)
	return m.c.Report(&s, &s)
}

func statusOf(dir *run.Dir) status {
	s := status{Run: dir.Path(), Phase: "new", Steps: []stepView{}, Kept: []kept{}, Others: []string{}}
	_ = dir.Load(fileKept, &s.Kept) // there need be none
	if s.Kept == nil {
		s.Kept = []kept{}
	}
	last := map[string]run.Entry{}
	for _, e := range dir.History() {
		last[e.Step] = e
		if e.Step == stepCopied && e.State == run.Done {
			s.LastCopy = e.Time.Format(time.RFC3339)
		}
	}
	o := outageOf(dir.History())
	s.Downtime, s.Clients = o.forAll(), o.forClients()
	show := cutoverSteps
	say := typedIn(dir).command
	switch {
	case dir.Unfinished(stepRollback):
		s.Phase, s.Next, show = "going back", []string{say("rollback") + goesOn}, rollbackSteps
	case dir.Unfinished(stepCutover):
		s.Phase, s.Next = "cutting over", []string{say("cutover") + goesOn, say("rollback") + "   # lets the old host serve again"}
	case dir.Done(stepCutover):
		s.Phase, s.Next = "moved", []string{say("rollback") + "   # only if the old host shall serve again"}
	case dir.Done(stepCopied):
		s.Phase, s.Next, show = "copied", []string{say("sync") + "   # copies what changed since, as often as you like", say("cutover")}, nil
		if len(typedIn(dir).Cutover) == 0 {
			s.Next[1] += "   # and -iface NAME for the old host's address, -domain D for the backup MX"
		}
	case dir.Unfinished(stepAccounts):
		s.Phase, s.Next, show = "copying", []string{say("sync") + goesOn}, nil
	default:
		s.Next, show = []string{say("plan"), say("sync")}, nil
	}
	for _, name := range show {
		v := stepView{name, "waiting", ""}
		if e, ok := last[name]; ok && (dir.Done(name) || dir.Unfinished(name)) {
			v.State, v.At = string(e.State), e.Time.Format(time.RFC3339)
		}
		s.Steps = append(s.Steps, v)
	}
	return s
}

// String is the status for a person.
func (s *status) String() string {
	var b strings.Builder
	if s.Run == "" {
		b.WriteString("nothing was begun yet\n")
	} else {
		fmt.Fprintf(&b, "%s: %s\n", s.Run, s.Phase)
	}
	if s.LastCopy != "" {
		fmt.Fprintf(&b, "last pass that found something to copy: %s\n", s.LastCopy)
	}
	for _, v := range s.Steps {
		fmt.Fprintf(&b, "  %-20s %-8s %s\n", v.Step, v.State, v.At)
	}
	if s.Downtime > 0 {
		fmt.Fprintf(&b, "downtime: %s\n", s.downtime())
	}
	if len(s.Kept) > 0 {
		fmt.Fprintf(&b, "kept of the new host: %s\n", keptText(s.Kept))
		for _, k := range s.Kept[:min(len(s.Kept), 20)] {
			fmt.Fprintf(&b, "  %s %q: %s, %s\n", plain(k.User), k.At, counted(k.Messages, "message", "messages"), size(k.Bytes))
		}
	}
	for _, n := range slices.Compact(s.Next) {
		fmt.Fprintf(&b, "next: %s\n", n)
	}
	for _, o := range s.Others {
		fmt.Fprintf(&b, "another migration is here: %s\n", o)
	}
	return strings.TrimRight(b.String(), "\n")
}

// downtime is the length of the outage for a person.
func (s *status) downtime() string {
	text := fmt.Sprintf("%.2f s", s.Downtime)
	if s.Clients > 0 && s.Clients < s.Downtime {
		text = fmt.Sprintf("%.2f s for those who read mail, %s for all", s.Clients, text)
	}
	return text
}
