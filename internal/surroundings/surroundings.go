// Package surroundings tells what else mail depends on, beyond accounts, homes and mailboxes, and what of it the new host
// lacks: aliases, tables of the mail transfer agent, programs that users' .forward and .procmailrc call, crontabs,
// certificates, the group of /var/mail.
//
// It reads two hosts' file trees and writes nothing. Of the old host what Wanted and Further name is enough. No program is run, not even the new host's own, so that both may be directories. Files of users are
// hostile: only regular files up to a size are read, no link leads out of a root, and of what users wrote the names of
// programs alone are told.
//
// Not promised: that a configuration is understood as its program would. Tables in databases, sendmail's own rules and
// Exim's configuration are pointed at, for a person to look at.
package surroundings

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// How much it matters, in the words of dovecotconf.
const (
	Loss     = "loss"     // mail would be refused, bounced, or not found
	Degraded = "degraded" // something that worked works no longer
	Info     = "info"     // to be known
)

// Finding is one thing that the new host lacks, and what to do.
type Finding struct {
	Rule     string // stable once published, such as ALIASES
	Severity string
	Name     string // of the user, setting or file
	Detail   string
	Advice   string // may have several lines: what to write, or to run
	At       string // "path:line" on the host that it speaks of, or "path"
}

// Move is what the caller knows already. All may be left out.
type Move struct {
	SSH          string // how the old host is reached, when its root is only a copy of some files
	Users        []User
	Certificates []File            // that the old Dovecot's configuration names
	Present      []File            // that the new one names
	Spool        [2]Spool          // where inboxes are, on the old and the new host
	GIDs         map[uint32]uint32 // groups as the copy translates them
	MailGroups   []string          // that the new Dovecot may use: mail_privileged_group and mail_access_groups
	Sieve        bool              // the new Dovecot runs users' sieve scripts on delivery
	Now          time.Time         // when certificates must be valid; zero: now
}

// User is somebody who moves.
type User struct {
	Name, To     string // on the old and the new host
	Home, ToHome string // "" when there is none to copy
	Shell        string
	Inbox        int64 // bytes of it; 0: not known, or a directory
}

// File is what a setting names.
type File struct {
	Setting, Path, At string
}

// Spool is a directory of inboxes.
type Spool struct {
	Path  string // "" when nothing is known
	GID   uint32
	Mode  os.FileMode
	Mbox  bool   // whether Dovecot keeps inboxes there
	Group string // name of GID, "" when it has none
}

// finder is one search.
type finder struct {
	*Move
	old, new *host
	mta      [2]string // of the old and the new host: postfix, sendmail, exim or ""
	postfix  [2]*mainCF
	accounts map[string]bool // names of accounts that the new host will have
	runs     bool            // the new root has programs: without them none is missed
	found    []Finding
}

// Find compares the two roots. The order of findings is that of their gravity, then of rule and place. The error is that
// of the context, or of a root that is no directory; what cannot be read is a finding.
func Find(ctx context.Context, old, new *os.Root, move *Move) ([]Finding, error) {
	f := &finder{Move: move, old: &host{root: old}, new: &host{root: new}, accounts: map[string]bool{}}
	for name := range f.new.colons("etc/passwd") {
		f.accounts[name] = true
	}
	for _, u := range f.Users {
		f.accounts[u.To] = true
	}
	f.runs = f.new.program("/bin/sh") != ""
	for i, h := range []*host{f.old, f.new} {
		f.mta[i] = h.agent()
		f.postfix[i] = h.mainCF()
	}
	for _, look := range []func(){
		f.agents, f.domains, f.aliases, f.postfixMaps, f.postfixSettings, f.sendmailTables, f.sendmailFeatures,
		f.homes, f.procmail, f.crontabs, f.certificates, f.spoolGroup, f.quotas, f.shells, f.gecos,
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		look()
	}
	for i, h := range []*host{f.old, f.new} {
		for name, err := range h.problems {
			f.add(Finding{Rule: "UNREADABLE", Severity: Degraded, Name: clean(name), At: clean(name),
				Detail: "could not be read on the " + [2]string{"old", "new"}[i] + " host: " + clean(err), Advice: "look at it by hand"})
		}
	}
	slices.SortStableFunc(f.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.At, b.At), cmp.Compare(a.Name, b.Name))
	})
	return f.found, ctx.Err()
}

func rank(severity string) int { return slices.Index([]string{Loss, Degraded, Info}, severity) }

func (f *finder) add(x Finding) { f.found = append(f.found, x) }

// at is a position as findings bear it.
func at(file string, line int) string { return fmt.Sprintf("%s:%d", clean(file), line) }

// some joins what fits into a sentence.
func some(words []string) string {
	const most = 12
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
}

// block is text to be pasted, one line each, cut where nobody would read on.
func block(head string, lines []string) string {
	const most = 60
	more := ""
	if len(lines) > most {
		more = fmt.Sprintf("\n# ... and %d more", len(lines)-most)
		lines = lines[:most]
	}
	return head + "\n" + strings.Join(lines, "\n") + more
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func unique(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }

func contains(words []string, w string) bool { return slices.Contains(words, w) }
