//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/cli"
	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/mbox/tree"
)

// onTerminal runs the program with a terminal as stderr, by script(1) of util-linux, and gives what is seen there and stdout.
func onTerminal(t *testing.T, args ...string) (seen, stdout string) {
	out := filepath.Join(t.TempDir(), "out")
	return throughTerminal(t, 120, ">"+hostcmd.Quote(out), args...), read(t, out)
}

// throughTerminal runs the program, its output perhaps redirected, on a terminal so wide.
func throughTerminal(t *testing.T, columns int, redirect string, args ...string) string {
	c, script := command(args...), oracle.Need(t, "script")
	line := fmt.Sprintf("stty rows 24 cols %d; ", columns) + "fullmigrate() { exec -a fullmigrate " + hostcmd.Quote(c.Path) + ` "$@"; }; fullmigrate ` + hostcmd.Quote(args...) + " " + redirect
	run := exec.Command(script, "-qec", "bash -c "+hostcmd.Quote(line), "/dev/null")
	run.Env = append(os.Environ(), "TERM=xterm", "SHELL=/bin/sh")
	var b bytes.Buffer
	run.Stdout = &b
	require.NoError(t, run.Run(), b.String())
	return b.String()
}

// TestLongLinesOnATerminal are broken at words, and a command that a person may copy is not.
func TestLongLinesOnATerminal(t *testing.T) {
	from, to := hosts(t)
	seen := strings.ReplaceAll(throughTerminal(t, 80, "", "plan", "-from", from, "-to", to), "\r\n", "\n")
	require.Contains(t, seen, "degraded    dovecot A01 auth_username_format default: user names with capital\n            letters fail or lead to another mailbox\n")
	for line := range strings.Lines(seen) {
		if !strings.Contains(line, "crontab -") && !strings.HasPrefix(line, "old host: ") { // a path of the test is one word
			require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 80, line)
		}
	}
	require.Contains(t, seen, "crontab -u bert "+from+"/var/spool/cron/bert\n")
	piped, err := command("plan", "-from", from, "-to", to).Output()
	require.NoError(t, err)
	require.Contains(t, string(piped), "user names with capital letters fail or lead to another mailbox\n")
}

func TestBarsOnATerminal(t *testing.T) {
	from, to := hosts(t)
	seen, stdout := onTerminal(t, "sync", "-from", from, "-to", to)
	for _, name := range []string{"look", "copy", "compare"} {
		require.Regexp(t, name+` +\[#+\] .*\d+/s`, seen)
	}
	require.Contains(t, seen, "100% of 88 objects")
	require.Contains(t, stdout, "500 -> 1001")
	require.NotContains(t, stdout, "[#")
	require.NotContains(t, stdout, "\x1b")

	seen, stdout = onTerminal(t, "sync", "-json", "-from", from, "-to", to)
	require.Contains(t, seen, "compare")
	require.True(t, json.Valid([]byte(stdout)))
}

func TestNoBarsWithoutATerminal(t *testing.T) {
	from, to := hosts(t)
	for _, args := range [][]string{{"sync"}, {"sync", "-json"}, {"plan", "-json"}} {
		c := command(append(args, "-from", from, "-to", to)...)
		var errs bytes.Buffer
		c.Stderr = &errs
		out, err := c.Output()
		require.NoError(t, err)
		require.NotContains(t, errs.String()+string(out), "[#")
		require.NotContains(t, errs.String(), "\x1b")
	}
}

// TestLinesNowAndThen: what is not watched says a line every few seconds, and nothing with -json.
func TestLinesNowAndThen(t *testing.T) {
	event := tree.Event{Files: 1500, Expected: 3000, Bytes: 3 << 20, Elapsed: 3 * time.Second}
	for _, asJSON := range []bool{false, true} {
		var errs bytes.Buffer
		m := &migration{c: cli.New("fullmigrate", "", nil, nil, &errs)}
		m.c.JSON = asJSON
		opt := &tree.Options{}
		end := m.phase("copy", opt)
		opt.Progress(event)
		require.Empty(t, errs.String(), "it has just begun")
		p := &progress{name: "copy", line: func(s string) { errs.WriteString(s + "\n") }}
		if !asJSON {
			p.event(event)
			p.event(event)
			require.Equal(t, "copy: 50% of 3,000 objects, 500/s, 3.0 MiB at 1.0 MiB/s, 3.0 s left\n", errs.String())
		}
		end()
		require.Len(t, m.phases, 1)
		require.Equal(t, "copy", m.phases[0].Name)
	}
}
