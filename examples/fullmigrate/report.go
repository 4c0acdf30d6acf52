package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/mbox/tree"
)

// String is the plan for a person: what stops it, what changes, what is worth knowing.
func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", &p.Old)
	for _, f := range p.Blockers {
		fmt.Fprintf(&b, "BLOCKS  %s\n", f)
	}
	fmt.Fprintf(&b, "%s%s", section("accounts", p.accounts.String()), section("passwords", p.passwords.String()))
	for _, grave := range []bool{true, false} {
		for _, f := range p.Findings {
			if f.grave() == grave && f.Part != "accounts" && f.Part != "passwords" && f.Part != "address" && f.Part != "around" {
				fmt.Fprintf(&b, "%-10s  %s\n", f.Severity, f)
			}
		}
	}
	b.WriteString(section("what else mail depends on, and the new host lacks", p.around()))
	if p.address != nil {
		b.WriteString(section("address", p.address.String()))
	}
	if p.Mail.SecondsEstimated > 0 {
		fmt.Fprintf(&b, "mail: %d files, %s to copy, about %s\n", p.Mail.Files, size(p.Mail.Bytes), seconds(p.Mail.SecondsEstimated))
		if n := p.Mail.Deletions; n > 0 {
			fmt.Fprintf(&b, "      %d to DELETE on the new host: an earlier pass put them there and the old host has them no longer\n", n)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// around lists what lies around accounts and mail, gravest first.
func (p *plan) around() string {
	var b strings.Builder
	for _, f := range p.Findings {
		if f.Part == "around" {
			f.Part = f.Severity
			fmt.Fprintln(&b, f)
		}
	}
	return b.String()
}

func (f finding) String() string {
	words := []string{f.Part, f.Rule}
	for _, w := range []string{f.Name, f.At} {
		if w != "" {
			words = append(words, w)
		}
	}
	s := strings.Join(words, " ") + ": " + f.Detail
	if f.Advice != "" {
		s += "\n            advice: " + strings.ReplaceAll(f.Advice, "\n", "\n                ")
	}
	return s
}

// String tells what the move came to: one line per user, then what did not go well.
func (o *outcome) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %14s  %9s %9s %10s  %s\n", "user", "uid", "mailboxes", "messages", "mail", "UIDLs kept")
	for _, u := range o.Users {
		kept := fmt.Sprintf("%d of %d", u.Same, u.Same+u.Changed)
		if u.Unpredictable > 0 {
			kept += fmt.Sprintf(", %d not given yet", u.Unpredictable)
		}
		uids := fmt.Sprintf("%d -> %d", u.FromUID, u.ToUID)
		fmt.Fprintf(&b, "%-16s %14s  %9d %9d %10s  %s\n", plain(u.To), uids, u.Mailboxes, u.Checked, size(u.Bytes), kept)
		for _, problem := range u.Problems {
			fmt.Fprintf(&b, "    problem: %s\n", problem)
		}
	}
	for _, f := range o.Failures {
		fmt.Fprintf(&b, "problem: %s\n", f)
	}
	if o.Live != nil {
		fmt.Fprintln(&b, o.Live)
	}
	owners := os.Geteuid() == 0
	for _, r := range []*tree.Report{o.Copy, o.Verified} {
		if r != nil {
			once := *r // what both say of owners is said once, below
			once.OwnershipKept = true
			owners = owners && r.OwnershipKept
			fmt.Fprintln(&b, &once)
		}
	}
	if o.Used > 0 {
		fmt.Fprintf(&b, "changed here since the cutover, as users and deliveries do: %d objects, which is as it should be\n", o.Used)
	}
	if !owners {
		b.WriteString("owners were not kept: only root can set them\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// say prints a plan that is about to be carried out; with -json there is one object, at the end.
func (m *migration) say(p *plan) error {
	if m.c.JSON {
		return nil
	}
	return m.c.Print(p.String())
}

// sayGrave prints what a person must settle of a plan that is not shown: it decides the exit code, too.
func (m *migration) sayGrave(p *plan) error {
	for _, f := range slices.Concat(p.Blockers, p.Findings) {
		if f.grave() && !m.c.JSON {
			if err := m.c.Print(fmt.Sprintf("%-10s  %s", f.Severity, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *migration) report(p *plan) error { return m.c.Report(p, p.Outcome) }
