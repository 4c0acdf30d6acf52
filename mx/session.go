package mx

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	maxReplyLines = 100
	replyBuffer   = 4096 // bytes of one line of a reply; RFC 5321 section 4.5.3.1.5 allows 512
)

// smtpReply is a server's answer to one command.
type smtpReply struct {
	code int
	text string // lines joined by blanks
}

func (r smtpReply) positive() bool  { return r.code/100 == 2 }
func (r smtpReply) transient() bool { return r.code/100 == 4 }
func (r smtpReply) String() string {
	return clean(strings.TrimSpace(fmt.Sprintf("%d %s", r.code, r.text)))
}

// session is one SMTP connection. It never sends DATA.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	helo string
	caps map[string]string // EHLO keyword in capitals -> its parameters
}

// open connects and reads the greeting, whatever its code. The whole session must end within wait.
func open(ctx context.Context, o *Options, address string, wait time.Duration) (*session, smtpReply, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	conn, err := o.Dial(ctx, "tcp", address)
	if err != nil {
		cancel()
		return nil, smtpReply{}, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	s := &session{conn: conn, in: bufio.NewReaderSize(conn, replyBuffer), helo: o.Helo}
	done := func() {
		stop()
		cancel()
		s.conn.Close()
	}
	if s.helo == "" {
		s.helo = addressLiteral(conn.LocalAddr())
	}
	greeting, err := s.read()
	if err != nil {
		done()
		return nil, smtpReply{}, nil, fmt.Errorf("greeting: %w", err)
	}
	return s, greeting, done, nil
}

// addressLiteral is the EHLO argument of a client without a name: RFC 5321 section 4.1.3.
func addressLiteral(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return "localhost"
	}
	host, _, _ = strings.Cut(host, "%")
	if strings.Contains(host, ":") {
		host = "IPv6:" + host
	}
	return "[" + host + "]"
}

// lines takes the lines of one reply, of bounded number and size.
func (s *session) lines() (code int, lines []string, err error) {
	for range maxReplyLines {
		raw, err := s.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, nil, fmt.Errorf("reply line longer than %d bytes", replyBuffer)
		}
		if err != nil {
			return 0, nil, err
		}
		line := strings.TrimRight(string(raw), "\r\n")
		n, err := strconv.Atoi(line[:min(3, len(line))])
		if err != nil || n < 200 || n > 599 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return 0, nil, fmt.Errorf("not an SMTP reply: %q", clean(line))
		}
		if code != 0 && code != n {
			return 0, nil, fmt.Errorf("reply changes from %d to %d", code, n)
		}
		code = n
		lines = append(lines, line[min(4, len(line)):])
		if len(line) < 4 || line[3] == ' ' {
			return code, lines, nil
		}
	}
	return 0, nil, fmt.Errorf("reply of more than %d lines", maxReplyLines)
}

func (s *session) read() (smtpReply, error) {
	code, lines, err := s.lines()
	return smtpReply{code: code, text: strings.Join(lines, " ")}, err
}

func (s *session) command(format string, args ...any) (smtpReply, error) {
	if _, err := fmt.Fprintf(s.conn, format+"\r\n", args...); err != nil {
		return smtpReply{}, err
	}
	return s.read()
}

// hello says EHLO and notes what is offered.
func (s *session) hello() (smtpReply, error) {
	if _, err := fmt.Fprintf(s.conn, "EHLO %s\r\n", s.helo); err != nil {
		return smtpReply{}, err
	}
	code, lines, err := s.lines()
	r := smtpReply{code: code, text: strings.Join(lines, " ")}
	s.caps = map[string]string{}
	if err == nil && r.positive() {
		for _, line := range lines[1:] {
			word, rest, _ := strings.Cut(line, " ")
			s.caps[strings.ToUpper(word)] = strings.TrimSpace(rest)
		}
	}
	return r, err
}

// secure starts TLS with any certificate, greets anew and returns what is wrong with the certificate for the name, as a
// server that relays would see it. The connection is of no use after an error.
func (s *session) secure(name string, tlsa lookup) (fault string, err error) {
	r, err := s.command("STARTTLS")
	if err != nil {
		return "", err
	}
	if !r.positive() {
		return "", fmt.Errorf("STARTTLS refused: %s", r)
	}
	if s.in.Buffered() > 0 {
		return "", errors.New("data behind the answer to STARTTLS")
	}
	// The certificate is judged afterwards: delivery between mail servers does not depend on it.
	c := tls.Client(s.conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		return "", fmt.Errorf("TLS: %w", err)
	}
	s.conn, s.in = c, bufio.NewReaderSize(c, replyBuffer)
	chain := c.ConnectionState().PeerCertificates
	fault = daneFault(tlsa, chain)
	if err := chain[0].VerifyHostname(name); err != nil {
		fault = join(fault, "the certificate is not for this name"+certNames(chain[0]))
	}
	_, err = s.hello()
	return fault, err
}

func certNames(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) == 0 {
		return ""
	}
	return ", but for " + clean(strings.Join(leaf.DNSNames[:min(3, len(leaf.DNSNames))], ", "))
}

func (s *session) quit() { _, _ = s.command("QUIT") }
