package dovecotconf

import (
	"errors"
	"fmt"
	"strings"
)

// finish says what Dovecot finds only after the last line.
func (l *loader) finish() {
	if l.Dump {
		return
	}
	l.checkOpen()
	if !l.v.old() {
		l.check24()
	}
	l.checkFormats()
	if !l.v.before(v20) {
		l.checkConflicts()
		l.checkValues()
	}
}

func (l *loader) checkOpen() {
	for i := len(l.frames) - 1; i >= 0; i-- {
		f := l.frames[i]
		at := l.at(l.main, 0)
		if l.v.before(v20) {
			l.fatal(at, "Missing '}'")
			return
		}
		l.fatal(at, fmt.Sprintf("Missing '}' (section started at %s)", f.at))
	}
}

func (l *loader) check24() {
	if _, ok := l.seen[seenKey(nil, "dovecot_storage_version")]; !ok && l.first {
		l.fatal(l.at(l.main, 0), "dovecot_storage_version setting must be set")
	}
	for i := range l.entries {
		e := &l.entries[i]
		if !e.group {
			continue
		}
		if _, ok := l.groups[e.key+" "+e.value]; ok {
			continue
		}
		if !l.labelKnown(e.key) {
			l.fatal(e.at, "Unknown group label "+e.key)
			continue
		}
		if builtin := builtinGroups[e.key+" "+e.value]; !builtin {
			l.fatal(e.at, fmt.Sprintf("Unknown group name for %s: %s", e.key, e.value))
		}
	}
}

// builtinGroups come with 2.4 itself.
var builtinGroups = map[string]bool{"@mailbox_defaults english": true, "@metric_defaults proxy": true, "@metric_defaults backend": true}

func (l *loader) labelKnown(label string) bool {
	for name := range builtinGroups {
		if strings.HasPrefix(name, label+" ") {
			return true
		}
	}
	for name := range l.groups {
		if strings.HasPrefix(name, label+" ") {
			return true
		}
	}
	return false
}

// checkFormats applies the check of mail-storage-settings.c to every value of pop3_uidl_format. 1.x looks at it when
// POP3 starts, so there it is no reason to refuse the file, but for 1.0 without a value.
func (l *loader) checkFormats() {
	if l.v.before(v20) {
		return
	}
	last := map[string]*entry{}
	var order []string
	for i := range l.entries {
		if e := &l.entries[i]; e.key == "pop3_uidl_format" && len(e.path) == 0 {
			k := fmt.Sprint(e.filters)
			if last[k] == nil {
				order = append(order, k)
			}
			last[k] = e
		}
	}
	for _, k := range order {
		_, err := parseFormat(l.v, last[k].long)
		if err == nil || !l.v.old() && !errors.Is(err, errNoVars24) {
			continue
		}
		l.fatal(last[k].at, err.Error())
	}
}

// checkConflicts finds a key set both for a protocol and for the same protocol inside local or remote: 2.x cannot
// order the two and refuses.
func (l *loader) checkConflicts() {
	if !l.v.old() {
		return
	}
	type where struct {
		e    *entry
		addr bool
	}
	first := map[string]where{}
	said := map[string]bool{}
	for i := range l.entries {
		e := &l.entries[i]
		n := len(e.filters)
		if n == 0 || e.filters[n-1].kind != "protocol" || len(e.path) > 0 {
			continue
		}
		k := e.filters[n-1].arg + " " + e.key
		was, ok := first[k]
		if ok && was.addr != (n > 1) && !said[k] {
			said[k] = true
			plain := e
			if n > 1 {
				plain = was.e
			}
			l.fatal(l.at(l.main, 0), fmt.Sprintf("Conflict in setting %s found from filter at %s", e.key, plain.block))
		}
		if !ok {
			first[k] = where{e, n > 1}
		}
	}
}

// checkValues are the checks across settings that the services make.
func (l *loader) checkValues() {
	value := func(key string) (string, position) {
		if i, ok := l.seen[seenKey(nil, key)]; ok {
			return l.entries[i].value, l.entries[i].at
		}
		v, _ := fallback(l.v, key)
		return v, l.at(l.main, 0)
	}
	if t, at := value("pop3_delete_type"); t == "flag" {
		if flag, _ := value("pop3_deleted_flag"); flag == "" {
			l.fatal(at, "pop3_delete_type=flag, but pop3_deleted_flag not set")
		}
	}
	if !l.v.old() {
		if n, at := value("auth_cache_size"); n != "0" && n != "" && strings.Trim(n, "0123456789") == "" && len(n) < 4 {
			l.fatal(at, fmt.Sprintf("auth_cache_size value is too small (%s bytes)", n))
		}
		if url, at := value("auth_policy_server_url"); url != "" {
			if nonce, _ := value("auth_policy_hash_nonce"); nonce == "" {
				l.fatal(at, "auth_policy_hash_nonce must be set when policy server is used")
			}
		}
	}
	l.checkWords("pop3_client_workarounds", "outlook-no-nuls oe-ns-eoh")
	l.checkWords("imap_client_workarounds", "delay-newmail tb-extra-mailbox-sep tb-lsub-flags")
	if !l.v.old() && l.v.before(v242) {
		l.checkProtocols()
	}
	l.checkDatabases()
	l.checkListeners()
}

func (l *loader) checkWords(key, known string) {
	i, ok := l.seen[seenKey(nil, key)]
	if !ok {
		return
	}
	e := &l.entries[i]
	for _, w := range strings.Fields(e.value) {
		if w == "outlook-idle" && l.v.old() || wordSet(known)[w] || strings.HasPrefix(w, "$") {
			continue
		}
		l.fatal(e.at, fmt.Sprintf("%s: Unknown workaround: %s", key, w))
	}
}

// checkProtocols: 2.4.1 knows what is installed; the names of other packages pass here.
func (l *loader) checkProtocols() {
	i, ok := l.seen[seenKey(nil, "protocols")]
	if !ok {
		return
	}
	for _, w := range strings.Fields(l.entries[i].value) {
		if w == "imaps" || w == "pop3s" || w == "none" {
			l.fatal(l.entries[i].at, "protocols: Unknown protocol: "+w)
			return
		}
	}
}

// checkDatabases: a passdb or userdb of 2.x must say its driver.
func (l *loader) checkDatabases() {
	if !l.v.old() {
		return
	}
	driver := map[string]bool{}
	var order []string
	at := map[string]position{}
	for i := range l.entries {
		e := &l.entries[i]
		if len(e.path) != 1 || !strings.HasPrefix(e.path[0], "passdb") && !strings.HasPrefix(e.path[0], "userdb") {
			continue
		}
		k := e.path[0]
		if _, ok := driver[k]; !ok {
			order, at[k] = append(order, k), e.at
		}
		driver[k] = driver[k] || e.key == "driver" && e.value != ""
	}
	for _, k := range order {
		if !driver[k] {
			l.fatal(at[k], k[:6]+" is missing driver")
		}
	}
}

// checkListeners: 2.0 refuses two listeners on one port.
func (l *loader) checkListeners() {
	if !l.v.before(v21) {
		return
	}
	seen := map[string]string{}
	for i := range l.entries {
		e := &l.entries[i]
		if e.key != "port" || e.value == "0" || len(e.path) != 2 {
			continue
		}
		listener := strings.Join(e.path, "/")
		if other, ok := seen[e.value]; ok && other != listener {
			l.fatal(e.at, fmt.Sprintf("duplicate listener: %s:", e.value))
		}
		seen[e.value] = listener
	}
}
