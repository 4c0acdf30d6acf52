package dovecotconf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

// installedVersion asks for a dump of next to nothing; its first line bears the version.
func installedVersion(t *testing.T, host *oracle.Host) string {
	here, there := host.Temp()
	require.NoError(t, os.WriteFile(filepath.Join(here, "dovecot.conf"), []byte("ssl = no\n"), 0o644))
	text, _ := host.Command("/usr/bin/doveconf", "-n", "-c", there+"/dovecot.conf").CombinedOutput() // 2.4 refuses it after the first line
	for line := range strings.Lines(string(text)) {
		if m := dumpHeader.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	t.Fatalf("no version in %s", text)
	return ""
}

// liveConfigs are read by the installed doveconf and by the package; the result must be the same.
func liveConfigs(t *testing.T, v release) map[string]recorded {
	out := map[string]recorded{}
	for _, r := range readVectors(t) {
		for version, run := range r.Runs {
			if o, _ := parseRelease(servers[version]); o.old() != v.old() || version[0] == '1' && v[0] == 2 && !v.old() {
				continue
			}
			one := r
			one.Runs = map[string]struct {
				Config, Output string
				Exit           int
			}{"": run}
			out[r.Name+" "+version] = one
		}
	}
	return out
}

// On this machine, and on a host with 2.4 where there is one.
func TestAgainstDoveconf(t *testing.T) { againstDoveconf(t, oracle.Here(t)) }

func TestAgainstDoveconf24(t *testing.T) { againstDoveconf(t, oracle.With24(t)) }

func againstDoveconf(t *testing.T, host *oracle.Host) {
	version := installedVersion(t, host)
	v, err := parseRelease(version)
	require.NoError(t, err)
	if v.before(v23) {
		t.Skipf("doveconf %s: the comparison is written for 2.3 and 2.4", version)
	}
	t.Logf("doveconf %s", version)
	compared := 0
	for id, r := range liveConfigs(t, v) {
		if strings.Contains(r.Name, "35b") { // asks for one setting, not for a dump
			continue
		}
		dir, there := host.Temp()
		run := r.Runs[""]
		for name, text := range r.Files {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
		main := filepath.Join(dir, "dovecot.conf")
		require.NoError(t, os.WriteFile(main, []byte(run.Config), 0o644))
		got, runErr := host.Command("/usr/bin/doveconf", append(slices.Clone(r.Args), "-c", there+"/dovecot.conf")...).CombinedOutput()
		c, err := Load(os.DirFS(dir), "dovecot.conf", &Options{Version: version, Path: there + "/dovecot.conf", Expand: slices.Contains(r.Args, "-x")})
		require.NoError(t, err)
		if refused := runErr != nil; refused != c.Refused() {
			t.Errorf("%s: doveconf says %v, ours %v\n%s\n%s", id, runErr, c.Problems(), run.Config, got)
			continue
		}
		compared++
		if runErr != nil {
			if diff := compareError(string(got), there+"/", c); diff != "" {
				t.Errorf("%s: %s\n%s\n%s", id, diff, run.Config, got)
			}
			continue
		}
		if _, err := os.Stat("/etc/debian_version"); err == nil {
			c.Distro = "debian"
		}
		if diff := compareSettings(flattenOutput(v, strings.TrimRight(string(got), "\n")), flattenConfig(c, slices.Contains(r.Args, "-x")), c); diff != "" {
			t.Errorf("%s: %s\n%s\n%s", id, diff, run.Config, got)
		}
	}
	require.Greater(t, compared, 90)
	t.Logf("%d configurations compared", compared)
}

var uidlLine = regexp.MustCompile(`(?m)^\d+ (.*?)\r?$`)

// The pop3 of the installed Dovecot names the messages of a mailbox; Render must give the same.
func TestAgainstPop3(t *testing.T) {
	pop3 := oracle.Need(t, "pop3")
	oracle.Root(t) // the process changes to the owner of the mailbox
	version := installedVersion(t, oracle.Here(t))
	v, err := parseRelease(version)
	require.NoError(t, err)
	if !v.between(v23, v24) {
		t.Skipf("Dovecot %s: the settings of this test are those of 2.3", version)
	}
	ms := []Message{
		{UID: 5, UIDValidity: 1293872400, MD5: "f0e2968d9492f60e1643c38bc105de6d"},
		{UID: 12, UIDValidity: 1293872400, MD5: "d41d8cd98f00b204e9800998ecf8427e"},
	}
	for _, format := range []string{"%08Xu%08Xv", "%v.%u", "%m", "%g", "%Mm", "%UMm", "%2.2Xv-%u", "%-4.04Xv%u", "%08XUv%u", "X%%u%u%", "%0.-2u-%u", "%MXu%u", "%Em%u", "%3Rv%Tu", "%010u"} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		box := "From a@b Mon Jan  1 00:00:00 2011\nX-IMAPbase: 1293872400 12\nX-UID: 5\nSubject: a\nDate: Sat, 01 Jan 2011 09:00:00 +0000\n\nhi\n\n" +
			"From a@b Mon Jan  1 00:00:00 2011\nX-UID: 12\nSubject: b\n\nho\n"
		conf := fmt.Sprintf("ssl = no\nlog_path = /dev/stderr\nmail_location = mbox:%s/mail:INBOX=%s/inbox\n%s\nfirst_valid_uid = 0\nmail_uid = 65534\nmail_gid = 65534\nmail_home = %s\nstats_writer_socket_path =\n",
			dir, dir, line(uidlKey, format), dir)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "mail"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "inbox"), []byte(box), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644))
		for _, name := range []string{"", "mail", "inbox"} {
			require.NoError(t, os.Chown(filepath.Join(dir, name), 65534, 65534))
		}
		cmd := exec.Command(pop3, "-c", filepath.Join(dir, "conf"))
		asNobody(cmd)
		cmd.Env = []string{"USER=nobody", "HOME=" + dir, "PATH=/usr/bin:/bin"}
		cmd.Stdin = strings.NewReader("UIDL\r\nQUIT\r\n")
		got, _ := cmd.CombinedOutput()
		var want []string
		f := mustFormat(t, version, format)
		for _, m := range ms {
			s, err := f.Render(m)
			require.NoError(t, err)
			want = append(want, s)
		}
		var have []string
		for _, m := range uidlLine.FindAllStringSubmatch(string(got), -1) {
			have = append(have, m[1])
		}
		require.Equal(t, want, have, "%s\n%s", format, got)
	}
}

// Real servers accept what Snippet writes, behind any of the files of the table, and find in it what was meant.
func TestSnippetsAgainstDoveconf(t *testing.T) { snippetsAgainst(t, oracle.Here(t)) }

func TestSnippetsAgainstDoveconf24(t *testing.T) { snippetsAgainst(t, oracle.With24(t)) }

func snippetsAgainst(t *testing.T, host *oracle.Host) {
	version := installedVersion(t, host)
	v, err := parseRelease(version)
	require.NoError(t, err)
	n := 0
	for _, c := range ruleCases {
		vn, _ := parseRelease(c.vn)
		now := conf(t, c.vn, c.now)
		if vn[0] != v[0] || vn[1] != v[1] || now.Refused() && !strings.Contains(c.want, "R0") {
			continue
		}
		here, there := host.Temp()
		text := c.now + Compare(conf(t, c.vo, c.old), now, nil).Snippet()
		require.NoError(t, os.WriteFile(filepath.Join(here, "dovecot.conf"), []byte(text), 0o644))
		got, err := host.Command("/usr/bin/doveconf", "-f", "protocol=pop3", "-h", "-c", there+"/dovecot.conf", uidlKey).Output()
		require.NoError(t, err, "%s\n%s", c.name, text)
		if suggest := Compare(conf(t, c.vo, c.old), now, nil).Suggest; suggest != "" {
			require.Equal(t, suggest, strings.TrimSuffix(string(got), "\n"), c.name)
		}
		n++
	}
	require.Greater(t, n, 10)
	t.Logf("Dovecot %s takes %d snippets", version, n)
}
