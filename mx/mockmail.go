package mx

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// MockMail is an Options.Dial and FlushOptions.Dial over SMTP servers that answer from a table, for tests: nothing leaves
// the process. It maps "198.51.100.2:25" to a server; connections to all other addresses are refused.
type MockMail map[string]*MockServer

// Dial connects to the server at the address through a pipe.
func (m MockMail) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := m[address]
	if s == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	here, there := net.Pipe()
	go s.Serve(there)
	return here, nil
}

// MockServer is an SMTP server that takes no message. Its zero value knows no recipient and does not offer anything. It
// must not be changed while it is in use, and may serve several connections at once.
type MockServer struct {
	Greeting string   // "" is "220 mock ESMTP"
	Offers   []string // lines of the answer to EHLO: "SIZE 10240000", "ETRN", "STARTTLS"

	// Replies maps the beginning of a command to what is answered; the longest beginning wins: "RCPT" for all recipients,
	// "RCPT TO:<alice@example.org>" for one. Replies for the first, second ... time are separated by "|", the last one
	// stays. "" breaks the connection. Without an entry MAIL and RSET are answered with 250, RCPT with 550, QUIT with
	// 221, all else with 502.
	Replies map[string]string

	TLS *tls.Config // for STARTTLS, where Offers has it; nil refuses it

	mu   sync.Mutex
	used map[string]int
	seen []string
}

// Commands are the lines that clients have sent so far, over all connections.
func (s *MockServer) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Serve holds one session and closes the connection.
func (s *MockServer) Serve(conn net.Conn) {
	defer conn.Close() // also under TLS: its own farewell would wait for a reader
	c := conn
	greeting := s.Greeting
	if greeting == "" {
		greeting = "220 mock ESMTP"
	}
	fmt.Fprintf(c, "%s\r\n", greeting)
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		reply := s.answer(line)
		if reply == "" {
			return
		}
		fmt.Fprintf(c, "%s\r\n", reply)
		switch {
		case line == "STARTTLS" && reply[0] == '2':
			secure := tls.Server(conn, s.TLS)
			if secure.Handshake() != nil {
				return
			}
			c, in = secure, bufio.NewReader(secure)
		case line == "QUIT":
			return
		}
	}
}

func (s *MockServer) answer(line string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, line)
	best, found := "", false
	for prefix := range s.Replies {
		if strings.HasPrefix(line, prefix) && len(prefix) >= len(best) {
			best, found = prefix, true
		}
	}
	if found {
		replies := strings.Split(s.Replies[best], "|")
		if s.used == nil {
			s.used = map[string]int{}
		}
		n := s.used[best]
		s.used[best]++
		return replies[min(n, len(replies)-1)]
	}
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO":
		return s.offer()
	case "MAIL", "RSET":
		return "250 2.0.0 Ok"
	case "RCPT":
		return "550 5.1.1 User unknown"
	case "QUIT":
		return "221 2.0.0 Bye"
	case "STARTTLS":
		if s.TLS != nil {
			return "220 2.0.0 Ready to start TLS"
		}
	}
	return "502 5.5.2 Command not recognized"
}

func (s *MockServer) offer() string {
	lines := append([]string{"mock"}, s.Offers...)
	for i := range lines[:len(lines)-1] {
		lines[i] = "250-" + lines[i]
	}
	lines[len(lines)-1] = "250 " + lines[len(lines)-1]
	return strings.Join(lines, "\r\n")
}
