package main

import (
	"context"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/mbox/tree"
	"github.com/mailmove/mailmove/netcfg"
	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

// plan is all that will happen, known before the first write.
type plan struct {
	Users    []passwd.UserChange `json:"users"`
	Blockers []finding           `json:"blockers"` // nothing is written while there are any
	Findings []finding           `json:"findings"`
	Mail     struct {
		Volumes          []volume `json:"volumes"` // file systems of the new host that it comes to
		Files            int64    `json:"files"`   // that would be copied
		Bytes            int64    `json:"bytes"`
		Deletions        int64    `json:"deletions"` // on the new host, of what vanished from the old one
		SecondsEstimated float64  `json:"seconds_estimated"`
	} `json:"mail"`
	Old     oldHost  `json:"old_host"`
	Outcome *outcome `json:"outcome,omitempty"` // once it was carried out or verified

	accounts  *passwd.Plan
	passwords *shadow.Plan
	carry     map[string][]byte      // what they were made from, of the old host
	dovecots  [2]*dovecotconf.Config // of the old and the new host; nil where there is none
	folders   []string               // below a home, in which the old Dovecot keeps mail, as far as its settings tell
	choices   [2]dovecotconf.Choice  // how the two hosts pick POP3 UIDLs
	address   *netcfg.Plan           // nil without -iface
	taken     [2][]uint32            // uids and gids of the new host before the merge
	trees     []userTree
	touched   map[int]bool // trees in which the last pass did something
	expect    int64        // objects at the source; 0: not counted
	left      []string     // problems with files that hold no mail
	last      bool         // of a cutover: while nobody is served
}

// userTree is a home or an inbox and whose it is.
type userTree struct {
	user  int // index into plan.Users
	inbox bool
	tree.Pair
}

// plan reads both hosts, decides everything, and tells what is worth knowing. It writes nothing.
func (m *migration) plan(ctx context.Context, known ids) (*plan, error) {
	p, err := m.decide(ctx, known)
	if err != nil {
		return nil, err
	}
	if err := p.compareDovecots(m); err != nil {
		return nil, err
	}
	if err := p.lookAround(ctx, m); err != nil {
		return nil, err
	}
	m.made = p
	return p, p.takeAddress(m)
}

// decide is the part of a plan that the copy goes by: accounts, and what is copied where.
func (m *migration) decide(ctx context.Context, known ids) (*plan, error) {
	p, err := m.merge(m.from, m.to, known)
	if err != nil {
		return nil, err
	}
	target, err := passwd.ReadHost(m.to)
	if err != nil {
		return nil, err
	}
	for u := range target.Passwd.Users() {
		p.taken[0] = append(p.taken[0], u.UID)
	}
	for g := range target.Group.Groups() {
		p.taken[1] = append(p.taken[1], g.GID)
	}
	p.Mail.Volumes = []volume{}
	p.judgeHost(m)
	p.judgeAccounts()
	return p, p.findTrees(ctx, m)
}

// options say what is copied, and whose it becomes.
func (p *plan) options() *tree.Options {
	opt := &tree.Options{UIDs: guarded(p.accounts.UIDMap, p.taken[0]), GIDs: guarded(p.accounts.GIDMap, p.taken[1])}
	opt.Pairs = []tree.Pair{} // none is not all, which nil would be
	for _, t := range p.trees {
		opt.Pairs = append(opt.Pairs, t.Pair)
	}
	return opt
}

// settled is the exit code of a plan: something for a person, or not.
func (p *plan) settled() error {
	grave := len(p.Blockers) > 0
	for _, f := range p.Findings {
		grave = grave || f.grave()
	}
	if grave {
		return cli.ErrFinding
	}
	return nil
}
