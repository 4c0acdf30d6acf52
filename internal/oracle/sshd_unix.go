//go:build unix

package oracle

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// SSH is a real sshd that listens on loopback, with keys and configurations of its own. It lets in the user who runs the
// test. One sshd runs per connection.
type SSH struct {
	Dest   string // user@name: while the test runs, ssh in PATH leads there
	Dir    string // holds user (the key), known_hosts, ssh_config, sshd_config, host (its key)
	Socket *net.TCPListener

	t    testing.TB
	mu   sync.Mutex
	runs map[*exec.Cmd]bool
	wait sync.WaitGroup
}

// SSHD starts one. settings are lines of sshd_config that come first. HOME there is Dir, unless they set it (SetEnv): the
// shell's startup files of whoever runs the test have no part in it. The test's PATH gets an ssh that uses only the
// configuration in Dir.
func SSHD(t testing.TB, settings ...string) *SSH {
	t.Helper()
	sshd, ssh := Need(t, "sshd"), Need(t, "ssh")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd locks up its unprivileged half
			t.Fatal(err)
		}
	}
	s := &SSH{Dest: me.Username + "@old.test", Dir: t.TempDir(), t: t, runs: map[*exec.Cmd]bool{}}
	if s.Socket, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	s.Key("user")
	s.Key("host")
	s.Know("host")
	port := s.Socket.Addr().(*net.TCPAddr).Port
	s.write("sshd_config", strings.Join(settings, "\n")+"\nHostKey "+s.path("host")+"\nAuthorizedKeysFile "+s.path("user.pub")+
		"\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nSetEnv HOME="+s.Dir+"\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n", 0o600)
	s.write("ssh_config", fmt.Sprintf("Host old.test\nHostName 127.0.0.1\nPort %d\nHostKeyAlias old.test\nIdentityFile %s\nIdentitiesOnly yes\n"+
		"IdentityAgent none\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\n", port, s.path("user"), s.path("known_hosts")), 0o600)
	s.write("bin/ssh", "#!/bin/sh\nexec "+ssh+" -F "+s.path("ssh_config")+" \"$@\"\n", 0o700)
	if te, ok := t.(interface{ Setenv(key, value string) }); ok {
		te.Setenv("PATH", s.path("bin")+":"+os.Getenv("PATH"))
	}
	s.wait.Add(1)
	go s.serve(sshd)
	t.Cleanup(func() { s.Socket.Close(); s.Cut(); s.wait.Wait() })
	return s
}

func (s *SSH) serve(sshd string) {
	defer s.wait.Done()
	for {
		c, err := s.Socket.AcceptTCP()
		if err != nil {
			return
		}
		f, err := c.File()
		c.Close()
		if err != nil {
			continue
		}
		cmd := exec.Command(sshd, "-i", "-e", "-f", s.path("sshd_config"))
		cmd.Stdin, cmd.Stdout = f, f
		s.mu.Lock()
		if cmd.Start() == nil {
			s.runs[cmd] = true
			s.wait.Add(1)
			go func() {
				defer s.wait.Done()
				_ = cmd.Wait()
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.runs, cmd)
			}()
		}
		s.mu.Unlock()
		f.Close()
	}
}

// Cut kills the sshd of each connection, which ends them as the death of the host would.
func (s *SSH) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cmd := range s.runs {
		_ = cmd.Process.Kill()
	}
}

// Connections counts those that are open.
func (s *SSH) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

// Key makes a new pair of keys with that name in Dir, in place of an earlier one.
func (s *SSH) Key(name string) {
	s.t.Helper()
	os.Remove(s.path(name))
	if out, err := exec.Command(Need(s.t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", s.path(name)).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

// Know makes known_hosts hold that key alone as the host's; "" none.
func (s *SSH) Know(name string) {
	s.t.Helper()
	line := ""
	if name != "" {
		key, err := os.ReadFile(s.path(name + ".pub"))
		if err != nil {
			s.t.Fatal(err)
		}
		line = "old.test " + string(key)
	}
	s.write("known_hosts", line, 0o600)
}

func (s *SSH) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *SSH) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(s.path(name), []byte(text), mode)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
