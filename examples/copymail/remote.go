package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

// serveWord is the first argument of this program when it stands on another host and answers for it.
const serveWord = "serve"

// open gives what -from names; leave ends the connection. On another host this program itself reads, where it can run, else
// find and tar of that host.
func open(ctx context.Context, c *cli.Call, from string, plain bool) (src tree.Source, leave func(), err error) {
	dest, dir, remote := hostcmd.Destination(from)
	if !remote {
		return tree.Dir(from), func() {}, nil
	}
	if !strings.HasPrefix(dir, "/") {
		return nil, nil, c.Misused("-from %q: want a path that begins with a slash behind the colon", from)
	}
	host, err := hostcmd.Connect(ctx, dest)
	if err != nil {
		return nil, nil, err
	}
	r := &tree.Remote{Root: dir, Start: func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
		return host.Start(ctx, stdin, "sh", append([]string{"-c", script, "sh"}, args...)...)
	}}
	var placed *hostcmd.Placed
	end := r.Keep()
	leave = func() {
		end()
		if placed != nil {
			if err := placed.Remove(); err != nil {
				c.Warn("%v", err)
			}
		}
		host.Close()
	}
	if !plain {
		placed, err = place(ctx, host)
		switch {
		case ctx.Err() != nil:
			leave()
			return nil, nil, ctx.Err()
		case err != nil:
			c.Warn("%v: %s is read by its own find and tar", err, dest)
		default:
			r.Helper = []string{placed.Path, serveWord}
		}
	}
	return r, leave, nil
}

func place(ctx context.Context, host *hostcmd.Host) (*hostcmd.Placed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return host.Place(ctx, self, "-h")
}
