package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailmove/mailmove/internal/lines"
)

// Hosts is a hosts(5) file by glibc's rules (nss_files): an address that inet_pton(3) accepts, then names, the first of
// which is the canonical one; # starts a comment anywhere; every other line is ignored but kept.
type Hosts struct {
	name  string
	lines []hostsLine
	eol   string
}

// hostsLine is one line; offsets into text.
type hostsLine struct {
	text, eol []byte
	addr      netip.Addr
	addrAt    span
	names     []span
	why       string // why a line with text is ignored
}

type span struct{ start, end int }

// Entry is one line that counts.
type Entry struct {
	Line  int // from 1
	Addr  netip.Addr
	Names []string // the canonical name first, then the aliases, in the case they are written in
}

const hostsSpace = " \t\n\v\f\r"

// ParseHosts reads any bytes; name is used in messages only.
func ParseHosts(name string, src []byte) *Hosts {
	ls := lines.Split(slices.Clone(src))
	h := &Hosts{name: name, eol: lines.EOL(ls), lines: make([]hostsLine, len(ls))}
	for i, l := range ls {
		h.lines[i] = parseHostsLine(l.Text, l.EOL)
	}
	return h
}

func parseHostsLine(text, eol []byte) hostsLine {
	l := hostsLine{text: text, eol: eol}
	rest := text
	if n := bytes.IndexAny(rest, "#\x00"); n >= 0 {
		rest = rest[:n]
	}
	var words []span
	for i := 0; i < len(rest); {
		if strings.IndexByte(hostsSpace, rest[i]) >= 0 {
			i++
			continue
		}
		end := i
		for end < len(rest) && strings.IndexByte(hostsSpace, rest[end]) < 0 {
			end++
		}
		words = append(words, span{i, end})
		i = end
	}
	if len(words) == 0 {
		return l
	}
	addr, err := netip.ParseAddr(string(text[words[0].start:words[0].end]))
	switch {
	case err != nil:
		l.why = fmt.Sprintf("%q is no address", text[words[0].start:words[0].end])
	case addr.Zone() != "":
		l.why = fmt.Sprintf("%q has a zone", text[words[0].start:words[0].end])
	default:
		l.addr, l.addrAt, l.names = addr, words[0], words[1:]
		if len(l.names) == 0 {
			l.why = "an address without a name"
		}
	}
	return l
}

// Bytes gives the file: the bytes that were parsed until an edit, and every byte outside of the edited place after it.
func (h *Hosts) Bytes() []byte {
	var out []byte
	for _, l := range h.lines {
		out = append(append(out, l.text...), l.eol...)
	}
	return out
}

// Problems lists, in order, the lines with text that glibc ignores.
func (h *Hosts) Problems() []*ParseError {
	var out []*ParseError
	for i, l := range h.lines {
		if l.why != "" {
			out = append(out, &ParseError{h.name, i + 1, errors.New(l.why + ", the line is ignored")})
		}
	}
	return out
}

// Entries lists the lines that count, in order.
func (h *Hosts) Entries() []Entry {
	var out []Entry
	for i, l := range h.lines {
		if len(l.names) > 0 {
			out = append(out, Entry{i + 1, l.addr, l.nameList()})
		}
	}
	return out
}

func (l *hostsLine) nameList() []string {
	out := make([]string, len(l.names))
	for i, n := range l.names {
		out[i] = string(l.text[n.start:n.end])
	}
	return out
}

// Addrs gives the addresses of a name in the order of the file, compared without regard to case.
func (h *Hosts) Addrs(name string) []netip.Addr {
	var out []netip.Addr
	for _, e := range h.Entries() {
		if e.has(name) {
			out = append(out, e.Addr)
		}
	}
	return out
}

// Names gives the names on the first line of an address, the canonical one first: what a reverse look-up answers. A line
// with the address alone hides later ones from it: then, as without any line, there are none.
func (h *Hosts) Names(addr netip.Addr) []string {
	for i := range h.lines {
		if h.lines[i].addr == addr && addr.IsValid() {
			return h.lines[i].nameList()
		}
	}
	return nil
}

func (e Entry) has(name string) bool {
	return slices.ContainsFunc(e.Names, func(n string) bool { return foldEqual(n, name) })
}

// foldEqual compares as strcasecmp does in the C locale.
func foldEqual(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// at gives the line of an entry.
func (h *Hosts) at(line int) (*hostsLine, error) {
	if line < 1 || line > len(h.lines) || len(h.lines[line-1].names) == 0 {
		return nil, fmt.Errorf("%s:%d: want a line with an address and names", h.name, line)
	}
	return &h.lines[line-1], nil
}

// SetAddr replaces the address of an entry and no other byte. The address must have no zone.
func (h *Hosts) SetAddr(line int, addr netip.Addr) error {
	l, err := h.at(line)
	if err != nil {
		return err
	}
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("%s:%d: address %v: want one without a zone", h.name, line, addr)
	}
	*l = parseHostsLine(splice(l.text, l.addrAt.start, l.addrAt.end, addr.String()), l.eol)
	return nil
}

// Canonical moves a name of an entry to the front, where gethostbyname(3) and hostname -f take it for the canonical one.
// The blanks between the names stay where they are.
func (h *Hosts) Canonical(line int, name string) error {
	l, err := h.at(line)
	if err != nil {
		return err
	}
	names := l.nameList()
	i := slices.IndexFunc(names, func(n string) bool { return foldEqual(n, name) })
	if i < 0 {
		return fmt.Errorf("%s:%d: want a line with the name %q", h.name, line, name)
	}
	first := names[i]
	names = slices.Insert(slices.Delete(names, i, i+1), 0, first)
	text := l.text
	for k := len(names) - 1; k >= 0; k-- {
		text = splice(text, l.names[k].start, l.names[k].end, names[k])
	}
	*l = parseHostsLine(text, l.eol)
	return nil
}

// Add appends a line. Names must be free of blanks and #, the address of a zone.
func (h *Hosts) Add(addr netip.Addr, names ...string) error {
	if !addr.IsValid() || addr.Zone() != "" || len(names) == 0 {
		return fmt.Errorf("%s: add %v: want an address without a zone, and a name", h.name, addr)
	}
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, hostsSpace+"#\x00") {
			return fmt.Errorf("%s: add %v: name %q: want no blank and no #", h.name, addr, n)
		}
	}
	h.append([]byte(addr.String() + "\t" + strings.Join(names, " ")))
	return nil
}

func (h *Hosts) append(text []byte) {
	if n := len(h.lines); n > 0 && len(h.lines[n-1].eol) == 0 {
		h.lines[n-1].eol = []byte(h.eol)
	}
	h.lines = append(h.lines, parseHostsLine(text, []byte(h.eol)))
}

// RemoveName takes one name out of an entry, and the whole line when it was the only one. The names of the loopback
// addresses cannot be removed.
func (h *Hosts) RemoveName(line int, name string) error {
	l, err := h.at(line)
	if err != nil {
		return err
	}
	if keepLine(l.addr) {
		return fmt.Errorf("%s:%d: the line of %v stays as it is", h.name, line, l.addr)
	}
	i := slices.IndexFunc(l.nameList(), func(n string) bool { return foldEqual(n, name) })
	switch {
	case i < 0:
		return fmt.Errorf("%s:%d: want a line with the name %q", h.name, line, name)
	case len(l.names) == 1:
		h.lines = slices.Delete(h.lines, line-1, line)
	case i == 0:
		*l = parseHostsLine(splice(l.text, l.names[0].start, l.names[1].start, ""), l.eol)
	default:
		*l = parseHostsLine(splice(l.text, l.names[i-1].end, l.names[i].end, ""), l.eol)
	}
	return nil
}

// keepLine tells the addresses of which every host has its own lines: loopback, and the ip6-* names of Debian.
func keepLine(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a == netip.MustParseAddr("fe00::") || a == netip.MustParseAddr("ff00::")
}
