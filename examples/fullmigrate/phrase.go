package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// graves counts what has to be settled.
func (s *summary) graves() (n int) {
	for _, f := range s.Findings {
		if f.grave() {
			n++
		}
	}
	return n + len(s.Blockers)
}

// phrase puts all into one sentence.
func (s *summary) phrase(p *plan) {
	people := counted(len(s.Users), "account", "accounts")
	mail := fmt.Sprintf("%s in %s (%s)", counted(s.Total.Checked, "message", "messages"), counted(s.Total.Mailboxes, "mailbox", "mailboxes"), size(s.Total.Bytes))
	if !s.mailed {
		mail = "their mail"
	}
	switch {
	case s.Error != "":
		s.Sentence = "The run stopped before its end: " + strings.ReplaceAll(s.Error, "\n", "; ") + "."
		return
	case s.State == "went back":
		s.Sentence = fmt.Sprintf("%s serves again; what reached %s in the meantime is kept.", atStart(s.Old), s.New)
		return
	case s.State == "moved" && p == nil:
		s.Sentence = fmt.Sprintf("%s has taken over from %s, with %s of downtime.", atStart(s.New), s.Old, shortly(s.Downtime))
		return
	case p == nil:
		s.Sentence = "Nothing is known of the two hosts' accounts in this run."
		return
	case s.State == "planned":
		s.Sentence = fmt.Sprintf("Nothing was changed yet: %s and %s of mail and files can move from %s to %s.", people, size(p.Mail.Bytes), s.Old, s.New)
	case s.State == "moved":
		s.Sentence = fmt.Sprintf("%s has taken over from %s, with %s of downtime: %s and %s.", atStart(s.New), s.Old, shortly(s.Downtime), people, mail)
	default:
		s.Sentence = fmt.Sprintf("%s and %s were copied from %s to %s, which does not serve yet.", people, mail, s.Old, s.New)
	}
	if s.State != "planned" && s.mailed && s.Total.Checked > 0 {
		if s.Total.Changed == 0 {
			s.Sentence += " Mail clients will notice nothing: every message keeps its identity."
		} else {
			s.Sentence += fmt.Sprintf(" Mail clients will download %s again.", counted(s.Total.Changed, "message", "messages"))
		}
	}
	if n := s.graves(); n > 0 {
		first := ""
		if s.State != "moved" {
			first = " first"
		}
		s.Sentence += fmt.Sprintf(" %s to be settled%s.", map[bool]string{true: "One thing has", false: counted(n, "", "things have")}[n == 1], first)
	}
}

// atStart is a host's name at the beginning of a sentence.
func atStart(name string) string {
	if rest, ok := strings.CutPrefix(name, "the "); ok {
		return "The " + rest
	}
	return name
}

// counted writes 12,345 messages.
func counted(n int, one, many string) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n == 1 {
		many = one
	}
	return strings.TrimSpace(digits + " " + many)
}

// tools are this program and what made it.
func tools() []component {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && strings.Trim(version, "()") == "devel" {
				version = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return []component{{"mailmove", version}, {"Go", strings.TrimPrefix(runtime.Version(), "go")}}
}

// shortly writes a time as people say it.
func shortly(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 7200:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}
