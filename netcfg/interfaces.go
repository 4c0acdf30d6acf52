package netcfg

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// How ifupdown reads etc/network/interfaces and the files that it sources: interfaces(5), and config.c of ifupdown 0.8.41
// for what the page leaves open. One bad line makes it refuse all of them.

const interfacesPath = "etc/network/interfaces"

type interfacesFile struct {
	name    string
	src     []byte
	stanzas []stanza
	sources []source
	errs    []*ParseError
}

// stanza is an iface or mapping line with its options; [start, end) are its lines, without comments that follow it.
type stanza struct {
	start, end   int
	line         int
	kind         string // iface, mapping, auto
	words        []string
	options      []ifOption
	family       string // of an iface
	method       string
	inherits     bool
	continuation bool // some line of it is continued on the next
}

// ifOption is one line of a stanza; comment lines within it have no key.
type ifOption struct {
	start, end int
	line       int
	key, value string
}

type source struct {
	line      int
	pattern   string
	directory bool
}

func parseInterfaces(name string, src []byte) *interfacesFile {
	f := &interfacesFile{name: name, src: src}
	ls := lines.Split(src)
	var open *stanza // that takes options
	var pending []ifOption
	pos := 0
	for i := 0; i < len(ls); i++ {
		start, n := pos, i+1
		text := string(ls[i].Text)
		pos += len(ls[i].Text) + len(ls[i].EOL)
		words := strings.Fields(text)
		if len(words) == 0 || words[0][0] == '#' {
			pending = append(pending, ifOption{start: start, end: pos, line: n})
			continue
		}
		joined := false
		for strings.HasSuffix(text, `\`) && i+1 < len(ls) {
			i++
			joined = true
			text = strings.TrimSuffix(text, `\`) + string(ls[i].Text)
			pos += len(ls[i].Text) + len(ls[i].EOL)
		}
		words = strings.Fields(text)
		if strings.Contains(text, `\`) && joined || strings.HasSuffix(text, `\`) || strings.ContainsRune(text, 0) || len(words) == 0 {
			f.unsure(n, "a backslash or NUL that versions of ifupdown read differently")
			continue
		}
		if f.keyword(words, start, pos, n) {
			open, pending = nil, nil
			if s := len(f.stanzas); s > 0 && f.stanzas[s-1].line == n && f.stanzas[s-1].kind != "auto" {
				open = &f.stanzas[s-1]
			}
			continue
		}
		value := strings.TrimSpace(strings.TrimPrefix(strings.TrimLeft(text, hostsSpace), words[0]))
		switch {
		case open == nil:
			f.bad(n, "misplaced option")
		case open.kind == "mapping" && words[0] != "script" && words[0] != "map":
			f.bad(n, "a mapping has script and map only")
		case value == "":
			f.bad(n, "option with empty value")
		default:
			open.options = append(append(open.options, pending...), ifOption{start, pos, n, optionName(words[0]), value})
			open.end, open.continuation = pos, open.continuation || joined
		}
		pending = nil
	}
	return f
}

func optionName(s string) string {
	switch s {
	case "post-up":
		return "up"
	case "pre-down":
		return "down"
	}
	return s
}

func (f *interfacesFile) bad(line int, why string) {
	f.errs = append(f.errs, &ParseError{f.name, line, fmt.Errorf("%s: ifupdown refuses the file", why)})
}

// unsure is a line whose meaning is not decided here.
func (f *interfacesFile) unsure(line int, why string) {
	f.errs = append(f.errs, &ParseError{f.name, line, fmt.Errorf("%s: %w", why, ErrOpaque)})
}

var ifMethods = map[string][]string{
	"inet":  {"loopback", "static", "manual", "dhcp", "bootp", "tunnel", "ppp", "wvdial", "ipv4ll"},
	"inet6": {"auto", "loopback", "static", "manual", "dhcp", "v4tunnel", "6to4"},
	"can":   {"static"},
}

// keyword handles the lines that begin a stanza or stand for themselves.
func (f *interfacesFile) keyword(words []string, start, end, line int) bool {
	s := stanza{start: start, end: end, line: line, kind: words[0], words: words[1:]}
	switch kind := words[0]; {
	case kind == "iface":
		f.iface(&s)
	case kind == "mapping":
		if len(words) < 2 {
			f.bad(line, "mapping of nothing")
		}
	case kind == "auto" || strings.HasPrefix(kind, "allow-"):
		s.kind = "auto"
	case kind == "source" || kind == "source-directory" || kind == "source-dir":
		if len(words) != 2 {
			f.bad(line, "source of other than one path")
			return true
		}
		f.sources = append(f.sources, source{line, words[1], kind != "source"})
		return true
	case kind == "no-auto-down" || kind == "no-scripts" || kind == "rename":
		return true
	default:
		return false
	}
	f.stanzas = append(f.stanzas, s)
	return true
}

func (f *interfacesFile) iface(s *stanza) {
	if i := slices.Index(s.words, "inherits"); i >= 0 {
		s.inherits, s.words = true, s.words[:i]
	}
	if len(s.words) > 3 {
		f.unsure(s.line, "more words than iface NAME FAMILY METHOD")
	}
	if len(s.words) < 3 || !slices.Contains(ifMethods[s.words[1]], s.words[2]) {
		if !s.inherits || len(s.words) == 0 {
			f.bad(s.line, "want iface NAME FAMILY METHOD")
			s.words = append(s.words, "", "", "")
		}
	}
	s.words = append(s.words, "", "")[:max(3, len(s.words))]
	s.family, s.method = s.words[1], s.words[2]
}

var runPartsName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// interfaces gives the files in the order in which ifupdown reads them, and what of them is out of sight.
func (h *Host) interfaces() (files []*interfacesFile, found []Finding) {
	src, ok := h.Files[interfacesPath]
	if !ok {
		return nil, nil
	}
	seen := map[string]bool{}
	var read func(name string, src []byte)
	read = func(name string, src []byte) {
		if seen[name] {
			return
		}
		seen[name] = true
		f := parseInterfaces(name, src)
		files = append(files, f)
		for _, s := range f.sources {
			pattern := s.pattern
			if !path.IsAbs(pattern) {
				pattern = path.Join("/etc/network", pattern)
			}
			pattern = strings.TrimPrefix(path.Clean(pattern), "/")
			if s.directory {
				pattern += "/*"
			}
			if path.Dir(pattern) != interfacesPath+".d" {
				found = append(found, Finding{"SOURCE", Warn, fmt.Sprintf("%s%s is sourced and was not read", at(name, s.line), s.pattern), "look whether it configures the interface"})
				continue
			}
			for _, p := range h.paths(interfacesPath + ".d/") {
				hit, err := path.Match(pattern, p)
				if err == nil && hit && !strings.HasPrefix(path.Base(p), ".") && (!s.directory || runPartsName.MatchString(path.Base(p))) {
					read(p, h.Files[p])
				}
			}
		}
	}
	read(interfacesPath, src)
	return files, found
}

// of gives the stanzas of an interface, "" for either family.
func (f *interfacesFile) of(iface, family string) (out []stanza) {
	for _, s := range f.stanzas {
		if s.kind == "iface" && s.words[0] == iface && (family == "" || s.family == family) {
			out = append(out, s)
		}
	}
	return out
}

// auto tells whether an interface is brought up at boot or when it appears.
func (f *interfacesFile) auto(iface string) bool {
	return slices.ContainsFunc(f.stanzas, func(s stanza) bool {
		return s.kind == "auto" && slices.ContainsFunc(s.words, func(w string) bool {
			ok, err := path.Match(strings.TrimPrefix(w, "/"), iface)
			return err == nil && ok
		})
	})
}

// configures tells whether a host's interfaces files have a stanza for an interface.
func (h *Host) interfacesHave(iface string) bool {
	files, _ := h.interfaces()
	return slices.ContainsFunc(files, func(f *interfacesFile) bool { return len(f.of(iface, "")) > 0 })
}

// get gives the values of an option in a stanza, in order.
func (s stanza) get(keys ...string) (out []ifOption) {
	for _, o := range s.options {
		if slices.Contains(keys, o.key) {
			out = append(out, o)
		}
	}
	return out
}

// edits replaces runs of bytes, which do not overlap.
type edits []struct {
	start, end int
	text       string
}

func (e edits) apply(src []byte) []byte {
	slices.SortStableFunc(e, func(a, b struct {
		start, end int
		text       string
	}) int {
		return a.start - b.start
	})
	var out bytes.Buffer
	at := 0
	for _, x := range e {
		out.Write(src[at:x.start])
		out.WriteString(x.text)
		at = x.end
	}
	out.Write(src[at:])
	return out.Bytes()
}
