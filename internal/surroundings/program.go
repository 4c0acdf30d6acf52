package surroundings

import (
	"path"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// inHomes tells whether a path lies in a home that is copied to the same place.
func (f *finder) inHomes(name string) bool {
	for _, u := range f.Users {
		if home := path.Clean("/" + u.Home); u.Home != "" && home != "/" && strings.HasPrefix(name, home+"/") {
			return path.Clean("/"+u.ToHome) == home
		}
	}
	return false
}

// lacks tells whether the new host cannot run a program that was found in a command line.
func (f *finder) lacks(prog string) bool {
	if !f.runs || strings.HasPrefix(prog, "~") || strings.Contains(prog, "/") && prog[0] != '/' {
		return false // in a home, or wherever the program is started: copied with it
	}
	if prog[0] == '/' && f.inHomes(path.Clean(prog)) {
		return false
	}
	return f.new.program(prog) == ""
}

// shells tells of those that people log in with and the new host does not have at all.
func (f *finder) shells() {
	users := map[string][]string{}
	for _, u := range f.Users {
		if base := path.Base(u.Shell); path.IsAbs(u.Shell) && base != "nologin" && base != "false" && f.lacks(u.Shell) {
			users[u.Shell] = append(users[u.Shell], clean(u.To))
		}
	}
	for shell, names := range users {
		f.add(Finding{Rule: "SHELL", Severity: Degraded, Name: some(names), At: "etc/passwd", Detail: "log in with " + clean(shell) + ", which the new host lacks: they could not log in by ssh, and their cron jobs may fail",
			Advice: f.install(shell) + ", or give them another shell: usermod -s /bin/bash " + some(names)})
	}
}

// absent adds a finding for a program that the new host lacks.
func (f *finder) absent(rule, name, where, prog, who string) {
	if !f.lacks(prog) {
		return
	}
	f.add(Finding{Rule: rule, Severity: Loss, Name: name, At: where, Detail: who + " calls " + clean(prog) + ", which the new host lacks: mail would bounce or wait", Advice: f.install(prog)})
}

// install says what to do about an absent program.
func (f *finder) install(prog string) string {
	base := path.Base(prog)
	if there := f.new.program(base); there != "" && there != prog {
		return "the new host has " + clean(there) + ": " + hostcmd.Quote("ln", "-s", clean(there), clean(prog)) // users chose the name
	}
	return "install " + clean(base) + " on the new host, or change who calls it"
}
