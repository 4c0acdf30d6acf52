package service

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestWriters: who would hold a stop up is named while all still runs. A session of a daemon and a delivery are not.
func TestWriters(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	session := filepath.Join(h.dir, "home/anna/mail/session")
	h.script("dovecot", `sh -c 'exec 3>>"$0"; echo up; exec sleep 1000' `+session+" & wait")
	h.script("procmail", `sh -c 'exec 3>>"$0"; echo up; exec sleep 1000' `+filepath.Join(h.dir, "home/anna/mail/list")+" & wait")
	found, err := Writers(t.Context(), &h.Host, h.mail())
	require.NoError(t, err)
	require.Empty(t, found)

	h.writer(filepath.Join(h.dir, "home/anna/notes"), "")
	editor := h.writer(filepath.Join(h.dir, "home/anna/mail/drafts"), "")
	inbox := h.writer(h.box, "")
	found, err = Writers(t.Context(), &h.Host, h.mail())
	require.NoError(t, err)
	require.ElementsMatch(t, []Busy{
		{editor.Process.Pid, "sh", filepath.Join(h.dir, "home/anna/mail/drafts")}, {inbox.Process.Pid, "sh", h.box},
	}, found)
	mail := h.mail()
	mail.Below = []string{"notes"}
	found, err = Writers(t.Context(), &h.Host, mail)
	require.NoError(t, err)
	require.Len(t, found, 3, "the server says that notes are mail")
}

// script runs a shell script as a program of that name until the end of the test, when it has said a line.
func (h *host) script(name, text string) {
	h.Helper()
	at := filepath.Join(h.dir, name)
	require.NoError(h, os.RemoveAll(at))
	require.NoError(h, os.WriteFile(at, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	c := exec.Command(at)
	out, err := c.StdoutPipe()
	require.NoError(h, err)
	require.NoError(h, c.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(h, err)
}

// TestManyProcesses: the directories of all processes do not fit into one command line. The kernel bounds one at a quarter of the
// stack, and at no less than 128 KiB (execve(2)); the environment counts.
func TestManyProcesses(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	w := h.writer(h.box, "")
	many := exec.Command("sh", "-c", "exec 3<&0; i=0; while [ $i -lt 1000 ]; do read -r x <&3 & i=$((i + 1)); done; echo up; wait")
	_, err := many.StdinPipe()
	require.NoError(t, err)
	out, err := many.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, many.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	t.Setenv("FILLER", strings.Repeat("x", 110<<10))
	sh := oracle.Need(t, "sh")
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "bin/sh"), []byte("#!"+sh+"\nulimit -s 256; exec "+sh+" \"$@\"\n"), 0o755))
	err = exec.Command("sh", "-c", "exec find /proc/[0-9]*/fd -maxdepth 0").Run()
	require.Error(t, err, "the command line is not long enough for this test")
	err = Stop(t.Context(), &h.Host, h.find(), nil, h.mail(), time.Second)
	require.ErrorContains(t, err, "sh (pid "+strconv.Itoa(w.Process.Pid)+") has ")
}
