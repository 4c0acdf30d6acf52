package surroundings

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// gecos: while smtputf8_enable holds, Postfix looks up no user whose full name is not UTF-8, and answers 451 (SMTPUTF8_README).
// It holds from compatibility_level 1 on (postconf(5)); before Postfix 3.0 there is none of it.
func (f *finder) gecos() {
	if f.mta[1] != postfix {
		return
	}
	cf := f.postfix[1]
	v := cf.get("smtputf8_enable")
	on := cf.expand(v.text) == "yes"
	if v.text == "" {
		major, _, _ := strings.Cut(cf.expand(cf.get("compatibility_level").text), ".")
		level, err := strconv.Atoi(major)
		on = err == nil && level >= 1
	}
	if !on {
		return
	}
	old, new := f.old.fullNames(), f.new.fullNames()
	var users []string
	for _, u := range f.Users {
		name, moved := new[u.To]
		if !moved {
			name = old[u.Name]
		}
		if !utf8.ValidString(name) {
			users = append(users, clean(u.To))
		}
	}
	if len(users) > 0 {
		f.add(Finding{Rule: "GECOS", Severity: Loss, Name: some(users), At: "etc/passwd", Detail: "the full name is not UTF-8: the new host's Postfix defers all mail for such a user with 451",
			Advice: "postconf -e 'smtputf8_enable = no', and reload Postfix; or, after the copy, write the name in UTF-8: chfn -f NAME USER"})
	}
}

// fullNames are the GECOS fields of the accounts.
func (h *host) fullNames() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(h.read("etc/passwd"))) {
		if fields := strings.Split(line, ":"); len(fields) == 7 {
			all[fields[0]] = fields[4]
		}
	}
	return all
}
