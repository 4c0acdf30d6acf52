package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/surroundings"
	"github.com/mailmove/mailmove/passwd"
)

// lookAround tells what else mail depends on and the new host lacks.
func (p *plan) lookAround(ctx context.Context, m *migration) error {
	old, err1 := os.OpenRoot(m.from)
	new, err2 := os.OpenRoot(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer old.Close()
	defer new.Close()
	oldUsers, err1 := passwd.ReadHost(m.from)
	newUsers, err2 := passwd.ReadHost(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	move := &surroundings.Move{SSH: m.ssh(0), GIDs: p.accounts.GIDMap, Users: p.movers(m, oldUsers)}
	for i, root := range []string{m.from, m.to} {
		if move.Spool[i], err1 = spoolOf(root); err1 != nil {
			return err1
		}
	}
	if g, ok := newUsers.Group.LookupID(move.Spool[1].GID); ok {
		move.Spool[1].Group = g.Name
	}
	if c := p.dovecots[0]; c != nil {
		move.Certificates = tlsFiles(c)
	}
	if c := p.dovecots[1]; c != nil {
		move.Present = tlsFiles(c)
		move.MailGroups = words(c.Get("", "mail_privileged_group").Value + " " + c.Get("", "mail_access_groups").Value)
		for _, protocol := range []string{"lmtp", "lda"} {
			move.Sieve = move.Sieve || slices.Contains(words(c.Get(protocol, "mail_plugins").Value), "sieve")
		}
		move.Spool[1].Mbox = slices.ContainsFunc(c.MailPaths(), func(v dovecotconf.Value) bool {
			return strings.HasPrefix(v.Value, "/var/mail/") || strings.HasPrefix(v.Value, "/var/spool/mail/")
		})
	}
	all, err := surroundings.Find(ctx, old, new, move)
	for _, f := range all {
		p.note(finding{"around", f.Rule, f.Severity, f.Name, f.Detail, f.Advice, f.At})
	}
	return err
}

// movers are the people who move, and how large their inboxes are where that can be seen.
func (p *plan) movers(m *migration, old *passwd.Host) (users []surroundings.User) {
	at := map[int]int{}
	for i, u := range p.Users {
		if !u.Moves() {
			continue
		}
		account, _ := old.Passwd.Lookup(u.Name)
		at[i] = len(users)
		users = append(users, surroundings.User{Name: u.Name, To: u.To, Home: u.Home, ToHome: u.ToHome, Shell: account.Shell})
	}
	for _, t := range p.trees {
		info, err := os.Lstat(filepath.Join(m.from, filepath.FromSlash(t.From)))
		if i, ok := at[t.user]; ok && err == nil && info.Mode().IsRegular() {
			users[i].Inbox = info.Size()
		}
	}
	return users
}

// spoolOf tells whose the directory of the inboxes is.
func spoolOf(root string) (s surroundings.Spool, err error) {
	at, err := spool(root)
	if err != nil {
		return s, err
	}
	info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(at)))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if gid, ok := groupOf(info); ok {
		s = surroundings.Spool{Path: "/" + at, GID: gid, Mode: info.Mode()}
	}
	return s, nil
}

// tlsFiles are the certificates and keys that a configuration names, where a person chose them.
func tlsFiles(c *dovecotconf.Config) (files []surroundings.File) {
	for _, protocol := range []string{"", "imap", "pop3"} {
		settings := c.Effective(protocol)
		if settings["ssl"].Value == "no" {
			continue
		}
		for name, v := range settings {
			file := strings.TrimLeft(v.Value, "<")
			if strings.HasPrefix(name, "ssl_") && v.At != "default" && path.IsAbs(file) {
				files = append(files, surroundings.File{Setting: name, Path: file, At: v.At})
			}
		}
	}
	slices.SortFunc(files, func(a, b surroundings.File) int { return strings.Compare(a.At+a.Setting, b.At+b.Setting) })
	return slices.Compact(files)
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '{' || r == '}' })
}
