package mirror

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Literal escapes what Fetch would take for a pattern.
func Literal(name string) string { return escape.Replace(name) }

var escape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// part is one component of a wanted name.
type part struct {
	text    string // of a pattern with its escapes, else without
	pattern bool
}

func split(name string) (parts []part, err error) {
	if strings.ContainsRune(name, 0) {
		return nil, &fs.PathError{Op: "fetch", Path: name, Err: errors.New("a name holds no NUL")}
	}
	for c := range strings.SplitSeq(name, "/") {
		text, pattern := plain(c)
		switch {
		case pattern:
			if _, err := path.Match(strings.ReplaceAll(c, "[!", "[^"), ""); err != nil {
				return nil, &fs.PathError{Op: "fetch", Path: name, Err: err}
			}
			parts = append(parts, part{c, true})
		case text != "" && text != ".":
			parts = append(parts, part{text, false})
		}
	}
	return parts, nil
}

// plain takes the escapes out, or finds that it is a pattern.
func plain(c string) (text string, pattern bool) {
	var b strings.Builder
	for i := 0; i < len(c); i++ {
		switch c[i] {
		case '*', '?', '[':
			return "", true
		case '\\':
			if i+1 < len(c) {
				i++
			}
		}
		b.WriteByte(c[i])
	}
	return b.String(), false
}

// parent is that of a path below the root; the root, "", is its own.
func parent(at string) string {
	return strings.TrimPrefix(path.Dir("/"+at), "/")
}

// inside turns the target of a link in the directory dir so that below another root it leads to the same place: an absolute
// one becomes relative, and .. does not climb higher than the root.
func inside(dir, target string) string {
	depth := 0
	if dir != "" {
		depth = strings.Count(dir, "/") + 1
	}
	rest, absolute := strings.CutPrefix(target, "/")
	up := depth
	if !absolute {
		for up = 0; ; up++ {
			var ok bool
			if rest = strings.TrimLeft(rest, "/"); rest == ".." {
				rest = "../"
			}
			if rest, ok = strings.CutPrefix(rest, "../"); !ok {
				break
			}
		}
		up = min(up, depth)
	}
	rest = strings.TrimLeft(rest, "/")
	if s := strings.Repeat("../", up) + rest; s != "" {
		return s
	}
	return "."
}
