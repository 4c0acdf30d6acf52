package surroundings

import (
	"path"
	"slices"
	"strings"
)

// called is a program in a procmailrc(5), or a file that it reads (INCLUDERC, SWITCHRC), and its line.
type called struct {
	text    string
	include bool
	line    int
}

// parseRecipes lists what a procmailrc(5) calls: actions, conditions that run a program, commands in assignments. Nothing is
// run and nothing expanded but the home.
func parseRecipes(src []byte) (all []called) {
	n := 0
	action, shellLines := false, []string{}
	start := 0
	add := func(command string, line int) {
		for _, p := range programs(command) {
			if len(all) < 1000 {
				all = append(all, called{text: p, line: line})
			}
		}
	}
	for raw := range strings.Lines(string(src)) {
		n++
		line := strings.TrimRight(raw, "\r\n")
		if len(shellLines) == 0 {
			start = n
		}
		if strings.HasSuffix(line, `\`) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			shellLines = append(shellLines, line[:len(line)-1])
			continue
		}
		text := strings.TrimSpace(strings.Join(append(shellLines, line), " "))
		shellLines = shellLines[:0]
		if action && text != "" && text[0] == '{' { // what stands behind a brace is a line of its own
			if text = strings.TrimSpace(text[1:]); text == "" || text == "}" {
				action = false
				continue
			}
			action = false
		}
		switch {
		case text == "" || text[0] == '#' || text[0] == '}':
		case text[0] == ':':
			action = true
		case text[0] == '*':
			if c := strings.TrimLeft(text[1:], " \t"); strings.HasPrefix(c, "?") {
				add(c[1:], start)
			}
		case action:
			action = false
			add(actionCommand(text), start)
		default:
			name, value, ok := strings.Cut(text, "=")
			if name = strings.TrimSpace(name); !ok || strings.Trim(name, letters) != "" {
				continue
			}
			all = append(all, assigned(name, strings.TrimSpace(value), start)...)
		}
	}
	return all
}

// actionCommand is the command of an action, "" when it is a mailbox or an address. VAR=|command puts its output into VAR.
func actionCommand(text string) string {
	if name, value, ok := strings.Cut(text, "="); ok && strings.Trim(strings.TrimSpace(name), letters) == "" {
		text = strings.TrimSpace(value)
	}
	if command, ok := strings.CutPrefix(text, "|"); ok {
		return command
	}
	return backquotes(text)
}

func assigned(name, value string, line int) (all []called) {
	switch name {
	case "INCLUDERC", "SWITCHRC":
		if f := strings.Trim(value, `"'`); f != "" && !strings.ContainsAny(f, "$`") {
			return []called{{f, true, line}}
		}
		return nil // where only procmail knows
	case "SHELL", "SENDMAIL", "TRAP":
		value = strings.Trim(value, `"'`)
	default:
		value = backquotes(value)
	}
	for _, p := range programs(value) {
		all = append(all, called{text: p, line: line})
	}
	return all
}

// backquotes keeps of a text the commands in backquotes.
func backquotes(text string) string {
	var all []string
	for i := strings.IndexByte(text, '`'); i >= 0 && i < len(text); {
		inner, next := backquoted(text, i)
		all = append(all, inner)
		n := strings.IndexByte(text[next:], '`')
		if n < 0 {
			break
		}
		i = next + n
	}
	return strings.Join(all, "\n")
}

// recipes tells what a procmailrc calls that the new host lacks, each program once.
func (f *finder) recipes(name, where string, src []byte) {
	var seen []string
	for _, c := range parseRecipes(src) {
		if slices.Contains(seen, c.text) || len(seen) > maxPrograms {
			continue
		}
		seen = append(seen, c.text)
		switch p := path.Clean(c.text); {
		case !c.include:
			f.absent("PROCMAIL-PROGRAM", clean(name), at(where, c.line), c.text, "this procmailrc")
		case path.IsAbs(p) && !f.new.file(p) && !f.inHomes(p):
			f.add(Finding{Rule: "PROCMAIL-INCLUDE", Severity: Degraded, Name: clean(name), At: at(where, c.line), Detail: "reads recipes from a file outside of the homes that the new host lacks",
				Advice: "copy it with owner and mode: " + clean(p)})
		}
	}
}

// procmail tells of recipes that nobody would follow on the new host.
func (f *finder) procmail() {
	system := f.old.read("etc/procmailrc")
	byAgent := f.callsProcmail(0)
	if system != nil && byAgent {
		if f.new.read("etc/procmailrc") == nil {
			f.add(Finding{Rule: "PROCMAILRC", Severity: Degraded, Name: "etc/procmailrc", At: "etc/procmailrc", Detail: "recipes for all users, which the new host lacks",
				Advice: "read it and copy it to /etc/procmailrc, root's and mode 0644"})
		}
		f.recipes("etc/procmailrc", "etc/procmailrc", system)
	}
	if !byAgent || f.callsProcmail(1) || f.mta[1] == "" {
		return
	}
	var users []string
	for _, u := range f.Users {
		home := strings.Trim(path.Clean("/"+u.Home), "/")
		if u.Home != "" && f.old.readHome(home, ".procmailrc") != nil && f.old.readHome(home, ".forward") == nil {
			users = append(users, clean(u.Name))
		}
	}
	if len(users) == 0 && system == nil {
		return
	}
	x := Finding{Rule: "PROCMAIL", Severity: Degraded, Name: some(users), At: "etc",
		Detail: "have recipes, which the old host's mail transfer agent has procmail follow for everybody; the new one delivers without it: mail would arrive unsorted"}
	if x.Advice = "let the new host's mail transfer agent deliver through procmail"; f.mta[1] == postfix {
		x.Advice = "install procmail, then postconf -e 'mailbox_command = /usr/bin/procmail -a \"$EXTENSION\"'; or give these users a .forward that calls it"
	}
	f.add(x)
}

// callsProcmail tells whether everybody's mail goes through procmail.
func (f *finder) callsProcmail(i int) bool {
	h := []*host{f.old, f.new}[i]
	switch f.mta[i] {
	case postfix:
		return strings.Contains(f.postfix[i].get("mailbox_command").text, "procmail")
	case sendmail:
		for line := range strings.Lines(string(h.read("etc/mail/sendmail.cf"))) {
			if strings.HasPrefix(line, "Mlocal,") {
				return strings.Contains(line, "procmail")
			}
		}
		for _, c := range parseMC(h.read("etc/mail/sendmail.mc")) {
			if c.name == "FEATURE" && c.arg(0) == "local_procmail" {
				return true
			}
		}
	}
	return false
}
