package dovecotconf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// userFormat writes auth_username_format in the new server's syntax.
func (c *comparison) userFormat(old string) string {
	if c.new.v.old() {
		return old
	}
	return strings.NewReplacer("%Lu", "%{user | lower}", "%Ln", "%{user | username | lower}", "%u", "%{user}", "%n", "%{user | username}",
		"%d", "%{user | domain}").Replace(old)
}

// weakScheme is a password scheme that 2.4 refuses without auth_allow_weak_schemes.
var weakScheme = regexp.MustCompile(`(?i)\b(?:scheme|default_pass_scheme|default_password_scheme)\s*=\s*(MD5|SMD5|LDAP-MD5|PLAIN-MD[45]|DIGEST-MD5|CRAM-MD5|HMAC-MD5|LANMAN|NTLM|SHA1?|LDAP-SHA|MD5-CRYPT|DES-CRYPT|CRYPT)\b`)

// textRules are A09, A13, C03 and C05.
func (c *comparison) textRules() {
	if c.new.v.old() {
		return
	}
	allowed := c.new.yes("auth_allow_weak_schemes")
	plugin := false
	for i := range c.old.entries {
		e := &c.old.entries[i]
		if m := weakScheme.FindStringSubmatch(e.key + " = " + e.value); m != nil && !allowed && c.old.v.old() {
			allowed = true
			c.add("A09", Blocks, e.name(), "auth_allow_weak_schemes", "2.4 refuses passwords kept as "+m[1], line("auth_allow_weak_schemes", "yes")).
				set("auth_allow_weak_schemes", "yes")
		}
		if c.old.v.old() && !plugin && len(e.path) > 0 && e.path[0] == "plugin" {
			plugin = true
			c.add("C03", Info, e.name(), "mail_plugins", "plugin { } is gone in 2.4", "write its settings outside of all sections, under their new names")
		}
	}
	for _, key := range []string{"pop3_logout_format", "imap_logout_format"} {
		v := c.new.Get("pop3", key)
		if left := logLetters.FindString(v.Value); left != "" {
			c.add("C05", Degraded, key, key, left+" is plain text in 2.4: the log says less", "delete the line: the default names everything")
		}
	}
}

var logLetters = regexp.MustCompile(`%[a-zA-Z]`)

// portRules are L03: the addresses and ports that clients are set to.
func (c *comparison) portRules() {
	old, now := c.old.Get("", "listen"), c.new.Get("", "listen")
	both := c.old.v.before(v11) && strings.Contains(old.Value, "::") // before 1.1 [::] served IPv4 too
	if (both || hasWord(old.Value, "*")) && now.Value != "" && !hasWord(now.Value, "*") && !strings.Contains(now.Value, "0.0.0.0") {
		c.add("L03", Blocks, "listen", "listen", "IPv4 clients cannot connect, except to the addresses named", line("listen", "*, ::")).set("listen", "*, ::")
	}
	for _, l := range []struct{ protocol, listener, port string }{{"imap", "imap", "143"}, {"imap", "imaps", "993"}, {"pop3", "pop3", "110"}, {"pop3", "pop3s", "995"}} {
		key := fmt.Sprintf("service %s-login/inet_listener %s/port", l.protocol, l.listener)
		o, n := c.old.port(l.protocol, l.listener, l.port), c.new.port(l.protocol, l.listener, l.port)
		if o == n || o == "0" || !c.old.serves(l.protocol) || !c.new.serves(l.protocol) {
			continue
		}
		f := c.add("L03", Blocks, key, key, fmt.Sprintf("clients set to port %s for %s cannot connect", o, l.listener), line("port", o)+" in service "+l.protocol+"-login { inet_listener "+l.listener+" { } }")
		f.Old, f.New = o, n
		f.settings = append(f.settings, setting{key: "port", value: o, section: "service " + l.protocol + "-login/inet_listener " + l.listener})
	}
}

func hasWord(list, word string) bool {
	return slices.Contains(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }), word)
}

func (c *Config) serves(protocol string) bool {
	words := c.Get("", "protocols").Value
	return hasWord(words, protocol) || hasWord(words, protocol+"s")
}

// port is the one that a listener uses; 1.x writes it behind the address of listen and ssl_listen.
func (c *Config) port(protocol, listener, def string) string {
	if !c.v.before(v20) {
		if v := c.Get("", fmt.Sprintf("service %s-login/inet_listener %s/port", protocol, listener)); v.At != atDefault {
			return v.Value
		}
		return def
	}
	key := map[bool]string{true: "ssl_listen", false: "listen"}[strings.HasSuffix(listener, "s")]
	v := c.Get(protocol, key).Value
	if i := strings.LastIndexByte(v, ':'); i >= 0 && v[i+1:] != "" && strings.Trim(v[i+1:], "0123456789") == "" && !strings.HasPrefix(v, "::") {
		return v[i+1:]
	}
	return def
}
