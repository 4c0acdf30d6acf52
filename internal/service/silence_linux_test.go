package service

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// master is a main process of Dovecot that, once it is told to end, sleeps as that does until a file named end is there, and then
// has something left to do.
func (h *host) master() *exec.Cmd {
	h.Helper()
	c := exec.Command(oracle.Need(h.T, "perl"), "-e", `$| = 1; $0 = "dovecot"; $SIG{TERM} = sub { $told = 1 }; pipe R, W; print "up\n";
until ($told) { my $r = ""; vec($r, fileno(R), 1) = 1; select $r, undef, undef, undef }
sleep 1 until -e $ARGV[0];
select undef, undef, undef, 0.3;`, filepath.Join(h.dir, "end"))
	out, err := c.StdoutPipe()
	require.NoError(h, err)
	require.NoError(h, c.Start())
	h.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(h, err)
	return c
}

// TestSilence: Dovecot's main process sleeps before it ends. Stop and Find wait for it, and Silence does not.
func TestSilence(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	main := h.master()
	pid := strconv.Itoa(main.Process.Pid)
	s := h.find()
	require.True(t, s.Runs(Access))
	stop := []Command{{[]string{"dovecot"}, "kill " + pid}}
	require.Error(t, Silence(t.Context(), &h.Host, s, nil, h.mail(), time.Second).Go(), "nobody told it to end")
	require.NoError(t, Silence(t.Context(), &h.Host, s, stop, h.mail(), time.Minute).Go())
	require.NoError(t, Silence(t.Context(), &h.Host, s, nil, h.mail(), time.Minute).Go(), "again")
	require.ErrorContains(t, Stop(t.Context(), &h.Host, s, nil, h.mail(), time.Second), "dovecot (pid "+pid+")")

	// Whoever starts it again would find it running: it ends while Find looks at the clock.
	date := "#!/bin/sh\n: >" + filepath.Join(h.dir, "end") + "\nexec " + oracle.Need(t, "date") + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "bin/date"), []byte(date), 0o755))
	require.False(t, h.find().Runs(Access))
	require.NoError(t, main.Wait())
}
