package dovecotconf

import (
	"fmt"
	"slices"
	"strings"
)

// Prediction compares the mailboxes of two servers, one after the other, and holds what only they can tell: rules that
// hang on the mail itself.
type Prediction struct {
	Counts
	Mailboxes []*Mailbox

	old, new *Config
	was, now Choice

	xuidl, folded, twice int // messages
	repeated             int // messages whose UIDL another one in their mailbox has
	renamed              int // Maildir files under another name
	badSizes             int
	unlisted             []string // Maildirs that lost their dovecot-uidlist
	unnumbered           []string // mboxes without X-IMAPbase that clients know
	unopened             []string // mboxes that no server has marked
	converted            []string // mboxes that became Maildirs with other UIDs
}

// NewPrediction begins a comparison of mailboxes. The error says why POP3 does not work on one of the servers.
func NewPrediction(old, new *Config) (*Prediction, error) {
	p := &Prediction{old: old, new: new}
	var err error
	if p.was, err = old.Choice(); err != nil {
		return nil, fmt.Errorf("old server: %w", err)
	}
	if p.now, err = new.Choice(); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	return p, nil
}

// Add compares one mailbox.
func (p *Prediction) Add(name string, before, after Mail) *Mailbox {
	pair := pairs(before, after)
	box := predict(name, p.was, p.now, before, after, pair)
	p.Mailboxes = append(p.Mailboxes, box)
	p.add(box.Counts)
	p.badSizes += max(before.BadSizes, after.BadSizes)
	p.headers(before.Messages)
	p.duplicates(before.Messages)
	p.numbers(name, before, after, pair)
	return box
}

// headers looks at X-UIDL for R16 and R17.
func (p *Prediction) headers(ms []Message) {
	seen := map[string]bool{}
	for _, m := range ms {
		if m.XUIDL == "" {
			continue
		}
		p.xuidl++
		if strings.ContainsAny(m.XUIDL, "\r\n") {
			p.folded++
		}
		if seen[m.XUIDL] {
			p.twice++
		}
		seen[m.XUIDL] = true
	}
}

// duplicates counts for R27 what pop3_uidl_duplicates = rename would rename.
func (p *Prediction) duplicates(ms []Message) {
	plain := p.was
	plain.RenameDuplicates = false
	uidls, err := plain.UIDLs(ms)
	if err != nil {
		return
	}
	seen := map[string]bool{}
	for i, uidl := range uidls {
		if seen[uidl] && p.was.settled(ms[i]) {
			p.repeated++
		}
		seen[uidl] = true
	}
}

// numbers looks for R14, R20, R21 and R23 at what became of UIDVALIDITY, UIDs and file names.
func (p *Prediction) numbers(name string, before, after Mail, pair []int) {
	if len(before.Messages) > 0 && !before.Maildir && before.Messages[0].UIDValidity == 0 {
		if before.Numbered {
			p.unnumbered = append(p.unnumbered, name)
		} else {
			p.unopened = append(p.unopened, name)
		}
	}
	lost := false
	for i, j := range pair {
		if j < 0 {
			continue
		}
		a, b := before.Messages[i], after.Messages[j]
		lost = lost || a.UIDValidity != 0 && (a.UIDValidity != b.UIDValidity || a.UID != b.UID)
		if before.Maildir && after.Maildir && a.base() != b.base() {
			p.renamed++
		}
	}
	switch {
	case lost && before.Maildir && after.Maildir:
		p.unlisted = append(p.unlisted, name)
	case lost && !before.Maildir && after.Maildir:
		p.converted = append(p.converted, name)
	}
}

// Include adds to the report what the mailboxes tell: the counts, findings of rules that hang on the mail, and how bad
// those of the configuration are in the light of it.
func (r *Report) Include(p *Prediction) {
	r.Messages, r.mailboxes = p.Counts, p.Mailboxes
	p.judge(r)
	p.mailFindings(r)
	r.sort()
}

// judge weighs findings of the configuration by the mail that there is.
func (p *Prediction) judge(r *Report) {
	kept := p.Checked > 0 && p.Same == p.Checked
	for i := range r.Findings {
		f := &r.Findings[i]
		switch {
		case f.Rule == "R16" && p.xuidl == 0:
			f.Severity, f.Effect = Info, "no message that was checked has an X-UIDL header"
		case f.Rule == "R16":
			f.Effect = fmt.Sprintf("%d messages with an X-UIDL header are downloaded again", p.xuidl)
		case f.Rule == "R27" && p.repeated > 0:
			f.Severity = Redownload
			f.Effect = fmt.Sprintf("%d messages have the UIDL of another one, and with it another name on the new server", p.repeated)
		case f.Severity == Redownload && kept && slices.Contains([]string{"R01", "R02", "R09", "R10", "R11"}, f.Rule):
			f.Severity = Info
			f.Effect += "; but every message that was checked keeps its UIDL"
		}
	}
}

func (p *Prediction) mailFindings(r *Report) {
	add := func(rule string, sev Severity, setting, effect, advice string) {
		o, n := p.old.Get("pop3", setting), p.new.Get("pop3", setting)
		r.Findings = append(r.Findings, Finding{Rule: rule, Severity: sev, Setting: setting, Old: o.Value, New: n.Value, OldAt: o.At, NewAt: n.At, Effect: effect, Advice: advice})
	}
	changes := Info
	if p.was.Format.Uses("uid") || p.was.Format.Uses("uidvalidity") {
		changes = Redownload
	}
	if n := p.folded + p.twice; n > 0 && p.now.ReuseXUIDL {
		add("R17", Degraded, "pop3_reuse_xuidl", fmt.Sprintf("%d X-UIDL headers are folded and %d are repeated: their UIDLs break the reply or are equal", p.folded, p.twice), "take these headers out of the messages, or set pop3_reuse_xuidl = no when both servers agree on it")
	}
	if n := p.renamed; n > 0 && (p.was.Format.Uses("filename") || p.was.Format.Uses("guid")) {
		add("R14", Redownload, uidlKey, fmt.Sprintf("%d Maildir files have another name on the new server, and names are in the UIDLs", n), "copy the files under their names, S= and W= included")
	}
	if len(p.unlisted) > 0 {
		add("R20", changes, uidlKey, "messages have other UIDs: dovecot-uidlist was not carried in "+some(p.unlisted), "stop Dovecot, copy the dovecot-uidlist of each of these Maildirs, and delete the dovecot.index* files there")
	}
	if len(p.unnumbered) > 0 {
		add("R21", changes, uidlKey, "no X-IMAPbase in the first message, so UIDs begin anew: "+some(p.unnumbered), "open these mailboxes once for writing with the old Dovecot, so that it writes the UIDs, or carry its index files")
	}
	if len(p.unopened) > 0 {
		add("R22", Info, uidlKey, "no server has written to these mailboxes, so no client knows their mail, unless the server could only read them and its index alone has the UIDs: "+some(p.unopened), "if users read mail there, carry the index files")
	}
	if len(p.converted) > 0 {
		add("R23", changes, uidlKey, "messages have other UIDs: the conversion to Maildir dropped them in "+some(p.converted), "convert with doveadm sync or doveadm backup, which keep UIDs, UIDVALIDITY and GUIDs")
	}
	if p.badSizes > 0 && !p.new.v.before(v23) {
		add("S10", Blocks, "maildir_broken_filename_sizes", fmt.Sprintf("%d Maildir files have another size than their name says with ,S=: POP3 refuses the INBOX", p.badSizes), "correct the names, or set "+line("maildir_broken_filename_sizes", "yes"))
	}
}

// some names the first three.
func some(names []string) string {
	n := min(len(names), 3)
	shown := make([]string, n)
	for i := range shown {
		shown[i] = printable(names[i])
	}
	out := strings.Join(shown, ", ")
	if more := len(names) - n; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}
