package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/mailmove/mailmove/internal/atomicfile"
	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mx"
	"github.com/mailmove/mailmove/passwd"
)

// surroundings adds to opt what is known of the old server's users and of the backup's own configuration.
func surroundings(ctx context.Context, c *cli.Call, opt *mx.Options, domain, from, on string) (err error) {
	opt.Authority = opt.Server == ""
	if from != "" {
		if opt.Recipients, err = recipients(c, from); err != nil {
			return err
		}
	}
	if on != "" {
		if opt.New.IsValid() {
			opt.FromBackup = dialFrom(on)
		}
		opt.Machine, err = mx.Inspect(ctx, runOn(on), domain)
	}
	return err
}

// dialFrom opens connections that begin on that host, by the port forwarding of ssh(1).
func dialFrom(on string) func(ctx context.Context, network, address string) (net.Conn, error) {
	if on == "localhost" {
		return (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		here, there := net.Pipe()
		ssh := exec.CommandContext(ctx, "ssh", "-o", "BatchMode=yes", "-W", address, "--", on)
		ssh.Stdin, ssh.Stdout = there, there
		ssh.WaitDelay = time.Second // stdin stays open when ssh has ended
		if err := ssh.Start(); err != nil {
			return nil, err
		}
		go func() {
			_ = ssh.Wait()
			_ = there.Close()
		}()
		return here, nil
	}
}

// recipients are the names that the server at root takes mail for: its people, its aliases, and root.
func recipients(c *cli.Call, root string) ([]string, error) {
	host, err := passwd.ReadHost(root)
	if err != nil {
		return nil, err
	}
	empty := &passwd.Host{Passwd: passwd.Parse("etc/passwd", nil), Group: passwd.ParseGroup("etc/group", nil)}
	names := []string{"root"}
	for _, u := range passwd.Merge(host, empty, nil).Users {
		if u.Action != passwd.ActionSkip {
			names = append(names, u.Name)
		}
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for _, name := range []string{"etc/aliases", "etc/mail/aliases"} {
		file, err := atomicfile.Read(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", root, err)
		}
		aliases, problems := mx.Aliases(name, file.Data)
		for _, p := range problems {
			c.Warn("%v", p)
		}
		names = append(names, aliases...)
	}
	return names, nil
}

func runOn(on string) mx.Run {
	host := hostcmd.Host{SSH: on}
	if on == "localhost" {
		host.SSH = ""
	}
	return func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return host.Run(ctx, nil, name, args...)
	}
}

// flushed is what scripts read of a flush.
type flushed struct {
	Status mx.Status `json:"status"`
	Code   int       `json:"code"`
	Queued int       `json:"queued"` // -1 when not known
}

func flushQueue(ctx context.Context, c *cli.Call, backup, domain, on string, wait time.Duration) error {
	opt := &mx.FlushOptions{Wait: wait}
	if on != "" {
		opt.Queue = mx.QueueOf(runOn(on))
	}
	r, err := mx.Flush(ctx, backup, domain, opt)
	if err != nil {
		return err
	}
	if c.JSON && r.Status != mx.OK {
		c.Warn("%s", r.Detail)
	}
	queued := -1
	if r.Queued != nil {
		queued = *r.Queued
	}
	return answer(c, flushed{r.Status, r.Code, queued}, r, r.Status)
}

// answer prints the report; fail and unknown are for a person to settle.
func answer(c *cli.Call, v any, text fmt.Stringer, status mx.Status) error {
	if err := c.Report(v, text); err != nil {
		return err
	}
	if status == mx.Fail || status == mx.Unknown {
		return cli.ErrFinding
	}
	return nil
}
