package dovecotconf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity tells what a finding means for the people who use the server.
type Severity string

// The severities, worst first.
const (
	Blocks     Severity = "blocks"     // Dovecot does not start, or people cannot log in
	Redownload Severity = "redownload" // POP3 clients fetch mail again that they have
	Loss       Severity = "loss"       // mail is not seen, lost, or in the wrong mailbox
	Degraded   Severity = "degraded"   // something works worse than before
	Info       Severity = "info"       // nothing to do, or something to keep in mind
)

var severityRank = map[Severity]int{Blocks: 0, Redownload: 1, Loss: 2, Degraded: 3, Info: 4}

// Finding is one difference that somebody will notice.
type Finding struct {
	Rule     string   `json:"rule"` // stable name, such as R01
	Severity Severity `json:"severity"`
	Setting  string   `json:"setting"`
	Old      string   `json:"old"`
	New      string   `json:"new"`
	OldAt    string   `json:"old_at"` // "path:line" or "default"
	NewAt    string   `json:"new_at"`
	Effect   string   `json:"effect"` // what clients will see
	Advice   string   `json:"advice"` // the line for the new server in its syntax, or what to do

	settings []setting // for the snippet
}

// Side is one server in a Report.
type Side struct {
	Version string `json:"version"`
	Format  string `json:"format"` // pop3_uidl_format for POP3
	At      string `json:"at"`
}

// Report is what changes for clients when the new server takes over.
type Report struct {
	Old       Side      `json:"old"`
	New       Side      `json:"new"`
	UIDLEqual bool      `json:"uidl_equal"`
	Suggest   string    `json:"suggest"` // value of pop3_uidl_format for the new server, "" when there is none
	Findings  []Finding `json:"findings"`
	Messages  Counts    `json:"messages"`

	mailboxes []*Mailbox
	old, new  *Config
}

// CompareOptions tell Compare what the files do not. The zero value takes the storage from mail_location or mail_driver.
type CompareOptions struct {
	OldStorage, NewStorage string // "mbox", "maildir", "sdbox", "mdbox"
	LowestUID              uint32 // of the users on the new server; 0 takes first_valid_uid of the old one
}

type comparison struct {
	old, new       *Config
	opt            *CompareOptions
	oldMail, mail  location
	oldFmt, newFmt *Format
	r              *Report
}

// Compare finds what clients of old will notice on new, by rules that need the two configurations only.
func Compare(old, new *Config, opt *CompareOptions) *Report {
	if opt == nil {
		opt = &CompareOptions{}
	}
	c := &comparison{old: old, new: new, opt: opt, oldMail: old.location(), mail: new.location(), r: &Report{Findings: []Finding{}, old: old, new: new}}
	c.oldMail.driver = cmp.Or(opt.OldStorage, c.oldMail.driver)
	c.mail.driver = cmp.Or(opt.NewStorage, c.mail.driver)
	c.formats()
	c.uidlRules()
	c.popRules()
	c.storeRules()
	c.namespaceRules()
	c.authRules()
	c.listenRules()
	c.portRules()
	c.textRules()
	c.refusals()
	c.r.sort()
	return c.r
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(severityRank[a.Severity], severityRank[b.Severity]), cmp.Compare(a.Rule, b.Rule))
	})
}

// add records a finding about a setting that both sides have under these names.
func (c *comparison) add(rule string, sev Severity, oldKey, newKey, effect, advice string) *Finding {
	o, n := c.old.Get("pop3", oldKey), c.new.Get("pop3", newKey)
	c.r.Findings = append(c.r.Findings, Finding{Rule: rule, Severity: sev, Setting: newKey, Old: o.Value, New: n.Value,
		OldAt: o.At, NewAt: n.At, Effect: effect, Advice: advice})
	return &c.r.Findings[len(c.r.Findings)-1]
}

// line writes a setting as a line for the new server's file.
func line(key, value string) string {
	if strings.ContainsAny(value, "#\"'") || value != strings.TrimSpace(value) || strings.HasPrefix(value, "$") || strings.HasPrefix(value, "<") {
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	return strings.TrimRight(key+" = "+value, " ")
}

const uidlKey = "pop3_uidl_format"

func (c *comparison) formats() {
	var o, n Value
	var oldErr, newErr error
	c.oldFmt, o, oldErr = c.old.UIDLFormat()
	c.newFmt, n, newErr = c.new.UIDLFormat()
	c.r.Old = Side{c.old.Version, o.Value, o.At}
	c.r.New = Side{c.new.Version, n.Value, n.At}
	if oldErr != nil {
		effect := "POP3 was not working on the old server: " + oldErr.Error()
		c.add("R02", Info, uidlKey, uidlKey, effect, "no UIDL has to be kept")
	}
	if newErr != nil {
		c.brokenFormat(newErr)
	}
	if oldErr != nil {
		return
	}
	if suggest, err := c.oldFmt.Translate(c.new.v.String()); err == nil {
		c.r.Suggest = suggest
	}
	if newErr != nil {
		return
	}
	a, b := c.oldFmt, c.newFmt
	if c.oldMail.driver == c.mail.driver {
		a, b = a.On(c.mail.driver), b.On(c.mail.driver)
	}
	equal, reason := Equal(a, b)
	if c.r.UIDLEqual = equal; equal {
		c.r.Suggest = n.Value
		return
	}
	c.differentFormat(reason)
}

// advice is the line that keeps the UIDLs, or why there is none.
func (c *comparison) advice() string {
	if c.r.Suggest != "" {
		return "outside of all sections, and in no protocol pop3 block another: " + line(uidlKey, c.r.Suggest)
	}
	if c.oldFmt == nil {
		return "set a format, such as " + line(uidlKey, defaultFormat(c.new.v))
	}
	_, err := c.oldFmt.Translate(c.new.v.String())
	return fmt.Sprintf("no format of the new server gives these UIDLs (%v): save the UIDLs on the old server (pop3_save_uidl with Maildir, or doveadm sync) and carry them", err)
}

func (c *comparison) differentFormat(reason string) {
	rule := "R01"
	c.add(rule, Redownload, uidlKey, uidlKey, "all mail that was left on the server is downloaded again: "+reason, c.advice())
	if c.r.Old.At == atDefault {
		c.add("R02", Redownload, uidlKey, uidlKey, fmt.Sprintf("the old server does not set the format; %s has the default shown", c.old.Version), c.advice())
	}
	if c.new.v.old() {
		return
	}
	if narrowHex(c.oldFmt) || narrowHex(c.newFmt) {
		c.add("R09", Redownload, uidlKey, uidlKey, "hex(n) of 2.4 keeps the last n digits, %0nX of the old syntax keeps them all", c.advice())
	}
	if old := c.oldFmt.String(); strings.Contains(old, "%%") || strings.HasSuffix(old, "%") {
		c.add("R10", Redownload, uidlKey, uidlKey, "%% is one percent sign in the old syntax and two in 2.4; a % at the end was dropped and is kept now", c.advice())
	}
}

// narrowHex: a number in hex padded to less than the eight digits that a uidvalidity has.
func narrowHex(f *Format) bool {
	for _, p := range f.parts {
		if len(p.ops) > 1 && p.ops[0].kind == opHex && p.ops[len(p.ops)-1].kind == opPad && p.ops[len(p.ops)-1].n < 8 {
			return true
		}
	}
	return false
}

func (c *comparison) brokenFormat(err error) {
	text := c.r.New.Format
	switch {
	case text == "" && c.r.Old.Format == "" && c.old.v.between(v11, v20):
		c.add("R05", Blocks, uidlKey, uidlKey, "an empty value meant the default in 1.1 and 1.2; now: "+err.Error(), c.adviceFor(defaultFormat(v11)))
	case !c.new.v.old() && errors.Is(err, errNoVars24):
		c.add("R06", Blocks, uidlKey, uidlKey, err.Error(), c.adviceFor(text))
	default:
		c.add("R08", Blocks, uidlKey, uidlKey, "POP3 sessions fail: "+err.Error(), c.adviceFor(text))
	}
}

// adviceFor translates a value written in the old syntax.
func (c *comparison) adviceFor(text string) string {
	f := c.oldFmt
	if g, err := parseFormat(v23, text); f == nil && err == nil {
		f = g
	}
	if f == nil {
		return "set " + line(uidlKey, defaultFormat(c.new.v))
	}
	s, err := f.Translate(c.new.v.String())
	if err != nil {
		return err.Error()
	}
	return "set " + line(uidlKey, s)
}

// places says what is set where, on the servers that set it.
func (f *Finding) places() string {
	var out []string
	if f.OldAt != "" {
		out = append(out, fmt.Sprintf("old %q (%s)", f.Old, f.OldAt))
	}
	if f.NewAt != "" {
		out = append(out, fmt.Sprintf("new %q (%s)", f.New, f.NewAt))
	}
	return strings.Join(out, ", ")
}

// Worst is the worst severity among the findings, "" when there are none.
func (r *Report) Worst() Severity {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Severity
}

// String is the report for people.
func (r *Report) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "old: Dovecot %s, pop3_uidl_format %q (%s)\n", r.Old.Version, r.Old.Format, r.Old.At)
	fmt.Fprintf(&out, "new: Dovecot %s, pop3_uidl_format %q (%s)\n", r.New.Version, r.New.Format, r.New.At)
	if r.UIDLEqual {
		out.WriteString("POP3 UIDLs stay the same\n")
	} else {
		out.WriteString("POP3 UIDLs change\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&out, "%s %s %s: %s\n", f.Rule, f.Severity, f.Setting, f.Effect)
		fmt.Fprintf(&out, "    %s\n    %s\n", f.places(), f.Advice)
	}
	if r.Worst() != "" && r.Worst() != Info || !r.UIDLEqual {
		out.WriteString("for the new server:\n")
		for l := range strings.Lines(r.Snippet()) {
			out.WriteString("    " + l)
		}
	}
	for _, b := range r.mailboxes {
		out.WriteString(b.String())
	}
	if m := r.Messages; m.Checked > 0 || r.mailboxes != nil {
		fmt.Fprintf(&out, "messages: %d checked, %d same, %d changed, %d unpredictable\n", m.Checked, m.Same, m.Changed, m.Unpredictable)
	}
	return out.String()
}
