package dovecotconf

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func tree(files ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		out[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return out
}

func load(t testing.TB, files fs.FS, opt *Options) *Config {
	c, err := Load(files, "etc/dovecot/dovecot.conf", opt)
	require.NoError(t, err)
	return c
}

func messages(c *Config) []string {
	var out []string
	for _, p := range c.Problems() {
		out = append(out, p.String())
	}
	return out
}

func TestAllErrorsAtOnce(t *testing.T) {
	c := load(t, tree("etc/dovecot/dovecot.conf", "foo = 1\nlogin_greeting\nmail_debug = maybe\n!include none/*.conf\nprotocol pop3 {\n  bar = 2\n}\n}\nprotocol imap {\n"), &Options{Version: "2.3.19"})
	require.True(t, c.Refused())
	require.Equal(t, []string{
		"etc/dovecot/dovecot.conf:1: Unknown setting: foo",
		"etc/dovecot/dovecot.conf:2: Expecting '{'",
		"etc/dovecot/dovecot.conf:3: Invalid boolean value: maybe (use yes or no)",
		"etc/dovecot/dovecot.conf:4: No matches",
		"etc/dovecot/dovecot.conf:6: Unknown setting: bar",
		"etc/dovecot/dovecot.conf:8: Unexpected '}'",
		"etc/dovecot/dovecot.conf: Missing '}' (section started at etc/dovecot/dovecot.conf:9)",
	}, messages(c))
}

func TestIncludesStayInTheTree(t *testing.T) {
	files := tree("etc/dovecot/dovecot.conf", "!include /etc/extra.conf\n!include ../../../../etc/up.conf\n!include conf.d/*.conf\n",
		"etc/extra.conf", "login_greeting = a\n", "etc/up.conf", "mail_debug = yes\n",
		"etc/dovecot/conf.d/b.conf", "login_greeting = b\n", "etc/dovecot/conf.d/.hidden.conf", "login_greeting = h\n", "etc/dovecot/conf.d/a.conf", "login_greeting = c\n")
	c := load(t, files, &Options{Version: "2.3.19"})
	require.Empty(t, messages(c))
	require.Equal(t, Value{"b", "etc/dovecot/conf.d/b.conf:1"}, c.Get("pop3", "login_greeting"))
	require.Equal(t, "yes", c.Get("pop3", "mail_debug").Value)
	// the same files without the rest of the host
	sub, err := fs.Sub(files, "etc/dovecot")
	require.NoError(t, err)
	c, err = Load(sub, "dovecot.conf", &Options{Version: "2.3.19", Path: "/etc/dovecot/dovecot.conf"})
	require.NoError(t, err)
	require.Equal(t, Value{"b", "conf.d/b.conf:1"}, c.Get("pop3", "login_greeting"))
}

func TestBounds(t *testing.T) {
	files := tree("etc/dovecot/dovecot.conf", "!include many/*.conf\n")
	for i := range 50 {
		files[fmt.Sprintf("etc/dovecot/many/%03d.conf", i)] = &fstest.MapFile{Data: []byte("mail_debug = yes\n")}
	}
	c := load(t, files, &Options{Version: "2.3.19", MaxFiles: 20})
	require.Len(t, c.Files, 20)
	require.Contains(t, messages(c)[0], "more than 20 included files")

	c = load(t, tree("etc/dovecot/dovecot.conf", "!include {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}\n"), &Options{Version: "2.3.19"})
	require.Equal(t, "etc/dovecot/dovecot.conf:1: more than 10000 included files", messages(c)[0])

	c = load(t, tree("etc/dovecot/dovecot.conf", "!include self.conf\n", "etc/dovecot/self.conf", "!include other.conf\n", "etc/dovecot/other.conf", "!include self.conf\n"), &Options{Version: "2.3.19"})
	require.Equal(t, []string{"etc/dovecot/other.conf:1: Recursive include file: /etc/dovecot/self.conf"}, messages(c))

	c = load(t, tree("etc/dovecot/dovecot.conf", "!include big.conf\n", "etc/dovecot/big.conf", strings.Repeat("#", 5000)), &Options{Version: "2.3.19", MaxBytes: 4096})
	require.Equal(t, []string{"etc/dovecot/dovecot.conf:1: etc/dovecot/big.conf: more than 4096 bytes of configuration"}, messages(c))

	c = load(t, tree("etc/dovecot/dovecot.conf", "mail_plugins = a\n"+strings.Repeat("mail_plugins = $mail_plugins $mail_plugins\n", 60)), &Options{Version: "2.3.19"})
	require.Contains(t, messages(c)[0], "expand to too much text")

	c = load(t, tree("etc/dovecot/dovecot.conf", strings.Repeat("service x {\n", 5000)), &Options{Version: "2.3.19"})
	require.True(t, c.Refused())
}

// 10,000 files are read, one more is refused; patterns are not held against the whole disk.
func TestManyFiles(t *testing.T) {
	files := tree("etc/dovecot/dovecot.conf", "!include many/*.conf\n")
	for i := range 9999 {
		files[fmt.Sprintf("etc/dovecot/many/%05d.conf", i)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("login_greeting = %d\n", i))}
	}
	c := load(t, files, &Options{Version: "2.3.19"})
	require.Empty(t, messages(c))
	require.Len(t, c.Files, 10000)
	require.Equal(t, Value{"9998", "etc/dovecot/many/09998.conf:1"}, c.Get("pop3", "login_greeting"))
	files["etc/dovecot/many/x.conf"] = files["etc/dovecot/many/00000.conf"]
	require.Equal(t, []string{"etc/dovecot/dovecot.conf:1: more than 10000 included files"}, messages(load(t, files, &Options{Version: "2.3.19"})))

	files["etc/dovecot/dovecot.conf"] = &fstest.MapFile{Data: []byte(strings.Repeat("!include_try many/*.no\n", 300))}
	c = load(t, files, &Options{Version: "2.3.19"})
	require.Equal(t, []string{"etc/dovecot/dovecot.conf:105: patterns match against more than 1048576 names"}, messages(c))

	// each file includes the next one twice
	files = tree("etc/dovecot/dovecot.conf", "!include 0.conf\n")
	for i := range 90 {
		files[fmt.Sprintf("etc/dovecot/%d.conf", i)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("!include %d.conf\n!include %d.conf\n", i+1, i+1))}
	}
	files["etc/dovecot/90.conf"] = &fstest.MapFile{Data: []byte("mail_debug = yes\n")}
	c = load(t, files, &Options{Version: "2.3.19"})
	require.Contains(t, messages(c)[0], "more than 10000 included files")
}

func TestDevicesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, root.MkdirAll("etc/dovecot/d.conf", 0o755))
	require.NoError(t, root.WriteFile("etc/dovecot/dovecot.conf", []byte("!include d.conf\n!include dev.conf\n!include_try gone.conf\n"), 0o644))
	files := deviceFS{root.FS()}
	c := load(t, files, &Options{Version: "2.3.19"})
	require.Equal(t, []string{"etc/dovecot/dovecot.conf:1: etc/dovecot/d.conf: not a regular file",
		"etc/dovecot/dovecot.conf:2: etc/dovecot/dev.conf: not a regular file"}, messages(c))
	_, err = Load(files, "etc/dovecot/dev.conf", nil)
	require.EqualError(t, err, "read etc/dovecot/dev.conf: not a regular file")
	_, err = Load(files, "etc/none", nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// deviceFS has a device dev.conf whose opening is a failure of the test.
type deviceFS struct{ fs.FS }

func (d deviceFS) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "dev.conf") {
		panic("opened a device")
	}
	return d.FS.Open(name)
}

func (d deviceFS) Stat(name string) (fs.FileInfo, error) {
	if strings.HasSuffix(name, "dev.conf") {
		return device{}, nil
	}
	return fs.Stat(d.FS, name)
}

type device struct{ fs.FileInfo }

func (device) Mode() fs.FileMode { return fs.ModeDevice | fs.ModeCharDevice | 0o600 }

func TestVersionIsDetected(t *testing.T) {
	for _, c := range []struct {
		src, version  string
		guessed, dump bool
	}{
		{"# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\nssl = no\n", "2.3.19.1", false, true},
		{"# 1.2.17: /etc/dovecot.conf\nssl: no\n", "1.2.17", false, true},
		{"# /etc/dovecot.conf\nprotocols: pop3\n", "1.0", false, true},
		{"Warning: x\n# 2.0.9: /etc/dovecot/dovecot.conf\nssl = no\n", "2.0.9", false, true},
		{"# c\ndovecot_config_version = 2.4.1\n", "2.4.1", false, false},
		{"ssl = no\nauth default {\n  passdb pam {\n  }\n}\n", "1.2", true, false},
		{"ssl_disable = yes\nauth default {\n}\n", "1.1", true, false},
		{"default_mail_env = mbox:~/mail\n", "1.0", true, false},
		{"passdb {\n  driver = pam\n}\n", "2.3", true, false},
	} {
		got := load(t, tree("etc/dovecot/dovecot.conf", c.src), nil)
		require.Equal(t, c.version, got.Version, c.src)
		require.Equal(t, c.guessed, got.Guessed, c.src)
		require.Equal(t, c.dump, got.Dump, c.src)
	}
	status := "Package: dovecot-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.3.19.1+dfsg1-2.1+deb12u7\n\nPackage: x\nVersion: 9.9\n"
	c := load(t, tree("etc/dovecot/dovecot.conf", "ssl = no\n", "var/lib/dpkg/status", status), nil)
	require.Equal(t, "2.3.19.1", c.Version)
	require.Equal(t, "fcntl dotlock", c.Get("", "mbox_write_locks").Value, "Debian's own default")
	require.Equal(t, "debian", c.Distro)
	require.Equal(t, "2.3", c.DefaultsOf())
	// Red Hat's 1.0 has a default format; elsewhere POP3 did not work without one.
	for distro, src := range map[string]string{"redhat": "# 1.0.7: /etc/dovecot.conf\n# OS: Linux 2.6.18-398.el5 x86_64 CentOS release 5.11 (Final) ext3\nprotocols: pop3\n", "": "# 1.0.7: /etc/dovecot.conf\nprotocols: pop3\n"} {
		c := load(t, tree("etc/dovecot/dovecot.conf", src), nil)
		require.Equal(t, distro, c.Distro)
		_, _, err := c.UIDLFormat()
		require.Equal(t, distro == "redhat", err == nil)
	}
	c = load(t, tree("etc/dovecot/dovecot.conf", "auth default {\n}\n", "etc/redhat-release", "CentOS release 6.10 (Final)\n"), &Options{Version: "1.2.17"})
	require.Equal(t, "imap imaps pop3 pop3s", c.Get("", "protocols").Value)
	c = load(t, tree("etc/dovecot/dovecot.conf", "auth default {\n}\n", "etc/redhat-release", "CentOS release 6.10 (Final)\n"), &Options{Version: "1.2.17", Distro: "none"})
	require.Equal(t, "imap imaps", c.Get("", "protocols").Value)
}

func TestOldDumps(t *testing.T) { // T41: where the records differ the pop3 line wins for POP3
	src := "# 1.2.17: /etc/dovecot.conf\nWarning: x\nprotocols: imap pop3\nmail_location: mbox:~/mail:INBOX=/var/mail/%u\n" +
		"mail_debug(default): no\nmail_debug(imap): no\nmail_debug(pop3): yes\npop3_uidl_format: %v.%u\nauth default:\n  mechanisms: plain login\n  passdb:\n    driver: pam\nplugin:\n  quota: maildir\n"
	c := load(t, tree("etc/dovecot/dovecot.conf", src), nil)
	require.Equal(t, src, string(c.Files[0].Bytes()))
	require.Equal(t, Value{"yes", "etc/dovecot/dovecot.conf:7"}, c.Get("pop3", "mail_debug"))
	require.Equal(t, "no", c.Get("imap", "mail_debug").Value)
	require.Equal(t, "plain login", c.Get("pop3", "auth default/mechanisms").Value)
	all := c.Effective("pop3")
	require.Equal(t, Value{"pam", "etc/dovecot/dovecot.conf:12"}, all["auth default/passdb/driver"])
	require.Equal(t, Value{"maildir", "etc/dovecot/dovecot.conf:14"}, all["plugin/quota"])
	f, at, err := c.UIDLFormat()
	require.NoError(t, err)
	require.Equal(t, "uidvalidity \".\" uid", f.Canonical())
	require.Equal(t, "etc/dovecot/dovecot.conf:8", at.At)
}

// A dump must mean what the configuration means that it was made of.
func TestDumpsOfAllVersions(t *testing.T) {
	n := 0
	for _, r := range readVectors(t) {
		for version, run := range r.Runs {
			if run.Exit != 0 || strings.Contains(run.Output, "login_greeting = hello\nworld") || !strings.Contains(run.Output, "uidl") && !strings.Contains(run.Output, "xuidl") {
				continue
			}
			if version[0] == '1' && strings.Contains(run.Config, "protocol ") {
				continue // pop3 is not in protocols, so the dump lacks what the block sets: finding C04
			}
			c := r.load(t, version)
			d := load(t, tree("etc/dovecot/dovecot.conf", run.Output), nil)
			require.True(t, d.Dump, run.Output)
			for _, key := range []string{"pop3_uidl_format", "pop3_reuse_xuidl"} {
				require.Equal(t, c.Get("pop3", key).Value, d.Get("pop3", key).Value, "%s %s\n%s", r.Name, version, run.Output)
			}
			n++
		}
	}
	require.Greater(t, n, 20)
}

func TestOrderAndScopeOf1(t *testing.T) {
	c := load(t, tree("etc/dovecot/dovecot.conf", "protocol pop3 {\n  mail_debug = yes\n  plugin {\n    quota = x\n  }\n  login_greeting = leaked\n}\n"), &Options{Version: "1.2.17"})
	require.Equal(t, "yes", c.Get("pop3", "mail_debug").Value)
	require.Equal(t, "no", c.Get("imap", "mail_debug").Value)
	require.Equal(t, "leaked", c.Get("imap", "login_greeting").Value)
}

func TestListsAndGroupsOf24(t *testing.T) {
	c := load(t, tree("etc/dovecot/dovecot.conf", head24+"mail_plugins = quota acl\nprotocol pop3 {\n mail_plugins {\n  zlib = yes\n  acl = no\n }\n @uidl = uw\n}\n"+
		"group @uidl uw {\n pop3_uidl_format = %{uid}\n}\nauth_policy {\n server_api_header = x\n}\n"), nil)
	require.Empty(t, messages(c))
	require.Equal(t, Value{"quota zlib", "etc/dovecot/dovecot.conf:8"}, c.Get("pop3", "mail_plugins"))
	require.Equal(t, "quota acl", c.Get("imap", "mail_plugins").Value)
	require.Equal(t, Value{"%{uid}", "etc/dovecot/dovecot.conf:13"}, c.Get("pop3", "pop3_uidl_format"))
	require.Equal(t, "default", c.Get("imap", "pop3_uidl_format").At)
	require.Equal(t, "x", c.Get("imap", "auth_policy_server_api_header").Value)
}
