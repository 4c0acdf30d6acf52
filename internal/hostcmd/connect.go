package hostcmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// sshFailed is the exit status of ssh when it is not that of the command (ssh(1), EXIT STATUS).
const sshFailed = 255

// conn is one ssh that all commands share (ssh_config(5), ControlMaster).
type conn struct {
	dir    string // 0700, holds the socket
	socket string
	dest   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser // while it is open the connection lives; it closes with this process, however that ends
	ended  chan struct{}  // closed when ssh has ended
	said   tail
}

// Connect opens the one connection that all commands on the destination then share; "" is this host. It asks nothing: a key
// or an agent must let the administrator in, and the host's key must be known. ctx is for connecting only. What keeps it
// from connecting is an *Error, mostly with a hint. Close ends the connection.
func Connect(ctx context.Context, dest string) (*Host, error) {
	if dest == "" {
		return &Host{}, nil
	}
	dir, err := socketDir()
	if err != nil {
		return nil, err
	}
	c := &conn{dir: dir, socket: filepath.Join(dir, "s"), dest: dest, ended: make(chan struct{})}
	if err := c.open(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &Host{SSH: dest, conn: c}, nil
}

// socketDir makes a directory whose sockets have short enough names: the kernel wants less than 104 bytes on some systems,
// and ssh adds 17 of its own while it makes the socket.
func socketDir() (string, error) {
	dir := os.TempDir()
	if len(dir) > 50 {
		dir = "/tmp"
	}
	return os.MkdirTemp(dir, "mailmove-ssh-")
}

// greeting is what the remote shell must give back as it is. A login shell that reads quotes otherwise, as csh does, is
// found out here and not in the middle of something; so is a key that is bound to another command.
const greeting = "it's\n!\\ $HOME "

// reuse has the allocator of the GNU library keep what ssh frees (mallopt(3)). What comes faster than it is read ssh gathers
// in a buffer that it makes anew for each packet; with fresh memory each time that took more time than all else: 139 MB to a
// reader that does nothing came in 2.7 s, and in 1.2 s with these.
var reuse = []string{"MALLOC_MMAP_THRESHOLD_=67108864", "MALLOC_TRIM_THRESHOLD_=67108864", "MALLOC_TOP_PAD_=8388608"}

func (c *conn) open(ctx context.Context) error {
	word := rand.Text()
	args := append(ciphers(ctx, c.dest), "-T", "-o", "BatchMode=yes", "-o", "ControlMaster=yes", "-o", "ControlPath="+c.socket,
		"-o", "ControlPersist=no", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3",
		"-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no",
		"-o", "LogLevel=INFO", "--", c.dest, Quote("sh", "-c", `printf '%s%s\n' "$1" "$2"; exec cat >/dev/null`, "sh", greeting, word))
	c.cmd = exec.Command("ssh", args...)
	apart(c.cmd)
	c.cmd.Env = append(os.Environ(), reuse...)
	c.cmd.Stderr = &c.said
	stdin, err1 := c.cmd.StdinPipe()
	stdout, err2 := c.cmd.StdoutPipe()
	err := errors.Join(err1, err2)
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return c.refused(err)
	}
	c.stdin = stdin
	stop := context.AfterFunc(ctx, func() { _ = kill(c.cmd) })
	seen, ended := greeted(stdout, word)
	if !stop() || !seen {
		if !ended {
			_ = kill(c.cmd)
		}
		stdin.Close()
		err := c.cmd.Wait()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return c.refused(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	return nil
}

// greeted reads until the word; a login script may say something before it.
func greeted(r io.Reader, word string) (seen, ended bool) {
	var all []byte
	for b := bufio.NewReader(io.LimitReader(r, 1<<20)); ; {
		line, err := b.ReadSlice('\n')
		if all = append(all, line...); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false, len(all) < 1<<20
		}
		if bytes.HasSuffix(all, []byte(word+"\n")) {
			return bytes.HasSuffix(all, []byte(greeting+word+"\n")), false
		}
	}
}

// refused explains why there is no connection.
func (c *conn) refused(err error) error {
	e := &Error{Host: Host{SSH: c.dest}, Stderr: c.said.line(), Hint: hint(c.dest, c.said.String()), Err: err}
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		e.Hint = "install the client of OpenSSH here"
	case errors.As(err, &exit) && exit.ExitCode() == sshFailed:
		e.Err = errors.New("no connection")
	case err == nil || errors.As(err, &exit):
		e.Err = errors.New("the login shell there did not run the command as it was given")
		e.Hint = "log in as a user whose shell is a POSIX shell, with a key that is bound to no command"
	}
	return e
}

// options make ssh use the connection, and nothing else when that is gone: a new one could lead to another host by then.
func (c *conn) options() []string {
	return []string{"-o", "ControlMaster=no", "-o", "ControlPath=" + c.socket, "-o", "ProxyCommand=false"}
}

func (c *conn) lost() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// alive asks the ssh that has the connection.
func (c *conn) alive(ctx context.Context) bool {
	ask := exec.CommandContext(ctx, "ssh", append(c.options(), "-O", "check", "--", c.dest)...)
	apart(ask)
	return ask.Run() == nil && !c.lost()
}

// Close ends the connection and what still runs through it. Of a Host that Connect did not make it does nothing.
func (h Host) Close() error {
	if h.conn == nil {
		return nil
	}
	h.conn.stdin.Close()
	_ = kill(h.conn.cmd)
	<-h.conn.ended
	return os.RemoveAll(h.conn.dir)
}
