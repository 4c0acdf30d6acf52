package service

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestNobodyElsesProgramIsTakenForADaemon: every user may call a program dovecot, and what is found here is started by root.
func TestNobodyElsesProgramIsTakenForADaemon(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	require.NoError(t, os.MkdirAll("/run/systemd/system", 0o755))
	h := newHost(t, "systemctl")
	h.file("show", "Id=dovecot.service\nLoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\nTriggeredBy=\n")
	sleep, err := os.ReadFile(oracle.Need(t, "sleep"))
	require.NoError(t, err)
	const home = "/run/e v'e"
	require.NoError(t, os.Mkdir(home, 0o755))
	start := func(name string, uid uint32) *exec.Cmd {
		t.Helper()
		require.NoError(t, os.WriteFile(home+"/"+name, sleep, 0o755))
		c := exec.Command(home+"/"+name, "1000")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if err := c.Start(); err != nil && uid != 0 {
			t.Skipf("no other users here: %v", err)
		} else {
			require.NoError(t, err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	eve := start("dovecot", 65534)
	s := h.find()
	require.False(t, s.Runs(Access), "%v", s)
	require.Empty(t, s.StartCommands())
	require.NoError(t, Stop(t.Context(), &h.Host, s, nil, h.mail(), time.Second), "nor waited for")

	// Not even when a pid file that was left over has its number.
	require.NoError(t, os.Mkdir("/run/dovecot", 0o755))
	require.NoError(t, os.WriteFile("/run/dovecot/master.pid", []byte(strconv.Itoa(eve.Process.Pid)+"\n"), 0o644))
	require.Empty(t, h.find().StartCommands())

	// A daemon with a user of its own is stopped, and left to who started it.
	exim := start("exim4", 65534)
	require.NoError(t, os.WriteFile("/run/exim.pid", []byte(strconv.Itoa(exim.Process.Pid)+"\n"), 0o644))
	s = h.find()
	require.True(t, s.Runs(MTA))
	require.Equal(t, "kill "+strconv.Itoa(exim.Process.Pid), lines(s.StopCommands()))
	require.Empty(t, s.StartCommands())

	// Root's own keeps its command, whatever characters are in it.
	require.NoError(t, eve.Process.Kill())
	_ = eve.Wait()
	start("dovecot", 0)
	require.Equal(t, `'`+`/run/e v'\''e/dovecot'`, lines(h.find().StartCommands()))
}
