package dovecotconf

import (
	"maps"
	"slices"
	"strings"
)

// Value is a setting in force and where it comes from: "path:line", or "default".
type Value struct {
	Value string `json:"value"`
	At    string `json:"at"`
}

const atDefault = "default"

// hidden stands for the value of a secret, as in doveconf's own output.
const hidden = "# hidden, use -P to show it"

// Effective gives the settings in force for a protocol ("pop3", "imap", "lda", "lmtp" ... or "" for none), defaults
// included. Settings in sections bear their names: "namespace inbox/prefix", "plugin/quota". Filters for addresses
// (local, remote) are left out: they hold for some connections only. Values are those of doveconf -n, or of doveconf -x
// when the configuration was loaded with Expand; passwords and keys are hidden.
func (c *Config) Effective(protocol string) map[string]Value {
	out := map[string]Value{}
	for k := range tableOf(c.v).defaults {
		if v, ok := c.fallback(k); ok && (!strings.Contains(k, "/") || c.v.before(v20) && !strings.Contains(k, "db/")) {
			out[k] = Value{show(c.v, k, v), atDefault}
		}
	}
	for k, v := range c.explicit(protocol) {
		out[k] = Value{show(c.v, k, c.valueOf(v)), v.at.String()}
	}
	return out
}

func (c *Config) fallback(key string) (string, bool) {
	if v, ok := tableOf(c.v).distro[c.Distro][key]; ok {
		return v, true
	}
	return fallback(c.v, key)
}

func (c *Config) valueOf(e *entry) string {
	if c.expand {
		return e.long
	}
	return e.value
}

// show hides what must not be printed.
func show(v release, key, value string) string {
	name := key[strings.LastIndexByte(key, '/')+1:]
	secret := strings.HasSuffix(name, "_password") || strings.HasSuffix(name, "_secret") || name == "password" ||
		name == "doveadm_api_key" || name == "auth_policy_hash_nonce" ||
		(name == "ssl_key" || name == "ssl_alt_key" || name == "ssl_client_key") && (!v.before(v23) || !strings.HasPrefix(value, "<"))
	if secret && value != "" {
		return hidden
	}
	return value
}

// Get gives one setting for a protocol: Effective(protocol)[key].
func (c *Config) Get(protocol, key string) Value {
	if e, ok := c.explicit(protocol)[key]; ok {
		return Value{show(c.v, key, c.valueOf(e)), e.at.String()}
	}
	v, _ := c.fallback(key)
	return Value{show(c.v, key, v), atDefault}
}

// explicit finds the entry that decides each setting that a file sets.
func (c *Config) explicit(protocol string) map[string]*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if got, ok := c.cache[protocol]; ok {
		return got
	}
	out := map[string]*entry{}
	if c.v.before(v20) && !c.Dump {
		c.layer(out, func(e *entry) bool { return len(e.filters) == 0 || matches(e, protocol) })
	} else {
		c.layer(out, func(e *entry) bool { return len(e.filters) == 0 })
		c.layer(out, func(e *entry) bool { return len(e.filters) > 0 && matches(e, protocol) })
	}
	if c.cache == nil {
		c.cache = map[string]map[string]*entry{}
	}
	c.cache[protocol] = out
	return out
}

// matches: all filters are protocols that hold for this one.
func matches(e *entry, protocol string) bool {
	for _, f := range e.filters {
		name, not := strings.CutPrefix(f.arg, "!")
		if f.kind != "protocol" || (name == protocol) == not {
			return false
		}
	}
	return protocol != ""
}

// layer applies the entries of one filter level in the order of the file. What a group brings (2.4) comes below what
// the level says itself.
func (c *Config) layer(out map[string]*entry, in func(*entry) bool) {
	own := map[string]*entry{}
	lists := map[string]*members{}
	for i := range c.entries {
		e := &c.entries[i]
		if !in(e) || groupOf(e) != "" || e.group {
			continue
		}
		if e.list {
			c.addToList(lists, own, out, e)
			continue
		}
		own[e.name()] = e
		delete(lists, e.name())
	}
	for name, m := range lists {
		own[name] = m.entry()
	}
	for i := range c.entries {
		if e := &c.entries[i]; in(e) && e.group {
			c.addGroup(own, e)
		}
	}
	maps.Copy(out, own)
}

func (c *Config) addGroup(own map[string]*entry, e *entry) {
	for _, g := range c.groups[e.key+" "+e.value] {
		g.path = g.path[1:]
		if _, ok := own[g.name()]; !ok && !g.list {
			own[g.name()] = &g
		}
	}
}

// members is a list that blocks change: mail_plugins { acl = yes }.
type members struct {
	last  *entry
	words []string
	at    map[string]int // index in words, -1 when taken out
}

func (m *members) set(word string, yes bool) {
	i, ok := m.at[word]
	switch {
	case yes && (!ok || i < 0):
		m.at[word] = len(m.words)
		m.words = append(m.words, word)
	case !yes && ok && i >= 0:
		m.words[i], m.at[word] = "", -1
	}
}

func (m *members) entry() *entry {
	e := *m.last
	n := len(e.path) - 1
	e.path, e.key, e.list = e.path[:n], e.path[n], false
	e.value = strings.Join(slices.DeleteFunc(m.words, func(w string) bool { return w == "" }), " ")
	e.long = e.value
	return &e
}

// addToList changes an inherited list by one member of a block.
func (c *Config) addToList(lists map[string]*members, own, inherited map[string]*entry, e *entry) {
	yes, isBool := boolean(c.v, e.value)
	if !isBool {
		own[e.name()] = e
		return
	}
	name := strings.Join(e.path, "/")
	m := lists[name]
	if m == nil {
		m = &members{at: map[string]int{}}
		lists[name] = m
		value, _ := c.fallback(e.path[len(e.path)-1])
		if was, ok := own[name]; ok {
			value = was.value
		} else if was, ok := inherited[name]; ok {
			value = was.value
		}
		for _, w := range strings.Fields(value) {
			m.set(w, true)
		}
	}
	m.last = e
	m.set(e.key, yes)
}

// UIDLFormat gives the format that POP3 clients of this server get, with the line that decides it. The error says why
// POP3 does not work with it.
func (c *Config) UIDLFormat() (*Format, Value, error) {
	v := c.Get("pop3", "pop3_uidl_format")
	text := v.Value
	if e, ok := c.explicit("pop3")["pop3_uidl_format"]; ok {
		text = e.long
	}
	f, err := parseFormat(c.v, text)
	return f, v, err
}

// Print is what a configuration means, for people and programs: the settings for a protocol and what is wrong.
type Print struct {
	Settings map[string]Value `json:"settings"`
	Problems []Problem        `json:"problems"`
}

// Print collects Effective and Problems.
func (c *Config) Print(protocol string) *Print {
	return &Print{Settings: c.Effective(protocol), Problems: c.Problems()}
}

// String writes one "key = value  # path:line" per setting that a file sets, then the problems.
func (p *Print) String() string {
	var out strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p.Settings)) {
		if v := p.Settings[k]; v.At != atDefault {
			out.WriteString(k + " = " + v.Value + "  # " + v.At + "\n")
		}
	}
	for _, pr := range p.Problems {
		out.WriteString(pr.String() + "\n")
	}
	return out.String()
}
