package dovecotconf

import (
	"fmt"
	"strconv"
	"strings"
)

// authKey is the name of an authentication setting in a version: 1.x keeps them in "auth default".
func (c *Config) authKey(key string) string {
	if c.v.before(v20) {
		return "auth default/" + key
	}
	return "auth_" + key
}

// authRules are A01, A03, A04, A05, A06, A10 and A11.
func (c *comparison) authRules() {
	oldKey, newKey := c.old.authKey("username_format"), c.new.authKey("username_format")
	lower := func(s string) bool { return s == "%Lu" || strings.ReplaceAll(s, " ", "") == "%{user|lower}" }
	if o, n := c.old.Get("", oldKey).Value, c.new.Get("", newKey).Value; o == "" && lower(n) || lower(o) && n == "" {
		c.add("A01", Degraded, oldKey, newKey, "user names with capital letters fail or lead to another mailbox", "if there are such accounts: "+line(newKey, c.userFormat(o))).maybe(newKey, c.userFormat(o))
	}
	c.plaintext()
	if o, n := c.old.Get("", "ssl").Value, c.new.Get("", "ssl").Value; n == "required" && o != "required" {
		c.add("A04", Blocks, "ssl", "ssl", "clients that do not use TLS cannot log in", line("ssl", "yes")).set("ssl", "yes")
	} else if trusted := c.new.Get("", "login_trusted_networks"); n == "required" && c.old.v.old() && !c.new.v.old() && trusted.Value != "" {
		c.add("A04", Blocks, "login_trusted_networks", "login_trusted_networks", "2.4 wants TLS of trusted networks too", line("ssl", "yes")).set("ssl", "yes")
	}
	if c.new.Get("", "ssl").Value != "no" && c.old.v.before(v2315) && c.new.Get("", "ssl_min_protocol").Value == "TLSv1.2" && c.old.Get("", "ssl_min_protocol").Value != "TLSv1.2" {
		c.add("A05", Degraded, "ssl_min_protocol", "ssl_min_protocol", "clients that know only TLS 1.0 or 1.1 cannot connect with TLS", "if there are such clients: "+line("ssl_min_protocol", "TLSv1")).maybe("ssl_min_protocol", "TLSv1")
	}
	for _, p := range c.new.Problems() {
		if strings.Contains(p.Message, "ssl_protocols has been replaced") {
			c.r.Findings = append(c.r.Findings, Finding{Rule: "A06", Severity: Degraded, Setting: "ssl_protocols", NewAt: p.At, OldAt: "",
				Effect: "ssl_protocols is not understood any more and is ignored", Advice: "use ssl_min_protocol"})
		}
	}
	oldMech, newMech := c.old.authKey("mechanisms"), c.new.authKey("mechanisms")
	have := wordSet(strings.ToLower(c.new.Get("", newMech).Value))
	for _, m := range strings.Fields(strings.ToLower(c.old.Get("", oldMech).Value)) {
		if !have[m] {
			was := c.old.Get("", oldMech).Value
			c.add("A10", Blocks, oldMech, newMech, "clients that log in with "+m+" fail", line(newMech, was)).set(newMech, was)
			break
		}
	}
	const conns = "mail_max_userip_connections"
	o, errO := strconv.Atoi(c.old.Get("imap", conns).Value)
	n, errN := strconv.Atoi(c.new.Get("imap", conns).Value)
	if errN == nil && n > 0 && (errO != nil || o == 0 || o > n) {
		c.add("A11", Degraded, conns, conns, fmt.Sprintf("a user has at most %d connections from one address", n), "raise it for offices behind one address: "+line(conns, "100")).maybe(conns, "100")
	}
}

// plaintext is A03: passwords without TLS were allowed and are not.
func (c *comparison) plaintext() {
	allowed := func(cfg *Config) (bool, string) {
		if cfg.v.old() {
			return !cfg.yes("disable_plaintext_auth"), "disable_plaintext_auth"
		}
		return cfg.yes("auth_allow_cleartext"), "auth_allow_cleartext"
	}
	was, oldKey := allowed(c.old)
	is, newKey := allowed(c.new)
	if was && !is {
		value := "yes"
		if c.new.v.old() {
			value = "no"
		}
		c.add("A03", Blocks, oldKey, newKey, "clients that send the password without TLS cannot log in", line(newKey, value)).set(newKey, value)
	}
}

// listenRules are L01 and L02: what is served at all.
func (c *comparison) listenRules() {
	words := func(cfg *Config) map[string]bool { return wordSet(cfg.Get("", "protocols").Value) }
	old, now := words(c.old), words(c.new)
	if c.new.Distro == "debian" && c.new.Get("", "protocols").At == atDefault {
		return // each package of Debian brings its own protocol
	}
	for _, p := range []string{"imap", "pop3"} {
		if (old[p] || old[p+"s"]) && !now[p] && !now[p+"s"] {
			c.add("L01", Blocks, "protocols", "protocols", p+" is not served any more", line("protocols", "imap pop3")).set("protocols", "imap pop3")
			break
		}
	}
	for _, p := range []string{"imap", "pop3"} {
		if old[p+"s"] && !old[p] && now[p] && !c.new.v.before(v20) {
			f := c.add("L02", Degraded, "protocols", "protocols", "the port without TLS for "+p+" was closed and is open now", fmt.Sprintf("service %s-login { inet_listener %s { port = 0 } }, one setting a line", p, p))
			f.settings = append(f.settings, setting{key: "port", value: "0", section: fmt.Sprintf("service %s-login/inet_listener %s", p, p)})
		}
	}
}
