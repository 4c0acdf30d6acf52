package surroundings

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailmove/mailmove/internal/atomicfile"
)

const (
	maxLinks = 40      // where the kernel gives up too (path_resolution(7))
	maxFile  = 8 << 20 // of a file of the administrator
	maxHome  = 1 << 20 // of a file of a user
)

// host is one root. What could not be read, other than for being absent, is kept in problems.
type host struct {
	root     *os.Root
	problems map[string]string
}

// resolve follows links in name as the host would, absolute ones included, and never out of the root.
func (h *host) resolve(name string) (string, error) {
	todo, have := strings.Split(name, "/"), "."
	for links := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			have = path.Dir(have) // have has no links, and the parent of the root is the root
			continue
		}
		next = path.Join(have, next)
		info, err := h.root.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			have = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("too many symbolic links")}
		}
		target, err := h.root.Readlink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			have = "."
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return have, nil
}

// read gives a file of the administrator, nil when it is absent or cannot be read.
func (h *host) read(name string) []byte {
	at, err := h.resolve(name)
	if err != nil {
		h.note(name, err)
		return nil
	}
	data, err := atomicfile.ReadAtMost(h.root, at, maxFile)
	h.note(name, err)
	return data
}

// readHome gives a file in a user's home: the way to the home may have links, the file may be none.
func (h *host) readHome(home, name string) []byte {
	at, err := h.resolve(home)
	if err != nil {
		return nil // the copy tells of homes
	}
	if at != "." {
		name = at + "/" + name
	}
	data, err := atomicfile.ReadAtMost(h.root, name, maxHome)
	h.note(name, err)
	return data
}

func (h *host) note(name string, err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if h.problems == nil {
		h.problems = map[string]string{}
	}
	if name = strings.TrimPrefix(name, "/"); len(h.problems) < 50 {
		h.problems[name] = err.Error()
	}
}

// stat follows links; nil when there is no such file.
func (h *host) stat(name string) fs.FileInfo {
	at, err := h.resolve(name)
	if err != nil {
		return nil
	}
	info, err := h.root.Lstat(at)
	if err != nil {
		return nil
	}
	return info
}

// file tells whether there is a regular file of that name.
func (h *host) file(name string) bool {
	info := h.stat(name)
	return info != nil && info.Mode().IsRegular()
}

// list gives the names in a directory.
func (h *host) list(dir string) (names []string) {
	at, err := h.resolve(dir)
	if err != nil {
		return nil
	}
	entries, err := fs.ReadDir(h.root.FS(), at)
	h.note(dir, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// searched is where a program without a directory is looked for, by cron, sh, sendmail and Postfix.
var searched = []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}

// program gives where the host has an executable of that name, an absolute path or a single word; "" when nowhere.
func (h *host) program(name string) string {
	names := []string{name}
	if !strings.Contains(name, "/") {
		names = names[:0]
		for _, dir := range searched {
			names = append(names, "/"+dir+"/"+name)
		}
	}
	for _, n := range names {
		if info := h.stat(n); info != nil && info.Mode().IsRegular() && (info.Mode().Perm()&0o111 != 0 || runtime.GOOS == "windows") {
			return n
		}
	}
	return ""
}

// colons gives the first and third field of each line of passwd(5) or group(5).
func (h *host) colons(name string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(h.read(name))) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 3 && fields[0] != "" && fields[0][0] != '#' {
			all[fields[0]] = fields[2]
		}
	}
	return all
}

// clean makes text of a file fit to be shown: one line of printable characters, at most 300 bytes.
func clean(s string) string {
	const most = 300
	var b strings.Builder
	for i, r := range s {
		if b.Len() > most {
			b.WriteString("...")
			break
		}
		switch {
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(strings.Trim(strconv.QuoteToASCII(s[i:i+n]), `"`))
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
