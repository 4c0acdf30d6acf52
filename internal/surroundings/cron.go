package surroundings

import (
	"path"
	"strings"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// job is one line of a crontab(5).
type job struct {
	user    string // in system crontabs
	command string
	line    int
}

// parseCrontab reads a crontab; system ones name the user before the command.
func parseCrontab(src []byte, system bool) (jobs []job) {
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimSpace(line)
		name, _, assigns := strings.Cut(line, "=")
		if line == "" || line[0] == '#' || assigns && strings.Trim(strings.Trim(strings.TrimSpace(name), `"'`), letters) == "" {
			continue
		}
		skip := 5
		if line[0] == '@' {
			skip = 1
		}
		j := job{line: n}
		rest := line
		if system {
			skip++
		}
		for i := range skip {
			word := rest
			if end := strings.IndexAny(rest, " \t"); end >= 0 {
				word = rest[:end]
			}
			rest = strings.TrimLeft(rest[len(word):], " \t")
			if system && i == skip-1 {
				j.user = word
			}
		}
		// What follows a percent sign that is not escaped is the command's input.
		for i := 0; i < len(rest); i++ {
			if rest[i] == '%' && (i == 0 || rest[i-1] != '\\') {
				rest = rest[:i]
			}
		}
		if rest != "" {
			j.command = rest
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// crontabs tells of jobs of users who move, which nobody copies: some must not run on both hosts.
func (f *finder) crontabs() {
	for _, u := range f.Users {
		for _, dir := range []string{"var/spool/cron", "var/spool/cron/crontabs"} {
			if name := path.Join(dir, u.Name); path.Dir(name) == dir {
				f.crontab(u, name)
			}
		}
	}
	names := []string{"etc/crontab"}
	for _, n := range f.old.list("etc/cron.d") {
		names = append(names, "etc/cron.d/"+n)
	}
	moves := map[string]User{}
	for _, u := range f.Users {
		moves[u.Name] = u
	}
	for _, name := range names {
		if !f.old.file(name) || f.new.file(name) && name != "etc/crontab" {
			continue
		}
		for _, j := range parseCrontab(f.old.read(name), true) {
			if u, ok := moves[j.user]; ok {
				f.add(Finding{Rule: "CRON-SYSTEM", Severity: Degraded, Name: clean(u.Name), At: at(name, j.line), Detail: "a job that the system's crontab runs as this user",
					Advice: "see whether the new host should run it, and copy the line"})
			}
		}
	}
	for _, name := range []string{"etc/cron.allow", "etc/at.allow"} {
		f.allowed(name)
	}
}

func (f *finder) crontab(u User, name string) {
	if !f.old.file(name) {
		return
	}
	jobs := parseCrontab(f.old.read(name), false)
	for _, dir := range []string{"var/spool/cron", "var/spool/cron/crontabs"} {
		if len(jobs) == 0 || f.new.file(path.Join(dir, u.To)) {
			return
		}
	}
	var lacking []string
	for _, j := range jobs {
		for _, p := range programs(j.command) {
			if f.lacks(p) {
				lacking = append(lacking, clean(p))
			}
		}
	}
	x := Finding{Rule: "CRONTAB", Severity: Degraded, Name: clean(u.Name), At: clean(name), Detail: plural(len(jobs), "job", "jobs") + " of this user, not copied",
		Advice: "once the old host has stopped, give it to the new one: " + f.crontabOf(u.To, name)}
	if len(lacking) > 0 {
		x.Detail += "; the new host lacks " + some(unique(lacking))
	}
	f.add(x)
}

// allowed: where such a file exists on the new host, only those in it may use the program.
func (f *finder) allowed(name string) {
	if !f.new.file(name) {
		return
	}
	old, new := fileWords(f.old.read(name)), fileWords(f.new.read(name))
	var lacking []string
	for _, u := range f.Users {
		if contains(old, u.Name) && !contains(new, u.To) {
			lacking = append(lacking, clean(u.To))
		}
	}
	if len(lacking) > 0 {
		f.add(Finding{Rule: "CRON-ALLOW", Severity: Degraded, Name: some(lacking), At: name, Detail: "in this file on the old host, not on the new one: they could not use the program",
			Advice: block("add to /"+name+":", lacking)})
	}
}

// crontabOf is the command that gives a crontab of the old host to a user of the new one.
func (f *finder) crontabOf(user, name string) string {
	user = hostcmd.Quote(clean(user))
	if f.SSH != "" {
		return "ssh " + hostcmd.Quote(f.SSH, "cat "+hostcmd.Quote(clean("/"+name))) + " | crontab -u " + user + " -"
	}
	return "crontab -u " + user + " " + hostcmd.Quote(clean(path.Join(f.old.root.Name(), name)))
}
