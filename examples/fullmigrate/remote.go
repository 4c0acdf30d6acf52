package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
	temp, err := os.MkdirTemp("", "mailmove-old-") // 0700: it will hold etc/shadow
	if err != nil {
		return err
	}
	m.mirror, m.from = temp, filepath.Join(temp, "root")
	if err := m.ask(ctx); err != nil {
		return err
	}
	return m.fetch(ctx)
}

// leave ends what reach began.
func (m *migration) leave() {
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
	if m.remote() {
		return &tree.Remote{Helper: m.helperCommand(), Start: func(ctx context.Context, stdin io.Reader, script string, args ...string) (io.ReadCloser, error) {
			return m.old.Start(ctx, stdin, "sh", append([]string{"-c", script, "sh"}, args...)...)
		}}, nil
	}
	return tree.Dir(m.from), nil
}

// entry is a name in a directory of the old host.
type entry struct {
	name    string
	size    int64
	regular bool
}

const listScript = `# list the spool
cd "$1" || exit 3
exec find . -mindepth 1 -maxdepth 1 -printf '%y %s %f\0'`

// list reads a directory of the old host, a path below its root. The error is fs.ErrNotExist when there is none.
func (m *migration) list(ctx context.Context, dir string) (all []entry, err error) {
	entries, err := os.ReadDir(filepath.Join(m.from, filepath.FromSlash(dir)))
	if err != nil {
		return nil, err
	}
	if !m.remote() {
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				all = append(all, entry{e.Name(), info.Size(), info.Mode().IsRegular()})
			}
		}
		return all, nil
	}
	out, err := m.old.Shell(ctx, nil, listScript, "/"+dir)
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		var e entry
		var kind string
		head, name, ok := cutAfter(line, " ", 2)
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(head, "%s %d", &kind, &e.size); err != nil {
			return nil, fmt.Errorf("%s: a list of /%s that cannot be read", m.src, dir)
		}
		e.name, e.regular = name, kind == "f"
		all = append(all, e)
	}
	return all, nil
}

// cutAfter cuts at the n-th separator.
func cutAfter(s, sep string, n int) (head, rest string, ok bool) {
	f := strings.SplitN(s, sep, n+1)
	if len(f) <= n {
		return s, "", false
	}
	return strings.Join(f[:n], sep), f[n], true
}
