package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"

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
	mail.Below = p.folders
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
		mail.Below = slices.DeleteFunc(slices.Clone(mail.Below), func(dir string) bool { return dir == "." }) // else every file of the host
	}
	return mail
}
