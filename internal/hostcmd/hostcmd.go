// Package hostcmd runs a command on this host, or on another one through the system's ssh, whose configuration, agent,
// known hosts and jump hosts are the administrator's already.
package hostcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Host is where commands run. The zero value is this host.
type Host struct {
	SSH string // destination as ssh(1) takes it, such as "root@old"; "" is this host
}

// Error tells that a command could not be run or did not succeed. It quotes the command and the end of what it said.
type Error struct {
	Host   Host
	Args   []string
	Stderr string // the last line, at most 200 bytes
	Err    error  // *exec.ExitError, exec.ErrNotFound, ...
}

func (e *Error) Error() string {
	s := Quote(e.Args...) + ": " + e.Err.Error()
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

// Run runs a program with its arguments, no shell between, and returns what it wrote to stdout. stdin may be nil.
func (h Host) Run(ctx context.Context, stdin io.Reader, name string, args ...string) ([]byte, error) {
	all := append([]string{name}, args...)
	c := h.command(ctx, all)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return out.Bytes(), &Error{Host: h, Args: all, Stderr: lastLine(errs.String()), Err: err}
	}
	return out.Bytes(), nil
}

func (h Host) command(ctx context.Context, args []string) *exec.Cmd {
	if h.SSH == "" {
		return exec.CommandContext(ctx, args[0], args[1:]...)
	}
	// BatchMode: never ask for a password in the middle of a run. "--": a destination is no option.
	return exec.CommandContext(ctx, "ssh", "-o", "BatchMode=yes", "--", h.SSH, Quote(args...))
}

// Absent tells whether the error says that there is no such program, here or there (status 127 of a POSIX shell).
func Absent(err error) bool {
	var exit *exec.ExitError
	return errors.Is(err, exec.ErrNotFound) || errors.As(err, &exit) && exit.ExitCode() == 127
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

func lastLine(s string) string {
	s = strings.TrimRight(s, "\r\n")
	s = s[strings.LastIndexByte(s, '\n')+1:]
	if len(s) > 200 {
		s = s[len(s)-200:]
	}
	return strings.Trim(fmt.Sprintf("%q", s), `"`)
}
