package mx

import (
	"bytes"
	"net"
	"net/textproto"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"
)

// message is what a sink took.
type message struct {
	from, rcpt string
	text       string
}

// sink is a mail server that takes messages, the primary of the tests with real backups. While it is closed nothing
// listens at its address.
type sink struct {
	address string
	refuse  string // reply to RCPT in place of 250
	l       net.Listener
	mu      sync.Mutex
	got     []message
	sources map[string]bool // addresses that connected
}

// sink opens a server at the address, port 25.
func (w *world) sink(address string) *sink {
	w.t.Helper()
	s := &sink{address: net.JoinHostPort(address, "25"), sources: map[string]bool{}}
	s.open(w)
	w.t.Cleanup(s.close)
	return s
}

func (s *sink) open(w *world) {
	w.t.Helper()
	l, err := w.listen("tcp", s.address)
	require.NoError(w.t, err)
	s.l = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
}

func (s *sink) close() { s.l.Close() }

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	s.mu.Lock()
	s.sources[host] = true
	refuse := s.refuse
	s.mu.Unlock()
	in := textproto.NewConn(c)
	say := in.PrintfLine
	_ = say("220 sink ESMTP")
	var m message
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(line[:min(4, len(line))]); verb {
		case "EHLO", "HELO":
			_ = say("250 sink")
		case "MAIL":
			m = message{from: between(line)}
			_ = say("250 2.1.0 ok")
		case "RCPT":
			if refuse != "" {
				_ = say("%s", refuse)
				continue
			}
			m.rcpt += between(line)
			_ = say("250 2.1.5 ok")
		case "DATA":
			_ = say("354 go on")
			text, err := in.ReadDotBytes()
			if err != nil {
				return
			}
			m.text = string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
			s.mu.Lock()
			s.got = append(s.got, m)
			s.mu.Unlock()
			_ = say("250 2.0.0 taken")
		case "QUIT":
			_ = say("221 bye")
			return
		default:
			_ = say("250 ok")
		}
	}
}

// taken are the messages so far.
func (s *sink) taken() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]message{}, s.got...)
}

func between(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// send gives a message to the server at the address and returns its reply to RCPT, or to the message.
func (w *world) send(from, address, sender, rcpt, text string) string {
	w.t.Helper()
	c, err := w.dialFrom(from)(w.t.Context(), "tcp", address)
	require.NoError(w.t, err)
	defer c.Close()
	s := textproto.NewConn(c)
	_, _, err = s.ReadResponse(220)
	require.NoError(w.t, err)
	ask := func(format string, args ...any) (int, string) {
		require.NoError(w.t, s.PrintfLine(format, args...))
		code, text, _ := s.ReadResponse(0)
		return code, itoa(code) + " " + text
	}
	for _, command := range []string{"EHLO client.test", "MAIL FROM:<" + sender + ">"} {
		code, reply := ask("%s", command)
		require.Equal(w.t, 250, code, reply)
	}
	if code, reply := ask("RCPT TO:<%s>", rcpt); code != 250 {
		return reply
	}
	code, reply := ask("DATA")
	require.Equal(w.t, 354, code, reply)
	d := s.DotWriter()
	_, err = d.Write([]byte(text))
	require.NoError(w.t, err)
	require.NoError(w.t, d.Close())
	_, text, _ = s.ReadResponse(250)
	_, _ = ask("QUIT")
	return "250 " + text
}
