package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
)

// reach opens the way to the old host. Of one behind ssh the small files are fetched into a private directory, from, so
// that all that reads a file tree reads them there; mail itself is read through source.
func (m *migration) reach(ctx context.Context) error {
	m.old, m.new = &hostcmd.Host{}, &hostcmd.Host{}
	dest, dir, remote := hostcmd.Destination(m.src)
	if !remote {
		m.from = m.src
		return nil
	}
	if dir != "/" {
		return m.c.Misused("-from %s: through ssh a whole host moves: want %s:/", m.src, dest)
	}
	host, err := hostcmd.Connect(ctx, dest)
	if err != nil {
		return err
	}
	m.old = host
	sweep()
	temp, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", mirrorPrefix, os.Getpid())) // 0700: it will hold etc/shadow
	if err != nil {
		return err
	}
	m.mirror, m.from = temp, filepath.Join(temp, "root")
	if err := m.ask(ctx); err != nil {
		return err
	}
	return m.fetch(ctx)
}

const mirrorPrefix = "mailmove-old-"

// sweep removes what a run left that was killed: it holds the old host's etc/shadow.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), mirrorPrefix+"*"))
	for _, dir := range left {
		var pid int
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if uid, ok := ownerOf(info); !ok || int(uid) != os.Geteuid() {
			continue // somebody else made it
		}
		if _, err := fmt.Sscanf(filepath.Base(dir), mirrorPrefix+"%d-", &pid); err == nil && !alive(pid) {
			os.RemoveAll(dir)
		}
	}
}

// leave ends what reach began.
func (m *migration) leave() {
	if m.far != nil {
		m.farEnd()
	}
	if m.helper != nil {
		if err := m.helper.Remove(); err != nil {
			m.c.Warn("%v", err)
		}
	}
	if m.old != nil {
		m.old.Close()
	}
	if m.mirror != "" {
		os.RemoveAll(m.mirror)
	}
}

// remote tells whether the old host is behind ssh.
func (m *migration) remote() bool { return m.mirror != "" }

// source is where homes and mail are read. This is the only place that knows how.
func (m *migration) source() (tree.Source, error) {
	if !m.remote() {
		return tree.Dir(m.from), nil
	}
	if m.far == nil {
		m.far = &tree.Remote{Helper: m.helperCommand(), Start: func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
			return m.old.Start(ctx, stdin, "sh", append([]string{"-c", script, "sh"}, args...)...)
		}}
		m.farEnd = m.far.Keep() // it answers at once when the daemons are down
	}
	return m.far, nil
}
