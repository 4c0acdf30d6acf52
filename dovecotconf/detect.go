package dovecotconf

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
)

var (
	// "# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf", "# 1.2.17: /etc/dovecot.conf"; 1.0 writes the path alone.
	dumpHeader   = regexp.MustCompile(`^# (\d+\.\d+[^ :]*)(?: \([0-9a-f]+\))?: /`)
	dumpHeader10 = regexp.MustCompile(`^# /\S+$`)
	colonLine    = regexp.MustCompile(`^\w+(\([a-z0-9]+\))?: ?`)
	versionLine  = regexp.MustCompile(`(?m)^\s*dovecot_config_version\s*=\s*"?(\d[\w.]*)`)
	dpkgVersion  = regexp.MustCompile(`(?m)^Version: (?:\d+:)?(\d+\.\d+[\d.]*)`)
	dumpRedHat   = regexp.MustCompile(`(?m)^# OS: .*(?:Red Hat|CentOS|Fedora|AlmaLinux|Rocky|Oracle Linux|\.(?:el|fc)\d)`)
	dumpDebian   = regexp.MustCompile(`(?m)^# OS: .*\bDebian\b`)
	signs12      = regexp.MustCompile(`(?m)^\s*(auth\s+\S+\s*\{|passdb\s+[a-z]\S*\s*\{|userdb\s+[a-z]\S*\s*\{|socket\s+(listen|connect)\s*\{|login_process_\w+\s*=|protocols\s*=.*(imaps|pop3s))`)
	signs11      = regexp.MustCompile(`(?m)^\s*(ssl_disable|mail_extra_groups|login_greeting_capability)\s*=`)
	signs10      = regexp.MustCompile(`(?m)^\s*(default_mail_env|mmap_no_write)\s*=`)
	signs20      = regexp.MustCompile(`(?m)^\s*(service\s+\S+\s*\{|(passdb|userdb)\s*\{|ssl_cert\s*=\s*<)`)
)

// detect finds the version: given, of a dump's header, of the package installed in this tree, of the version line of
// 2.4, else by what the file uses.
func (l *loader) detect(src []byte) error {
	text := string(src)
	found := l.detectDump(text)
	if found == "" {
		found = l.installed()
	}
	if m := versionLine.FindStringSubmatch(text); found == "" && m != nil {
		found = m[1]
		if r, err := parseRelease(found); err != nil || r.before(v24) {
			found = "2.4"
		}
	}
	if found == "" {
		l.Guessed = true
		found = guess(text)
	}
	if l.opt.Version != "" {
		l.Guessed, found = false, l.opt.Version
	}
	v, err := parseRelease(found)
	if err != nil && l.opt.Version == "" {
		v, err = parseRelease("2.3")
	}
	l.v, l.Version = v, found
	switch l.opt.Distro {
	case "":
		l.Distro = l.detectDistro(text)
	case "debian", "redhat":
		l.Distro = l.opt.Distro
	}
	return err
}

// detectDistro looks for the system that a dump names in its second line, or that the tree is of.
func (l *loader) detectDistro(text string) string {
	if l.Dump {
		head := text[:min(len(text), 4096)]
		switch {
		case dumpRedHat.MatchString(head):
			return "redhat"
		case dumpDebian.MatchString(head):
			return "debian"
		}
		return ""
	}
	if l.opt.Path != "" || !strings.HasPrefix(path.Clean(l.main), "etc/") {
		return ""
	}
	for _, d := range []struct{ file, name string }{
		{"etc/redhat-release", "redhat"}, {"etc/fedora-release", "redhat"}, {"etc/debian_version", "debian"}, {"var/lib/dpkg/status", "debian"},
	} {
		if info, err := fs.Stat(l.fsys, d.file); err == nil && info.Mode().IsRegular() {
			return d.name
		}
	}
	return ""
}

func (l *loader) detectDump(text string) string {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := dumpHeader.FindStringSubmatch(line); m != nil {
			l.Dump = true
			return m[1]
		}
		if dumpHeader10.MatchString(line) && colonLine.MatchString(strings.TrimLeft(text[strings.Index(text, line)+len(line):], "\r\n")) {
			l.Dump = true
			return "1.0"
		}
		if n++; n > 20 {
			break
		}
	}
	return ""
}

// installed reads the version of the Debian package dovecot-core when the file is one of the tree's own.
func (l *loader) installed() string {
	if l.opt.Path != "" || !strings.HasPrefix(path.Clean(l.main), "etc/") {
		return ""
	}
	const status = "var/lib/dpkg/status"
	info, err := fs.Stat(l.fsys, status)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 64<<20 {
		return ""
	}
	src, err := fs.ReadFile(l.fsys, status)
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut("\n"+string(src), "\nPackage: dovecot-core\n")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	m := dpkgVersion.FindStringSubmatch(rest)
	if m == nil || !strings.Contains(rest, "Status: install ok") {
		return ""
	}
	return m[1]
}

func guess(text string) string {
	switch {
	case signs10.MatchString(text):
		return "1.0"
	case signs20.MatchString(text):
		return "2.3"
	case signs11.MatchString(text):
		return "1.1"
	case signs12.MatchString(text):
		return "1.2"
	}
	return "2.3"
}
