package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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
