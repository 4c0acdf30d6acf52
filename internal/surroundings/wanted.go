package surroundings

import (
	"os"
	"path"
	"strings"

	"github.com/mailmove/mailmove/internal/mirror"
)

// hostFiles are what is looked at of the old host, as patterns of internal/mirror.
var hostFiles = []string{
	"etc/passwd", "etc/hostname", "etc/sysconfig/network", "etc/fstab", "etc/aliases", "etc/procmailrc", "etc/crontab", "etc/cron.d/*", "etc/cron.allow", "etc/at.allow",
	"etc/mail/*", "etc/sendmail.cf", "etc/sendmail.cw", "etc/postfix/*", "etc/exim/exim.conf", "etc/exim4/update-exim4.conf.conf", "etc/exim4/exim4.conf.template",
	"etc/alternatives/mta", "etc/alternatives/mta-mta", "etc/rc2.d/*", "etc/rc3.d/*", "etc/rc.d/rc3.d/*", "etc/systemd/system/multi-user.target.wants/*",
}

// userFiles are what is looked at in a home.
var userFiles = []string{".forward", ".procmailrc", ".dovecot.sieve"}

// Wanted lists what has to be at hand of the old host, as patterns of internal/mirror below its root. None of it need exist.
func Wanted(users []User) []string {
	all := append([]string{}, hostFiles...)
	for _, u := range users {
		if u.Name == "" || strings.Contains(u.Name, "/") {
			continue
		}
		name := mirror.Literal(u.Name)
		all = append(all, "var/spool/cron/"+name, "var/spool/cron/crontabs/"+name)
		if home := strings.Trim(path.Clean("/"+u.Home), "/"); u.Home != "" && home != "" {
			for _, f := range userFiles {
				all = append(all, mirror.Literal(home+"/"+f))
			}
		}
	}
	return all
}

// Further lists what the files that Wanted named name in turn: tables and aliases in other places, lists, and certificates, never
// a key. old holds what was fetched so far.
func Further(old *os.Root) (all []string) {
	f := &finder{Move: &Move{}, old: &host{root: old}}
	f.new = f.old
	f.mta = [2]string{f.old.agent(), ""}
	f.postfix[0] = f.old.mainCF()
	add := func(name string) {
		if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" && len(all) < 1000 {
			all = append(all, mirror.Literal(name))
		}
	}
	for _, name := range f.aliasFiles(0) {
		add(name)
	}
	for _, v := range f.postfix[0].values {
		for _, t := range f.postfix[0].tables(v.text) {
			if t.isFile() && v.line > 0 {
				add(t.path)
			}
		}
	}
	for _, x := range f.tlsFiles(0) {
		if isCertificate(x) {
			add(x.Path)
		}
	}
	return unique(all)
}
