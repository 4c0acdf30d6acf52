package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/mbox/tree"
	"github.com/mailmove/mailmove/netcfg"
)

// place checks the two roots and finds the run directory.
func (m *migration) place() error {
	from, err1 := os.Stat(m.from)
	if errors.Is(err1, fs.ErrNotExist) && !m.remote() && !strings.Contains(m.src, "/") {
		err1 = &cli.Hinted{Err: err1, Hint: "a host that is reached through ssh is written with a colon and a slash: " + m.src + ":/"}
	}
	to, err2 := os.Stat(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if os.SameFile(from, to) {
		return m.c.Misused("-from and -to are the same directory")
	}
	if m.new = hostOf(m.to); !m.remote() {
		m.old = hostOf(m.from)
	}
	return m.findRun()
}

// findRun finds the run directory.
func (m *migration) findRun() error {
	if m.runDir != "" {
		m.runGiven = true
		return nil
	}
	at, err := tree.Resolve(m.to, path.Join(runsDir, m.oldName()))
	m.runDir = filepath.Join(m.to, filepath.FromSlash(at))
	return err
}

// oldName names the run after the old host: as it is called for ssh, or by the name that its files give it, else by its
// directory.
func (m *migration) oldName() string {
	name := ""
	if dest, _, remote := hostcmd.Destination(m.src); remote {
		name = dest[strings.LastIndexByte(dest, '@')+1:]
	} else if host, err := netcfg.ReadHost(m.from); err == nil {
		name = host.Hostname
	}
	if abs, err := filepath.Abs(m.src); err == nil && (name == "" || strings.ContainsAny(name, "/\x00") || name[0] == '.') {
		name = strings.Trim(strings.ReplaceAll(filepath.ToSlash(abs), "/", "-"), "-.")
	}
	return cmp.Or(name, "old")
}

// findAnyRun finds the run directory by what was given of -run, -to and -from: without -from there must be only one.
func (m *migration) findAnyRun() error {
	m.to = cmp.Or(m.to, "/")
	if m.runDir != "" || m.src != "" {
		if _, dir, remote := hostcmd.Destination(m.src); !remote {
			m.from = dir
		}
		return m.findRun()
	}
	if _, err := os.Stat(m.to); err != nil {
		return err
	}
	top := filepath.Join(m.to, runsDir)
	entries, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var runs []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != path.Base(copies) {
			runs = append(runs, e.Name())
		}
	}
	if len(runs) > 1 {
		return m.c.Misused("%d migrations below %s: name one with -run, or the old host with -from: %s", len(runs), top, strings.Join(m.otherRuns(), ", "))
	}
	m.runDir = filepath.Join(append([]string{top}, runs...)...)
	if len(runs) == 0 {
		m.runDir = filepath.Join(top, "none")
	}
	return nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' })
}
