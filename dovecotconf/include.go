package dovecotconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// resolve gives the name inside the file system of a path written in a configuration file: an absolute one is taken
// below the root, or below the directory that stands for opt.Path's.
func (l *loader) resolve(dir, p string) string {
	if !path.IsAbs(p) {
		p = path.Join("/", dir, p)
	} else if l.opt.Path != "" {
		if rest, ok := strings.CutPrefix(path.Clean(p), path.Dir(path.Clean(l.opt.Path))+"/"); ok {
			p = path.Join("/", path.Dir(l.main), rest)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// maxLooked bounds the names that all patterns of a configuration are held against: "*/*/*/*" would read the whole disk.
const maxLooked = 1 << 20

// onHost is the path that a file has on its host.
func (l *loader) onHost(name string) string {
	if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path.Dir(l.main), ".")); ok && l.opt.Path != "" {
		return path.Join(path.Dir(l.opt.Path), rest)
	}
	return "/" + name
}

// include reads the files of an !include line at the point where it stands.
func (l *loader) include(s Statement, file string) {
	at := l.at(file, s.Line)
	try := s.Kind == IncludeTry
	if l.full {
		return // said already
	}
	if l.v.before(v20) {
		l.includeOne(l.resolve(l.opt.Dir, s.Value), s.Value, at, try)
		return
	}
	names, full := l.glob(l.resolve(path.Dir(file), s.Value))
	switch {
	case full:
		l.fatal(at, fmt.Sprintf("more than %d included files", l.opt.MaxFiles))
	case l.looked > maxLooked:
		l.full = true
		l.fatal(at, fmt.Sprintf("patterns match against more than %d names", maxLooked))
		return
	}
	if len(names) == 0 && !try {
		l.fatal(at, "No matches")
	}
	for _, n := range names {
		if l.full {
			return
		}
		l.includeOne(n, l.onHost(n), at, try)
	}
	l.full = l.full || full
}

func (l *loader) includeOne(name, shown string, at position, try bool) {
	if slices.Contains(l.stack, name) {
		l.fatal(at, "Recursive include file: "+shown)
		return
	}
	err := l.read(name)
	var limit *limitError
	switch {
	case err == nil || try && errors.Is(err, fs.ErrNotExist) || try && errors.Is(err, fs.ErrPermission):
	case errors.As(err, &limit):
		l.full = len(l.Files) >= l.opt.MaxFiles
		l.fatal(at, limit.Error())
	default:
		l.fatal(at, fmt.Sprintf("Couldn't open include file %s: %s", shown, reason(err)))
	}
}

// reason is the system's text for an error, as strerror writes it.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// limitError is a file that is refused whatever Dovecot would do with it.
type limitError struct{ what string }

func (e *limitError) Error() string { return e.what }

// slurp reads a regular file of bounded size. Devices, pipes and directories are not opened.
func (l *loader) slurp(name string) ([]byte, error) {
	info, err := fs.Stat(l.fsys, name)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, &limitError{name + ": not a regular file"}
	case info.Size() > int64(l.left):
		return nil, &limitError{fmt.Sprintf("%s: more than %d bytes of configuration", name, l.opt.MaxBytes)}
	}
	src, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		return nil, err
	}
	if l.left -= len(src); l.left < 0 {
		return nil, &limitError{fmt.Sprintf("%s: more than %d bytes of configuration", name, l.opt.MaxBytes)}
	}
	return src, nil
}

// glob expands braces, then each pattern in the order of bytes, as glob(3) does with GLOB_BRACE in the C locale.
func (l *loader) glob(pattern string) (names []string, full bool) {
	patterns, full := braces(pattern, l.opt.MaxFiles)
	for _, p := range patterns {
		names = append(names, l.globOne("", strings.Split(p, "/"))...)
		if len(names) > l.opt.MaxFiles {
			return names[:l.opt.MaxFiles], true
		}
	}
	return names, full
}

// braces expands {a,b} from left to right into at most limit patterns.
func braces(p string, limit int) (out []string, full bool) {
	todo := []string{p}
	for len(todo) > 0 {
		p, todo = todo[0], todo[1:]
		open, end, cuts := braceAt(p)
		if open < 0 {
			if len(out) == limit {
				return out, true
			}
			out = append(out, p)
			continue
		}
		if len(cuts)+len(todo) > limit {
			return out, true
		}
		var next []string
		from := open + 1
		for _, c := range append(cuts, end) {
			next = append(next, p[:open]+p[from:c]+p[end+1:])
			from = c + 1
		}
		todo = append(next, todo...)
	}
	return out, false
}

// braceAt finds the first {...} and the commas of its own level.
func braceAt(p string) (open, end int, cuts []int) {
	open = strings.IndexByte(p, '{')
	depth := 0
	for i := max(open, 0); open >= 0 && i < len(p); i++ {
		switch p[i] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				cuts = append(cuts, i)
			}
		case '}':
			if depth--; depth == 0 {
				return open, i, cuts
			}
		}
	}
	return -1, 0, nil
}

func (l *loader) globOne(dir string, segments []string) []string {
	name := path.Join(dir, segments[0])
	if l.looked++; l.looked > maxLooked {
		return nil
	}
	if !strings.ContainsAny(segments[0], "*?[") {
		if len(segments) > 1 {
			return l.globOne(name, segments[1:])
		}
		if _, err := fs.Stat(l.fsys, name); err != nil {
			return nil
		}
		return []string{name}
	}
	if dir == "" {
		dir = "."
	}
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		return nil
	}
	l.looked += len(entries)
	var out []string
	pattern := strings.ReplaceAll(segments[0], "[!", "[^")
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".")
		if ok, err := path.Match(pattern, e.Name()); err != nil || !ok || hidden {
			continue
		}
		name := path.Join(dir, e.Name())
		if len(segments) > 1 {
			out = append(out, l.globOne(name, segments[1:])...)
		} else {
			out = append(out, name)
		}
		if len(out) > l.opt.MaxFiles {
			break
		}
	}
	slices.Sort(out)
	return out
}
