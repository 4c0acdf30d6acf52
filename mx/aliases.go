package mx

import (
	"fmt"
	"strings"
)

// Aliases reads the names of an aliases(5) file, in lower case and in its order, for Options.Recipients: each is an
// address of the domain, whatever it stands for. problems tells, with file and line, of lines that hold no name that a
// backup's tables can hold; they are left out. name is only for those positions.
func Aliases(name string, src []byte) (names []string, problems []error) {
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || line[0] == ' ' || line[0] == '\t' { // the last: continues the line before
			continue
		}
		alias, err := aliasName(text)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, n, err))
		case !seen[alias]:
			seen[alias] = true
			names = append(names, alias)
		}
	}
	return names, problems
}

// aliasName is what stands before the colon; quotes may hold one.
func aliasName(text string) (string, error) {
	name, _, ok := strings.Cut(text, ":")
	if quoted, found := strings.CutPrefix(text, `"`); found {
		var rest string
		name, rest, ok = strings.Cut(quoted, `"`)
		ok = ok && strings.HasPrefix(strings.TrimSpace(rest), ":")
	}
	if !ok {
		return "", fmt.Errorf("%q: wanted \"name: where to\"", clean(text))
	}
	name = lower(strings.TrimSpace(name))
	if _, err := mailbox(name+"@x", "x."); err != nil {
		return "", fmt.Errorf("alias %q: %w", clean(name), err)
	}
	return name, nil
}
