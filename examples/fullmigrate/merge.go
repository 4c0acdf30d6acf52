package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/passwd"
	"github.com/mailmove/mailmove/shadow"
)

// merge decides about the accounts of two hosts.
func (m *migration) merge(from, to string, known ids) (*plan, error) {
	oldUsers, err1 := passwd.ReadHost(from)
	newUsers, err2 := passwd.ReadHost(to)
	oldHashes, err3 := shadow.ReadHost(from)
	newHashes, err4 := shadow.ReadHost(to)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	oldHashes.Password = oldUsers.Passwd.Password // where hashes still stand in passwd
	carried, err := m.carried()
	if err != nil {
		return nil, err
	}
	uids, gids := map[string]uint32{}, map[string]uint32{}
	for name, id := range known.Users {
		if u, ok := oldUsers.Passwd.Lookup(name); ok && u.UID == id.From {
			uids[name] = id.To
		}
	}
	for name, id := range known.Groups {
		if g, ok := oldUsers.Group.Lookup(name); ok && g.GID == id.From {
			gids[name] = id.To
		}
	}
	accounts := passwd.Merge(oldUsers, newUsers, &passwd.Options{
		Include: m.users, Exclude: m.exclude, UIDs: uids, GIDs: gids,
		SamePerson: func(a, b string) bool { return shadow.SamePerson(oldHashes, newHashes, a, b) },
	})
	opt := &shadow.Options{Members: map[string][]string{}, Today: time.Now(), Carried: carried}
	for _, u := range accounts.Users {
		if rename := (shadow.Rename{From: u.Name, To: u.To}); u.Added() {
			opt.Users = append(opt.Users, rename)
		} else if u.Moves() {
			opt.Follow = append(opt.Follow, rename)
		}
	}
	for _, g := range accounts.Groups {
		if g.Added() {
			opt.Groups = append(opt.Groups, shadow.Rename{From: g.Name, To: g.To})
		}
		opt.Members[g.To] = g.MembersAdded
	}
	p := &plan{Users: accounts.Users, Blockers: []finding{}, Findings: []finding{}, accounts: accounts, passwords: shadow.Merge(oldHashes, newHashes, opt)}
	p.carry = map[string][]byte{"etc/passwd": oldUsers.Passwd.Bytes()}
	if oldHashes.Shadow != nil {
		p.carry["etc/shadow"] = oldHashes.Shadow.Bytes()
	}
	return p, nil
}

// dirCarried holds the old host's passwd and shadow as they were when the accounts were last brought in step.
const dirCarried = "carried"

// carried reads them; nil: the accounts never were.
func (m *migration) carried() (*shadow.Host, error) {
	at := filepath.Join(m.runDir, dirCarried)
	users, err := os.ReadFile(filepath.Join(at, "etc/passwd")) // written last
	if errors.Is(err, fs.ErrNotExist) || m.runDir == "" {
		return nil, nil
	}
	hashes, err2 := shadow.ReadHost(at)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	hashes.Password = passwd.Parse("etc/passwd", users).Password
	return hashes, nil
}

// keepCarried is called when the accounts are in step.
func (p *plan) keepCarried(ctx context.Context, dir *run.Dir) error {
	for _, name := range []string{"etc/shadow", "etc/passwd"} {
		if err := dir.Keep(ctx, filepath.Join(dirCarried, name), p.carry[name]); err != nil {
			return err
		}
	}
	return nil
}
