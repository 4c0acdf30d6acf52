package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/hostcmd"
)

// Mail says where a host keeps its mailboxes.
type Mail struct {
	Spools []string // directories whose files are mailboxes, such as /var/mail, without symbolic links
	Homes  []string // directories that hold homes, such as /home, without symbolic links
	Below  []string // further directories of mail below a home, or mailboxes there: besides mail, Mail, Maildir and .imap
}

// Busy is a process that may still change a mailbox.
type Busy struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
	File    string `json:"file"` // that it has open for writing; "" when it is a mail program at work
}

// String names the process.
func (b Busy) String() string {
	s := fmt.Sprintf("%s (pid %d)", b.Program, b.PID)
	if b.File != "" {
		s += fmt.Sprintf(" has %q open for writing", b.File)
	}
	return s
}

// Doing says what the process does.
func (b Busy) Doing() string {
	if b.File == "" {
		return b.String() + " serves mail"
	}
	return b.String()
}

// BusyError says that daemons or other programs did not leave the mailboxes alone in time.
type BusyError struct {
	Busy []Busy
	Said []string // by commands that did not succeed
}

// Error names the first few.
func (e *BusyError) Error() string {
	var words []string
	for i, b := range e.Busy {
		if i == 5 {
			words = append(words, fmt.Sprintf("and %d more", len(e.Busy)-i))
			break
		}
		words = append(words, b.String())
	}
	s := "still at work on the mail: " + strings.Join(words, ", ")
	if len(e.Said) > 0 {
		s += "; " + strings.Join(e.Said, "; ")
	}
	return s
}

// patterns are the files of a Mail, as arguments of find(1).
func (m Mail) patterns() (args []string) {
	add := func(p string) {
		if args != nil {
			args = append(args, "-o")
		}
		args = append(args, "-lname", p)
	}
	for _, dir := range m.Spools {
		add(path.Join(escape(dir), "*"))
	}
	for _, dir := range m.Homes {
		for _, below := range []string{"mail", "Mail", "Maildir", ".imap"} {
			add(path.Join(escape(dir), "*", below, "*"))
		}
		for _, below := range m.Below {
			add(path.Join(escape(dir), "*", escape(below)))
			add(path.Join(escape(dir), "*", escape(below), "*"))
		}
	}
	return args
}

// escape makes a path stand for itself in fnmatch(3).
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// Stop runs the commands, all at once, and waits until the services of s are gone and nobody has a mailbox open for
// writing. It does not wait for a command that has done its work. Where that lasts longer than limit the error is *BusyError.
// Without commands it only waits.
func Stop(ctx context.Context, h *hostcmd.Host, s *State, commands []Command, mail Mail, limit time.Duration) error {
	return hold(ctx, h, s, commands, limit, "0", "0", mail.patterns()...).Go()
}

// End is Stop for services whose own end is all that is waited for: others may be at work on the mail.
func End(ctx context.Context, h *hostcmd.Host, s *State, commands []Command, limit time.Duration) error {
	return hold(ctx, h, s, commands, limit, "0", "1").Go()
}

// Silence is Stop, but for a main process of Dovecot that has nothing left but its log: it sleeps for a second before it
// ends, and nobody who waits for the mail needs to wait for that. Find does. Nothing is stopped before Go: who calls it ahead
// has the way to the host behind him then.
func Silence(ctx context.Context, h *hostcmd.Host, s *State, commands []Command, mail Mail, limit time.Duration) *Held {
	return hold(ctx, h, s, commands, limit, "1", "0", mail.patterns()...)
}

// Held is a stop that was prepared. Either Go or Drop ends it.
type Held struct {
	word  *io.PipeWriter // read there before the first command
	ended chan struct{}
	err   error // once it has ended
}

// Go lets the commands run, and waits as Stop does.
func (h *Held) Go() error {
	if _, err := io.WriteString(h.word, "go\n"); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	h.word.Close()
	<-h.ended
	return h.err
}

// Drop gives it up: nothing was stopped, and nothing will be.
func (h *Held) Drop() {
	h.word.Close()
	<-h.ended
}

// Writers names the programs that would still be at work on the mail after a Stop: they have a mailbox open for writing, or serve
// one as a user's own IMAP server does, and no service started them. It changes nothing.
func Writers(ctx context.Context, h *hostcmd.Host, mail Mail) ([]Busy, error) {
	out, err := h.Shell(ctx, nil, writersScript, append([]string{strings.Join(names, " ")}, mail.patterns()...)...)
	if err != nil {
		return nil, err
	}
	var busy *BusyError
	if errors.As(busyError(string(out), nil), &busy) {
		return busy.Busy, nil
	}
	return nil, nil
}

func hold(ctx context.Context, h *hostcmd.Host, s *State, commands []Command, limit time.Duration, harmless, only string, patterns ...string) *Held {
	var about []string
	await := "0"
	for _, v := range s.Services {
		about = append(about, v.Name)
		if v.Running && v.PID == 0 && slices.ContainsFunc(commands, func(c Command) bool { return slices.Contains(c.Services, v.Name) }) {
			await = "1"
		}
	}
	args := []string{strings.Join(about, " "), strconv.Itoa(max(int(limit.Seconds()), 1)), await, harmless, only, strconv.Itoa(len(commands))}
	for _, c := range commands {
		args = append(args, c.Line)
	}
	stdin, word := io.Pipe()
	held := &Held{word: word, ended: make(chan struct{})}
	go func() {
		out, err := h.Shell(ctx, stdin, stopScript, append(args, patterns...)...)
		stdin.Close() // nobody reads it any more
		if err == nil {
			err = busyError(string(out), commands)
		}
		held.err = err
		close(held.ended)
	}()
	return held
}

func busyError(text string, commands []Command) error {
	e := &BusyError{}
	for line := range strings.Lines(text) {
		w := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(w) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(w[1])
		switch w[0] {
		case "main", "agent":
			e.Busy = append(e.Busy, Busy{PID: pid, Program: w[2]})
		case "writer":
			e.Busy = append(e.Busy, Busy{PID: pid, Program: w[2], File: strings.Join(w[3:], "")})
		case "failed":
			e.Said = append(e.Said, failed(w, commands))
		}
	}
	if len(e.Busy) == 0 {
		return nil
	}
	return e
}

// failed tells of a command that did not succeed: "failed NUMBER STATUS TEXT".
func failed(w []string, commands []Command) string {
	n, _ := strconv.Atoi(w[1])
	line := "a command"
	if n >= 1 && n <= len(commands) {
		line = commands[n-1].Line
	}
	s := line + ": status " + w[2]
	if w[2] == "-" {
		s = line + ": not done yet"
	}
	if len(w) > 3 && w[3] != "" {
		s += ": " + w[3]
	}
	return s
}

// Start runs the commands, all at once, and returns when all have ended. The error names those that did not succeed.
func Start(ctx context.Context, h *hostcmd.Host, commands []Command) error {
	if len(commands) == 0 {
		return nil
	}
	var args []string
	for _, c := range commands {
		args = append(args, c.Line)
	}
	out, err := h.Shell(ctx, nil, startScript, args...)
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		if w := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4); w[0] == "failed" && len(w) > 2 {
			errs = append(errs, errors.New(failed(w, commands)))
		}
	}
	return errors.Join(errs...)
}
