package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/service"
)

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
		if takesMail(l.Port) {
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
