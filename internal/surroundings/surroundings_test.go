package surroundings

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root makes a host of files; a name that ends in "*" is executable, a text that begins with "-> " is a link.
func root(t testing.TB, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o755
		}
		at := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			require.NoError(t, os.Symlink(target, at))
			continue
		}
		require.NoError(t, os.WriteFile(at, []byte(text), mode))
	}
	r, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// with adds files to a host.
func with(host map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range host {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func find(t testing.TB, old, new map[string]string, m *Move) []Finding {
	t.Helper()
	if m == nil {
		m = &Move{}
	}
	if m.Users == nil {
		m.Users = []User{{Name: "anna", To: "anna", Home: "/home/anna", ToHome: "/home/anna"}, {Name: "bert", To: "bert", Home: "/home/bert", ToHome: "/home/bert"}}
	}
	all, err := Find(context.Background(), root(t, old), root(t, new), m)
	require.NoError(t, err)
	for _, f := range all {
		require.NotEmpty(t, f.Rule)
		require.Contains(t, []string{Loss, Degraded, Info}, f.Severity, f)
		require.NotEmpty(t, f.Detail, f)
		require.NotEmpty(t, f.At, f)
	}
	return all
}

// rules are those of findings, as "RULE name".
func rules(all []Finding) (words []string) {
	for _, f := range all {
		words = append(words, f.Rule+" "+f.Name)
	}
	return words
}

// one is the only finding of a rule.
func one(t testing.TB, all []Finding, rule string) Finding {
	t.Helper()
	var found []Finding
	for _, f := range all {
		if f.Rule == rule {
			found = append(found, f)
		}
	}
	require.Len(t, found, 1, "%s in %v", rule, rules(all))
	return found[0]
}

// debian13 is a new host with Postfix as Debian sets it up for an "Internet Site", and the programs that count here.
var debian13 = map[string]string{
	"etc/hostname": "new.example.org\n",
	"etc/passwd":   "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
	"etc/aliases":  "# See man 5 aliases for format\npostmaster:    root\n",
	"etc/postfix/main.cf": `smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
compatibility_level = 3.6
smtpd_tls_security_level=may
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.org
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
myorigin = /etc/mailname
mydestination = $myhostname, example.org, new.example.org, localhost.example.org, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
`,
	"etc/postfix/master.cf": "smtp      inet  n       -       y       -       -       smtpd\n#submission inet n       -       y       -       -       smtpd\npickup    unix  n       -       y       60      1       pickup\n",
	"usr/bin/dash*":         "", "usr/bin/sh*": "", "usr/bin/bash*": "", "bin": "-> usr/bin", "usr/sbin/sendmail*": "", "usr/bin/perl*": "",
}

// fedora13 is an old host with sendmail as Fedora 13 sets it up, and what its administrator added.
var fedora13 = map[string]string{
	"etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=mail.example.org\n",
	"etc/alternatives/mta":  "-> /usr/sbin/sendmail.sendmail",
	"etc/passwd":            "root:x:0:0:root:/root:/bin/bash\nanna:x:500:500:Anna:/home/anna:/bin/bash\nbert:x:501:501::/home/bert:/bin/bash\nzed:x:502:502::/home/zed:/bin/bash\n",
	"etc/aliases": `#
#  Aliases in this file will NOT be expanded in the header from
#  Mail, but WILL be visible over networks or from /bin/mail.
#
# Basic system aliases -- these MUST be present.
mailer-daemon:	postmaster
postmaster:	root

# General redirections for pseudo accounts.
bin:		root
daemon:		root
info:		postmaster
marketing:	postmaster
support:	postmaster

# trap decode to catch security attacks
decode:		root

# Person who should get root's mail
root:		anna
office: anna,
	"Bert" <bert>, zed
sales: office
fax: "|/usr/local/bin/fax2mail -q"
press: press@agency.example.net
members: :include:/etc/mail/members
archive: /var/spool/archive/all
`,
	"etc/mail/sendmail.mc": "divert(-1)dnl\ndnl # This is the sendmail macro config file for m4\ninclude(`/usr/share/sendmail-cf/m4/cf.m4')dnl\n" +
		"VERSIONID(`setup for linux')dnl\nOSTYPE(`linux')dnl\ndnl define(`SMART_HOST', `smtp.your.provider')dnl\n" +
		"define(`confAUTH_OPTIONS', `A')dnl\ndnl define(`confAUTH_MECHANISMS', `EXTERNAL GSSAPI DIGEST-MD5 CRAM-MD5 LOGIN PLAIN')dnl\n" +
		"FEATURE(`no_default_msa', `dnl')dnl\nFEATURE(`smrsh', `/usr/sbin/smrsh')dnl\nFEATURE(`virtusertable', `hash -o /etc/mail/virtusertable.db')dnl\n" +
		"FEATURE(redirect)dnl\nFEATURE(local_procmail, `', `procmail -t -Y -a $h -d $u')dnl\nEXPOSED_USER(`root')dnl\n" +
		"DAEMON_OPTIONS(`Port=smtp, Name=MTA')dnl\nDAEMON_OPTIONS(`Port=submission, Name=MSA, M=Ea')dnl\nLOCAL_DOMAIN(`localhost.localdomain')dnl\n" +
		"MASQUERADE_AS(`example.org')dnl\nFEATURE(masquerade_envelope)dnl\nINPUT_MAIL_FILTER(`clamav', `S=local:/var/run/clamav-milter/clamav.sock, F=, T=S:4m;R:4m')dnl\n" +
		"MAILER(smtp)dnl\nMAILER(procmail)dnl\n",
	"etc/mail/local-host-names": "# local-host-names - include all aliases for your machine here.\nexample.org\nexample.net\n",
	"etc/mail/virtusertable":    "info@example.net\tanna\n@example.org   %1@example.net\nold@example.net error:nouser 550 No such user\n",
	"etc/mail/mailertable":      "partner.example\tesmtp:[192.0.2.7]\n",
	"etc/mail/access":           "# Check the /usr/share/doc/sendmail/README.cf file\nConnect:localhost.localdomain\t\tRELAY\nConnect:localhost\t\t\tRELAY\nConnect:127.0.0.1\t\t\tRELAY\nConnect:192.168.7\tRELAY\nFrom:spam@bad.example REJECT\n",
	"etc/mail/relay-domains":    "branch.example\n",
	"etc/mail/genericstable":    "",
}

func TestFedoraWithSendmailToDebianWithPostfix(t *testing.T) {
	all := find(t, fedora13, debian13, nil)
	require.Equal(t, []string{
		"ALIAS-FILE archive", "ALIAS-INCLUDE members", "ALIAS-PROGRAM fax", "ALIAS-TARGET zed", "ALIASES etc/aliases", "DOMAIN example.net", "MAILERTABLE mailertable",
		"RELAY-DOMAINS branch.example", "SUBMISSION port 587", "VIRTUSERTABLE virtusertable",
		"ACCESS access", "ACCESS-RELAY 192.168.7", "ALIAS-ROOT root", "MESSAGE-LIMIT message_size_limit", "SENDMAIL-MC MASQUERADE_AS", "SENDMAIL-MC INPUT_MAIL_FILTER",
		"ALIASES-SYSTEM etc/aliases",
	}, rules(all))

	aliases := one(t, all, "ALIASES")
	require.Equal(t, "etc/aliases:21", aliases.At)
	require.Contains(t, aliases.Advice, "add to /etc/aliases on the new host, then run newaliases:\noffice: anna,\n\t\"Bert\" <bert>, zed\nsales: office\nfax: \"|/usr/local/bin/fax2mail -q\"\npress: ")
	require.NotContains(t, aliases.Advice, "decode")
	require.Equal(t, "further aliases, which lead to root or a system account, and which the new host lacks: mailer-daemon, bin, daemon, info, marketing, support, decode", one(t, all, "ALIASES-SYSTEM").Detail)
	require.Contains(t, one(t, all, "ALIAS-ROOT").Advice, "root:\t\tanna")
	require.Contains(t, one(t, all, "ALIAS-PROGRAM").Detail, "/usr/local/bin/fax2mail")
	require.Equal(t, "postconf -e 'virtual_alias_maps = hash:/etc/postfix/virtual', run postmap hash:/etc/postfix/virtual after writing to it:\n"+
		"info@example.net anna\n@example.org @example.net\n# has no counterpart: old@example.net error:nouser 550 No such user", one(t, all, "VIRTUSERTABLE").Advice)
	require.Contains(t, one(t, all, "MAILERTABLE").Advice, "\npartner.example smtp:[192.0.2.7]")
	require.Contains(t, one(t, all, "ACCESS-RELAY").Advice, "192.168.7.0/24")
	require.Equal(t, "etc/mail/sendmail.mc:16", one(t, all, "SUBMISSION").At)
}

// TestWhatIsThereIsNotMissed: the administrator has done all of it.
func TestWhatIsThereIsNotMissed(t *testing.T) {
	new := with(debian13,
		"etc/aliases", "postmaster: root\nroot: anna\noffice: bert, anna, zed\nsales: office\nfax: \"|/usr/local/bin/fax2mail -q\"\npress: press@agency.example.net\nmembers: :include:/etc/mail/members\narchive: /var/spool/archive/all\n"+
			"mailer-daemon: postmaster\nbin: root\ndaemon: root\ninfo: postmaster\nmarketing: postmaster\nsupport: postmaster\ndecode: root\n",
		"etc/passwd", debian13["etc/passwd"]+"zed:x:1002:1002::/home/zed:/bin/bash\n",
		"usr/local/bin/fax2mail*", "", "etc/mail/members", "x@example.com\n", "var/spool/archive/all", "",
		"etc/postfix/main.cf", debian13["etc/postfix/main.cf"]+"mydestination = $myhostname, /etc/postfix/domains\nvirtual_alias_maps = hash:/etc/postfix/virtual\ntransport_maps=lmdb:/etc/postfix/transport\n"+
			"mynetworks = 127.0.0.0/8 192.168.7.0/24\nrelay_domains = branch.example\nmessage_size_limit = 0\nmasquerade_domains = example.org\nsmtpd_milters = unix:/run/clamav.sock\n",
		"etc/postfix/domains", "example.org\nexample.net\n", "etc/postfix/virtual", "info@example.net anna\n@example.org @example.net\nold@example.net nobody\n", "etc/postfix/transport", "partner.example smtp:[192.0.2.7]\n",
		"etc/postfix/master.cf", "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  -o syslog_name=postfix/submission\n")
	require.Equal(t, []string{"ACCESS access"}, rules(find(t, fedora13, new, nil)))
}

func TestTheSameSendmail(t *testing.T) {
	require.Empty(t, rules(find(t, fedora13, with(fedora13, "bin/sh*", "", "usr/local/bin/fax2mail*", "", "var/spool/archive/all", "", "etc/mail/members", ""), nil)))
	new := with(fedora13, "etc/mail/virtusertable", "", "etc/mail/access", "", "etc/mail/local-host-names", "", "etc/mail/relay-domains", "",
		"etc/mail/sendmail.mc", "DAEMON_OPTIONS(`Port=smtp,Addr=127.0.0.1, Name=MTA')dnl\n", "usr/local/bin/fax2mail*", "", "var/spool/archive/all", "", "etc/mail/members", "", "bin/sh*", "")
	all := find(t, fedora13, new, nil)
	require.Equal(t, []string{"DOMAIN example.net", "DOMAIN example.org", "LISTEN DAEMON_OPTIONS", "RELAY-DOMAINS branch.example", "VIRTUSERTABLE virtusertable",
		"ACCESS access", "SENDMAIL-MC MASQUERADE_AS", "SENDMAIL-MC INPUT_MAIL_FILTER"}, rules(all)[:8])
	require.Contains(t, one(t, all, "VIRTUSERTABLE").Advice, "\ninfo@example.net\tanna\n")
}

func TestNoAgentOnTheNewHost(t *testing.T) {
	x := one(t, find(t, fedora13, map[string]string{"etc/passwd": ""}, nil), "MTA")
	require.Equal(t, Loss, x.Severity)
	require.Empty(t, rules(find(t, map[string]string{"etc/passwd": ""}, map[string]string{"etc/passwd": ""}, nil)))
	require.Equal(t, Degraded, one(t, find(t, fedora13, map[string]string{"etc/exim4/update-exim4.conf.conf": "dc_x='y'\n"}, nil), "MTA").Severity)
}
