package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/internal/service"
)

// sides names the two hosts, as all texts do.
var sides = [2]string{"old", "new"}

// hostOf gives the host that runs below a root: this one for /, none for another file tree. Tests put another in its place.
var hostOf = func(root string) *hostcmd.Host {
	at, err1 := os.Stat(root)
	here, err2 := os.Stat("/")
	if err1 != nil || err2 != nil || !os.SameFile(at, here) {
		return nil
	}
	return &hostcmd.Host{}
}

// watchJournal is told of each line of the journal; tests put something in its place.
var watchJournal func(run.Entry)

// hosts are the two, the old one first; nil is one that is only a file tree.
func (m *migration) hosts() [2]*hostcmd.Host { return [2]*hostcmd.Host{m.old, m.new} }

// ssh is how a host is called for ssh; "" for this host, and for one that is only a file tree.
func (m *migration) ssh(side int) string {
	if h := m.hosts()[side]; h != nil {
		return h.SSH
	}
	return ""
}

// lines shows commands as a person would type them on the new host.
func (m *migration) lines(side int, commands []service.Command) (out []string) {
	for _, c := range commands {
		out = append(out, m.line(side, c.Line))
	}
	return out
}

func (m *migration) line(side int, command string) string {
	if dest := m.ssh(side); dest != "" {
		return "ssh " + hostcmd.Quote(dest, command)
	}
	return command
}

// mail tells where a host keeps the mailboxes that are copied: the spool, and what holds the homes.
func (p *plan) mail(m *migration, side int) (mail service.Mail) {
	root := m.to
	if side == 0 {
		root = m.from
		if m.remote() {
			root = "/" // from holds copies of its small files
		}
	}
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	if at, err := filepath.EvalSymlinks(root); err == nil {
		root = at
	}
	for _, t := range p.trees {
		at := [2]string{t.From, t.To}[side]
		dirs := &mail.Homes
		if t.inbox {
			dirs = &mail.Spools
		}
		if dir := path.Join(filepath.ToSlash(root), path.Dir(at)); !slices.Contains(*dirs, dir) {
			*dirs = append(*dirs, dir)
		}
	}
	if len(mail.Homes) > 50 { // homes without a common parent; the names below them tell enough
		mail.Homes = []string{filepath.ToSlash(root)}
	}
	return mail
}

// judgeServices notes what the daemons of the two hosts mean for a cutover.
func (c *cutover) judgeServices() {
	if c.m.old == nil {
		c.p.note(finding{Part: "services", Rule: "FILES-ONLY", Severity: "info", Name: "old", Detail: "the old host is a file tree: no daemons are stopped there, and nobody may write to it"})
	}
	if c.m.new == nil {
		c.p.note(finding{Part: "services", Rule: "FILES-ONLY", Severity: "info", Name: "new", Detail: "the new host is a file tree: no daemons are started there"})
	}
	for i, s := range c.rec.Ran {
		if s == nil {
			continue
		}
		for _, l := range s.Strangers() {
			f := finding{Part: "services", Rule: "STRANGER", Name: sides[i], Detail: fmt.Sprintf("port %d of the %s host is served by %s, which this program does not know how to stop", l.Port, sides[i], l), Advice: "stop it by hand, or xinetd's part of it, and begin again"}
			if i == 0 {
				c.p.block(f)
				continue
			}
			f.Severity, f.Advice = "warn", "" // a proxy, say, which stays
			c.p.note(f)
		}
		for _, v := range s.Services {
			if v.Running && v.How == service.Program && v.Command == "" {
				c.p.note(finding{Part: "services", Rule: "BY-HAND", Severity: "warn", Name: sides[i], Detail: fmt.Sprintf("%s (pid %d) of the %s host was started by hand, by another user than root: it is stopped here, and started again by nobody", v.Name, v.PID, sides[i])})
			}
		}
		if i == 0 && s.Runs(service.Feeder) || len(s.Cron) > 0 {
			c.p.note(finding{Part: "services", Rule: "FEEDER", Severity: "warn", Name: sides[i], Detail: strings.TrimSpace("mail is fetched from elsewhere on the " + sides[i] + " host " + strings.Join(s.Cron, " ")), Advice: "stop it on the old host and set it up on the new one"})
		}
	}
	if old := c.rec.Ran[0]; old != nil && !old.Runs(service.Access) && !old.Runs(service.MTA) {
		c.p.note(finding{Part: "services", Rule: "NOTHING-RUNS", Severity: "warn", Name: "old", Detail: "no mail daemon that is known here runs on the old host"})
	}
	if c.rec.Ran[0] == nil || c.rec.Ran[1] == nil {
		c.rec.Next = c.rec.Ran[1]
		return
	}
	var problems []string
	c.rec.Next, problems = c.rec.Ran[1].Successors(c.rec.Ran[0])
	for _, why := range problems {
		c.p.block(finding{Part: "services", Rule: "SUCCESSOR", Name: "new", Detail: why, Advice: "install or start the one that shall serve"})
	}
}

// ports are those that the new host must answer on: what it serves now, and of what the old one serves that which a daemon
// will that does not run yet.
func (c *cutover) ports() []int {
	out := []int{}
	old, new := c.rec.Ran[0], c.rec.Ran[1]
	if new == nil {
		return out
	}
	for _, l := range new.Listeners {
		out = append(out, l.Port)
	}
	if old == nil {
		return out
	}
	for _, l := range old.Listeners {
		role := service.Access
		if l.Port == 25 || l.Port == 465 || l.Port == 587 {
			role = service.MTA
		}
		switch {
		case slices.Contains(out, l.Port):
		case !new.Runs(role):
			out = append(out, l.Port)
		default:
			c.p.note(finding{Part: "services", Rule: "PORT", Severity: "warn", Name: fmt.Sprint(l.Port), Detail: fmt.Sprintf("the old host serves port %d, the new one does not", l.Port), Advice: "configure it before the cutover, if clients use it"})
		}
	}
	return out
}
