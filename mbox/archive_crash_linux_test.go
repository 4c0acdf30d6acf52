package mbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const crashVar = "MBOX_TEST_CRASH"

// TestMain is the victim when it is told where to die: "directory|call", archiving or, with a third part, recovering.
func TestMain(m *testing.M) {
	args, victim := os.LookupEnv(crashVar)
	if !victim {
		os.Exit(m.Run())
	}
	var n int
	f := strings.Split(args, "|")
	if _, err := fmt.Sscan(f[1], &n); err != nil {
		panic(err)
	}
	chunk = sector
	calls := 0
	atStep = func(op, name string) error {
		if calls++; calls == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	a := &Archive{Before: cutoff, Into: f[0] + "/old/%Y", Journal: f[0] + "/journal", Location: time.UTC, Wait: -1}
	var err error
	if len(f) > 2 {
		var rs []ArchiveRecovery
		rs, err = a.Recover(context.Background())
		for _, r := range rs {
			err = errors.Join(err, r.Err)
		}
	} else {
		var p *ArchivePlan
		if p, err = a.Plan(context.Background(), f[0]+"/mail/anna"); err == nil {
			_, err = p.Apply(context.Background())
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crash archives in a process that dies before call n, and tells whether there was one.
func crash(t *testing.T, p *place, n int, recovering bool) (died bool) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	arg := fmt.Sprintf("%s|%d", p.dir, n)
	if recovering {
		arg += "|recover"
	}
	cmd.Env = append(os.Environ(), crashVar+"="+arg)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit))
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), string(out))
	return true
}

// crashBoxes are mailboxes that shrink, grow, and keep their size; with and without sectors that stay as they are.
func crashBoxes() map[string]string {
	base := "X-IMAPbase: 1420070401 0000000010"
	long := func(c string, n int) string { return "X: " + strings.Repeat(c, n) }
	small := dated(2012, base, "X-UID: 1")
	return map[string]string{
		"shrinks": dated(2012, base, "X-UID: 1", long("a", 900)) + dated(2016, "X-UID: 2", long("b", 700)) +
			dated(2013, "X-UID: 3", long("c", 1300)) + dated(2017, "X-UID: 4", long("d", 1500)),
		"middle":  dated(2016, base, "X-UID: 1", long("a", 1900)) + dated(2013, "X-UID: 3", long("c", 10)) + dated(2017, "X-UID: 4", long("d", 900)),
		"grows":   small,
		"is left": dated(2016, base, "X-UID: 1", long("a", 1900)) + dated(2013, "X-UID: 3", long("c", 3000)),
	}
}

func recoverAll(t *testing.T, p *place) {
	t.Helper()
	rs, err := p.rule.Recover(t.Context())
	require.NoError(t, err)
	for _, r := range rs {
		require.NoError(t, r.Err)
	}
}

// atLeastOnce looks for each message in mailbox, archives and journals.
func atLeastOnce(t *testing.T, p *place, src string) {
	t.Helper()
	all := p.read("mail/anna")
	for _, name := range p.names("old") {
		all += p.read("old/" + name)
	}
	for body := range strings.SplitSeq(src, "\n") {
		if strings.HasPrefix(body, "body of") {
			require.Contains(t, all, "\n"+body+"\n")
		}
	}
}

var lateMail = dated(2021, "S: delivered after the crash")

// The process dies before each call that changes something. Mail may come before the recovery, and that may die as well.
func TestArchiveKilledAnywhere(t *testing.T) {
	for name, src := range crashBoxes() {
		for _, delivered := range []string{"", lateMail} {
			if delivered != "" && name != "shrinks" && name != "grows" {
				continue // processes are slow
			}
			t.Run(fmt.Sprintf("%s, %d bytes come", name, len(delivered)), func(t *testing.T) {
				n, taken, redone := 1, 0, 0
				for ; ; n++ {
					p := newPlace(t)
					p.rule.Into = p.path("old/%Y")
					box := p.write("mail/anna", src)
					if !crash(t, p, n, false) {
						break
					}
					if delivered != "" {
						deliver(t, box, delivered)
					}
					atLeastOnce(t, p, src+delivered)
					rs, err := p.rule.Recover(t.Context())
					require.NoError(t, err)
					for _, r := range rs {
						require.NoError(t, r.Err, "death before call %d", n)
						if r.Completed {
							redone++
						} else if r.Path != "" {
							taken++
						}
					}
					os.Remove(p.path("mail/anna.lock")) // of the dead process; the next lock would take it over
					for _, f := range p.names("old") {
						if strings.HasSuffix(f, ".lock") {
							os.Remove(p.path("old/" + f))
						}
					}
					exactlyOnce(t, p, src, delivered)
					p.apply(box)
					exactlyOnce(t, p, src, delivered)
				}
				t.Logf("%d calls: %d times taken back, %d times completed", n-1, taken, redone)
				require.Greater(t, n, 20)
				require.Positive(t, taken)
				require.Positive(t, redone)
			})
		}
	}
}

func deliver(t testing.TB, box, message string) {
	t.Helper()
	f, err := os.OpenFile(box, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString(message)
	require.NoError(t, err)
}

// The recovery dies before each of its calls, mail comes in between, and the next one completes the work.
func TestArchiveRecoveryKilledAnywhere(t *testing.T) {
	for _, name := range []string{"shrinks", "grows"} {
		src := crashBoxes()[name]
		t.Run(name, func(t *testing.T) {
			deaths := 0
			for n := 17; ; n += 4 {
				fresh := func() (*place, bool) {
					p := newPlace(t)
					p.rule.Into = p.path("old/%Y")
					p.write("mail/anna", src)
					return p, crash(t, p, n, false)
				}
				if _, died := fresh(); !died {
					break
				}
				for k := 1; ; k += 3 {
					p, _ := fresh()
					deliver(t, p.path("mail/anna"), lateMail)
					if !crash(t, p, k, true) {
						break
					}
					deaths++
					second := strings.ReplaceAll(lateMail, "2021", "2022")
					deliver(t, p.path("mail/anna"), second)
					atLeastOnce(t, p, src+lateMail+second)
					recoverAll(t, p)
					for _, dir := range []string{"mail", "old"} {
						for _, f := range p.names(dir) {
							if strings.HasSuffix(f, ".lock") {
								os.Remove(p.path(dir + "/" + f))
							}
						}
					}
					exactlyOnce(t, p, src, lateMail+second)
				}
			}
			require.Greater(t, deaths, 8)
		})
	}
}

// What somebody did to the mailbox in between is not written over.
func TestArchiveRecoveryDrift(t *testing.T) {
	src := crashBoxes()["shrinks"]
	drifted := 0
	for n := 1; ; n++ {
		p := newPlace(t)
		p.rule.Into = p.path("old/%Y")
		box := p.write("mail/anna", src)
		if !crash(t, p, n, false) {
			break
		}
		torn := p.read("mail/anna")
		touched := strings.Replace(torn, "X-UID: 2\n", "X-UID: 9\n", 1)
		p.write("mail/anna", touched)
		rs, err := p.rule.Recover(t.Context())
		require.NoError(t, err)
		for _, r := range rs {
			if r.Err == nil {
				continue
			}
			drifted++
			require.ErrorIs(t, r.Err, ErrDrift)
			require.ErrorContains(t, r.Err, "unfinished work in "+p.path("journal/job-"))
			require.Equal(t, touched, p.read("mail/anna"))
			_, err := p.plan(box).Apply(t.Context())
			require.ErrorIs(t, err, ErrDrift, "no further work before that is settled")
		}
	}
	require.Positive(t, drifted)
}

// Archives that others wrote to after the crash are left alone.
func TestArchiveTakeBackDrift(t *testing.T) {
	src := crashBoxes()["shrinks"]
	drifted := 0
	for n := 1; ; n++ {
		p := newPlace(t)
		p.rule.Into = p.path("old/%Y")
		p.write("mail/anna", src)
		if !crash(t, p, n, false) {
			break
		}
		if len(p.names("old")) == 0 || len(p.names("journal")) == 0 {
			continue
		}
		deliver(t, p.path("old/2012"), newD)
		rs, err := p.rule.Recover(t.Context())
		require.NoError(t, err)
		for _, r := range rs {
			if errors.Is(r.Err, ErrDrift) {
				drifted++
				require.Equal(t, src, p.read("mail/anna"))
			}
		}
		require.Contains(t, p.read("old/2012"), newD)
	}
	require.Positive(t, drifted)
}

// A job of a living process is left to it.
func TestArchiveRecoverLeavesTheLiving(t *testing.T) {
	p := newPlace(t)
	require.NoError(t, openJournal(p.rule.Journal))
	j, err := newJob(p.rule.Journal)
	require.NoError(t, err)
	rs, err := p.rule.Recover(t.Context())
	require.NoError(t, err)
	require.Empty(t, rs)
	require.DirExists(t, j.path)
	j.dir.Close()
	rs, err = p.rule.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ArchiveRecovery{{}}, rs)
	require.NoDirExists(t, j.path)
}
