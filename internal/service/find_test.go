package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFind reads what findScript prints on hosts of all kinds.
func TestFind(t *testing.T) {
	type want struct {
		init               How
		stop, start, boot  string // lines joined by "; "
		strangers          string
		access, mta, feeds bool
	}
	for name, w := range map[string]want{
		"centos6": {SysV, "service dovecot stop; service sendmail stop; service fetchmail stop",
			"service dovecot start; service sendmail start; service fetchmail start", "chkconfig dovecot off; chkconfig sendmail off", "", true, true, true},
		"centos7": {Systemd, "systemctl stop dovecot.service postfix.service", "systemctl start dovecot.service postfix.service",
			"systemctl disable dovecot.service; systemctl disable postfix.service", "", true, true, false},
		// A socket unit would start Dovecot again at the next connection.
		"debian12": {Systemd, "systemctl stop dovecot.socket dovecot.service exim4-base.timer exim4.service", "systemctl start dovecot.socket dovecot.service exim4.service",
			"systemctl disable dovecot.socket dovecot.service; systemctl disable exim4-base.timer exim4.service", "", true, true, false},
		// Dovecot was started by hand beside its unit; xinetd serves POP3.
		"byhand": {Systemd, "systemctl stop sendmail.service; kill 812", "systemctl start sendmail.service; /usr/local/sbin/dovecot",
			"systemctl disable sendmail.service", "port 110: xinetd (pid 70)", true, true, false},
		"bare":  {Script, "/etc/init.d/postfix stop", "/etc/init.d/postfix start", "", "", false, true, false},
		"empty": {Program, "", "", "", "", false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
			require.NoError(t, err)
			s, err := parse(string(text))
			require.NoError(t, err)
			require.Equal(t, w.init, s.Init)
			require.Equal(t, w.stop, lines(s.StopCommands()))
			require.Equal(t, w.start, lines(s.StartCommands()))
			require.Equal(t, w.boot, strings.Join(s.BootAdvice(), "; "))
			var strangers []string
			for _, l := range s.Strangers() {
				require.Equal(t, 110, l.Port)
				strangers = append(strangers, "port 110: "+l.String())
			}
			require.Equal(t, w.strangers, strings.Join(strangers, "; "))
			require.Equal(t, []bool{w.access, w.mta, w.feeds}, []bool{s.Runs(Access), s.Runs(MTA), s.Runs(Feeder)})

			// What is saved starts the same.
			data, err := json.Marshal(s)
			require.NoError(t, err)
			var saved State
			require.NoError(t, json.Unmarshal(data, &saved))
			require.Equal(t, *s, saved)
			require.Equal(t, w.start, lines(saved.StartCommands()))
		})
	}
}

func lines(commands []Command) string {
	var out []string
	for _, c := range commands {
		out = append(out, c.Line)
	}
	return strings.Join(out, "; ")
}

func TestFindRefusesWhatItCannotRead(t *testing.T) {
	for _, text := range []string{"", "listen 00 1\n", "init systemd\nrm -rf /\n", "init service\nlisten zz 1\n"} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
}

func TestSuccessors(t *testing.T) {
	svc := func(name string, running bool) Service {
		return Service{Name: name, Role: roles[name], How: SysV, Units: []string{name}, Active: []string{name}, Running: running}
	}
	old := &State{Services: []Service{svc("dovecot", true), svc("sendmail", true)}}
	for _, c := range []struct {
		name     string
		new      []Service
		start    string
		problems int
	}{
		{"both run", []Service{svc("dovecot", true), svc("postfix", true)}, "service dovecot start; service postfix start", 0},
		{"another transfer agent, stopped", []Service{svc("dovecot", true), svc("postfix", false)}, "service dovecot start; service postfix start", 0},
		{"nothing runs", []Service{svc("dovecot", false), svc("exim", false)}, "service dovecot start; service exim start", 0},
		{"two could", []Service{svc("dovecot", true), svc("postfix", false), svc("exim", false)}, "service dovecot start", 1},
		{"one of two runs", []Service{svc("dovecot", true), svc("postfix", true), svc("exim", false)}, "service dovecot start; service postfix start", 0},
		{"none", nil, "", 2},
	} {
		new := &State{Services: c.new}
		next, problems := new.Successors(old)
		require.Equal(t, c.start, lines(next.StartCommands()), c.name)
		require.Len(t, problems, c.problems, c.name)
		require.Equal(t, c.new, new.Services, "left as it was")
	}
	next, problems := (&State{Services: []Service{svc("dovecot", false)}}).Successors(&State{})
	require.Empty(t, next.StartCommands(), "nobody serves on the old host either")
	require.Empty(t, problems)
}

func TestBusyError(t *testing.T) {
	err := busyError("main 12 dovecot\nwriter 99 mutt /home/a/mail/two words\nagent 5 procmail\nfailed 1 1 no such unit\nfailed 2 -\n",
		[]Command{{Line: "systemctl stop dovecot.service"}, {Line: "service x stop"}})
	require.EqualError(t, err, `still at work on the mail: dovecot (pid 12), mutt (pid 99) has "/home/a/mail/two words" open for writing, procmail (pid 5); `+
		`systemctl stop dovecot.service: status 1: no such unit; service x stop: not done yet`)
	require.NoError(t, busyError("", nil))
}

func TestPatternsStandForThemselves(t *testing.T) {
	require.Equal(t, []string{"-lname", `/var/ma\[i\*l/*`, "-o", "-lname", `/ho\?me\\x/*/mail/*`}, Mail{Spools: []string{"/var/ma[i*l"}, Homes: []string{`/ho?me\x`}}.patterns()[:5])
	require.Empty(t, Mail{}.patterns())
}
