package dovecotconf

import (
	"fmt"
	"slices"
	"strings"
)

// obsolete is a warning of the converter that 2.0 to 2.3 have for settings of 1.x (old-set-parser.c).
func (l *loader) obsolete(at position, msg string) { l.warn(at, "Obsolete setting: "+msg) }

// openLegacy opens the sections of 1.x: auth NAME, passdb DRIVER, namespace TYPE, socket listen.
func (l *loader) openLegacy(f *frame, parent string) bool {
	switch {
	case f.key == "auth" && parent == "":
		l.obsolete(f.at, "add auth_ prefix to all settings inside auth {} and remove the auth {} section completely")
	case (f.key == "passdb" || f.key == "userdb") && (parent == "" || parent == "auth") && f.name != "":
		l.obsolete(f.at, fmt.Sprintf("%s %s {} has been replaced by %s { driver=%s }", f.key, f.name, f.key, f.name))
		f.path = l.sectionName(f.key, "")
		l.setInside(f, "driver", f.name)
	case (f.key == "passdb" || f.key == "userdb") && parent == "auth":
		f.path = l.sectionName(f.key, "")
	case f.key == "namespace" && wordSet("private shared public")[f.name] && l.v.before(v21):
		l.obsolete(f.at, fmt.Sprintf("namespace %s {} has been replaced by namespace { type=%s }", f.name, f.name))
		f.path = l.sectionName("namespace", "")
		l.setInside(f, "type", f.name)
	case f.key == "socket" && parent == "auth":
		if f.name == "connect" {
			l.fatal(f.at, "socket connect {} is no longer supported, configure external auth server separately")
			f.path = "?"
		}
	case (f.key == "master" || f.key == "client") && parent == "socket":
		f.socket = map[string]Statement{}
	case f.key == "protocol" && f.name == "managesieve":
		l.obsolete(f.at, "protocol managesieve {} has been replaced by protocol sieve { }")
		f.name = "sieve"
		l.openFilter(f)
	default:
		return false
	}
	return true
}

// closeLegacy stores what a socket of 1.x held once its path is known.
func (l *loader) closeLegacy(f frame) {
	path, ok := f.socket["path"]
	if !ok {
		return
	}
	for _, k := range []string{"mode", "user", "group"} {
		if s, ok := f.socket[k]; ok {
			at := position{f.at.file, s.Line}
			l.add(entry{path: []string{"service auth", "unix_listener " + path.Value}, key: k, value: s.Value, long: s.Value, at: at})
		}
	}
}

// removed settings of 1.x do nothing in 2.x.
var removed = wordSet("dbox_rotate_days dbox_rotate_min_size login_dir mail_log_max_lines_per_sec maildir_copy_preserve_filename")

// toService moves a setting of 1.x into the services of the protocols; the login_ ones into their login service.
var toService = map[string]string{
	"login_chroot": "chroot", "login_executable": "executable", "login_max_connections": "client_limit",
	"login_max_processes_count": "process_limit", "login_process_per_connection": "service_count",
	"login_process_size": "vsz_limit", "login_processes_count": "process_min_avail", "login_user": "user",
	"mail_drop_priv_before_exec": "drop_priv_before_exec", "mail_executable": "executable",
	"mail_process_size": "vsz_limit", "max_mail_processes": "process_limit",
}

// assignLegacy converts a setting of 1.x. It reports false for what is not one.
func (l *loader) assignLegacy(s *Statement, at position) bool {
	n := len(l.frames)
	if n > 0 && l.frames[n-1].socket != nil {
		l.frames[n-1].socket[s.Key] = *s
		return true
	}
	parent := l.parent2()
	if parent == "auth" {
		return l.authLegacy(s, at)
	}
	if parent != "" {
		return false
	}
	switch key := s.Key; {
	case removed[key] || key == "ssl_parameters_regenerate" && !l.v.before(v23):
		l.obsolete(at, key+" has been removed")
	case toService[key] != "":
		l.serviceLegacy(s, at)
	case key == "ssl_cert_file" || key == "ssl_key_file" || key == "ssl_ca_file":
		l.obsolete(at, fmt.Sprintf("%s has been replaced by %s = <file", key, strings.TrimSuffix(key, "_file")))
		l.rename(at, strings.TrimSuffix(key, "_file"), "<"+s.Value)
	case key == "ssl_disable":
		l.obsolete(at, "ssl_disable has been renamed to ssl")
		yes, _ := boolean(l.v, s.Value)
		l.rename(at, "ssl", map[bool]string{true: "no", false: "yes"}[yes])
	case key == "fsync_disable":
		l.obsolete(at, "fsync_disable has been renamed to mail_fsync")
		yes, _ := boolean(l.v, s.Value)
		l.rename(at, "mail_fsync", map[bool]string{true: "never", false: "optimized"}[yes])
	case key == "dbox_rotate_size":
		l.obsolete(at, "dbox_rotate_size has been renamed to mdbox_rotate_size")
		l.rename(at, "mdbox_rotate_size", s.Value)
	case key == "ssl_protocols" && !l.v.before(v23):
		l.obsolete(at, "ssl_protocols has been replaced by ssl_min_protocol")
	case key == "protocols":
		return l.protocolsLegacy(s, at)
	case key == "listen" || key == "ssl_listen":
		return l.listenLegacy(s, at)
	default:
		return false
	}
	return true
}

func (l *loader) rename(at position, key, value string) {
	e := l.place(key, at)
	e.value, e.long = value, value
	if strings.HasPrefix(value, "<") {
		l.expandFile(&e)
	}
	l.checkValue(&e, typeOf(l.v, key))
	l.add(e)
}

// toAuthService moves what concerns the process out of auth NAME { }.
var toAuthService = map[string]string{"user": "user", "chroot": "chroot", "executable": "executable", "process_size": "vsz_limit"}

// authLegacy is a setting inside auth NAME { }.
func (l *loader) authLegacy(s *Statement, at position) bool {
	if s.Key == "count" {
		l.obsolete(at, "auth_count has been removed, and its value must be 1")
		return true
	}
	if key, ok := toAuthService[strings.TrimPrefix(s.Key, "auth_")]; ok {
		l.obsolete(at, fmt.Sprintf("auth_%s has been replaced by service auth { %s }", strings.TrimPrefix(s.Key, "auth_"), key))
		value := s.Value
		if key == "vsz_limit" {
			value += " M"
		}
		l.add(entry{path: []string{"service auth"}, key: key, value: value, long: value, at: at})
		return true
	}
	prefixed := *s
	if !strings.HasPrefix(s.Key, "auth_") {
		prefixed.Key = "auth_" + s.Key
	}
	e := l.place(prefixed.Key, at)
	l.set2(&prefixed, at, e, "")
	return true
}

// services gives the protocols a line of 1.x applies to.
func (l *loader) services() []string {
	e := l.place("", position{})
	for _, c := range e.filters {
		if c.kind == "protocol" {
			return []string{c.arg}
		}
	}
	return []string{"imap", "pop3"}
}

func (l *loader) serviceLegacy(s *Statement, at position) {
	key, value := toService[s.Key], s.Value
	l.obsolete(at, fmt.Sprintf("%s has been replaced by service { %s }", s.Key, key))
	yes, _ := boolean(l.v, s.Value)
	switch {
	case key == "vsz_limit" && l.v.before(v2013):
		l.fatal(at, fmt.Sprintf("service { vsz_limit } is too low: %s bytes (%s was in megabytes)", s.Value, s.Key))
	case key == "vsz_limit":
		value += " M"
	case key == "service_count":
		value = map[bool]string{true: "1", false: "0"}[yes]
	case key == "chroot":
		value = map[bool]string{true: "login", false: ""}[yes]
	}
	for _, p := range l.services() {
		if strings.HasPrefix(s.Key, "login_") {
			p += "-login"
		}
		l.add(entry{path: []string{"service " + p}, key: key, value: value, long: value, at: at})
	}
}

// protocolsLegacy drops imaps and pop3s; where they stood alone the plain port is closed.
func (l *loader) protocolsLegacy(s *Statement, at position) bool {
	words := strings.Fields(s.Value)
	var out []string
	found := false
	for _, w := range words {
		plain := strings.TrimSuffix(w, "s")
		if w != "imaps" && w != "pop3s" {
			out = append(out, w)
			continue
		}
		found = true
		if slices.Contains(words, plain) {
			l.obsolete(at, fmt.Sprintf("'%s' protocol is no longer necessary, remove it", w))
			continue
		}
		l.obsolete(at, fmt.Sprintf("'%s' protocol can no longer be specified (use protocols=%s). to disable non-ssl %s, use service %s-login { inet_listener %s { port=0 } }", w, plain, plain, plain, plain))
		out = append(out, plain)
		l.add(entry{path: []string{"service " + plain + "-login", "inet_listener " + plain}, key: "port", value: "0", long: "0", at: at})
	}
	if found {
		l.rename(at, "protocols", strings.Join(out, " "))
	}
	return found
}

// listenLegacy moves the port of listen = ADDRESS:PORT, and any listen in a protocol, into the login services.
func (l *loader) listenLegacy(s *Statement, at position) bool {
	addr, port := s.Value, ""
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && !strings.HasSuffix(addr, "]") && !strings.HasSuffix(addr, ":") && strings.Trim(addr[i+1:], "0123456789") == "" {
		addr, port = addr[:i], addr[i+1:]
	}
	e := l.place("", at)
	inProtocol := len(e.filters) > 0
	if port == "" && !inProtocol && s.Key == "listen" {
		return false
	}
	if port != "" {
		l.obsolete(at, s.Key+"=..:port has been replaced by service { inet_listener { port } }")
	}
	if inProtocol || s.Key == "ssl_listen" {
		l.obsolete(at, fmt.Sprintf("protocol { %s } has been replaced by service { inet_listener { address } }", s.Key))
	} else {
		l.rename(at, "listen", addr)
	}
	for _, p := range l.services() {
		name := p
		if s.Key == "ssl_listen" {
			name += "s"
		}
		path := []string{"service " + p + "-login", "inet_listener " + name}
		if inProtocol || s.Key == "ssl_listen" {
			l.add(entry{path: path, key: "address", value: addr, long: addr, at: at})
		}
		if port != "" {
			l.add(entry{path: path, key: "port", value: port, long: port, at: at})
		}
	}
	return true
}
