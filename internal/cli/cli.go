// Package cli holds what all example programs do alike: flags, -h, -json, exit codes, and how errors look.
//
// Exit codes: 0 done, or nothing to say; 1 a finding or conflict that a person must settle; 2 could not run;
// 130 interrupted. Reports go to stdout, everything else to stderr as "name: error: ...".
package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrFinding ends a program with exit code 1. Its report has said why already.
var ErrFinding = errors.New("a person must settle this")

// errUsage ends a program with exit code 2; what was wrong has been printed.
var errUsage = errors.New("usage")

// Call is one run of a program.
type Call struct {
	Name   string
	Flags  *flag.FlagSet // -json is defined already
	JSON   bool          // -json was given
	Stdin  io.Reader     // where Confirm reads; nil: nobody is there
	Stdout io.Writer
	Stderr io.Writer
	Prose  bool // what Print writes is to be read, and not to be copied: on a terminal its long lines are broken at words
	usage  string
	shown  []string // flags that -h shows; nil: all
	word   string   // before the flags
	args   []string
}

// Main runs a program and exits. usage is shown by -h; it ends with an example line. run defines its flags on c.Flags,
// calls c.Parse, and returns nil, ErrFinding, or what kept it from running. Its context ends at the first SIGINT.
func Main(name, usage string, run func(ctx context.Context, c *Call) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := New(name, usage, os.Args[1:], os.Stdout, os.Stderr)
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		c.Stdin = os.Stdin
	}
	os.Exit(c.exit(ctx, run(ctx, c)))
}

// New makes a Call, for Main and for tests.
func New(name, usage string, args []string, stdout, stderr io.Writer) *Call {
	c := &Call{Name: name, Flags: flag.NewFlagSet(name, flag.ContinueOnError), Stdout: stdout, Stderr: stderr, args: args}
	c.Flags.SetOutput(io.Discard)
	c.Flags.BoolVar(&c.JSON, "json", false, "print one JSON object")
	c.Flags.Usage = func() {} // the flag package would show it at every mistake
	c.usage = usage
	return c
}

// Parse reads the flags; between least and most arguments may follow them (most < 0: any number).
func (c *Call) Parse(least, most int) error {
	err := c.Flags.Parse(c.args)
	switch n := c.Flags.NArg(); {
	case errors.Is(err, flag.ErrHelp):
		c.help()
		return err
	case err != nil:
		return c.Misused("%v", err)
	case n < least:
		return c.Misused("want %d arguments, have %d", least, n)
	case most >= 0 && n > most:
		return c.Misused("unexpected argument %q", c.Flags.Arg(most))
	}
	return nil
}

// Help sets what -h shows in place of the whole usage, and the flags that are told of then. The others are understood all the same.
func (c *Call) Help(usage string, flags ...string) { c.usage, c.shown = usage, flags }

func (c *Call) help() {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nflags:\n", c.usage)
	all := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	c.Flags.VisitAll(func(f *flag.Flag) {
		if c.shown == nil || slices.Contains(c.shown, f.Name) {
			all.Var(f.Value, f.Name, f.Usage)
			all.Lookup(f.Name).DefValue = f.DefValue
		}
	})
	all.SetOutput(&b)
	all.PrintDefaults()
	fmt.Fprint(c.Stdout, shape(c.Stdout, b.String()))
}

// Verb reads the word before the flags, "" when there is none, and then the flags, which no argument may follow.
func (c *Call) Verb(verbs ...string) (string, error) {
	verb, err := c.Word(verbs...)
	if err != nil {
		return "", err
	}
	return verb, c.Parse(0, 0)
}

// Word reads the word before the flags, "" when there is none. The flags, which may depend on it, are read by Parse.
func (c *Call) Word(words ...string) (string, error) {
	word := ""
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		word, c.args = c.args[0], c.args[1:]
		c.word = word
		if !slices.Contains(words, word) {
			return "", c.Misused("no such verb %q: want %s", word, strings.Join(words, ", "))
		}
	}
	return word, nil
}

// Misused says what is wrong with the command line.
func (c *Call) Misused(format string, a ...any) error {
	how := c.Name
	if c.shown != nil {
		how += " " + c.word
	}
	c.tell("error", fmt.Sprintf(format, a...))
	c.tell("hint", how+" -h shows how")
	return errUsage
}

// Report prints v to stdout: as one JSON object with -json, else as text.
func (c *Call) Report(v any, text fmt.Stringer) error {
	if !c.JSON {
		return c.Print(text.String())
	}
	e := json.NewEncoder(c.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Print writes text to stdout. Names on a mail server are made by its users: control characters, with which a terminal
// could be made to show or do something else, are written as escapes.
func (c *Call) Print(text string) error {
	text = printable(text)
	if c.Prose {
		text = shape(c.Stdout, text)
	}
	_, err := fmt.Fprintln(c.Stdout, text)
	return err
}

// Script prints commands: no line of them is broken.
func (c *Call) Script(text string) error {
	_, err := fmt.Fprintln(c.Stdout, printable(text))
	return err
}

// tell writes a line to stderr; kind may be empty.
func (c *Call) tell(kind, text string) {
	if kind != "" {
		text = kind + ": " + text
	}
	fmt.Fprintln(c.Stderr, shape(c.Stderr, c.Name+": "+printable(text)))
}

// Printable writes control characters, invisible ones and what is no UTF-8 as escapes, but for line ends and tabs.
func Printable(text string) string { return printable(text) }

func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\n' || r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError:
			b.WriteRune(r)
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(text[i:])
			b.WriteString(strings.Trim(strconv.QuoteToASCII(text[i:i+n]), `"`))
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// Warn prints one line of warning to stderr.
func (c *Call) Warn(format string, a ...any) {
	c.tell("warning", fmt.Sprintf(format, a...))
}

// Say prints one line to stderr about what is done.
func (c *Call) Say(format string, a ...any) {
	c.tell("", fmt.Sprintf(format, a...))
}

// Confirm asks a person, who must type yes; given tells that the command line answered already. The error says that nobody
// did.
func (c *Call) Confirm(question string, given bool) error {
	if given {
		return nil
	}
	answer := ""
	if c.Stdin != nil {
		fmt.Fprintf(c.Stderr, "%s\nType yes to go on: ", question)
		answer, _ = bufio.NewReader(c.Stdin).ReadString('\n') // the end of input is no yes
		if !strings.HasSuffix(answer, "\n") {
			fmt.Fprintln(c.Stderr)
		}
	}
	if strings.TrimSpace(answer) != "yes" {
		return &Hinted{Err: errors.New("nobody said yes; nothing was done"), Hint: "type yes on a terminal, or give -yes"}
	}
	return nil
}

// Terminal gives stderr when it is a terminal, where somebody watches.
func (c *Call) Terminal() (*os.File, bool) {
	f, ok := c.Stderr.(*os.File)
	if !ok {
		return nil, false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil, false
	}
	null, err := os.Stat(os.DevNull)
	return f, err != nil || !os.SameFile(info, null)
}

// Progress gives a function that shows on a terminal how a long work goes on, at most once a second; nil: stderr is no
// terminal, and nobody watches.
func (c *Call) Progress() func(fmt.Stringer) {
	f, ok := c.Terminal()
	if !ok {
		return nil
	}
	last := time.Now()
	return func(s fmt.Stringer) {
		if now := time.Now(); now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(f, "%s\n", printable(s.String()))
		}
	}
}

// Hinted is an error with a word on what to do about it.
type Hinted struct {
	Err  error
	Hint string
}

func (h *Hinted) Error() string { return h.Err.Error() }

// Unwrap gives the error itself.
func (h *Hinted) Unwrap() error { return h.Err }

// Advice gives the hint.
func (h *Hinted) Advice() string { return h.Hint }

func (c *Call) exit(ctx context.Context, err error) int {
	var hinted interface{ Advice() string }
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrFinding):
		return 1
	case errors.Is(err, errUsage):
		return 2
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		hint := "run the same command again to go on"
		if errors.As(err, &hinted) && hinted.Advice() != "" {
			hint = hinted.Advice()
		}
		c.tell("error", "interrupted")
		c.tell("hint", hint)
		return 130
	}
	for line := range strings.Lines(err.Error()) {
		c.tell("error", strings.TrimSuffix(line, "\n"))
	}
	if errors.As(err, &hinted) && hinted.Advice() != "" {
		c.tell("hint", hinted.Advice())
	}
	return 2
}
