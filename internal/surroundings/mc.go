package surroundings

import (
	"strconv"
	"strings"
)

// call is a call of a macro in a sendmail.mc, such as FEATURE(`virtusertable', `hash -o /etc/mail/virtusertable.db').
type call struct {
	name string
	args []string
	text string // as it stands
	line int
}

func (c call) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// what names a feature or a definition by its first argument too.
func (c call) what() string {
	if c.name == "FEATURE" || c.name == "define" {
		return c.name + " " + c.arg(0)
	}
	return c.name
}

// parseMC lists the calls in the m4 text of a sendmail.mc. Comments (dnl, #) are left out; nothing is expanded.
func parseMC(src []byte) (all []call) {
	s, line := string(src), 1
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == '#':
			i = lineEnd(s, i)
		case strings.IndexByte(letters, c) >= 0:
			end := i
			for end < len(s) && strings.IndexByte(letters, s[end]) >= 0 {
				end++
			}
			name := s[i:end]
			switch {
			case name == "dnl":
				i = lineEnd(s, i)
			case end < len(s) && s[end] == '(':
				args, next := mcArgs(s, end+1)
				all = append(all, call{name, args, clean(s[i:next]), line})
				line += strings.Count(s[i:next], "\n")
				i = next
			default:
				i = end
			}
		default:
			i++
		}
	}
	return all
}

func lineEnd(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s)
}

// mcArgs reads arguments up to the closing parenthesis; quotes are ` and ', which nest.
func mcArgs(s string, i int) (args []string, next int) {
	var b strings.Builder
	quotes, parens := 0, 0
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '`':
			if quotes++; quotes == 1 {
				continue
			}
		case c == '\'' && quotes > 0:
			if quotes--; quotes == 0 {
				continue
			}
		case quotes > 0:
		case c == '(':
			parens++
		case c == ')':
			if parens == 0 {
				return append(args, strings.TrimSpace(b.String())), i + 1
			}
			parens--
		case c == ',' && parens == 0:
			args = append(args, strings.TrimSpace(b.String()))
			b.Reset()
			continue
		}
		b.WriteByte(c)
	}
	return append(args, strings.TrimSpace(b.String())), len(s)
}

// mcPorts are the ports that DAEMON_OPTIONS opens to the network, with their lines. sendmail opens 25 by itself, and 587 unless
// FEATURE(`no_default_msa').
func mcPorts(src []byte) map[string]int {
	if src == nil {
		return nil
	}
	all := map[string]int{}
	for _, c := range parseMC(src) {
		if c.name != "DAEMON_OPTIONS" || strings.Contains(c.text, "127.0.0.1") {
			continue
		}
		for _, w := range strings.FieldsFunc(c.arg(0), listSeparator) {
			key, value, _ := strings.Cut(w, "=")
			if k := strings.ToLower(key); k != "port" && k != "p" {
				continue
			}
			value = strings.ToLower(value)
			if p, ok := ports[value]; ok {
				value = p
			}
			all[value] = c.line
		}
	}
	return all
}

// sendmailLimit is the largest message that sendmail takes, in bytes; 0: any.
func (h *host) sendmailLimit() int64 {
	for line := range strings.Lines(string(h.read("etc/mail/sendmail.cf"))) {
		if v, ok := strings.CutPrefix(line, "O MaxMessageSize="); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	for _, c := range parseMC(h.read("etc/mail/sendmail.mc")) {
		if c.name == "define" && c.arg(0) == "confMAX_MESSAGE_SIZE" {
			n, _ := strconv.ParseInt(c.arg(1), 10, 64)
			return n
		}
	}
	return 0
}
