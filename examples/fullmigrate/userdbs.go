package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/passwd"
)

// database is a passdb or userdb of Dovecot.
type database struct {
	user         bool // a userdb: it says who there is, and where they are at home
	driver, file string
	at           string
}

// databases lists those of a configuration.
func databases(c *dovecotconf.Config) (all []database) {
	set, by := c.Effective("imap"), map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		elems := strings.Split(key, "/")
		n := slices.IndexFunc(elems, func(e string) bool { return strings.HasPrefix(e, "passdb") || strings.HasPrefix(e, "userdb") })
		if n < 0 || n == len(elems)-1 || set[key].At == "default" {
			continue
		}
		section := strings.Join(elems[:n+1], "/")
		i, seen := by[section]
		if !seen {
			i, by[section] = len(all), len(all)
			_, name, _ := strings.Cut(elems[n], " ")
			all = append(all, database{user: strings.HasPrefix(elems[n], "userdb"), driver: name, at: set[key].At})
		}
		d, v := &all[i], set[key]
		switch elems[len(elems)-1] {
		case "driver", "userdb_driver", "passdb_driver":
			d.driver, d.at = v.Value, v.At
		case "args", "passwd_file_path":
			if w := words(v.Value); len(w) > 0 && path.IsAbs(w[len(w)-1]) {
				d.file = path.Clean(w[len(w)-1])
			}
		}
	}
	return all
}

// passwdFiles are the files of users that can be read here: their names do not depend on the user.
func passwdFiles(c *dovecotconf.Config) (files []string) {
	for _, d := range databases(c) {
		if d.passwdFile() && !slices.Contains(files, d.file) {
			files = append(files, d.file)
		}
	}
	return files
}

func (d database) passwdFile() bool {
	return strings.ReplaceAll(d.driver, "_", "-") == "passwd-file" && d.file != "" && !strings.Contains(d.file, "%")
}

// ofSystem are the drivers that know accounts only, or take what another database said.
var ofSystem = []string{"", "passwd", "nss", "pam", "shadow", "bsdauth", "prefetch"}

// judgeDatabases tells of users whom the old Dovecot has from elsewhere than the account files, and gives the places of mail that
// the files of users name.
func (p *plan) judgeDatabases(m *migration, c *dovecotconf.Config) (places []dovecotconf.Value, err error) {
	root, err := os.OpenRoot(m.from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	host, err := passwd.ReadHost(m.from)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{}
	for _, d := range databases(c) {
		name := strings.TrimPrefix(d.file, "/")
		src, unread := []byte(nil), error(nil)
		if d.passwdFile() {
			src, unread = readSmall(root, name)
			places = append(places, dovecotconf.PasswdFilePaths(name, src)...)
		}
		switch {
		case !d.user || slices.Contains(ofSystem, d.driver) || told[d.driver+d.file]:
		case d.passwdFile() && unread == nil:
			p.judgeUsers(d, name, string(src), host.Passwd)
		default:
			p.note(finding{Part: "mail", Rule: "USERDB", Severity: "warn", Name: cmp.Or(d.file, d.driver), At: d.at,
				Detail: "the old server has users from " + d.driver + ", which is not read here: whoever has no account does not move, and where it says that mail is, is not known",
				Advice: "list these users with their homes and mail, and copy with copymail what is not in a home or in /var/mail"})
		}
		told[d.driver+d.file] = told[d.driver+d.file] || d.user
	}
	return places, nil
}

// readSmall reads a regular file that is no longer than a list of users may be.
func readSmall(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > 64<<20) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	return root.ReadFile(name)
}

// judgeUsers tells of users of a passwd-file who have no account.
func (p *plan) judgeUsers(d database, name, src string, accounts *passwd.File) {
	var without []string
	at, n := d.at, 0
	for line := range strings.Lines(src) {
		n++
		user, _, ok := strings.Cut(line, ":")
		if !ok || user == "" || strings.HasPrefix(user, "#") {
			continue
		}
		if _, known := accounts.Lookup(user); !known {
			if len(without) == 0 {
				at = fmt.Sprintf("%s:%d", name, n)
			}
			without = append(without, visible(user))
		}
	}
	if len(without) == 0 {
		return
	}
	shown := strings.Join(without[:min(len(without), 5)], ", ")
	if len(without) > 5 {
		shown += ", ..."
	}
	p.note(finding{Part: "mail", Rule: "USERDB", Severity: "loss", Name: d.file, At: at,
		Detail: counted(len(without), "user", "users") + " of the old server without an account: " + shown, Advice: "they do not move: copy their mail with copymail, and " + d.file})
}
