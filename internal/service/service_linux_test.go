package service

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
)

// initScript is `service NAME VERB` and, by another name, `systemctl VERB UNIT...`. Every call is noted in log.
const initScript = `#!/bin/sh
here=$(dirname "$0")
echo "$(basename "$0") $*" >>"$here/log"
one() { # NAME VERB
	case $1 in dovecot*) name=dovecot prog=$here/../dovecot;; postfix*) name=postfix prog=$here/../postfix/master;; *) return 5;; esac
	pid=$(cat "/run/test.$name" 2>/dev/null)
	alive() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
	case $2 in
	start) [ ! -e "$here/broken" ] || { echo "no such luck" >&2; return 3; }; alive || { "$prog" 100000 </dev/null >/dev/null 2>&1 & echo $! >"/run/test.$name"; };;
	stop) ! alive || kill "$pid"; [ ! -e "$here/slow" ] || { sleep 100; touch "$here/ended"; };;
	status) alive || return 3;;
	esac
}
case $0 in
*/systemctl)
	verb=$1; shift
	[ "$verb" != show ] || exec cat "$here/show"
	for u; do one "$u" "$verb" || exit; done;;
*) one "$1" "$2";;
esac
`

// host is this one, in namespaces of its own, with daemons that do nothing.
type host struct {
	*testing.T
	hostcmd.Host
	dir string
	box string
}

func newHost(t *testing.T, init string) *host {
	h := &host{T: t, dir: t.TempDir()}
	sleep, err := os.ReadFile(oracle.Need(t, "sleep"))
	require.NoError(t, err)
	for _, name := range []string{"bin", "postfix", "mail", "home/anna/mail"} {
		require.NoError(t, os.MkdirAll(filepath.Join(h.dir, name), 0o755))
	}
	for name, text := range map[string]string{"dovecot": string(sleep), "postfix/master": string(sleep), "bin/" + init: initScript, "bin/dovecot": "#!/bin/sh\n", "bin/postfix": "#!/bin/sh\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o755))
	}
	h.box = filepath.Join(h.dir, "mail/anna")
	t.Setenv("PATH", filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"))
	return h
}

func (h *host) mail() Mail {
	return Mail{Spools: []string{filepath.Join(h.dir, "mail")}, Homes: []string{filepath.Join(h.dir, "home")}}
}

func (h *host) file(name, text string) {
	h.Helper()
	require.NoError(h, os.WriteFile(filepath.Join(h.dir, "bin", name), []byte(text), 0o644))
}

func (h *host) sh(script string) {
	h.Helper()
	out, err := h.Shell(h.Context(), nil, script)
	require.NoError(h, err, string(out))
}

func (h *host) find() *State {
	h.Helper()
	s, err := Find(h.Context(), &h.Host)
	require.NoError(h, err)
	return s
}

func (h *host) log() string {
	h.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "bin/log"))
	require.NoError(h, err)
	require.NoError(h, os.Remove(filepath.Join(h.dir, "bin/log")))
	return string(text)
}

// writer has a file open for writing as long as the daemon lives, or for ever.
func (h *host) writer(file, until string) *exec.Cmd {
	h.Helper()
	script := `exec 3>>"$1"; echo up; [ -n "$2" ] || read -r forever # no child that shares the file for a moment
while kill -0 $(cat "/run/test.$2") 2>/dev/null; do sleep 0.02; done; touch "$1.closed"`
	c := exec.Command("sh", "-c", script, "sh", file, until)
	_, err := c.StdinPipe()
	require.NoError(h, err)
	out, err := c.StdoutPipe()
	require.NoError(h, err)
	require.NoError(h, c.Start())
	up := make([]byte, 3)
	_, err = out.Read(up)
	require.NoError(h, err)
	return c
}

func TestStopAndStart(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "bin/systemctl"), []byte("#!/bin/sh\nexit 1\n"), 0o755)) // not booted by systemd
	s := h.find()
	require.Equal(t, SysV, s.Init)
	require.Empty(t, s.StartCommands())
	h.sh("service dovecot start; service postfix start")
	s = h.find()
	require.True(t, s.Runs(Access) && s.Runs(MTA))
	require.Equal(t, "service dovecot stop; service postfix stop", lines(s.StopCommands()))
	require.Equal(t, filepath.Join(h.dir, "dovecot"), mustRead(t, s.Services[0].PID))
	h.log()

	// A reader and a file that is no mailbox hold nothing up; whoever writes is waited for.
	reader := exec.Command("sh", "-c", `exec 3<"$0"; exec sleep 1000`, h.box)
	require.NoError(t, os.WriteFile(h.box, nil, 0o600))
	require.NoError(t, reader.Start())
	h.writer(filepath.Join(h.dir, "home/anna/notes"), "")
	w := h.writer(h.box, "postfix")
	require.NoError(t, Stop(t.Context(), &h.Host, s, s.StopCommands(), h.mail(), time.Minute))
	require.FileExists(t, h.box+".closed")
	require.NoError(t, w.Wait())
	require.Contains(t, h.log(), "service dovecot stop\n")
	now := h.find()
	require.False(t, now.Runs(Access) || now.Runs(MTA))
	require.Empty(t, now.StopCommands())
	require.NoError(t, Stop(t.Context(), &h.Host, now, now.StopCommands(), h.mail(), time.Minute), "nothing to do")

	require.NoError(t, Start(t.Context(), &h.Host, s.StartCommands()))
	require.True(t, h.find().Runs(Access))
	require.NoError(t, Start(t.Context(), &h.Host, s.StartCommands()), "again")

	h.file("broken", "")
	err := Start(t.Context(), &h.Host, s.StartCommands()[:1])
	require.EqualError(t, err, "service dovecot start: status 3: no such luck")
}

// mustRead gives the file that a process runs.
func mustRead(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	require.NoError(t, err)
	return text
}

func TestStopNamesWhoIsStillAtWork(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	s := h.find()
	inbox := h.writer(h.box, "")
	folder := filepath.Join(h.dir, "home/anna/mail/two\nlines")
	other := h.writer(folder, "")
	err := Stop(t.Context(), &h.Host, s, nil, h.mail(), time.Second)
	var busy *BusyError
	require.True(t, errors.As(err, &busy), "%v", err)
	require.ElementsMatch(t, []Busy{
		{inbox.Process.Pid, "sh", h.box}, {other.Process.Pid, "sh", strings.ReplaceAll(folder, "\n", "?")},
	}, busy.Busy)
	require.NoError(t, inbox.Process.Kill())
	require.NoError(t, other.Process.Kill())
	_, _ = inbox.Process.Wait()
	_, _ = other.Process.Wait()
	require.NoError(t, Stop(t.Context(), &h.Host, s, nil, h.mail(), time.Minute))

	// A daemon that does not go.
	h.sh("service dovecot start")
	s = h.find()
	err = Stop(t.Context(), &h.Host, s, []Command{{[]string{"dovecot"}, "echo not today >&2; exit 4"}}, h.mail(), time.Second)
	require.ErrorContains(t, err, "dovecot (pid "+strconv.Itoa(s.Services[0].PID)+")")
	require.ErrorContains(t, err, "status 4: not today")
}

// TestStopDoesNotWaitForItsCommand: that of Postfix sleeps a second after all is over.
func TestStopDoesNotWaitForItsCommand(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	h := newHost(t, "service")
	h.sh("service postfix start")
	h.file("slow", "")
	s := h.find()
	require.NoError(t, Stop(t.Context(), &h.Host, s, s.StopCommands(), h.mail(), time.Minute))
	require.NoFileExists(t, filepath.Join(h.dir, "bin/ended"))
	require.False(t, h.find().Runs(MTA))
}

func TestSystemd(t *testing.T) {
	if !oracle.Alone(t) {
		return
	}
	require.NoError(t, os.MkdirAll("/run/systemd/system", 0o755)) // sd_booted(3)
	h := newHost(t, "systemctl")
	show := "Id=dovecot.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nTriggeredBy=dovecot.socket\n\n" +
		"Id=dovecot.socket\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nTriggeredBy=\n\n" +
		"Id=postfix.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nTriggeredBy=\n"
	h.file("show", show)
	h.sh("systemctl start dovecot.service postfix.service")
	s := h.find()
	require.Contains(t, h.log(), "systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState -p TriggeredBy dovecot.service postfix.service")
	require.NoError(t, Stop(t.Context(), &h.Host, s, s.StopCommands(), h.mail(), time.Minute))
	require.Equal(t, "systemctl stop dovecot.socket dovecot.service postfix.service\n", h.log())
	h.file("show", strings.ReplaceAll(show, "=active", "=inactive"))
	require.Empty(t, h.find().StopCommands())
	h.log()
	require.NoError(t, Start(t.Context(), &h.Host, s.StartCommands()))
	require.Equal(t, "systemctl start dovecot.socket dovecot.service postfix.service\n", h.log())
	// They run now, and their units are said to be inactive: somebody else's.
	require.Equal(t, []How{Program, Program}, []How{h.find().Services[0].How, h.find().Services[1].How})
}
