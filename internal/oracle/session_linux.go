package oracle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Session is an IMAP session that stays open between commands.
type Session struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log bytes.Buffer
	tag int
}

// Open begins an IMAP session, logged in already.
func (s *Server) Open() *Session {
	s.t.Helper()
	c := &Session{t: s.t, cmd: exec.Command(Need(s.t, "/usr/lib/dovecot/imap"), "-c", s.conf)}
	c.cmd.Env, c.cmd.Dir, c.cmd.Stderr = s.env(), s.Home, &c.log
	in, err := c.cmd.StdinPipe()
	if err == nil {
		c.in = in
		var out io.ReadCloser
		if out, err = c.cmd.StdoutPipe(); err == nil {
			c.out = bufio.NewReader(out)
			err = c.cmd.Start()
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.in.Close(); _ = c.cmd.Wait() })
	if _, err := c.out.ReadString('\n'); err != nil {
		s.t.Fatalf("imap: %v\n%s", err, c.log.String())
	}
	return c
}

// Do sends one command and returns the lines of its reply; one that is not OK fails the test.
func (c *Session) Do(command string) []string {
	c.t.Helper()
	c.tag++
	tag := fmt.Sprintf("s%d ", c.tag)
	if _, err := io.WriteString(c.in, tag+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	var lines []string
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			c.t.Fatalf("imap: %v\n%s", err, c.log.String())
		}
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				c.t.Fatalf("%s: %s", command, rest)
			}
			return lines
		}
		lines = append(lines, line)
	}
}

// Deliver gives a message to dovecot-lda, as the user that owns the mailboxes.
func (s *Server) Deliver(message string) {
	s.t.Helper()
	s.As(message, Need(s.t, "dovecot-lda"), "-c", s.conf)
}

// As runs a program as the user that owns the mailboxes, in Home.
func (s *Server) As(stdin string, name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.env(), s.Home, strings.NewReader(stdin)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
