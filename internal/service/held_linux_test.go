package service

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestHeld: what brings mail stops beside those who still read and write it, and of what was prepared nothing happens before Go.
func TestHeld(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	h.sh("service dovecot start; service postfix start")
	s := h.find()
	transfer := s.Of(MTA, Feeder)
	require.False(t, transfer.Runs(Access))
	require.Equal(t, "service postfix stop", lines(transfer.StopCommands()))
	h.log()

	access := s.Of(Access).StopCommands()
	Silence(t.Context(), &h.Host, s, access, h.mail(), time.Minute).Drop()
	held := Silence(t.Context(), &h.Host, s, access, h.mail(), time.Minute)
	writer := h.writer(h.box, "dovecot") // until Dovecot ends
	require.NoError(t, End(t.Context(), &h.Host, transfer, transfer.StopCommands(), time.Minute))
	require.Equal(t, "service postfix stop\n", h.log())
	require.NoFileExists(t, h.box+".closed")
	now := h.find()
	require.True(t, now.Runs(Access))
	require.False(t, now.Runs(MTA))

	require.NoError(t, held.Go())
	require.Contains(t, h.log(), "service dovecot stop\n")
	require.FileExists(t, h.box+".closed")
	require.NoError(t, writer.Wait())
	require.False(t, h.find().Runs(Access))
}

// TestEndTellsOfOneThatStays, though whoever else is at work does not matter.
func TestEndTellsOfOneThatStays(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	h.sh("service postfix start")
	s := h.find()
	w := h.writer(h.box, "")
	err := End(t.Context(), &h.Host, s.Of(MTA), []Command{{[]string{"postfix"}, "echo not today >&2; exit 4"}}, time.Second)
	var busy *BusyError
	require.True(t, errors.As(err, &busy), "%v", err)
	require.Len(t, busy.Busy, 1)
	require.Equal(t, "master", mustComm(t, busy.Busy[0].PID))
	require.ErrorContains(t, err, "status 4: not today")
	require.NoError(t, End(t.Context(), &h.Host, s.Of(MTA), s.Of(MTA).StopCommands(), time.Minute))
	require.NoError(t, w.Process.Kill())
	_, _ = w.Process.Wait()
}

// TestHeldWithoutAWord: a host that lost the connection before Go stops nothing, and that is no success.
func TestHeldWithoutAWord(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	h.sh("service dovecot start")
	s := h.find()
	held := Silence(t.Context(), &h.Host, s, s.StopCommands(), h.mail(), time.Minute)
	held.word.Close() // as the end of the line does there
	require.Error(t, held.Go())
	require.True(t, h.find().Runs(Access))
}

func mustComm(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}
