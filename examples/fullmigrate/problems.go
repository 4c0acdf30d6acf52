package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/mbox/tree"
)

// lost refuses to go on while mail could not be copied; problems with other files are told, and once more at the end.
func (p *plan) lost(m *migration, problems []tree.Problem) error {
	var mail []string
	for _, pr := range problems {
		text := fmt.Sprintf("%q: %s: %s", pr.Path, pr.Op, pr.Error)
		if p.isMail(pr.Path) {
			mail = append(mail, text)
		} else {
			m.c.Warn("%s", text)
			if !slices.Contains(p.left, text) {
				p.left = append(p.left, text)
			}
		}
	}
	if len(mail) == 0 {
		return nil
	}
	for _, text := range mail {
		m.c.Warn("%s", text)
	}
	return fmt.Errorf("mail that is not on the new host as on the old one: %d problems, the first: %s", len(mail), mail[0])
}

// isMail tells of a path on the new host whether mail programs would miss it.
func (p *plan) isMail(name string) bool {
	for _, t := range p.trees {
		below, ok := strings.CutPrefix(name, t.To+"/")
		if t.inbox && t.To == name || ok && slices.ContainsFunc(p.folders, func(dir string) bool { return dir == "." || strings.HasPrefix(below+"/", dir+"/") }) {
			return true
		}
	}
	return slices.ContainsFunc(strings.Split(filepath.ToSlash(name), "/"), func(part string) bool {
		return part == "mail" || part == "Mail" || part == "Maildir" || part == ".imap" || part == "cur" || part == "new"
	})
}
