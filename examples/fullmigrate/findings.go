package main

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/netcfg"
)

// finding is what any of the packages has to say, in one shape.
type finding struct {
	Part     string `json:"part"` // accounts, passwords, dovecot, address, mail or around
	Rule     string `json:"rule"`
	Severity string `json:"severity"` // as the part grades it
	Name     string `json:"name"`     // of the user, setting or file
	Detail   string `json:"detail"`
	Advice   string `json:"advice"`
	At       string `json:"at"`
}

// grave tells whether a person must settle it before clients meet the new host.
func (f finding) grave() bool {
	switch f.Severity {
	case "blocks", "redownload", "loss", "fail":
		return true
	}
	return false
}

// block adds what keeps the plan from being carried out.
func (p *plan) block(f finding) {
	f.Severity = "blocks"
	p.Blockers = append(p.Blockers, f)
}

func (p *plan) note(f finding) { p.Findings = append(p.Findings, f) }

func (p *plan) judgeAccounts() {
	moves := false
	for range p.accounts.Migrated() {
		moves = true
	}
	if !moves {
		p.block(finding{Part: "accounts", Rule: "NOBODY", Detail: "no account of the old host moves", Advice: "look at -users, -exclude, and whether -from is the right host"})
	}
	for _, c := range p.accounts.Conflicts {
		p.block(finding{Part: "accounts", Rule: c.Kind, Name: c.Name, Detail: c.Detail, At: c.At})
	}
	for _, c := range p.passwords.Conflicts {
		p.block(finding{Part: "passwords", Rule: c.Kind, Name: c.Name, Detail: c.Detail, At: c.At})
	}
	for _, w := range p.accounts.Warnings {
		p.note(finding{Part: "accounts", Rule: w.Kind, Severity: "warn", Name: w.Name, Detail: w.Detail, At: w.At})
	}
	for _, w := range p.passwords.Warnings {
		p.note(finding{Part: "passwords", Rule: w.Kind, Severity: "warn", Name: w.Name, Detail: w.Detail, At: w.At})
	}
}

// compareDovecots finds out what clients will notice. A host without Dovecot's configuration is told of and taken to pick
// UIDLs as Dovecot does by default since 1.1.
func (p *plan) compareDovecots(m *migration) error {
	configs := &p.dovecots
	for i, root := range []string{m.from, m.to} {
		var err error
		opt := &dovecotconf.Options{}
		if i == 0 {
			opt = m.dovecotOptions()
		}
		configs[i], err = dovecotconf.Read(root, opt)
		switch {
		case err == nil:
			p.choices[i], _ = configs[i].Choice() // a format that cannot work is among the findings
		case errors.Is(err, fs.ErrNotExist):
			p.note(finding{Part: "dovecot", Rule: "NO-CONFIG", Severity: "info", Detail: []string{m.src, m.to}[i] + " has no dovecot.conf",
				Advice: "compare the two servers with uidldiff before clients connect"})
		default:
			return err
		}
		if p.choices[i].Format == nil {
			if p.choices[i].Format, err = dovecotconf.ParseFormat("2.3", "%08Xu%08Xv"); err != nil {
				return err
			}
		}
	}
	if configs[0] != nil {
		more, err := p.judgeDatabases(m, configs[0])
		if err != nil {
			return err
		}
		places := append(configs[0].MailPaths(), more...)
		p.judgePlaces(places)
		p.folders = foldersOf(places)
	}
	if configs[0] == nil || configs[1] == nil {
		return nil
	}
	for _, f := range dovecotconf.Compare(configs[0], configs[1], &dovecotconf.CompareOptions{LowestUID: p.lowestUID()}).Findings {
		if at := editAt(configs[1], f); at != "" {
			f.Advice += "\n" + at
		}
		p.note(finding{Part: "dovecot", Rule: f.Rule, Severity: string(f.Severity), Name: f.Setting, Detail: f.Effect, Advice: f.Advice, At: f.NewAt})
	}
	return nil
}

// lowestUID is that of the people who move, on the new host.
func (p *plan) lowestUID() uint32 {
	lowest := uint32(0)
	for u := range p.accounts.Migrated() {
		if lowest == 0 || u.ToUID < lowest {
			lowest = u.ToUID
		}
	}
	return lowest
}

// takeAddress plans the take-over of the old host's address where an interface was named.
func (p *plan) takeAddress(m *migration) error {
	if m.iface == "" {
		return nil
	}
	old, err1 := netcfg.ReadHost(m.from)
	new, err2 := netcfg.ReadHost(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	opt := &netcfg.Options{Iface: m.iface, OldIface: m.oldIface}
	whole := netcfg.TakeOver(old, new, opt)
	opt.Stay = m.host.stay()
	address := netcfg.TakeOver(old, new, opt)
	if f, ok := m.wrongWay(whole, m.host.here); ok {
		address = whole // what shall move, and not what would be left of it
		address.Findings = append(address.Findings, f)
	}
	m.bySelf(address)
	p.judgeAddress(m.iface, address)
	return nil
}

// judgeAddress makes a plan of the take-over part of this one.
func (p *plan) judgeAddress(iface string, address *netcfg.Plan) {
	p.address = address
	p.Findings = slices.DeleteFunc(p.Findings, func(f finding) bool { return f.Part == "address" })
	for _, f := range address.Findings {
		p.note(finding{Part: "address", Rule: f.Rule, Severity: string(f.Severity), Name: iface, Detail: f.Detail, Advice: f.Advice})
	}
}
