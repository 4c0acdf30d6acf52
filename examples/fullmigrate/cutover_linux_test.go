package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/hostcmd"
	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/mailmove/mailmove/internal/run"
)

// daemon is a mail daemon that greets and no more: what a cutover sees of one.
func daemon(greetings map[int]string) {
	for port, text := range greetings {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, text+"\r\n")
				c.Close()
			}
		}()
	}
	select {}
}

// hooked is the program with the two hosts of a test in the place of real ones, and killed at a line of its journal.
func hooked() {
	if os.Getenv("TEST_HOSTS") != "" {
		hostOf = func(root string) *hostcmd.Host {
			if filepath.Base(root) == "old" {
				return &hostcmd.Host{SSH: "old"}
			}
			return &hostcmd.Host{SSH: "new"}
		}
	}
	announceAgain = []time.Duration{0}
	if at, name, ok := strings.Cut(os.Getenv("TEST_WRITE"), "="); ok {
		watchJournal = func(e run.Entry) {
			if e.Step+" "+string(e.State) == at {
				f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
				if err == nil {
					_, err = f.WriteString(lateMessage)
				}
				if err != nil {
					panic(err)
				}
				f.Close()
			}
		}
	}
	if at := os.Getenv("TEST_KILL"); at != "" {
		watchJournal = func(e run.Entry) {
			if e.Step+" "+string(e.State) == at {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	}
	main()
}

// service is an init system: service NAME start|stop|status.
const serviceScript = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/log"
case $1 in dovecot) prog=$here/../libexec/dovecot;; postfix) prog=$here/../libexec/postfix/master;; *) exit 5;; esac
pid=$(cat "/run/test.$1" 2>/dev/null)
alive() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
case $2 in
start) alive || { "$prog" </dev/null >/dev/null 2>&1 & echo $! >"/run/test.$1"; };;
stop) ! alive || { kill "$pid"; while alive; do sleep 0.02; done; };;
status) alive || exit 3;;
esac
`

// pairOfHosts are two hosts side by side: the demo's files, and daemons that greet.
type pairOfHosts struct {
	t        *testing.T
	from, to string
	env      []string // of the program
	back     string   // the directory of ssh and the program
	at       [2]*oracle.Cell
	bin      [2]string
}

func twoHosts(t *testing.T) *pairOfHosts {
	p := &pairOfHosts{t: t}
	p.from, p.to = hosts(t)
	self, err := os.Executable()
	require.NoError(t, err)
	for i := range sides {
		dir := t.TempDir()
		p.bin[i] = filepath.Join(dir, "bin")
		require.NoError(t, os.MkdirAll(p.bin[i], 0o755))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "libexec/postfix"), 0o755))
		for _, name := range []string{"dovecot", "postfix/master"} {
			require.NoError(t, os.Link(self, filepath.Join(dir, "libexec", name)))
		}
		for name, text := range map[string]string{"service": serviceScript, "dovecot": "#!/bin/sh\n", "postfix": "#!/bin/sh\n", "systemctl": "#!/bin/sh\nexit 1\n"} {
			require.NoError(t, os.WriteFile(filepath.Join(p.bin[i], name), []byte(text), 0o755))
		}
	}
	p.at = [2]*oracle.Cell(oracle.Cells(t, []string{"192.0.2.10/24", "192.0.2.11/24"}, []string{"192.0.2.20/24"}))
	// An ssh that leads to both, for each sees its own processes alone.
	back := t.TempDir()
	p.back = back
	ssh := "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nexport SSH_CONNECTION='192.0.2.20 1 192.0.2.11 22'\ncase $1 in\n"
	for i, name := range sides {
		ssh += fmt.Sprintf("%s) shift; PATH=%s:$PATH exec %s sh -c \"$1\";;\n", name, p.bin[i], strings.Join(p.at[i].Enter, " "))
	}
	require.NoError(t, os.WriteFile(filepath.Join(back, "ssh"), []byte(ssh+"esac\n"), 0o755))
	require.NoError(t, os.Link(self, filepath.Join(back, "fullmigrate")))
	p.env = append(os.Environ(), "TEST_HOSTS=1", "PATH="+back+":"+os.Getenv("PATH"))
	p.onOld("service dovecot start; service postfix start")
	p.onNew("service dovecot start; service postfix start")
	return p
}

// on runs a script on a host.
func (p *pairOfHosts) on(side int, script string) string {
	p.t.Helper()
	c := exec.Command(p.at[side].Enter[0], append(p.at[side].Enter[1:], "sh", "-c", script)...)
	c.Env = append(os.Environ(), "PATH="+p.bin[side]+":"+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	require.NoError(p.t, err, "%q: %s", script, out)
	return string(out)
}

func (p *pairOfHosts) onOld(script string) string { p.t.Helper(); return p.on(0, script) }
func (p *pairOfHosts) onNew(script string) string { p.t.Helper(); return p.on(1, script) }

// run is the program; its exit code and all that it said.
func (p *pairOfHosts) run(kill string, args ...string) (int, string) {
	// In the new host's network.
	c := exec.Command("/usr/bin/env", slices.Concat([]string{"nsenter", "--net=/proc/" + p.at[1].Enter[2] + "/ns/net", "--", "fullmigrate"}, args, []string{"-from", p.from, "-to", p.to})...)
	c.Env = append(p.env, "TEST_KILL="+kill)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		require.NoError(p.t, err)
	}
	if c.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return -1, string(out)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// ok is a run that ends well.
func (p *pairOfHosts) ok(args ...string) string {
	p.t.Helper()
	code, out := p.run("", args...)
	require.Zero(p.t, code, out)
	return out
}

func (p *pairOfHosts) program(name string) string { return filepath.Join(p.back, name) }

// served tells which host answers on the service address: "old", "new" or "".
func (p *pairOfHosts) served() string {
	old := strings.Contains(p.onOld("ip -o addr show dev eth0"), " 192.0.2.10/24 ") && strings.Contains(p.onOld("service dovecot status && service postfix status && echo up || true"), "up")
	new := strings.Contains(p.onNew("ip -o addr show dev eth0"), " 192.0.2.10/24 ") && strings.Contains(p.onNew("service dovecot status && service postfix status && echo up || true"), "up")
	require.False(p.t, old && new, "both")
	switch {
	case old:
		return "old"
	case new:
		return "new"
	}
	return ""
}

func TestCutoverAndBack(t *testing.T) {
	t.Parallel() // it has hosts of its own
	if !oracle.Alone(t) {
		return
	}
	p := twoHosts(t)
	code, out := p.run("", "cutover", "-iface", "eth0", "-yes")
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "no sync has ended yet")
	p.ok("sync")
	require.Equal(t, "old", p.served())
	code, out = p.run("", "cutover", "-iface", "eth0")
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "nobody said yes")
	require.Equal(t, "old", p.served())

	out = p.ok("cutover", "-iface", "eth0", "-manual")
	for _, line := range []string{
		"ssh new 'service dovecot stop'", "ssh old 'service postfix stop'", "ssh new 'service dovecot start'", "ssh old 'update-rc.d postfix disable'",
		"ssh old 'echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries; ip addr del 192.0.2.10/24 dev eth0'", "ssh new 'ip addr add 192.0.2.10/24 brd + dev eth0'",
	} {
		require.Contains(t, out, "\n"+line+"\n")
	}
	require.Equal(t, "old", p.served())

	addresses, routes := p.onOld("ip -o addr show dev eth0"), p.onOld("ip route")
	report := filepath.Join(t.TempDir(), "r.json")
	out = p.ok("cutover", "-iface", "eth0", "-yes", "-report", report)
	require.Regexp(t, `"sentence": "The new host has taken over from mail.example.org, with \d+\.\d s of downtime: 4 accounts and 22 messages in 16 mailboxes`, read(t, report))
	require.Contains(t, read(t, report), `"name": "last pass, while nobody serves"`)
	require.Regexp(t, `downtime: \d+\.\d\d s`, out)
	require.Equal(t, "new", p.served())
	require.Contains(t, p.onOld("ip -o addr show dev eth0"), " 192.0.2.11/24 ", "its other address stays, though it was the second")

	// Mail arrives on the new host.
	f, err := os.OpenFile(filepath.Join(p.to, "var/spool/mail/bert"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("From a@b Tue Jun 15 10:00:00 2010\nSubject: late\n\nStill here?\n\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	out = p.ok("rollback", "-yes", "-report", report)
	require.Contains(t, out, "1 messages and 0 other files")
	require.Regexp(t, `"sentence": "mail.example.org serves again; what reached the new host in the meantime is kept`, read(t, report))
	require.Regexp(t, `"kept": \[\s+"bert: 1 message, `, read(t, report))
	require.Equal(t, "old", p.served())
	require.Equal(t, addresses, p.onOld("ip -o addr show dev eth0"), "in their order")
	require.Equal(t, routes, p.onOld("ip route"))
	require.NotContains(t, p.onNew("ip -o addr show dev eth0"), "192.0.2.10/")
	require.Contains(t, p.ok("status"), `bert "kept/`)
}

// TestCutoverRefuses what would go wrong later, before anything stops.
func TestCutoverRefuses(t *testing.T) {
	t.Parallel() // it has hosts of its own
	if !oracle.Alone(t) {
		return
	}
	p := twoHosts(t)
	p.ok("sync")
	refused := func(rule string, args ...string) {
		t.Helper()
		code, out := p.run("", append([]string{"cutover", "-yes"}, args...)...)
		require.Equal(t, 1, code, out)
		require.Contains(t, out, "BLOCKS")
		require.Contains(t, out, rule)
		require.Equal(t, "old", p.served())
	}
	ssh, err := os.ReadFile(p.program("ssh"))
	require.NoError(t, err)
	change := func(old, new string) {
		require.NoError(t, os.WriteFile(p.program("ssh"), []byte(strings.Replace(string(ssh), old, new, 1)), 0o755))
	}
	change("192.0.2.11 22", "192.0.2.10 22")
	refused("ADMIN-ADDRESS", "-iface", "eth0")
	refused("eth0 takes over 192.0.2.10/24 (", "-iface", "eth0")
	refused("give the old host a further address (there: ip address add ADDRESS/24 dev eth0)", "-iface", "eth0")
	change("", "")

	// A port that nobody here knows how to stop: a POP server under a name of its own.
	require.NoError(t, os.Link(filepath.Join(filepath.Dir(p.bin[0]), "libexec/dovecot"), filepath.Join(p.bin[0], "popper")))
	p.onOld("popper </dev/null >/dev/null 2>&1 & until grep -q :03E3 /proc/net/tcp6; do sleep 0.02; done")
	refused("port 995 of the old host is served by popper (pid ")
	p.onOld("kill $(pidof popper)")

	// A user's program that would not end with the daemons: a plan tells of it, a cutover stops nobody for it.
	box := filepath.Join(p.from, "home/anna/mail/Sent")
	require.FileExists(t, box)
	p.onOld("exec 3>>" + box + "; cat </dev/zero >/dev/null 2>&1 &")
	writer := `on the old host cat \(pid \d+\) has "` + box + `" open for writing and belongs to no daemon`
	_, out := p.run("", "plan")
	require.Regexp(t, "warn +services WRITER old: "+writer, out)
	refused("WRITER old: on the old host cat (pid ")
	p.ok("sync")
	p.onOld("kill $(pidof cat)")
}

// TestCutoverKilledAtEveryStep kills the program at each line of its journal. The same command then does what one that was
// left alone does, and from the same point the way back leads to where all began.
func TestCutoverKilledAtEveryStep(t *testing.T) {
	t.Parallel() // it has hosts of its own
	if !oracle.Alone(t) {
		return
	}
	p := twoHosts(t)
	p.ok("sync")
	before := facts(t, p.to, false)
	p.ok("cutover", "-iface", "eth0", "-yes")
	require.Equal(t, "new", p.served())
	after := facts(t, p.to, false)
	require.NotEqual(t, before, after)
	p.ok("rollback", "-yes")
	for _, kill := range some(journalLines(stepCutover, cutoverSteps)) {
		code, out := p.run(kill, "cutover", "-iface", "eth0", "-yes")
		require.Equal(t, -1, code, "%s: %s", kill, out)
		code, out = p.run("", "sync")
		require.Equal(t, 2, code, "%s: %s", kill, out)
		out = p.ok("cutover", "-iface", "eth0", "-yes")
		require.Equal(t, "new", p.served(), "%s: %s", kill, out)
		require.Equal(t, after, facts(t, p.to, false), kill)
		p.ok("rollback", "-yes")

		code, out = p.run(kill, "cutover", "-iface", "eth0", "-yes")
		require.Equal(t, -1, code, "%s: %s", kill, out)
		out = p.ok("rollback", "-yes")
		require.Equal(t, "old", p.served(), "%s: %s", kill, out)
		require.Equal(t, before, facts(t, p.to, false), kill)
		p.ok("sync")
	}
}

// TestRollbackKilledAtEveryStep: the way back is gone on with by the same command, and what came meanwhile is kept once.
func TestRollbackKilledAtEveryStep(t *testing.T) {
	t.Parallel() // it has hosts of its own
	if !oracle.Alone(t) {
		return
	}
	p := twoHosts(t)
	p.ok("sync")
	before := facts(t, p.to, false)
	for _, kill := range some(journalLines(stepRollback, rollbackSteps)) {
		p.ok("cutover", "-iface", "eth0", "-yes")
		code, out := p.run(kill, "rollback", "-yes")
		require.Equal(t, -1, code, "%s: %s", kill, out)
		for _, verb := range []string{"sync", "cutover"} {
			code, out = p.run("", verb, "-yes")
			require.Equal(t, 2, code, "%s: %s", kill, out)
			require.Contains(t, out, "finish it with fullmigrate rollback")
		}
		out = p.ok("rollback", "-yes")
		require.Equal(t, "old", p.served(), "%s: %s", kill, out)
		require.Equal(t, before, facts(t, p.to, false), kill)
		p.ok("sync")
	}
	p.ok("cutover", "-iface", "eth0", "-yes")
	f, err := os.OpenFile(filepath.Join(p.to, "var/spool/mail/bert"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("From a@b Tue Jun 15 10:00:00 2010\nSubject: late\n\nStill here?\n\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	code, out := p.run(stepBackKeep+" done", "rollback", "-yes")
	require.Equal(t, -1, code, out)
	require.Contains(t, p.ok("rollback", "-yes"), "1 messages and 0 other files")
	all, err := filepath.Glob(filepath.Join(p.to, "var/lib/mailmove/*/kept/*/bert/var/spool/mail/bert"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	data, err := os.ReadFile(all[0])
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(data), "Subject: late"))
	require.Equal(t, 1, strings.Count(string(data), "Subject: "))
}

// some takes every fourth line: that of TEST_KILLS=0 to 3, and all with TEST_ALL_KILLS=1, which takes many minutes.
func some(lines []string) (out []string) {
	at, err := strconv.Atoi(os.Getenv("TEST_KILLS"))
	if err != nil {
		at = 1
	}
	for i, l := range lines {
		if os.Getenv("TEST_ALL_KILLS") == "1" || i%4 == at {
			out = append(out, l)
		}
	}
	return out
}

// journalLines are the lines of a phase, but for the last: after that there is nothing left to do.
func journalLines(phase string, steps []string) []string {
	all := []string{phase + " begun"}
	for _, s := range steps {
		all = append(all, s+" begun", s+" done")
	}
	return all
}
