package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/internal/cli"
)

// Mailed tells whether mailboxes were counted.
func (s *summary) Mailed() bool { return s.mailed }

// Known tells whether a plan was made: without one nothing is known of accounts.
func (s *summary) Known() bool { return s.known }

// Planned tells whether nothing was written.
func (s *summary) Planned() bool { return s.State == "planned" }

// Graves counts what has to be settled.
func (s *summary) Graves() int { return s.graves() }

// Lesser are the findings that need not be settled first.
func (s *summary) Lesser() (all []finding) {
	for _, f := range s.Findings {
		if !f.grave() {
			all = append(all, f)
		}
	}
	return all
}

// Longest is the time of the longest phase.
func (s *summary) Longest() (longest float64) {
	for _, p := range s.Phases {
		longest = max(longest, p.Seconds)
	}
	return longest
}

// canHandOut finds out before the work whether a report can be written after it.
func (m *migration) canHandOut() error {
	if m.reportFile == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(m.reportFile)); err != nil || !info.IsDir() {
		return fmt.Errorf("-report %s: no such directory", m.reportFile)
	}
	if info, err := os.Lstat(m.reportFile); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("-report %s: want a regular file", m.reportFile)
	}
	return nil
}

// settled tells of an error that the report has told in its own words.
func settled(err error) bool { return errors.Is(err, cli.ErrFinding) }

// visible is text of others as a page may show it: what a terminal could not show is written as an escape.
func visible(text string) string { return cli.Printable(text) }

// advise says how it goes on.
func (s *summary) advise(m *migration) {
	run := m.typed().command
	say := func(what ...string) { s.Next = append(s.Next, what...) }
	if len(s.Blockers) > 0 {
		say("Settle what blocks the move, then plan again: " + run("plan"))
		return
	}
	if s.State == "stopped" {
		say("Run the same command again: what was done is kept, and it goes on where it stopped.")
		return
	}
	if s.graves() > 0 {
		say("Settle what is listed under \"To be settled\", or know why it does not matter.")
	}
	switch s.State {
	case "planned":
		say("Copy accounts and mail while the old host serves, as often as you like: " + run("sync"))
	case "copied":
		say("Copy again what changed since: "+run("sync"), "Move the service, with -iface NAME for the old host's address and -domain D for the backup MX: "+run("cutover"))
	case "moved":
		say("Let users read and send, and watch the mail log of the new host for a day.",
			"Keep the old host and its mail for two weeks, without its old address.",
			"If something is wrong, let the old host serve again: "+run("rollback"))
	case "went back":
		say("Look through the mail that is kept, and deliver what its users miss.", "Find out what was wrong; then move again: "+run("cutover"))
	}
}
