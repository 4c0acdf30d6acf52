package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/mirror"
	"github.com/mailmove/mailmove/internal/surroundings"
	"github.com/mailmove/mailmove/netcfg"
	"github.com/mailmove/mailmove/passwd"
)

// wantedFiles are looked at beside those of accounts, network and surroundings.
var wantedFiles = strings.Fields(`home var/mail var/spool/mail
	etc/debian_version etc/redhat-release etc/fedora-release etc/system-release
	etc/dovecot.conf etc/dovecot/*.conf etc/dovecot/*.ext etc/dovecot/conf.d/*.conf etc/dovecot/conf.d/*.ext`)

// fetch brings the small files of the old host here, until none of them names a further one.
func (m *migration) fetch(ctx context.Context) error {
	want := slices.Sorted(slices.Values(slices.Concat(accountFiles, netcfg.Paths(), wantedFiles, surroundings.Wanted(nil))))
	want = slices.Compact(want)
	for range 10 {
		left, err := mirror.Fetch(ctx, m.old, "/", m.from, want...)
		if err != nil {
			return err
		}
		for _, l := range left {
			if slices.Contains(accountFiles, l.Name) {
				return fmt.Errorf("%s: /%s has %d bytes, want at most %d", m.src, l.Name, l.Size, mirror.Most)
			}
		}
		m.host.left = left
		more, err := m.named()
		if err != nil {
			return err
		}
		before := len(want)
		if want = slices.Compact(slices.Sorted(slices.Values(append(want, more...)))); len(want) == before {
			return nil
		}
	}
	return fmt.Errorf("%s: files that name further ones without end", m.src)
}

// named lists what the files that are here name: homes and what is in them, includes and certificates of Dovecot, tables of
// the mail transfer agent.
func (m *migration) named() (all []string, err error) {
	host, err := passwd.ReadHost(m.from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.src, err)
	}
	var users []surroundings.User
	for u := range host.Passwd.Users() {
		if home := path.Clean("/" + u.Home); u.Home != "" && !passwd.SystemDir(home) {
			all = append(all, mirror.Literal(home))
			users = append(users, surroundings.User{Name: u.Name, Home: home})
		}
	}
	all = append(all, surroundings.Wanted(users)...)
	root, err := os.OpenRoot(m.from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	all = append(all, surroundings.Further(root)...)
	c, err := dovecotconf.Read(m.from, m.dovecotOptions())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c != nil {
		all = append(all, includes(c)...)
		for _, f := range passwdFiles(c) {
			all = append(all, mirror.Literal(f))
		}
		for _, f := range tlsFiles(c) {
			if !strings.Contains(f.Setting, "key") {
				all = append(all, mirror.Literal(f.Path))
			}
		}
	}
	return all, nil
}

var braces = regexp.MustCompile(`\{[^{}]*\}`)

// includes lists the files that a configuration includes; {a,b} is asked for as *.
func includes(c *dovecotconf.Config) (all []string) {
	for _, f := range c.Files {
		for _, s := range f.Statements {
			if s.Kind != dovecotconf.Include && s.Kind != dovecotconf.IncludeTry || s.Value == "" {
				continue
			}
			name := braces.ReplaceAllString(s.Value, "*")
			if !path.IsAbs(name) {
				name = path.Join(path.Dir(f.Name), name)
			}
			all = append(all, name)
		}
	}
	return all
}

// dovecotOptions tell the version that the old host itself has told.
func (m *migration) dovecotOptions() *dovecotconf.Options {
	return &dovecotconf.Options{Version: m.host.Dovecot}
}
