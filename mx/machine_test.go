package mx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const day24 = 24 * time.Hour

// The backup's own configuration: SM09, SM11, SM14 to SM16, and its lifetime for SM10.
func TestMachineRules(t *testing.T) {
	sound := Machine{Lifetime: 30 * day24, Bounces: 30 * day24, Route: "relay:[192.0.2.1]", Free: 1 << 40, MinFree: 1 << 20}
	for _, c := range []struct {
		name   string
		change func(*Machine)
		opt    Options
		want   string
		text   string
	}{
		{"sound", func(*Machine) {}, Options{}, "", ""},
		{"delivers on itself", func(m *Machine) { m.Local, m.Route = "mydestination", "" }, Options{}, "SM09 warn", "mydestination"},
		{"not all was seen", func(m *Machine) { m.Unseen = []string{"hash:/x: no such file"} }, Options{}, "SM09 info", "no such file"},
		{"lifetime of the machine is too short", func(m *Machine) { m.Lifetime = 3 * time.Hour }, Options{Downtime: 4 * time.Hour}, "SM10 fail", "3h"},
		{"the one given counts more", func(m *Machine) { m.Lifetime = 3 * time.Hour }, Options{Downtime: 4 * time.Hour, Lifetime: 200 * time.Hour}, "", ""},
		{"lifetime unknown", func(m *Machine) { m.Lifetime = 0 }, Options{Downtime: 4 * time.Hour}, "", ""},
		{"bounces are kept shorter", func(m *Machine) { m.Bounces = 5 * time.Hour }, Options{Downtime: 4 * time.Hour}, "SM11 warn", "keeps bounces for 5h"},
		{"but long enough", func(m *Machine) { m.Bounces = 6 * time.Hour }, Options{Downtime: 4 * time.Hour}, "", ""},
		{"no route", func(m *Machine) { m.Route = "" }, Options{}, "SM14 warn", "by MX"},
		{"route unknown", func(m *Machine) { m.Route, m.Unseen = "", []string{"transport_maps: ldap:x: down"} }, Options{}, "SM09 info", "down"},
		{"full disk", func(m *Machine) { m.Free = 1 << 20 }, Options{}, "SM15 warn", "takes no mail now: 1 MiB free"},
		{"small disk", func(m *Machine) { m.Free = 101 << 20 }, Options{Daily: 300 << 20, Downtime: 12 * time.Hour}, "SM15 warn", "100 MiB are left for the backup's queue; a downtime of 12h brings 150 MiB"},
		{"disk that suffices", func(m *Machine) { m.Free = 151 << 20 }, Options{Daily: 300 << 20, Downtime: 12 * time.Hour}, "", ""},
		{"disk unknown", func(m *Machine) { m.Free = 0 }, Options{Daily: 300 << 20, Downtime: 12 * time.Hour}, "", ""},
		{"smart host", func(m *Machine) { m.Smart = "relayhost [smtp.other.test]" }, Options{}, "SM16 warn", "relayhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sound
			c.change(&m)
			c.opt.Machine = &m
			r := check(t, serve(t, good), c.opt)
			require.Equal(t, c.want, strings.Join(rulesOf(onlySM(r.Findings)), ","), "%v", r.Findings)
			if c.want != "" {
				require.Contains(t, detail(t, r, c.want[:4]), c.text)
			}
		})
	}
}

// onlySM leaves out the second half of SM10, which speaks of an unproven backup.
func onlySM(fs []Finding) []Finding {
	var out []Finding
	for _, f := range fs {
		if !strings.Contains(f.Detail, "unproven") {
			out = append(out, f)
		}
	}
	return out
}

// programs answers commands by their text; all others are not there. An exitCode is how a command ends.
type programs map[string]any

type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitCode) ExitCode() int { return int(e) }

func (p programs) run(_ context.Context, name string, args ...string) ([]byte, error) {
	switch out := p[strings.Join(append([]string{name}, args...), " ")].(type) {
	case string:
		return []byte(out), nil
	case error:
		return nil, out
	}
	return nil, &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func TestInspectPostfix(t *testing.T) {
	df := "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1 100 90 10 90% /\n"
	base := "maximal_queue_lifetime = 5d\nbounce_queue_lifetime = 36h\nmydomain = example.test\nmydestination = $myhostname, localhost.${mydomain}\nmyhostname = mx2.$(mydomain)\n" +
		"queue_directory = /q\nqueue_minfree = 0\nmessage_size_limit = 1000\nrelay_transport = relay\n"
	for _, c := range []struct {
		name string
		conf string
		more programs
		want Machine
	}{
		{"plain", "", nil, Machine{}},
		{"in mydestination", "mydestination = localhost $mydomain\n", nil, Machine{Local: "mydestination"}},
		{"in a table of mydestination", "mydestination = hash:/d\n", programs{"postmap -q example.test hash:/d": "x\n"}, Machine{Local: "mydestination"}},
		{"in a list that is not seen", "mydestination = /etc/names\n", nil, Machine{Unseen: []string{"mydestination: the names in /etc/names"}}},
		{"virtual", "virtual_mailbox_domains = a.test Example.TEST\n", nil, Machine{Local: "virtual_mailbox_domains"}},
		{"not in the table of aliases", "virtual_alias_domains = $virtual_alias_maps\nvirtual_alias_maps = hash:/v\n",
			programs{"postmap -q example.test hash:/v": exitCode(1)}, Machine{}},
		{"pinned", "transport_maps = inline:{ x.test=y, example.test=relay:[192.0.2.1] }, hash:/t\n",
			programs{"postmap -q example.test inline:{ x.test=y, example.test=relay:[192.0.2.1] }": "relay:[192.0.2.1]\n"}, Machine{Route: "relay:[192.0.2.1]"}},
		{"pinned by relay_transport", "relay_transport = relay:[192.0.2.1]\n", nil, Machine{Route: "relay:[192.0.2.1]"}},
		{"table that fails", "transport_maps = hash:/t\n", programs{"postmap -q example.test hash:/t": errors.New("postmap: fatal: open database /t.db")},
			Machine{Unseen: []string{"hash:/t: postmap: fatal: open database /t.db"}}},
		{"relayhost", "relayhost = [smtp.other.test]\n", nil, Machine{Smart: "relayhost [smtp.other.test]"}},
		{"relayhost behind a pin", "relayhost = [smtp.other.test]\nrelay_transport = relay:[192.0.2.1]\n", nil, Machine{Route: "relay:[192.0.2.1]"}},
		{"fallback relay", "smtp_fallback_relay = f.test\nrelay_transport = relay:[192.0.2.1]\n", nil, Machine{Route: "relay:[192.0.2.1]", Smart: "smtp_fallback_relay f.test"}},
		{"loop of names", "mydestination = $a\na = $b $b\nb = $a $a\n", nil, Machine{}},
		{"a limit of its own", "queue_minfree = 777\n", nil, Machine{MinFree: 777}},
		{"odd lifetime", "maximal_queue_lifetime = soon\n", nil, Machine{Lifetime: -1, Unseen: []string{"maximal_queue_lifetime = soon"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := programs{"postconf": base + c.conf, "df -Pk /q": df}
			for k, v := range c.more {
				p[k] = v
			}
			m, err := Inspect(t.Context(), p.run, "Example.Test")
			require.NoError(t, err)
			want := c.want
			want.Bounces, want.Free = 36*time.Hour, 10240
			if want.Lifetime == 0 {
				want.Lifetime = 5 * day24
			}
			want.Lifetime = max(want.Lifetime, 0)
			if want.MinFree == 0 {
				want.MinFree = 1500
			}
			require.Equal(t, &want, m)
		})
	}
}

func TestInspectSendmail(t *testing.T) {
	cf := "O QueueDirectory=/q/*\nO Timeout.queuereturn=30d\nO Timeout.queuereturn.dsn=2d\nO MinFreeBlocks=100\n"
	const verify = "sendmail -bv -- postmaster@example.test"
	for answer, want := range map[string]Machine{
		"postmaster@example.test... deliverable: mailer esmtp, host [192.0.2.1], user postmaster@example.test\n": {Route: "esmtp:[192.0.2.1]"},
		"postmaster@example.test... deliverable: mailer esmtp, host example.test., user x\n":                     {},
		"postmaster@example.test... deliverable: mailer local, user postmaster\n":                                {Local: "class w"},
		"postmaster@example.test... deliverable: mailer relay, host smart.test, user x\n":                        {Smart: "relay:smart.test"},
		"something else": {Unseen: []string{"sendmail -bv: something else"}},
	} {
		m, err := Inspect(t.Context(), programs{"cat /etc/mail/sendmail.cf": cf, verify: answer}.run, "example.test")
		require.NoError(t, err)
		want.Lifetime, want.Bounces, want.MinFree = 30*day24, 2*day24, 102400
		require.Equal(t, &want, m, answer)
	}
	m, err := Inspect(t.Context(), programs{"cat /etc/mail/sendmail.cf": "", verify: errors.New("denied"), "df -Pk /var/spool/mqueue": "what"}.run, "example.test")
	require.NoError(t, err)
	require.Equal(t, &Machine{Lifetime: 5 * day24, Bounces: 5 * day24, Unseen: []string{"sendmail -bv: denied", "free space of /var/spool/mqueue"}}, m)

	_, err = Inspect(t.Context(), programs{}.run, "example.test")
	require.ErrorContains(t, err, "no Postfix and no sendmail")
	_, err = Inspect(t.Context(), programs{}.run, "no domain")
	require.Error(t, err)
}

// SM13: the new host must let the backup in.
func TestReturnFromBackup(t *testing.T) {
	answers := func(changes ...string) *MockServer {
		s := &MockServer{Replies: map[string]string{"RCPT": "250 2.1.5 Ok"}}
		for i := 0; i < len(changes); i += 2 {
			s.Replies[changes[i]] = changes[i+1]
		}
		return s
	}
	for _, c := range []struct {
		name    string
		newHost *MockServer
		want    string
	}{
		{"taken", answers(), ""},
		{"not at all", nil, "SM13 unknown"},
		{"refused by address", &MockServer{Greeting: "554 5.7.1 blocked"}, "SM13 fail"},
		{"refused by sender", answers("MAIL", "550 5.7.1 SPF"), "SM13 fail"},
		{"refused by recipient", answers("RCPT", "550 5.7.1 no reverse name"), "SM13 fail"},
		{"greylisted, then taken", answers("RCPT", "450 4.2.0 Greylisted|250 Ok"), ""},
		{"greylisted", answers("RCPT", "450 4.2.0 Greylisted"), "SM13 warn"},
		{"too many connections", &MockServer{Greeting: "421 4.7.0 too many"}, "SM13 warn"},
		{"broken", answers("RCPT", ""), "SM13 unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := MockMail{}
			if c.newHost != nil {
				from["192.0.2.99:25"] = c.newHost
			}
			r, err := Check(t.Context(), "example.test", &Options{Resolver: mailZone, New: ip("192.0.2.99"), Old: ip("192.0.2.1"), FromBackup: from.Dial, Dial: refuseAll})
			require.NoError(t, err)
			require.Equal(t, c.want, strings.Join(rulesOf(r.Findings), ","), "%v", r.Findings)
			if c.newHost != nil {
				require.NotContains(t, strings.Join(c.newHost.Commands(), "\n"), "DATA")
			}
		})
	}
}

func (s *mailServer) mock() *MockServer { return &s.MockServer }

func refuseAll(context.Context, string, string) (net.Conn, error) { return nil, errNoRoute }
