// Package dovecotconf reads the configuration of every Dovecot from 1.0 to 2.4 as that version reads it, gives the
// settings that are in force with the line that decides each, and tells what POP3 and IMAP clients will notice when one
// server replaces another: above all whether the POP3 UIDLs stay, on which it depends if clients download all mail again.
//
// The promise: File.Bytes gives back every byte; all errors are reported at once, in Dovecot's words, where Dovecot
// stops at the first; two formats that Equal calls equal give the same UIDL for every message; nothing is written and no
// program is run. Not promised: settings of plugins from other sources, DNS names in local and remote blocks, and what
// index files on the old host know beyond the mailbox itself.
//
//	old, err := dovecotconf.Load(os.DirFS("/old"), "etc/dovecot.conf", nil)
//	...
//	now, err := dovecotconf.Load(os.DirFS("/"), "etc/dovecot/dovecot.conf", nil)
//	...
//	report := dovecotconf.Compare(old, now, nil)
//	fmt.Println(report)           // what clients will notice, with the line that decides it
//	fmt.Print(report.Snippet())   // conf.d/99-mailmove.conf for the new server
//
// A Prediction adds what the mailboxes themselves tell: for each how many messages keep their UIDL, and which do not.
package dovecotconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// Options tell Load what the files do not. The zero value is good for a host's own tree.
type Options struct {
	Version  string // of the Dovecot that reads the file; "" = as the file shows, see Config.Version
	Distro   string // whose package it is: "debian", "redhat", "none"; "" = as the tree or the dump shows
	Path     string // where the file was on its host ("/etc/dovecot/dovecot.conf"), when fsys is not the host's root
	Dir      string // 1.x takes relative includes from its working directory; "" = directory of the file
	Expand   bool   // read <files and resolve $variables, as doveconf -x does
	MaxFiles int    // 0 = 10,000
	MaxBytes int    // of all files together, 0 = 64 MiB

	shown string // goes before the names of files in positions
}

// Problem is something Dovecot says about a configuration. Fatal ones make it refuse the whole (exit status 89).
type Problem struct {
	At      string `json:"at"` // "path:line", or "path"
	Message string `json:"message"`
	Fatal   bool   `json:"-"`
}

func (p Problem) String() string { return p.At + ": " + p.Message }

// position of a statement; line 0 is the file as a whole.
type position struct {
	file string
	line int
}

func (p position) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// Config is one server's configuration.
type Config struct {
	Version string // the version whose rules were used
	Guessed bool   // no file says the version: it was chosen by the syntax, or is unknown within a series
	Dump    bool   // the file is the output of dovecot -n or doveconf -n, not what a server reads
	Distro  string // "debian" or "redhat" when its package's own defaults count, "" for those of Dovecot
	Files   []*File

	v        release
	main     string
	shown    string // goes before the names of files in positions
	entries  []entry
	problems []Problem
	groups   map[string][]entry // 2.4: "@label name"
	expand   bool

	mu    sync.Mutex
	cache map[string]map[string]*entry // explicit settings by protocol
}

// cond is one filter block: protocol, local, remote or local_name with its argument.
type cond struct{ kind, arg string }

// entry is one setting in the place where it stands.
type entry struct {
	filters []cond
	path    []string // enclosing sections: "namespace inbox", "mailbox Trash"
	key     string
	value   string // as doveconf -n shows it
	long    string // as doveconf -x shows it
	at      position
	block   position // opening line of the innermost filter
	list    bool     // member of a list block: mail_plugins { acl = yes }
	group   bool     // @label = name
	leaked  bool     // 1.x: inside protocol {}, but global after a nested section was closed
}

// name is the key with its sections: "namespace inbox/prefix".
func (e *entry) name() string { return strings.Join(append(append([]string{}, e.path...), e.key), "/") }

// frame is an open section.
type frame struct {
	key, name string
	path      string // its element of entry.path, "" for a filter
	cond      *cond
	list      bool // 2.4: a block of list members
	at        position
	socket    map[string]Statement // 1.x master {} and client {} in 2.x: what they hold
}

type loader struct {
	*Config
	fsys   fs.FS
	opt    Options
	left   int
	stack  []string // files being read, outermost first
	frames []frame
	count  map[string]int // unnamed sections by path
	scope  string         // 1.x: "", imap, pop3 or lda
	seen   map[string]int // last entry by filters and name
	first  bool           // 2.4: a statement has been seen
	brace  position       // the last { or }

	full     bool                // no more files are included, and it has been said
	looked   int                 // names that patterns were held against
	grown    int                 // bytes that variables have expanded to
	filtered map[string]position // settings that a filter has set, and where first
}

// Load reads the configuration file name and all it includes. An absolute path in a file is looked up in fsys without
// its first slash, so fsys is the root of the host's tree. It fails only when the main file cannot be read (*fs.PathError)
// or opt.Version is no version; what is wrong inside the files is found in Problems.
func Load(fsys fs.FS, name string, opt *Options) (*Config, error) {
	l := &loader{Config: &Config{main: name, groups: map[string][]entry{}}, fsys: fsys, count: map[string]int{}, seen: map[string]int{},
		filtered: map[string]position{}}
	if opt != nil {
		l.opt = *opt
	}
	if l.opt.MaxFiles <= 0 {
		l.opt.MaxFiles = 10000
	}
	if l.opt.MaxBytes <= 0 {
		l.opt.MaxBytes = 64 << 20
	}
	if l.opt.Dir == "" {
		l.opt.Dir = path.Dir(name)
	}
	l.left, l.expand, l.shown = l.opt.MaxBytes, l.opt.Expand, l.opt.shown
	src, err := l.slurp(name)
	if err != nil {
		var limit *limitError
		if errors.As(err, &limit) {
			err = &fs.PathError{Op: "read", Path: name, Err: errors.New(strings.TrimPrefix(limit.what, name+": "))}
		}
		return nil, err
	}
	if err := l.detect(src); err != nil {
		return nil, err
	}
	if l.Dump && l.v.before(v20) {
		l.readOldDump(src)
	} else {
		if l.Dump {
			src = l.dropMessages(src)
		}
		l.parse(name, src)
	}
	l.finish()
	return l.Config, nil
}

// at is a position in the file name of fsys, as it is to be shown. Line 0 is the whole file.
func (l *loader) at(name string, line int) position { return position{l.opt.shown + name, line} }

func (l *loader) fatal(at position, msg string) {
	l.problems = append(l.problems, Problem{at.String(), msg, true})
}

func (l *loader) warn(at position, msg string) {
	l.problems = append(l.problems, Problem{at.String(), msg, false})
}

// read parses one more file.
func (l *loader) read(name string) error {
	if len(l.Files) >= l.opt.MaxFiles {
		return &limitError{fmt.Sprintf("more than %d included files", l.opt.MaxFiles)}
	}
	if len(l.stack) >= 100 {
		return &limitError{"includes are nested more than 100 deep"}
	}
	src, err := l.slurp(name)
	if err != nil {
		return err
	}
	l.parse(name, src)
	return nil
}

func (l *loader) parse(name string, src []byte) {
	f := readFile(l.v, name, src)
	l.Files = append(l.Files, f)
	l.stack = append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	for i := range f.Statements {
		l.statement(&f.Statements[i], name)
	}
}

func (l *loader) statement(s *Statement, file string) {
	at := l.at(file, s.Line)
	if s.hash && !l.v.before(v20) {
		l.warn(at, "Ambiguous '#' character in line, treating it as comment. Add a space before it to remove this warning.")
	}
	if s.lost {
		l.warn(at, "a setting continued with a backslash is lost here")
	}
	if s.Kind == Blank {
		return
	}
	if !l.v.old() && !l.first && !l.Dump {
		l.first = true
		if s.Kind != Assign || s.Key != "dovecot_config_version" {
			l.fatal(at, "The first setting must be dovecot_config_version")
		}
	}
	switch s.Kind {
	case Malformed:
		l.malformed(s, at)
	case Include, IncludeTry:
		l.include(*s, file)
	case SectionOpen:
		l.open(s, at)
		l.brace = at
	case SectionClose:
		l.close(at)
		l.brace = at
	case Assign:
		l.assign(s, at)
	}
}

// malformed reports a bad line. A block that lacks its brace on the line is opened all the same, so that its end is not
// reported as a second error.
func (l *loader) malformed(s *Statement, at position) {
	l.fatal(at, s.Err)
	if s.Err == "Garbage after '{'" && !strings.HasSuffix(string(s.raw[len(s.raw)-1].Text), "}") {
		l.push(frame{key: s.Key, name: s.Value, at: at, path: "?"})
	}
}

func (l *loader) push(f frame) { l.frames = append(l.frames, f) }

func (l *loader) close(at position) {
	n := len(l.frames)
	if n == 0 {
		l.fatal(at, "Unexpected '}'")
		return
	}
	f := l.frames[n-1]
	l.frames = l.frames[:n-1]
	if l.v.before(v20) {
		l.scope = "" // whatever section it was: the scope leak of 1.x
		return
	}
	l.closeLegacy(f)
}

// place describes where the next setting stands.
func (l *loader) place(key string, at position) entry {
	e := entry{key: key, at: at}
	for _, f := range l.frames[:min(len(l.frames), maxNesting)] {
		if f.cond != nil {
			e.filters, e.block = append(e.filters, *f.cond), f.at
		}
		if f.path != "" {
			e.path = append(e.path, f.path)
		}
	}
	if l.v.before(v20) && l.scope != "" {
		e.filters = []cond{{"protocol", l.scope}}
	}
	e.leaked = l.v.before(v20) && l.scope == "" && len(l.frames) > 0 && l.frames[0].key == "protocol"
	return e
}

func (l *loader) add(e entry) {
	if label := groupOf(&e); label != "" {
		l.groups[label] = append(l.groups[label], e)
	}
	if len(e.filters) > 0 && len(e.path) == 0 {
		if _, ok := l.filtered[e.key]; !ok {
			l.filtered[e.key] = e.at
		}
	}
	l.entries = append(l.entries, e)
	l.seen[seenKey(e.filters, e.name())] = len(l.entries) - 1
}

func seenKey(filters []cond, name string) string { return fmt.Sprint(filters, name) }

// inForce finds the value that a setting has at this line: of the innermost filter that sets it.
func (l *loader) inForce(e *entry, name string) (*entry, bool) {
	for n := len(e.filters); n >= 0; n-- {
		if i, ok := l.seen[seenKey(e.filters[:n], name)]; ok {
			return &l.entries[i], true
		}
	}
	return nil, false
}

// Problems lists everything the version of the configuration would say, and what it drops without a word, in the order
// of reading. Dovecot itself stops at the first fatal one.
func (c *Config) Problems() []Problem { return append([]Problem{}, c.problems...) }

// Refused tells whether that version would refuse the configuration (doveconf exits with 89).
func (c *Config) Refused() bool {
	for _, p := range c.problems {
		if p.Fatal {
			return true
		}
	}
	return false
}
