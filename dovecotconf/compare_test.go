package dovecotconf

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const (
	head24 = "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\nprotocols = imap pop3\n"
	mbox24 = head24 + "mail_driver = mbox\nmail_path = ~/mail\nmail_inbox_path = /var/mail/%{user}\nmail_privileged_group = mail\n"
	dir24  = head24 + "mail_driver = maildir\nmail_path = ~/Maildir\n"
	mbox23 = "protocols = imap pop3\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\nmail_privileged_group = mail\n"
	dir23  = "protocols = imap pop3\nmail_location = maildir:~/Maildir\n"
	mbox12 = "protocols = imap pop3\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\nmail_privileged_group = mail\nauth default {\n  username_format = %Lu\n}\n"
)

func conf(t testing.TB, version, src string) *Config {
	c, err := Load(fstest.MapFS{"etc/dovecot.conf": {Data: []byte(src)}}, "etc/dovecot.conf", &Options{Version: version})
	require.NoError(t, err)
	return c
}

// ruleCases are two configurations each and all that Compare finds between them, but for A05.
var ruleCases = []struct {
	name     string
	vo, old  string
	vn, now  string
	want     string // "RULE severity"
	contains string // in the advice of the first
}{
	{"nothing", "2.3.21", mbox23, "2.4.1", mbox24, "", ""},
	{"same version", "2.3.21", dir23, "2.3.21", dir23, "", ""},
	{"explicit default", "1.2.17", mbox12, "2.4.1", mbox24 + "pop3_uidl_format = %{uid | hex(8)}%{uidvalidity | hex(8)}\n", "", ""},
	{"R01", "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "2.4.1", mbox24, "R01 redownload", "pop3_uidl_format = %{uidvalidity}.%{uid}"},
	{"R02 default", "2.3.21", mbox23, "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "R01 redownload, R02 redownload", "pop3_uidl_format = %08Xu%08Xv"},
	{"R02 of 1.0", "1.0.15", "protocols = imap pop3\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\nauth default {\n username_format = %Lu\n}\n", "2.3.21", mbox23, "A11 degraded, R02 info", ""},
	{"R03", "1.2.17", mbox12 + "protocol pop3 {\n pop3_uidl_format = %u\n}\npop3_uidl_format = %v.%u\n", "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "R03 redownload", "pop3_uidl_format = %v.%u"},
	{"R04", "1.2.17", mbox12 + "protocol pop3 {\n plugin {\n  quota = x\n }\n pop3_uidl_format = %v.%u\n}\n", "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "R04 redownload", ""},
	{"R05", "1.2.17", mbox12 + "pop3_uidl_format =\n", "2.3.21", mbox23 + "pop3_uidl_format =\n", "R05 blocks", "pop3_uidl_format = %08Xu%08Xv"},
	{"R06", "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "2.4.1", mbox24 + "pop3_uidl_format = %v.%u\n", "R06 blocks", "%{uidvalidity}.%{uid}"},
	{"R07", "2.3.21", mbox23 + "pop3_uidl_format = UID%u-%v\n", "2.4.1", mbox24 + "pop3_uidl_format = UID%u-%{uidvalidity}\n", "R01 redownload, R07 loss", "UID%{uid}-%{uidvalidity}"},
	{"R08", "2.3.21", mbox23 + "pop3_uidl_format = %u\n", "2.4.1", mbox24 + "pop3_uidl_format = %{user}\n", "R08 blocks", "%{uid}"},
	{"R09", "2.3.21", mbox23 + "pop3_uidl_format = %04Xv-%u\n", "2.4.1", mbox24 + "pop3_uidl_format = %{uidvalidity | hex(4)}-%{uid}\n", "R01 redownload, R09 redownload", "lfill(4, '0')"},
	{"R10", "2.3.21", mbox23 + "pop3_uidl_format = a%%%v.%u\n", "2.4.1", mbox24 + "pop3_uidl_format = a%%%{uidvalidity}.%{uid}\n", "R01 redownload, R10 redownload", "literal"},
	{"R11", "1.2.17", mbox12 + "pop3_uidl_format = %g%u\n", "2.3.21", mbox23 + "pop3_uidl_format = %u\n", "R11 info", ""},
	{"R12", "2.3.21", dir23, "2.3.21", dir23 + "pop3_uidl_format = %m\n", "R12 blocks, R01 redownload, R02 redownload", ""},
	{"R13", "2.3.21", mbox23 + "pop3_uidl_format = %f\n", "2.3.21", mbox23 + "pop3_uidl_format = %f\n", "R13 blocks", ""},
	{"R14", "2.3.21", dir23 + "pop3_uidl_format = %f\n", "2.4.1", dir24 + "pop3_uidl_format = %{filename}\n", "R14 info", ""},
	{"R15", "2.3.21", mbox23 + "pop3_uidl_format = %m\nmbox_md5 = all\n", "2.3.21", mbox23 + "pop3_uidl_format = %m\n", "R15 redownload", "mbox_md5 = all"},
	{"R16", "2.3.21", mbox23 + "pop3_reuse_xuidl = yes\n", "2.4.1", mbox24, "R16 redownload", "pop3_reuse_xuidl = yes"},
	{"R17", "2.3.21", mbox23 + "pop3_reuse_xuidl = yes\n", "2.4.1", mbox24 + "pop3_reuse_xuidl = yes\n", "R17 info", ""},
	{"R18", "2.3.21", dir23 + "pop3_save_uidl = yes\n", "2.3.21", dir23, "R18 info", ""},
	{"R19", "2.3.21", mbox23 + "pop3_save_uidl = yes\n", "2.3.21", mbox23, "R19 info", ""},
	{"R20", "2.3.21", "protocols = imap pop3\nmail_location = maildir:~/Maildir:CONTROL=/c/%u\n", "2.4.1", dir24, "R20 redownload", ""},
	{"R25", "2.3.21", mbox23 + "pop3_deleted_flag = \"$POP3Deleted\"\n", "2.4.1", mbox24, "R25 loss", `pop3_deleted_flag = "$POP3Deleted"`},
	{"R27", "2.3.21", mbox23 + "pop3_uidl_duplicates = rename\n", "2.4.1", mbox24, "R27 info", "rename"},
	{"S01", "2.3.21", mbox23, "2.4.1", dir24, "S01 loss", "mail_driver = mbox, mail_path = %{home}/mail, mail_inbox_path = /var/mail/%{user}"},
	{"S02", "2.3.21", dir23, "2.4.1", head24 + "mail_driver = maildir\nmail_path = /srv/%u\n", "S01 loss, S02 loss", ""},
	{"S03", "2.3.21", mbox23, "2.4.1", head24 + "mail_driver = mbox\nmail_path = ~/mail\nmail_privileged_group = mail\n", "S03 loss", "mail_inbox_path = /var/mail/%{user}"},
	{"S05 S06", "2.3.21", mbox23 + "mbox_write_locks = fcntl\n", "2.4.1", mbox24 + "mbox_write_locks {\n dotlock = no\n flock = yes\n}\n", "S05 degraded, S06 degraded", "mbox_write_locks = fcntl"},
	{"S07", "2.3.21", mbox23, "2.4.1", strings.Replace(mbox24, "mail_privileged_group = mail\n", "", 1), "S07 blocks", "mail_privileged_group = mail"},
	{"S08", "2.3.21", mbox23, "2.4.1", mbox24 + "first_valid_uid = 1000\n", "S08 blocks", "first_valid_uid = 500"},
	{"S09", "2.3.21", mbox23 + "namespace inbox {\n inbox = yes\n prefix = mail/\n separator = /\n}\n", "2.4.1", mbox24, "S09 degraded", "prefix = mail/"},
	{"S12", "2.3.21", mbox23 + "pop3_no_flag_updates = yes\n", "2.4.1", mbox24, "S12 degraded", ""},
	{"A02", "2.3.21", mbox23, "2.4.1", mbox24 + "auth_username_format = %Lu\n", "A02 blocks", "%{user | lower}"},
	{"A03", "2.3.21", mbox23 + "disable_plaintext_auth = no\n", "2.4.1", mbox24, "A03 blocks", "auth_allow_cleartext = yes"},
	{"A04", "2.3.21", mbox23, "2.4.1", mbox24 + "ssl = required\n", "A04 blocks", "ssl = yes"},
	{"A10", "2.3.21", mbox23 + "auth_mechanisms = plain login\n", "2.4.1", mbox24, "A10 blocks", "auth_mechanisms = plain login"},
	{"L01", "2.3.21", mbox23, "2.4.1", strings.Replace(mbox24, "imap pop3", "imap", 1), "L01 blocks", "protocols = imap pop3"},
	{"L06", "2.3.21", mbox23 + "pop3_client_workarounds = outlook-no-nuls\n", "2.4.1", mbox24, "L06 degraded", "outlook-no-nuls"},
	{"C02", "2.3.21", mbox23, "2.4.1", mbox24 + "mail_plugins = $mail_plugins quota\n", "C02 degraded", "$SET:mail_plugins"},
	{"R24", "2.3.21", dir23, "1.0.1", "protocols = imap pop3\nmail_location = maildir:~/Maildir\npop3_uidl_format = %08Xu%08Xv\n", "R24 redownload, A01 degraded, R28 info", ""},
	{"R26", "2.3.21", mbox23, "2.3.21", mbox23 + "pop3_delete_type = flag\n", "R26 blocks, REFUSED blocks", ""},
	{"R28", "2.0.9", "protocols = imap pop3\nmail_location = maildir:~/Maildir\nauth_username_format = %Lu\n", "2.3.21", dir23, "R28 info", ""},
	{"S13", "2.3.21", mbox23 + "pop3_lock_session = yes\n", "2.4.1", mbox24, "S13 degraded", "pop3_lock_session = yes"},
	{"S13 since 2.2", "2.0.9", mbox23 + "auth_username_format = %Lu\npop3_lock_session = yes\n", "2.3.21", mbox23 + "pop3_lock_session = yes\n", "S13 info", ""},
	{"A01", "2.0.9", mbox23, "2.4.1", mbox24, "A01 degraded", "auth_username_format ="},
	{"A04 trusted", "2.3.21", mbox23 + "ssl = required\n", "2.4.1", mbox24 + "ssl = required\nlogin_trusted_networks = 10.0.0.0/8\n", "A04 blocks", "ssl = yes"},
	{"A07", "2.3.21", mbox23, "2.4.1", mbox24 + "ssl_cert = </etc/ssl/x.pem\n", "A07 blocks", "ssl_server_cert_file = /etc/ssl/x.pem"},
	{"A08", "2.3.21", mbox23, "2.4.1", mbox24 + "passdb {\n  driver = pam\n}\n", "A08 blocks", "passdb pam { }"},
	{"A09", "2.3.21", mbox23 + "passdb {\n  driver = passwd-file\n  args = scheme=MD5 /etc/users\n}\n", "2.4.1", mbox24, "A09 blocks", "auth_allow_weak_schemes = yes"},
	{"A12", "2.0.9", mbox23 + "auth_username_format = %Lu\n", "2.3.21", mbox23 + "auth_failure_delay = 2\n", "A12 blocks", "auth_failure_delay = 2 s"},
	{"A13", "2.3.21", mbox23, "2.4.1", mbox24 + "auth_cache_size = 10\n", "A13 blocks", "auth_cache_size = 10 M"},
	{"L02", "2.3.21", mbox23, "2.3.21", mbox23, "", ""},
	{"L03 address", "2.3.21", mbox23, "2.4.1", mbox24 + "listen = ::\n", "L03 blocks", "listen = *, ::"},
	{"L03 port", "2.3.21", mbox23 + "service pop3-login {\n  inet_listener pop3 {\n    port = 1110\n  }\n}\n", "2.4.1", mbox24, "L03 blocks", "port = 1110"},
	{"L04", "1.2.17", mbox12, "2.0.9", mbox23 + "auth_username_format = %Lu\nlogin_process_size = 64\n", "L04 blocks", "vsz_limit = 64 M"},
	{"L05", "2.3.21", mbox23, "2.4.1", mbox24 + "imap_client_workarounds = delay-newmail outlook-idle\n", "L05 blocks", "imap_client_workarounds = delay-newmail"},
	{"C01", "2.3.21", mbox23, "2.0.9", mbox23 + "auth_username_format = %Lu\nlogin_greeting = a \\\nmail_debug = no\n", "C01 loss", "one line"},
	{"C03", "2.3.21", mbox23 + "plugin {\n quota = maildir\n}\n", "2.4.1", mbox24, "C03 info", ""},
	{"C05", "2.3.21", mbox23, "2.4.1", mbox24 + "pop3_logout_format = top=%t\n", "C05 degraded", "default"},
	{"protocol block", "2.3.21", mbox23 + "pop3_uidl_format = %v.%u\n", "2.4.1", mbox24 + "protocol pop3 {\n pop3_uidl_format = %{uid}\n pop3_client_workarounds = oe-ns-eoh\n}\n", "R01 redownload", ""},
	{"refused", "2.3.21", mbox23, "2.4.1", mbox24 + "plugin {\n}\n", "C03 blocks", ""},
}

func TestRules(t *testing.T) {
	for _, c := range ruleCases {
		t.Run(c.name, func(t *testing.T) {
			r := Compare(conf(t, c.vo, c.old), conf(t, c.vn, c.now), nil)
			var got []string
			for _, f := range r.Findings {
				require.NotEmpty(t, f.Effect, c.name)
				require.NotEmpty(t, f.Advice, c.name)
				if f.Rule != "A05" {
					got = append(got, f.Rule+" "+string(f.Severity))
				}
			}
			require.Equal(t, c.want, strings.Join(got, ", "), "%s\n%s", c.name, r)
			if c.contains != "" {
				require.Contains(t, r.Findings[0].Advice, c.contains, c.name)
			}
			require.NotContains(t, r.String(), "%!")
			snippetSettles(t, c.name, r, conf(t, c.vo, c.old), c.vn, c.now)
		})
	}
}

// The snippet behind the new server's file settles each finding that it has lines for, and is accepted.
func snippetSettles(t *testing.T, name string, r *Report, old *Config, version, now string) {
	snippet := r.Snippet()
	after := conf(t, version, now+snippet)
	require.Equal(t, r.new.Refused() && r.Suggest == "", after.Refused() && r.Suggest == "", "%s\n%s\n%v", name, snippet, after.Problems())
	left := map[string]bool{}
	for _, f := range Compare(old, after, nil).Findings {
		left[f.Rule+f.Setting] = f.Severity != Info
	}
	for _, f := range r.Findings {
		settled := len(f.settings) > 0
		for _, s := range f.settings {
			settled = settled && !s.maybe
		}
		if settled || f.Setting == uidlKey && f.Rule <= "R11" && r.Suggest != "" && f.Severity != Info && f.Rule != "R03" && f.Rule != "R04" {
			require.False(t, left[f.Rule+f.Setting], "%s: %s stays with\n%s", name, f.Rule, snippet)
		}
	}
}

// Whatever Compare suggests makes the new server's UIDLs equal.
func TestSuggestionWorks(t *testing.T) {
	for _, format := range []string{"%v.%u", "%08Xv%08Xu", "%u", "%Mf", "%04Xu-%v", "%f", "%g", "a#%u", "%% %u"} {
		old := conf(t, "2.3.21", dir23+line(uidlKey, format)+"\n")
		r := Compare(old, conf(t, "2.4.1", dir24), nil)
		require.False(t, r.UIDLEqual)
		r = Compare(old, conf(t, "2.4.1", dir24+line(uidlKey, r.Suggest)+"\n"), nil)
		require.True(t, r.UIDLEqual, "%s -> %s", format, r.Suggest)
	}
}

func TestReportJSON(t *testing.T) {
	r := Compare(conf(t, "2.3.21", mbox23), conf(t, "2.4.1", mbox24), nil)
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Rule == "A05" })
	got, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, `{"old": {"version": "2.3.21", "format": "%08Xu%08Xv", "at": "default"},
		"new": {"version": "2.4.1", "format": "%{uid | hex(8)}%{uidvalidity | hex(8)}", "at": "default"},
		"uidl_equal": true, "suggest": "%{uid | hex(8)}%{uidvalidity | hex(8)}", "findings": [],
		"messages": {"checked": 0, "same": 0, "changed": 0, "unpredictable": 0}}`, string(got))
}

func TestPredict(t *testing.T) {
	old, err := conf(t, "2.3.21", mbox23+"pop3_reuse_xuidl = yes\n").Choice()
	require.NoError(t, err)
	now, err := conf(t, "2.4.1", mbox24).Choice()
	require.NoError(t, err)
	before := vectorMailbox()
	after := vectorMailbox()
	after[2].UID = 99
	var n Counts
	n.Predict(old, now, before, after[:])
	require.Equal(t, Counts{Checked: 3, Same: 1, Changed: 2}, n)
	n.Predict(old, now, before, after[:1])
	require.Equal(t, Counts{Checked: 6, Same: 1, Changed: 3, Unpredictable: 2}, n)
}

func TestSecretsAreHidden(t *testing.T) {
	files := fstest.MapFS{"c": {Data: []byte("ssl_key = <k\ndoveadm_password = canary-1\nssl_key_password = canary-2\n")}, "k": {Data: []byte("canary-3")}}
	c, err := Load(files, "c", &Options{Version: "2.3.19", Expand: true})
	require.NoError(t, err)
	text, err := json.Marshal(c.Print("pop3"))
	require.NoError(t, err)
	require.NotContains(t, string(text)+c.Print("pop3").String()+Compare(c, c, nil).String(), "canary")
}

func TestLowestUID(t *testing.T) {
	old, now := conf(t, "2.3.21", mbox23+"first_valid_uid = 500\n"), conf(t, "2.3.21", mbox23+"first_valid_uid = 1000\n")
	for _, c := range []struct {
		lowest uint32
		effect string
	}{
		{0, "users with a uid from 500 to 999 cannot log in"},
		{800, "users with a uid from 800 to 999 cannot log in"},
		{1000, ""},
	} {
		var got string
		for _, f := range Compare(old, now, &CompareOptions{LowestUID: c.lowest}).Findings {
			if f.Rule == "S08" {
				got = f.Effect
			}
		}
		require.Equal(t, c.effect, got)
	}
}

func TestMailPaths(t *testing.T) {
	for _, c := range []struct {
		version, src string
		want         []string
	}{
		{"1.2.17", "protocols = imap pop3\n", nil},
		{"2.3.21", mbox23, []string{"%{home}/mail", "/var/mail/%{user}"}},
		{"2.3.21", "mail_location = maildir:/srv/vmail/%d/%n:INDEX=/var/index/%u:CONTROL=%h/control\n", []string{"/srv/vmail/%{domain}/%{username}", "/var/index/%{user}", "%{home}/control"}},
		{"2.3.21", "mail_location = maildir:~/Maildir:INDEX=MEMORY\n", []string{"%{home}/Maildir"}},
		{"2.4.1", mbox24, []string{"%{home}/mail", "/var/mail/%{user}"}},
		{"2.3.21", "mail_location = ~/mail:INBOX=/var/mail/%u\n", []string{"%{home}/mail", "/var/mail/%{user}"}},
		{"2.3.21", "mail_location = mbox:~/:INBOX=/var/mail/%u\n", []string{"%{home}", "/var/mail/%{user}"}},
		{"1.2.17", "protocols = imap\nmail_location = mbox:~/mail\nnamespace private {\n  prefix = x/\n  location = maildir:~/Maildir\n}\nnamespace public {\n  prefix = p/\n  location = maildir:/srv/pub\n}\n" +
			"auth default {\n  userdb static {\n    args = uid=5 home=/x/%u mail=maildir:~/a b\n  }\n}\n", []string{"%{home}/mail", "%{home}/mail/inbox", "%{home}/a", "%{home}/Maildir", "/srv/pub"}},
		{"2.3.21", "mail_location = mbox:~/mail:INBOX=/var/mail/%u\nnamespace inbox {\n  inbox = yes\n  location = maildir:~/Maildir\n}\nnamespace {\n  type = shared\n  prefix = s/%%u/\n  separator = /\n  location = maildir:%%h/Maildir:INDEX=~/s/%%u\n}\n" +
			"passdb {\n  driver = passwd-file\n  args = /etc/users\n  default_fields = userdb_home=/x userdb_mail=mbox:~/z\n}\nuserdb {\n  driver = prefetch\n  override_fields = mail=maildir:~/o\n}\n",
			[]string{"%{home}/mail", "/var/mail/%{user}", "%{home}/Maildir", "%{owner_home}/Maildir", "%{home}/s/%{owner_user}", "%{home}/z", "%{home}/z/inbox", "%{home}/o"}},
		{"2.4.1", mbox24 + "namespace old {\n  prefix = old/\n  separator = /\n  mail_driver = maildir\n  mail_path = ~/Maildir\n}\nuserdb static {\n  fields {\n    home = /x/%{user}\n    mail_path = ~/b\n  }\n}\n",
			[]string{"%{home}/mail", "/var/mail/%{user}", "%{home}/Maildir", "%{home}/b"}},
	} {
		var got []string
		for _, v := range conf(t, c.version, c.src).MailPaths() {
			got = append(got, v.Value)
			require.Contains(t, v.At, "etc/dovecot.conf:")
		}
		require.Equal(t, c.want, got, c.src)
	}
}

func TestPasswdFilePaths(t *testing.T) {
	src := "anna:{PLAIN}secret:500:500::/home/anna::userdb_mail=mbox:~/imap:INBOX=/srv/%u userdb_quota_rule=*:bytes=1G\n" +
		"bert:{PLAIN}mail=maildir:~/no\n#carla:x:::::/x::userdb_mail=maildir:~/c\ndora:x:1:1:a:/home/dora:/bin/sh:mail=maildir:~/d\r\nemil:x:1:1::/e::userdb_mail=\n"
	require.Equal(t, []Value{{Value: "%{home}/imap", At: "etc/users:1"}, {Value: "/srv/%{user}", At: "etc/users:1"}, {Value: "%{home}/d", At: "etc/users:4"}},
		PasswdFilePaths("etc/users", []byte(src)))
	src = "anna:x::::/::mail=maildir:/srv/anna/anna\n\nbert:x::::/::mail=maildir:/srv/bert/bert\ncarla:x::::/::mail=maildir:/srv/bert/carla\ndora:x::::/::mail=maildir:/v/dora\n"
	require.Equal(t, []Value{{Value: "/srv/%{user}/%{user}", At: "etc/users:1"}, {Value: "/srv/bert/carla", At: "etc/users:4"}, {Value: "/v/dora", At: "etc/users:5"}},
		PasswdFilePaths("etc/users", []byte(src)))
}
