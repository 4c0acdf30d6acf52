package dovecotconf

import (
	"fmt"
	"slices"
	"strings"
)

// setting is a line of the snippet.
type setting struct {
	key, value string
	section    string // the line of the block that it stands in, such as "namespace inbox"
	maybe      bool   // to be decided by a person: written as a comment
}

// set adds a line to the snippet that settles the finding.
func (f *Finding) set(key, value string) *Finding {
	f.settings = append(f.settings, setting{key: key, value: value})
	return f
}

// maybe adds a line that is right only if somebody says so.
func (f *Finding) maybe(key, value string) *Finding {
	f.settings = append(f.settings, setting{key: key, value: value, maybe: true})
	return f
}

// Snippet is a file for the new server, in its syntax, that brings back what clients depend on: every setting of the
// findings that a setting can settle, and pop3_uidl_format in any case. It belongs behind all other files, such as
// conf.d/99-mailmove.conf; no file of the package needs to be edited. Lines that a person has to decide about are
// comments, and so are findings that no line can settle.
func (r *Report) Snippet() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# What mail clients depend on, from Dovecot %s to %s. Goes behind all other files: conf.d/99-mailmove.conf.\n", r.Old.Version, r.New.Version)
	out.WriteString("# Then: doveconf -n >/dev/null && doveadm reload\n")
	said := map[string]bool{}
	if r.Suggest != "" {
		out.WriteString("\n# POP3 clients know mail by this; with another value they fetch all of it again. Old: " + oneLine(r.Old.At) + "\n")
		r.write(&out, setting{key: uidlKey, value: r.Suggest}, said)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if len(f.settings) == 0 || f.all(said) {
			continue
		}
		fmt.Fprintf(&out, "\n# %s %s: %s. Old: %s\n", f.Rule, f.Severity, oneLine(f.Effect), oneLine(f.OldAt))
		for _, s := range f.settings {
			r.write(&out, s, said)
		}
	}
	if n := len(slices.DeleteFunc(r.new.Problems(), func(p Problem) bool { return !p.Fatal })); n > 0 {
		fmt.Fprintf(&out, "\n# Dovecot %s refuses its other files in %d places, which the report names; no line here helps.\n", r.New.Version, n)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if len(f.settings) == 0 && f.Severity != Info && f.Setting != uidlKey && !strings.HasPrefix(f.Effect, refusal) {
			fmt.Fprintf(&out, "\n# %s %s, not settled here: %s\n#   %s\n", f.Rule, f.Severity, oneLine(f.Effect), oneLine(f.Advice))
		}
	}
	return out.String()
}

func (f *Finding) all(said map[string]bool) bool {
	for _, s := range f.settings {
		if !said[s.section+"/"+s.key] {
			return false
		}
	}
	return true
}

func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

// write writes a setting where it wins: in a protocol block when the new server has it in one, since a block beats what
// stands outside of it in all versions from 2.0 on.
func (r *Report) write(out *strings.Builder, s setting, said map[string]bool) {
	if said[s.section+"/"+s.key] {
		return
	}
	said[s.section+"/"+s.key] = true
	if strings.ContainsAny(s.value, "\n\r\x00") {
		fmt.Fprintf(out, "# %s has a value of several lines: carry it over by hand\n", s.key)
		return
	}
	text := line(s.key, s.value)
	if s.maybe {
		text = "#" + text
	}
	var blocks []string
	if s.section != "" {
		blocks = append(blocks, s.section)
	} else if !r.new.v.before(v20) {
		blocks = r.new.blocksOf(s.key)
	}
	if s.section == "" && !(strings.HasPrefix(s.key, "pop3_") && slices.Contains(blocks, "protocol pop3")) {
		out.WriteString(text + "\n")
	}
	for _, b := range blocks {
		in := strings.Split(b, "/")
		for i, name := range in {
			out.WriteString(strings.Repeat("  ", i) + name + " {\n")
		}
		out.WriteString(strings.Repeat("  ", len(in)) + text + "\n")
		for i := len(in) - 1; i >= 0; i-- {
			out.WriteString(strings.Repeat("  ", i) + "}\n")
		}
	}
}

// blocksOf lists the protocol blocks in which the key is set.
func (c *Config) blocksOf(key string) []string {
	var out []string
	seen := map[string]bool{}
	for i := range c.entries {
		e := &c.entries[i]
		if e.key != key || len(e.path) > 0 || len(e.filters) != 1 || e.filters[0].kind != "protocol" || e.filters[0].arg == "" {
			continue
		}
		if b := "protocol " + e.filters[0].arg; !seen[b] {
			seen[b] = true
			out = append(out, b)
		}
	}
	return out
}
