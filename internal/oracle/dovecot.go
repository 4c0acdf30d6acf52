package oracle

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Server is a Dovecot that runs without a daemon and without a port: each session is one imap or pop3 process that
// is logged in already and talks over a pipe. As root it runs as the user nobody, else as the caller.
type Server struct {
	Home string // put mailboxes here, then call Own: inbox is INBOX, mail/NAME the folder NAME (or set mail_location)
	Log  string // what the last session wrote to its log

	t        testing.TB
	host     *Host
	conf     string // as the server sees it, as home
	home     string
	uid, gid int
}

// Dovecot prepares a server of version 2.3 on this machine. settings are lines of dovecot.conf that override the
// defaults, with %h for Home; the default mail_location is mbox:%h/mail:INBOX=%h/inbox.
func Dovecot(t testing.TB, settings ...string) *Server {
	t.Helper()
	if out, _ := exec.Command(Need(t, "dovecot"), "--version").Output(); !bytes.HasPrefix(out, []byte("2.3.")) {
		missing(t, "dovecot is "+strings.TrimSpace(string(out))+", not 2.3")
	}
	return server(Here(t), "mail_location = mbox:%h/mail:INBOX=%h/inbox", settings)
}

// Dovecot24 prepares a server of version 2.4 on the host that DOVECOT24_ROOT names, in the same way.
func Dovecot24(t testing.TB, settings ...string) *Server {
	t.Helper()
	first := "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0"
	return server(With24(t), first+"\nmail_driver = mbox\nmail_path = %{home}/mail\nmail_inbox_path = %{home}/inbox", settings)
}

func server(h *Host, first string, settings []string) *Server {
	h.t.Helper()
	here, there := h.Temp()
	s := &Server{Home: filepath.Join(here, "home"), t: h.t, host: h, conf: there + "/dovecot.conf", home: there + "/home",
		uid: os.Getuid(), gid: os.Getgid()}
	if s.uid == 0 {
		s.uid, s.gid = 65534, 65534
	}
	conf := fmt.Sprintf("%s\nbase_dir = %s/run\nlog_path = /dev/stderr\nssl = no\n"+
		"mail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_home = %s\n%s\n",
		first, there, s.uid, s.gid, s.home, strings.Join(settings, "\n"))
	for _, err := range []error{
		os.MkdirAll(filepath.Join(s.Home, "mail"), 0o755), os.Mkdir(filepath.Join(here, "run"), 0o755),
		os.WriteFile(filepath.Join(here, "dovecot.conf"), []byte(conf), 0o644),
	} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return s
}

// Own gives everything below Home to the user that Dovecot runs as.
func (s *Server) Own() {
	s.t.Helper()
	err := filepath.WalkDir(s.Home, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || os.Getuid() != 0 {
			return err
		}
		return os.Lchown(path, s.uid, s.gid)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// POP3 sends the commands, then QUIT, and returns the lines of all replies, the greeting first.
func (s *Server) POP3(commands ...string) []string {
	s.t.Helper()
	return s.session("pop3", append(commands, "QUIT"))
}

// IMAP sends the commands, each with the tag t0, t1 and so on, then LOGOUT, and returns the lines of all replies.
func (s *Server) IMAP(commands ...string) []string {
	s.t.Helper()
	tagged := make([]string, 0, len(commands)+1)
	for i, c := range append(commands, "LOGOUT") {
		tagged = append(tagged, "t"+strconv.Itoa(i)+" "+c)
	}
	return s.session("imap", tagged)
}

func (s *Server) session(protocol string, commands []string) []string {
	s.t.Helper()
	cmd := s.host.Command("/usr/lib/dovecot/"+protocol, "-c", s.conf)
	cmd.Env = s.env()
	cmd.Dir = s.home
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\r\n") + "\r\n")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	stuck := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	err := cmd.Run()
	s.Log = log.String()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", protocol, err, s.Log)
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n"), "\n")
}

func (s *Server) env() []string {
	return []string{"HOME=" + s.home, "USER=tester", "PATH=/usr/bin:/bin", "TZ=" + os.Getenv("TZ"), "DOVECOT_PRESERVE_ENVS=HOME USER TZ"}
}
