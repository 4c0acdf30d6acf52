package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/scripts"
	"github.com/mailmove/mailmove/mx"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mxcheck": main})
}

// serve starts a name server on loopback, over UDP and TCP, and gives its address.
func serve(t *testing.T, answer dns.HandlerFunc) string {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	for try := 0; ; try++ { // one port that is free for both
		var err error
		pc, err = net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		require.NoError(t, pc.Close())
		require.Less(t, try, 20, err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc}, {Listener: l}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		s.Handler = answer
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return pc.LocalAddr().String()
}

// zone answers from the records of a zone file.
func zone(t *testing.T, file string) dns.HandlerFunc {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	records, names := map[string][]dns.RR{}, map[string]bool{}
	zp := dns.NewZoneParser(bytes.NewReader(text), "", file)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		name := rr.Header().Name
		records[name] = append(records[name], rr)
		for ; name != "."; name = parent(name) {
			names[name] = true
		}
	}
	require.NoError(t, zp.Err())
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable = true
		q := m.Question[0]
		name := strings.ToLower(q.Name)
		for _, rr := range records[name] {
			if rr.Header().Rrtype == q.Qtype {
				r.Answer = append(r.Answer, rr)
			}
		}
		if !names[name] {
			r.Rcode = dns.RcodeNameError
		}
		if len(r.Answer) == 0 {
			r.Ns = records["test."]
		}
		_ = w.WriteMsg(r)
	}
}

func parent(name string) string {
	if _, rest, _ := strings.Cut(name, "."); rest != "" {
		return rest
	}
	return "."
}

func silent(dns.ResponseWriter, *dns.Msg) {}

func refusing(w dns.ResponseWriter, m *dns.Msg) {
	_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
}

// etrn starts a mail server on loopback that answers ETRN so, and gives its address.
func etrn(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	s := &mx.MockServer{Offers: []string{"ETRN"}, Replies: map[string]string{"ETRN": reply}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.Serve(c)
		}
	}()
	return l.Addr().String()
}

// TestScripts: scripts find the servers in $DNS, $SILENT and $SERVFAIL.
func TestScripts(t *testing.T) {
	vars := []string{"DNS=" + serve(t, zone(t, "testdata/zone")), "SILENT=" + serve(t, silent), "SERVFAIL=" + serve(t, refusing),
		"ETRN250=" + etrn(t, "250 2.0.0 Queuing started"), "ETRN253=" + etrn(t, "253 OK, 17 pending messages for node ok.test started"), "ETRN459=" + etrn(t, "459 4.7.1 not allowed")}
	t.Run("all", func(t *testing.T) { // its end is that of the parallel scripts
		p := scripts.Params("testdata")
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			e.Vars = append(e.Vars, vars...)
			return setup(e)
		}
		testscript.Run(t, p)
	})
}

// TestInterrupted: SIGINT while a server keeps the program waiting ends it with 130 and a word on how to go on.
func TestInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGINT for another process")
	}
	asked := make(chan struct{})
	var once sync.Once
	server := serve(t, func(dns.ResponseWriter, *dns.Msg) { once.Do(func() { close(asked) }) })
	c := exec.Command("mxcheck", "-domain", "ok.test", "-dns", server, "-json")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	require.NoError(t, c.Start())
	<-asked
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.Error(t, c.Wait())
	require.Equal(t, 130, c.ProcessState.ExitCode(), stderr.String())
	require.Equal(t, "mxcheck: error: interrupted\nmxcheck: hint: run the same command again to go on\n", stderr.String())
	require.Empty(t, stdout.String())
}
