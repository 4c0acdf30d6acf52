// Package service finds, stops and starts the mail daemons of a host, this one or one behind ssh, and waits until no
// program writes to its mailboxes any more. It is made for hosts of 2010 as for those of today: systemd, the service
// command of System V init, bare init scripts, and daemons that somebody started by hand. The far side needs a POSIX
// shell, GNU find and /proc.
//
// The promise: what is started is exactly what ran before, and a stop has ended when the daemons are gone and not when a
// command says so. Nothing is enabled or disabled for the next boot: that is advice (State.BootAdvice). The commands that
// are run are plain ones, known before (State.StopCommands, State.StartCommands), so that a person can read or run them.
package service

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// How tells by what a service is started and stopped.
type How string

// The ways, the most capable first.
const (
	Systemd How = "systemd"  // systemctl
	SysV    How = "service"  // the service command
	Script  How = "init.d"   // an init script, for want of a service command
	Program How = "programs" // the daemon's own commands: it was started by hand, or there is no init system
)

// Role is what a service does for mail.
type Role string

// The roles. A feeder fetches mail from elsewhere and puts it into mailboxes.
const (
	Access Role = "access" // IMAP and POP3
	MTA    Role = "mta"
	Feeder Role = "feeder"
)

// Service is one mail service that a host has.
type Service struct {
	Name    string   `json:"name"` // dovecot, postfix, sendmail, sm-client, exim, fetchmail
	Role    Role     `json:"role"`
	How     How      `json:"how"`
	Units   []string `json:"units"`  // by which init knows it; of systemd the units that trigger it come first
	Active  []string `json:"active"` // of Units: those that are active now
	Running bool     `json:"running"`
	PID     int      `json:"pid"`     // of its main process; 0: none
	Command string   `json:"command"` // a shell command line that starts it, where How is Program; "": only who started it knows
	Boot    bool     `json:"boot"`    // it is started at boot
}

// Listener is a program that serves a mail port to other hosts.
type Listener struct {
	Port    int    `json:"port"`
	PID     int    `json:"pid"`     // 0: not known
	Program string `json:"program"` // as the kernel has it; may be empty
}

// State is what was found on a host.
type State struct {
	Init      How        `json:"init"`
	Services  []Service  `json:"services"`
	Listeners []Listener `json:"listeners"` // on 25, 110, 143, 465, 587, 993, 995, by port
	Cron      []string   `json:"cron"`      // crontabs that speak of a feeder
	Chkconfig bool       `json:"chkconfig"` // what starts at boot is chosen by chkconfig(8)
}

// Command is one command line for a shell on a host.
type Command struct {
	Services []string // that it is about
	Line     string
}

// running lists the services that run.
func (s *State) running() (out []Service) {
	for _, v := range s.Services {
		if v.Running {
			out = append(out, v)
		}
	}
	return out
}

// Runs tells whether a service of the role runs.
func (s *State) Runs(r Role) bool {
	return slices.ContainsFunc(s.running(), func(v Service) bool { return v.Role == r })
}

// Of leaves the services of these roles alone.
func (s *State) Of(roles ...Role) *State {
	part := *s
	part.Services = slices.DeleteFunc(slices.Clone(s.Services), func(v Service) bool { return !slices.Contains(roles, v.Role) })
	return &part
}

// StopCommands are those that stop everything that runs. They are run side by side.
func (s *State) StopCommands() []Command { return commands(s.running(), "stop") }

// StartCommands are those that start what ran when the state was found, and nothing else. They are run side by side.
func (s *State) StartCommands() []Command { return commands(s.running(), "start") }

// commands makes one systemctl of all its units, which it stops side by side by itself.
func commands(list []Service, verb string) (out []Command) {
	var units Command
	for _, v := range list {
		switch v.How {
		case Systemd:
			names := v.Units // what is stopped stays stopped only when nothing can trigger it
			if verb == "start" {
				names = v.Active
			}
			if units.Line == "" {
				units.Line = "systemctl " + verb
			}
			for _, u := range names {
				units.Line += " " + hostcmd.Quote(u)
			}
			units.Services = append(units.Services, v.Name)
		case SysV:
			out = append(out, Command{[]string{v.Name}, "service " + hostcmd.Quote(v.Units[0]) + " " + verb})
		case Script:
			out = append(out, Command{[]string{v.Name}, "/etc/init.d/" + hostcmd.Quote(v.Units[0]) + " " + verb})
		default:
			if line := v.byHand(verb); line != "" {
				out = append(out, Command{[]string{v.Name}, line})
			}
		}
	}
	if units.Line != "" {
		out = append([]Command{units}, out...)
	}
	return out
}

// byHand gives the daemon's own command.
func (v Service) byHand(verb string) string {
	switch {
	case verb == "start":
		return v.Command
	case v.Name == "postfix":
		return "postfix stop"
	}
	return fmt.Sprintf("kill %d", v.PID)
}

// Successors chooses what starts on the host of s, the new one, in the place of what runs on the old host: what ran here
// already, and for a role that nobody has here the one service that could. The state that is returned starts exactly that
// (StartCommands). A word is returned for each role of which there is none or more than one.
func (s *State) Successors(old *State) (next *State, problems []string) {
	next = &State{Init: s.Init, Services: slices.Clone(s.Services), Listeners: s.Listeners}
	for _, role := range []Role{Access, MTA} {
		if !old.Runs(role) || s.Runs(role) {
			continue
		}
		var able []int
		for i, v := range s.Services {
			if v.Role == role && v.Name != "sm-client" {
				able = append(able, i)
			}
		}
		what := map[Role]string{Access: "IMAP and POP3 server", MTA: "mail transfer agent"}[role]
		switch len(able) {
		case 0:
			problems = append(problems, "no "+what+" that is known here is installed on the new host")
		case 1:
			v := &next.Services[able[0]]
			v.Running, v.Active = true, v.Units[max(len(v.Units)-1, 0):]
		default:
			problems = append(problems, fmt.Sprintf("%d programs could be the %s of the new host, and none runs", len(able), what))
		}
	}
	return next, problems
}

// Strangers are listeners on mail ports that no service of the host explains: nothing here would stop them.
func (s *State) Strangers() (out []Listener) {
	for _, l := range s.Listeners {
		known := l.PID == 1 || l.Program == "systemd" // a socket unit, stopped with its service
		for _, v := range s.running() {
			known = known || l.PID == v.PID && l.PID != 0 || slices.Contains(programs[v.Name], l.Program)
		}
		if !known {
			out = append(out, l)
		}
	}
	return out
}

// programs are what the kernel calls the processes of a service.
var programs = map[string][]string{
	"dovecot": {"dovecot", "imap-login", "pop3-login", "managesieve-login", "submission-login", "lmtp"},
	"postfix": {"master", "smtpd", "postscreen"}, "sendmail": {"sendmail", "sendmail-mta"}, "sm-client": {"sendmail", "sendmail-msp"},
	"exim": {"exim", "exim4"}, "fetchmail": {"fetchmail"},
}

// BootAdvice are the commands that keep what runs here from coming back at the next boot.
func (s *State) BootAdvice() (out []string) {
	for _, v := range s.running() {
		switch {
		case !v.Boot:
		case v.How == Systemd:
			out = append(out, "systemctl disable "+hostcmd.Quote(v.Units...))
		case s.Chkconfig:
			out = append(out, "chkconfig "+hostcmd.Quote(v.Units[0])+" off")
		default:
			out = append(out, "update-rc.d "+hostcmd.Quote(v.Units[0])+" disable")
		}
	}
	return out
}

// String is one line a service for a person.
func (s *State) String() string {
	var b strings.Builder
	for _, v := range s.Services {
		state := "stopped"
		if v.Running {
			state = "runs"
		}
		fmt.Fprintf(&b, "%s (%s) %s\n", v.Name, v.How, state)
	}
	for _, l := range s.Strangers() {
		fmt.Fprintf(&b, "port %d is served by %s\n", l.Port, l)
	}
	return strings.TrimRight(b.String(), "\n")
}

// String names the program and its process.
func (l Listener) String() string {
	if l.PID == 0 {
		return "an unknown program"
	}
	return fmt.Sprintf("%s (pid %d)", cmp.Or(l.Program, "an unknown program"), l.PID)
}
