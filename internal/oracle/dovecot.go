package oracle

import (
	"bytes"
	"context"
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

// Server is a Dovecot 2.3 that runs without a daemon and without a port: each session is one imap or pop3 process that
// is logged in already and talks over a pipe. As root it runs as the user nobody, else as the caller.
type Server struct {
	Home string // put mailboxes here, then call Own: inbox is INBOX, mail/NAME the folder NAME (or set mail_location)
	Log  string // what the last session wrote to its log

	t        testing.TB
	conf     string
	uid, gid int
}

// Dovecot prepares a server in a temporary directory. settings are lines of dovecot.conf that override the defaults,
// with %h for Home; the default mail_location is mbox:%h/mail:INBOX=%h/inbox.
func Dovecot(t testing.TB, settings ...string) *Server {
	t.Helper()
	if out, _ := exec.Command(Need(t, "dovecot"), "--version").Output(); !bytes.HasPrefix(out, []byte("2.3.")) {
		missing(t, "dovecot is "+strings.TrimSpace(string(out))+", not 2.3")
	}
	// Not t.TempDir: the user nobody could not enter it.
	dir, err := os.MkdirTemp("", "dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{Home: filepath.Join(dir, "home"), t: t, conf: filepath.Join(dir, "dovecot.conf"), uid: os.Getuid(), gid: os.Getgid()}
	if s.uid == 0 {
		s.uid, s.gid = 65534, 65534
	}
	conf := fmt.Sprintf("base_dir = %s/run\nlog_path = /dev/stderr\nssl = no\nmail_location = mbox:%%h/mail:INBOX=%%h/inbox\n"+
		"mail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_home = %s\n%s\n",
		dir, s.uid, s.gid, s.Home, strings.Join(settings, "\n"))
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.MkdirAll(filepath.Join(s.Home, "mail"), 0o755), os.Mkdir(filepath.Join(dir, "run"), 0o755),
		os.WriteFile(s.conf, []byte(conf), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
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
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Need(s.t, "/usr/lib/dovecot/"+protocol), "-c", s.conf)
	cmd.Env = []string{"HOME=" + s.Home, "USER=tester", "PATH=/usr/bin:/bin", "TZ=" + os.Getenv("TZ")}
	cmd.Dir = s.Home
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\r\n") + "\r\n")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	s.Log = log.String()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", protocol, err, s.Log)
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n"), "\n")
}
