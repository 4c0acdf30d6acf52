package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/passwd"
)

// passwordEnv names the environment variable with the test account's password, for want of -password-file.
const passwordEnv = "MAILMOVE_PASSWORD"

// password reads the test account's password; arguments of a program are seen by everybody.
func (m *migration) password() (string, error) {
	if m.passwordFile == "" {
		if s, ok := os.LookupEnv(passwordEnv); ok {
			return s, nil
		}
		return "", &cli.Hinted{Err: errors.New("-login needs the account's password"), Hint: "in a file (-password-file FILE) or in the environment (" + passwordEnv + ")"}
	}
	data, err := os.ReadFile(m.passwordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// serves tells whether a cutover has ended.
func (m *migration) serves() bool {
	dir, err := run.View(m.runDir)
	if err != nil {
		return false
	}
	defer dir.Close()
	return dir.Done(stepCutover)
}

// mayOpen refuses to open a mailbox before the new host serves: Dovecot writes to it then, and what was written to on the new
// host no later pass touches.
func (m *migration) mayOpen() error {
	if m.yes || m.serves() {
		return nil
	}
	return &cli.Hinted{Err: errors.New("-login: the new host does not serve yet: a client would change the mailbox, and a later pass leave it alone"),
		Hint: "log in after the cutover, or say -yes when nothing more is to be copied"}
}

// tryLogin sees the test account's inbox as mail clients do: by IMAP, read only, and by POP3, whose UIDLs must be those that
// the old server gave.
func (p *plan) tryLogin(ctx context.Context, m *migration) error {
	if m.login == "" {
		return nil
	}
	user := slices.IndexFunc(p.Users, func(u passwd.UserChange) bool { return u.Moves() && u.To == m.login })
	if user < 0 {
		return fmt.Errorf("-login %s: no such user moves", m.login)
	}
	if err := m.mayOpen(); err != nil {
		return err
	}
	password, err := m.password()
	if err != nil {
		return err
	}
	want, err := p.inboxOf(ctx, m, user)
	if err != nil {
		return err
	}
	client := &mailClient{user: m.login, password: password}
	n, err := client.imap(ctx, m.imap)
	switch {
	case err != nil:
		p.fails("%s: IMAP at %s: %v", m.login, m.imap, err)
	case n != len(want):
		p.fails("%s: IMAP shows %d messages in the inbox, want %d", m.login, n, len(want))
	default:
		p.Outcome.Live.Login = fmt.Sprintf("IMAP: %d messages", n)
	}
	uidls, err := client.pop3(ctx, m.pop3)
	switch same := sameCount(uidls, want); {
	case err != nil:
		p.fails("%s: POP3 at %s: %v", m.login, m.pop3, err)
	case same != len(want) || len(uidls) != len(want):
		p.fails("%s: POP3 gives %d messages the UIDL that the old server gave, of %d", m.login, same, len(want))
	default:
		p.Outcome.Live.Login += fmt.Sprintf(", POP3: %d UIDLs as on the old host", same)
	}
	return ctx.Err()
}

func sameCount(a, b []string) (n int) {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// mailClient speaks as much of IMAP and POP3 as a look at an inbox takes.
type mailClient struct {
	user, password string
	in             *bufio.Reader
	out            io.Writer
}

// dial connects to this host; the password goes nowhere else.
func (c *mailClient) dial(ctx context.Context, addr string) (func(), error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		conn.Close()
		return nil, errors.New("is not on this host: the password would go over the network")
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c.in, c.out = bufio.NewReader(io.LimitReader(conn, 256<<20)), conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return func() { stop(); conn.Close() }, nil
}

// line reads one line; the server's words are told when it refuses, the client's never.
func (c *mailClient) line() (string, error) {
	s, err := c.in.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the server hung up")
	}
	return strings.TrimRight(s, "\r\n"), err
}
