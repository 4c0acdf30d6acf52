package surroundings

import (
	"slices"
	"strings"
)

const (
	maxDepth    = 5   // of commands in commands
	maxPrograms = 100 // of one command line
	maxWord     = 4096
)

// programs lists what a command line for sh(1) would run, in order, each once: absolute paths, single words, and "~/name"
// for what lies in the home. Words that only the shell can know are left out. Nothing is run.
func programs(command string) []string {
	s := shell{}
	s.line(command, 0)
	return s.found
}

type shell struct {
	found []string
}

// word is one word of a command.
type word struct {
	text  string // quotes taken away
	plain bool   // no expansion in it
	any   bool   // there is a word, be it empty
}

// add is for words as long as their writer likes.
func (w *word) add(s string) {
	if len(w.text)+len(s) > maxWord {
		w.plain = false
		return
	}
	w.text += s
}

// line reads commands up to the end of src.
func (s *shell) line(src string, depth int) {
	if depth > maxDepth {
		return
	}
	var words []word
	w, redirect := word{plain: true}, false
	endWord := func() {
		if w.any && !redirect {
			words = append(words, w)
		}
		if w.any {
			redirect = false
		}
		w = word{plain: true}
	}
	endCommand := func() {
		endWord()
		s.command(words, depth)
		words, redirect = nil, false
	}
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '#' && !w.any: // a comment
			if n := strings.IndexByte(src[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(src)
			}
			continue
		case c == ' ' || c == '\t':
			endWord()
		case strings.IndexByte(";|&\n\r()", c) >= 0:
			if c == '&' && redirect && !w.any { // 2>&1
				break
			}
			endCommand()
		case c == '<' || c == '>':
			if strings.Trim(w.text, "0123456789") == "" {
				w = word{plain: true} // the number of a descriptor
			}
			endWord()
			redirect = true
		default:
			i = s.quoted(src, i, &w, depth)
			continue
		}
		i++
	}
	endCommand()
}

// quoted reads one piece of a word at src[i] and returns where the next begins.
func (s *shell) quoted(src string, i int, w *word, depth int) int {
	w.any = true
	switch src[i] {
	case '\\':
		if i+1 < len(src) {
			if src[i+1] != '\n' {
				w.add(src[i+1 : i+2])
			}
			return i + 2
		}
	case '\'':
		if n := strings.IndexByte(src[i+1:], '\''); n >= 0 {
			w.add(src[i+1 : i+1+n])
			return i + n + 2
		}
		w.plain = false // no end: nobody knows
		return len(src)
	case '"':
		i++
		for i < len(src) && src[i] != '"' {
			if src[i] == '\'' {
				w.add("'")
				i++
			} else {
				i = s.quoted(src, i, w, depth)
			}
		}
		return i + 1
	case '`':
		inner, next := backquoted(src, i)
		w.plain = false
		s.line(inner, depth+1)
		return next
	case '$':
		return s.expansion(src, i, w, depth)
	}
	w.add(src[i : i+1])
	return i + 1
}

// expansion reads what begins with a dollar sign. The home alone has a known meaning.
func (s *shell) expansion(src string, i int, w *word, depth int) int {
	for _, home := range []string{"$HOME/", "${HOME}/"} {
		if w.text == "" && strings.HasPrefix(src[i:], home) {
			w.text = "~/"
			return i + len(home)
		}
	}
	w.plain = false
	if !strings.HasPrefix(src[i:], "$(") {
		return i + 1
	}
	level := 0
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '(':
			level++
		case ')':
			if level--; level == 0 {
				s.line(src[i+2:j], depth+1)
				return j + 1
			}
		}
	}
	return len(src)
}

// backquoted gives what stands between two backquotes, and where the text goes on.
func backquoted(src string, i int) (inner string, next int) {
	var b strings.Builder
	for j := i + 1; j < len(src); j++ {
		switch {
		case src[j] == '`':
			return b.String(), j + 1
		case src[j] == '\\' && j+1 < len(src):
			j++
		}
		b.WriteByte(src[j])
	}
	return b.String(), len(src)
}

var (
	// words that stand before the program
	prefixes = []string{"exec", "command", "nohup", "nice", "env", "time", "setsid", "ionice", "eval", "!", "{", "if", "then", "else", "elif", "while", "until", "do"}
	// what sh does itself
	builtins = []string{"exit", "cd", "test", "[", "true", "false", ":", "echo", "printf", "set", "unset", "export", "umask", "read", "trap",
		"fi", "done", "esac", "}", "for", "case", "return", "shift", "wait", "ulimit", "break", "continue", ".", "source"}
	shells = []string{"sh", "bash", "dash", "ksh", "zsh"}
)

// command notes the program of a simple command.
func (s *shell) command(words []word, depth int) {
	wrapped := false
	for len(words) > 0 {
		w := words[0]
		name, _, assigns := strings.Cut(w.text, "=")
		switch {
		case assigns && name != "" && strings.Trim(name, letters) == "":
		case w.plain && slices.Contains(prefixes, w.text):
			wrapped = true
		case wrapped && strings.HasPrefix(w.text, "-"): // an option of nice or env
		case wrapped && strings.Trim(w.text, "0123456789") == "": // and its value
		default:
			s.runs(w, words[1:], depth)
			return
		}
		words = words[1:]
	}
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

func (s *shell) runs(w word, args []word, depth int) {
	if !w.plain || w.text == "" || slices.Contains(builtins, w.text) {
		return
	}
	if len(s.found) < maxPrograms && !slices.Contains(s.found, w.text) {
		s.found = append(s.found, w.text)
	}
	base := w.text[strings.LastIndexByte(w.text, '/')+1:]
	for i, a := range args {
		if slices.Contains(shells, base) && a.text == "-c" && i+1 < len(args) {
			s.line(args[i+1].text, depth+1)
			return
		}
	}
}
