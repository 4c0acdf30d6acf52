package surroundings

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// aliasFiles lists those that a host's mail transfer agent reads, the one to add to first.
func (f *finder) aliasFiles(i int) (names []string) {
	h := []*host{f.old, f.new}[i]
	switch f.mta[i] {
	case postfix:
		for _, t := range f.postfix[i].tables(f.postfix[i].get("alias_maps").text) {
			if t.keyed() {
				names = append(names, strings.TrimPrefix(t.path, "/"))
			}
		}
	case sendmail:
		for _, cf := range []string{"etc/mail/sendmail.cf", "etc/sendmail.cf"} {
			for line := range strings.Lines(string(h.read(cf))) {
				if v, ok := strings.CutPrefix(line, "O AliasFile="); ok {
					for _, w := range strings.Split(strings.TrimSpace(v), ",") {
						names = append(names, strings.TrimPrefix(path.Clean(w[strings.IndexByte(w, ':')+1:]), "/"))
					}
				}
			}
		}
	}
	for _, name := range []string{"etc/aliases", "etc/mail/aliases"} {
		if len(names) == 0 && h.file(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{"etc/aliases"}
	}
	slices.Sort(names[1:])
	return slices.Compact(names)
}

// aliasPlan sorts the aliases of the old host by what the new one needs of them.
type aliasPlan struct {
	have    map[string]alias // of the new host
	old     map[string]alias
	domains []domain
	moves   map[string]string // users who move: old name -> new name
	wanted  map[string]bool   // aliases of the old host that the new one needs
}

// aliases offers the lines that lead to people who move, or away from the host.
func (f *finder) aliases() {
	into := f.aliasFiles(1)
	p := &aliasPlan{have: map[string]alias{}, old: map[string]alias{}, domains: f.localDomains(0), moves: map[string]string{}}
	for _, name := range into {
		for _, a := range parseAliases(f.new.read(name)) {
			p.have[a.name] = a
		}
	}
	for _, u := range f.Users {
		p.moves[strings.ToLower(u.Name)] = u.To
	}
	files := map[string][]alias{}
	names := f.aliasFiles(0)
	for _, name := range names {
		files[name] = parseAliases(f.old.read(name))
		for _, a := range files[name] {
			if _, ok := p.old[a.name]; !ok {
				p.old[a.name] = a
			}
		}
	}
	p.findWanted()
	for _, name := range names {
		f.aliasFile(name, "/"+into[0], files[name], p)
	}
}

func (f *finder) aliasFile(name, into string, all []alias, p *aliasPlan) {
	var lines, plain, lost, lists []string
	first := 0
	for _, a := range all {
		have, there := p.have[a.name]
		list, ours := mailingList(a)
		switch {
		case ours:
			lists = append(lists, list...)
			continue
		case there && sameTargets(a, have):
		case a.name == "root":
			f.rootAlias(name, into, a, p)
			continue
		case there && p.wanted[a.name]:
			f.add(Finding{Rule: "ALIAS-DIFFERS", Severity: Degraded, Name: clean(a.name), At: at(name, a.line),
				Detail: "leads to other places on the new host", Advice: block("compare; the old host has", []string{a.text}) + block("\nthe new one", []string{have.text})})
		case there:
		case p.wanted[a.name]:
			if first == 0 {
				first = a.line
			}
			lines = append(lines, p.renamed(a))
			lost = append(lost, f.strangers(a, p)...)
		case !f.accounts[a.name]:
			plain = append(plain, clean(a.name))
		}
		f.aliasPrograms(name, a)
	}
	if len(lines) > 0 {
		f.add(Finding{Rule: "ALIASES", Severity: Loss, Name: name, At: at(name, first),
			Detail: "the new host lacks " + plural(len(lines), "alias", "aliases") + " to people who move, to programs or to other places: mail to them would be refused",
			Advice: block("add to "+into+" on the new host, then run newaliases:", lines)})
	}
	if lost = slices.Compact(slices.Sorted(slices.Values(lost))); len(lost) > 0 {
		f.add(Finding{Rule: "ALIAS-TARGET", Severity: Loss, Name: some(lost), At: name,
			Detail: "named by these aliases, but no account or alias on the new host after the move", Advice: "move these users too, or take them out of the lines"})
	}
	if len(plain) > 0 {
		f.add(Finding{Rule: "ALIASES-SYSTEM", Severity: Info, Name: name, At: name,
			Detail: "further aliases, which lead to root or a system account, and which the new host lacks: " + some(plain),
			Advice: "add those that people write to"})
	}
	if len(lists) > 0 {
		f.add(Finding{Rule: "MAILMAN", Severity: Loss, Name: some(lists), At: name, Detail: plural(len(lists), "mailing list", "mailing lists") + " run by a program of the old host; they are not moved here",
			Advice: "move them by that program's own way (Mailman: its lists, archives and data directories), or leave the old host running for them"})
	}
}

// rootAlias: who reads the host's own mail.
func (f *finder) rootAlias(name, into string, a alias, p *aliasPlan) {
	if have, ok := p.have["root"]; ok {
		f.add(Finding{Rule: "ALIAS-ROOT", Severity: Degraded, Name: "root", At: at(name, a.line), Detail: "root's mail goes to other places on the new host",
			Advice: block("see which is right; the old host has", []string{a.text}) + block("\nthe new one", []string{have.text})})
		return
	}
	f.add(Finding{Rule: "ALIAS-ROOT", Severity: Degraded, Name: "root", At: at(name, a.line), Detail: "root's mail is read by somebody on the old host; on the new one it stays in root's own mailbox",
		Advice: block("add to "+into+" on the new host, then run newaliases:", []string{p.renamed(a)})})
}

// wanted finds the aliases that lead, by others if need be, to somebody who moves, to a program, a file or another host. What
// leads to root alone does not count, for every system comes with dozens of those, wherever root's mail goes.
func (p *aliasPlan) findWanted() {
	p.wanted = map[string]bool{}
	from := map[string][]string{} // who leads to a name
	var todo []string
	for name, a := range p.old {
		_, moves := p.moves[name]
		for _, t := range a.targets {
			to := strings.ToLower(t.text)
			if t.kind == address {
				if user, ours := isLocal(t.text, p.domains); ours {
					to, t.kind = strings.ToLower(user), local
				}
			}
			if t.kind != local {
				moves = moves || t.text != "/dev/null"
				continue
			}
			from[to] = append(from[to], name)
			_, mover := p.moves[to]
			moves = moves || mover
		}
		if moves {
			todo = append(todo, name)
		}
	}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if p.wanted[name] {
			continue
		}
		p.wanted[name] = true
		if name != "root" {
			todo = append(todo, from[name]...)
		}
	}
}

// renamed is the alias's text, with the new names of users who get one.
func (p *aliasPlan) renamed(a alias) string {
	text := a.text
	for _, t := range a.targets {
		if to, ok := p.moves[strings.ToLower(t.text)]; ok && t.kind == local && to != t.text {
			text += fmt.Sprintf("  # %s is %s on the new host", clean(t.text), clean(to))
		}
	}
	return text
}

// strangers are local names that lead nowhere on the new host.
func (f *finder) strangers(a alias, p *aliasPlan) (names []string) {
	for _, t := range a.targets {
		name := t.text
		if t.kind == address {
			user, ours := isLocal(t.text, p.domains)
			if !ours {
				continue
			}
			name = user
		} else if t.kind != local {
			continue
		}
		_, old := p.old[strings.ToLower(name)]
		_, new := p.have[strings.ToLower(name)]
		if !old && !new && !f.accounts[name] && !f.accounts[strings.ToLower(name)] {
			names = append(names, clean(name))
		}
	}
	return names
}

// sameTargets compares as sets.
func sameTargets(a, b alias) bool {
	set := func(x alias) []target {
		return slices.SortedFunc(slices.Values(x.targets), func(a, b target) int { return strings.Compare(a.text, b.text) })
	}
	return slices.Equal(set(a), set(b))
}

// mailingList tells whether an alias belongs to a list manager, and gives the name of the list where it is that of the list
// itself: each has nine more, such as list-bounces.
func mailingList(a alias) (list []string, ours bool) {
	for _, t := range a.targets {
		if t.kind == command && (strings.Contains(t.text, "mailman") || strings.Contains(t.text, "majordomo")) {
			if ours = true; strings.Contains(t.text, " post ") || strings.Contains(t.text, "resend") {
				list = []string{clean(a.name)}
			}
		}
	}
	return list, ours
}

// aliasPrograms looks at what an alias runs, reads or writes.
func (f *finder) aliasPrograms(name string, a alias) {
	for _, t := range a.targets {
		switch t.kind {
		case include:
			if p := path.Clean("/" + t.text); !f.new.file(p) && !f.inHomes(p) {
				f.add(Finding{Rule: "ALIAS-INCLUDE", Severity: Loss, Name: clean(a.name), At: at(name, a.line), Detail: "reads the list " + clean(p) + ", which the new host lacks",
					Advice: "copy " + clean(p) + " with owner and mode"})
			}
		case command:
			for _, prog := range programs(t.text) {
				f.absent("ALIAS-PROGRAM", clean(a.name), at(name, a.line), prog, "this alias")
			}
		case file:
			if dir := path.Dir(path.Clean(t.text)); t.text != "/dev/null" && !f.inHomes(t.text) && f.new.stat(dir) == nil {
				f.add(Finding{Rule: "ALIAS-FILE", Severity: Loss, Name: clean(a.name), At: at(name, a.line),
					Detail: "writes to " + clean(t.text) + ", in a directory that the new host lacks", Advice: "make " + clean(dir) + " with owner and mode as on the old host"})
			}
		}
	}
}
