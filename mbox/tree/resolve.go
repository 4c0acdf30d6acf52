package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// maxLinks is where the kernel gives up too (path_resolution(7)).
const maxLinks = 40

// Resolve follows the symbolic links in name as the host whose file tree lies at root would, and returns a slash path
// below root that has none: on many hosts /var/mail leads to /var/spool/mail, or /home to another disk. A Pair is given
// such a path, because copying itself follows no link.
//
// Only links that the administrator made are followed: root's own, or the caller's when that is not root. A link of
// anybody else is an error. What does not exist (yet) is returned as it stands. root itself may be a link.
func Resolve(root, name string) (string, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer r.Close()
	todo, have := parts(name), "."
	for links := 0; ; {
		// have has no links, so that ".." can be taken from its text.
		if have, todo = climb(have, todo); len(todo) == 0 {
			return have, nil
		}
		next := path.Join(have, todo[0])
		info, err := r.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return path.Join(append([]string{have}, todo...)...), nil
		}
		if err != nil {
			return "", err
		}
		todo = todo[1:]
		if info.Mode()&fs.ModeSymlink == 0 {
			have = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: more than %d symbolic links", name, maxLinks)
		}
		if !administrators(info) {
			return "", fmt.Errorf("%s: a symbolic link that root does not own, in the way to %s", next, name)
		}
		target, err := r.Readlink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			have = "."
		}
		todo = append(parts(target), todo...)
	}
}

func parts(name string) []string {
	return strings.FieldsFunc(name, func(c rune) bool { return c == '/' })
}

// climb takes the leading "." and ".." of rest from have; the parent of the root is the root.
func climb(have string, rest []string) (string, []string) {
	for len(rest) > 0 && (rest[0] == "." || rest[0] == "..") {
		if rest[0] == ".." {
			have = path.Dir(have)
		}
		rest = rest[1:]
	}
	return have, rest
}
