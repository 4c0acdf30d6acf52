// Package hostcmd runs commands on this host, or on another one through the system's ssh, whose configuration, agent,
// known hosts and jump hosts are the administrator's already. Connect opens one connection that all commands share.
package hostcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// ErrLost is the cause when the connection to the other host ended while, or before, a command ran: how the command
// itself ended is not known.
var ErrLost = errors.New("the connection was lost")

// Host is where commands run. The zero value is this host; a literal with SSH makes a connection of its own for each
// command; Connect makes one for all.
type Host struct {
	SSH  string // destination as ssh(1) takes it, such as "root@old"; "" is this host
	conn *conn  // nil: none is shared
}

// Error tells that a command could not be run or did not succeed. It quotes the command and the end of what it said.
type Error struct {
	Host   Host
	Args   []string // of a script of Shell or Start whose first line is a comment, messages show that comment alone
	Stderr string   // the last line, at most 200 bytes
	Hint   string   // what a person can do about it; often empty
	Err    error    // *exec.ExitError, exec.ErrNotFound, ErrLost, ...
}

func (e *Error) Error() string {
	s := e.Err.Error()
	if len(e.Args) > 0 {
		s = title(e.Args) + ": " + s
	}
	if e.Host.SSH != "" {
		s = "on " + e.Host.SSH + ": " + s
	}
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Advice gives the hint.
func (e *Error) Advice() string { return e.Hint }

// title is how a message calls a command.
func title(args []string) string {
	if len(args) > 2 && args[0] == "sh" && args[1] == "-c" {
		if first, _, _ := strings.Cut(args[2], "\n"); strings.HasPrefix(first, "# ") {
			return first[2:]
		}
	}
	return Quote(args...)
}

// Run runs a program with its arguments, no shell between, and returns what it wrote to stdout. stdin may be nil.
// One that says more than 256 MiB is stopped.
func (h Host) Run(ctx context.Context, stdin io.Reader, name string, args ...string) ([]byte, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := answer{stop: stop}
	c, err := h.start(ctx, stdin, &out, append([]string{name}, args...))
	if err == nil {
		if err = c.wait(); out.over {
			return nil, c.failed(errEndless)
		}
	}
	return out.all.Bytes(), err
}

// mostOutput is far more than anything has to say that is asked for in one piece.
var mostOutput = 256 << 20

var errEndless = errors.New("said more than it can have to say")

// answer keeps what a program says: whoever says endlessly much fills no memory.
type answer struct {
	all  bytes.Buffer
	over bool
	stop context.CancelFunc
}

func (a *answer) Write(p []byte) (int, error) {
	if a.over = a.over || a.all.Len()+len(p) > mostOutput; a.over {
		a.stop()
		return 0, errEndless
	}
	return a.all.Write(p)
}

// Shell runs a script of the POSIX shell, with the arguments as $1 and so on, and returns what it wrote to stdout.
func (h Host) Shell(ctx context.Context, stdin io.Reader, script string, args ...string) ([]byte, error) {
	return h.Run(ctx, stdin, "sh", append([]string{"-c", script, "sh"}, args...)...)
}

// Start runs a program and gives its stdout as a stream. After the end of the stream Close waits for the program and gives
// an *Error when it did not end well: only then is the stream known to be whole. Close before that stops the program,
// which is no error. A cancelled ctx stops it too.
func (h Host) Start(ctx context.Context, stdin io.Reader, name string, args ...string) (io.ReadCloser, error) {
	ctx, stop := context.WithCancel(ctx)
	c, err := h.start(ctx, stdin, nil, append([]string{name}, args...))
	if err != nil {
		stop()
		return nil, err
	}
	return &stream{command: c, stop: stop}, nil
}

type stream struct {
	*command
	stop  context.CancelFunc
	ended bool
	err   error
	shut  bool
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.stdout.Read(p)
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

func (s *stream) Close() error {
	if s.shut {
		return s.err
	}
	s.shut = true
	early := !s.ended && s.ctx.Err() == nil
	if early {
		s.stop()
	}
	s.stdout.Close()
	if s.err = s.wait(); early {
		s.err = nil
	}
	s.stop()
	return s.err
}

// command is one that runs.
type command struct {
	h      Host
	ctx    context.Context // of exec.CommandContext: this is its companion
	args   []string
	cmd    *exec.Cmd
	stdout io.ReadCloser // nil when it goes elsewhere
	said   tail
}

// patience is how long a command that was stopped, or that ended, may keep its output open, as one does that left a
// program in the background; after that nobody listens any more.
const patience = 5 * time.Second

func (h Host) start(ctx context.Context, stdin io.Reader, stdout io.Writer, args []string) (*command, error) {
	c := &command{h: h, ctx: ctx, args: args}
	if h.conn != nil && h.conn.lost() {
		return nil, c.failed(ErrLost)
	}
	c.cmd = h.command(ctx, args)
	c.cmd.Stdin, c.cmd.Stderr, c.cmd.WaitDelay = stdin, &c.said, patience
	var err error
	if stdout != nil {
		c.cmd.Stdout = stdout
	} else if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return nil, c.failed(err)
	}
	widen(c.stdout)
	if err = c.cmd.Start(); err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

// wait waits for the end and explains a bad one.
func (c *command) wait() error {
	err := c.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return c.failed(c.ctx.Err())
	case c.h.conn != nil && errors.As(err, &exit) && exit.ExitCode() == sshFailed && !c.h.conn.alive(c.ctx):
		return c.failed(ErrLost)
	}
	return c.failed(err)
}

func (c *command) failed(err error) error {
	e := &Error{Host: c.h, Args: c.args, Stderr: c.said.line(), Err: err}
	switch {
	case errors.Is(err, ErrLost):
		e.Stderr, e.Hint = c.h.conn.said.line(), "run the same command again: it goes on from where it was"
	case c.h.SSH != "" && errors.Is(err, exec.ErrNotFound):
		e.Args, e.Hint = nil, "install the client of OpenSSH here"
	case c.h.SSH != "" && c.h.conn == nil && err != nil:
		e.Hint = hint(c.h.SSH, c.said.String())
	}
	return e
}

func (h Host) command(ctx context.Context, args []string) *exec.Cmd {
	if h.SSH == "" {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		apart(c)
		return c
	}
	// BatchMode: never ask for a password in the middle of a run. "--": a destination is no option.
	opts := []string{"-o", "BatchMode=yes"}
	if h.conn != nil {
		opts = append(opts, h.conn.options()...)
	}
	c := exec.CommandContext(ctx, "ssh", append(opts, "--", h.SSH, Quote(args...))...)
	apart(c)
	return c
}

// Absent tells whether the error says that there is no such program, here or there (status 127 of a POSIX shell).
func Absent(err error) bool {
	var exit *exec.ExitError
	return errors.Is(err, exec.ErrNotFound) || errors.As(err, &exit) && exit.ExitCode() == 127
}

// Destination reads [user@]host:dir, the host perhaps in brackets as an IPv6 address is; anything with a slash before the
// colon, or without a colon, is a directory of this host.
func Destination(src string) (dest, dir string, remote bool) {
	i := strings.LastIndexByte(src, ':')
	if i <= 0 || strings.Contains(src[:i], "/") {
		return "", src, false
	}
	dest = src[:i]
	if user, host, ok := strings.Cut(dest, "@["); ok {
		dest = user + "@" + strings.TrimSuffix(host, "]")
	} else if strings.HasPrefix(dest, "[") {
		dest = strings.Trim(dest, "[]")
	}
	return dest, src[i+1:], true
}

// Quote writes words so that a POSIX shell reads them as they are (XCU 2.2.2).
func Quote(words ...string) string {
	q := make([]string, len(words))
	for i, w := range words {
		if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,@%") == "" {
			q[i] = w
		} else {
			q[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(q, " ")
}

// lastLine is printable and short.
func lastLine(s string) string {
	s = strings.TrimRight(s, "\r\n")
	s = s[strings.LastIndexByte(s, '\n')+1:]
	if len(s) > 200 {
		s = s[len(s)-200:]
	}
	return strings.Trim(fmt.Sprintf("%q", s), `"`)
}
