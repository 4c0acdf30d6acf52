package surroundings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// centos6 is an old host with Postfix as CentOS 6 sets it up, which its administrator made to serve virtual domains.
var centos6 = map[string]string{
	"etc/sysconfig/network": "HOSTNAME=mail.example.org\n",
	"etc/alternatives/mta":  "-> /usr/sbin/sendmail.postfix",
	"etc/passwd":            "anna:x:500:500::/home/anna:/bin/bash\n",
	"etc/postfix/main.cf": `queue_directory = /var/spool/postfix
inet_interfaces = all
mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain
unknown_local_recipient_reject_code = 550
alias_maps = hash:/etc/aliases, ldap:/etc/postfix/people.cf
alias_database = hash:/etc/aliases
home_mailbox = Maildir/
mailbox_command = /usr/bin/procmail
mynetworks = 127.0.0.0/8, 192.168.7.0/24
virtual_alias_domains = shop.example
virtual_alias_maps = hash:/etc/postfix/virtual
sender_canonical_maps = hash:/etc/postfix/canonical
transport_maps = hash:/etc/postfix/transport
smtpd_recipient_restrictions = permit_mynetworks,
    reject_unauth_destination,
    check_sender_access hash:/etc/postfix/sender_access
smtpd_tls_cert_file = /etc/pki/tls/certs/mail.pem
smtpd_tls_key_file = /etc/pki/tls/private/mail.key
message_size_limit = 52428800
recipient_delimiter = -
`,
	"etc/postfix/master.cf":     "smtp inet n - n - - smtpd\nsubmission inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n127.0.0.1:10025 inet n - n - - smtpd\n",
	"etc/postfix/virtual":       "# stock comment\nsales@shop.example anna\ninfo@shop.example anna\n",
	"etc/postfix/transport":     "# nothing\n",
	"etc/postfix/canonical":     "anna anna.berg@example.org\n",
	"etc/postfix/sender_access": "bad.example REJECT\n",
	"etc/postfix/people.cf":     "server_host = ldap.example.org\nbind_pw = verysecret\n",
	"etc/fstab":                 "/dev/sda1 / ext4 defaults 1 1\n/dev/sda2 /home ext4 defaults,usrquota,grpquota 1 2\n",
	"etc/cron.allow":            "root\nanna\n",
	"home/anna/.procmailrc":     ":0\n* ^Subject: canary\n| /opt/canary/filter\n",
	"etc/procmailrc":            "DROPPRIVS=yes\n:0fw\n| /usr/bin/spamc\n",
	"var/spool/cron/anna":       "0 6 * * * /usr/bin/fetchmail -u canary\n",
	"etc/cron.d/report":         "0 7 * * 1 anna /usr/local/bin/report\n",
}

func TestCentOSToDebian(t *testing.T) {
	new := with(debian13, "etc/postfix/virtual", "sales@shop.example anna\n", "etc/cron.allow", "root\n",
		"etc/postfix/main.cf", debian13["etc/postfix/main.cf"]+"virtual_alias_maps = hash:/etc/postfix/virtual\ninet_interfaces = loopback-only\n")
	all := find(t, centos6, new, &Move{Users: []User{{Name: "anna", To: "anna", Home: "/home/anna", ToHome: "/home/anna", Shell: "/bin/tcsh"}}})
	require.Equal(t, []string{
		"DOMAIN shop.example", "LISTEN inet_interfaces", "POSTFIX-MAP virtual_alias_maps", "POSTFIX-SETTING recipient_delimiter", "POSTFIX-SETTING home_mailbox",
		"PROCMAIL-PROGRAM etc/procmailrc", "PROCMAIL-PROGRAM anna", "SUBMISSION port 587",
		"CERTIFICATE the mail transfer agent", "CRON-ALLOW anna", "CRON-SYSTEM anna", "CRONTAB anna", "MESSAGE-LIMIT message_size_limit",
		"POSTFIX-MAP sender_canonical_maps", "POSTFIX-MAP smtpd_recipient_restrictions", "POSTFIX-MAP alias_maps", "POSTFIX-SETTING mynetworks",
		"PROCMAIL anna", "PROCMAILRC etc/procmailrc", "QUOTA /home", "SHELL anna",
	}, rules(all))
	require.Equal(t, "add to /etc/postfix/virtual, then run postmap hash:/etc/postfix/virtual:\ninfo@shop.example anna", all[2].Advice)
	require.Equal(t, "mail is delivered to another place than the old host's: Maildir/ here, nothing on the new host", all[4].Detail)
	require.Equal(t, "etc/postfix/main.cf:7", all[4].At)
	require.Contains(t, one(t, all, "CRONTAB").Detail, "1 job of this user, not copied; the new host lacks /usr/bin/fetchmail")
	require.Contains(t, one(t, all, "CRONTAB").Advice, "crontab -u anna ")
	far := find(t, centos6, new, &Move{SSH: "root@old", Users: []User{{Name: "anna", To: "anna"}}})
	require.Contains(t, one(t, far, "CRONTAB").Advice, "ssh root@old 'cat /var/spool/cron/anna' | crontab -u anna -")
	require.Contains(t, one(t, all, "QUOTA").At, "etc/fstab:2")
	for _, f := range all {
		require.NotContains(t, f.Detail+f.Advice, "canary\n")
		require.NotContains(t, f.Detail+f.Advice, "-u canary", "of what users wrote only programs are told")
		require.NotContains(t, f.Detail+f.Advice+f.Name, "verysecret")
		require.NotContains(t, f.Detail, "Subject")
	}
}

// TestDelivery looks at what users wrote.
func TestDelivery(t *testing.T) {
	old := with(fedora13, "etc/aliases", "", "home/anna/.forward", "\\anna, \"|/usr/bin/vacation -a anna.secret anna\"\n", "home/anna/.vacation.msg", "x",
		"home/bert/.forward", "\"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #bert\"\nlover@secret.example\n:include:/home/bert/friends\n/srv/gone/box\nzed\n",
		"home/bert/.dovecot.sieve", "keep;")
	all := find(t, old, debian13, nil)
	require.Subset(t, rules(all), []string{"FORWARD-PROGRAM anna", "FORWARD-PROGRAM bert", "FORWARD-FILE bert", "FORWARD-USER bert", "SIEVE bert"})
	require.Equal(t, "home/bert/.forward:1", all[slices.Index(rules(all), "FORWARD-PROGRAM bert")].At)
	for _, f := range all {
		require.NotContains(t, f.Detail+f.Advice, "secret")
		require.NotContains(t, f.Detail+f.Advice, "friends")
	}
	all = find(t, old, with(debian13, "usr/local/bin/procmail*", "", "usr/bin/vacation*", ""), &Move{Sieve: true})
	require.NotContains(t, rules(all), "SIEVE bert")
	require.Contains(t, rules(all), "VACATION anna")
	require.Equal(t, "the new host has /usr/local/bin/procmail: ln -s /usr/local/bin/procmail /usr/bin/procmail", one(t, all, "FORWARD-PROGRAM").Advice)

	// A program in a home comes with it; one in a home that gets another place does not.
	old["home/bert/.forward"] = "|/home/anna/bin/sort"
	require.NotContains(t, rules(find(t, old, debian13, nil)), "FORWARD-PROGRAM bert")
	moved := &Move{Users: []User{{Name: "anna", To: "anna", Home: "/home/anna", ToHome: "/srv/anna"}, {Name: "bert", To: "bert", Home: "/home/bert", ToHome: "/home/bert"}}}
	require.Contains(t, rules(find(t, old, debian13, moved)), "FORWARD-PROGRAM bert")
	old["home/bert/.forward"] = "# Exim filter\nif error_message then finish endif"
	require.Contains(t, rules(find(t, old, debian13, nil)), "FORWARD-FILTER bert")
}

// TestProcmailForEverybody: sendmail of Fedora delivers through procmail, Postfix of Debian does not.
func TestProcmailForEverybody(t *testing.T) {
	old := with(fedora13, "home/bert/.procmailrc", ":0\nx\n", "home/anna/.procmailrc", ":0\nx\n", "home/anna/.forward", "|/usr/bin/procmail")
	x := one(t, find(t, old, debian13, nil), "PROCMAIL")
	require.Equal(t, "bert", x.Name)
	require.Contains(t, x.Advice, "mailbox_command = /usr/bin/procmail")
}

func TestMailmanIsOneFinding(t *testing.T) {
	old := with(fedora13, "etc/aliases", "staff: \"|/usr/lib/mailman/mail/mailman post staff\"\nstaff-bounces: \"|/usr/lib/mailman/mail/mailman bounces staff\"\n")
	all := find(t, old, debian13, nil)
	require.Equal(t, "staff", one(t, all, "MAILMAN").Name)
	require.NotContains(t, strings.Join(rules(all), "\n"), "ALIAS")
}

func TestSpoolGroup(t *testing.T) {
	for name, c := range map[string]struct {
		new    Spool
		groups []string
		gids   map[uint32]uint32
		want   string
	}{
		"well":          {Spool{"/var/mail", 8, 0o2775, true, "mail"}, []string{"mail"}, map[uint32]uint32{12: 8}, ""},
		"sticky":        {Spool{"/var/mail", 0, 0o1777, true, "root"}, []string{"mail"}, map[uint32]uint32{12: 0}, ""},
		"other group":   {Spool{"/var/mail", 12, 0o2775, true, "man"}, []string{"mail"}, map[uint32]uint32{12: 8}, "group man may write there, but the new Dovecot has the rights of mail"},
		"nobody writes": {Spool{"/var/mail", 8, 0o755, true, "mail"}, []string{"mail"}, map[uint32]uint32{12: 8}, "mode 0755"},
		"no mbox":       {Spool{"/var/mail", 8, 0o755, false, "mail"}, nil, nil, ""},
		"lost group":    {Spool{"/var/mail", 8, 0o2775, true, "mail"}, []string{"mail"}, map[uint32]uint32{}, "no counterpart"},
		"wrong group":   {Spool{"/var/mail", 8, 0o2775, true, "mail"}, []string{"mail"}, map[uint32]uint32{12: 12}, "become group 12"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Move{Spool: [2]Spool{{Path: "/var/mail", GID: 12, Mode: 0o775}, c.new}, MailGroups: c.groups, GIDs: c.gids}
			all := find(t, nil, nil, m)
			if c.want == "" {
				require.Empty(t, all)
				return
			}
			require.Contains(t, one(t, all, "SPOOL-GROUP").Detail, c.want)
		})
	}
}

func TestMailboxLimit(t *testing.T) {
	new := with(debian13, "etc/postfix/main.cf", "myhostname = mail.example.org\nmessage_size_limit = 0\n")
	users := []User{{Name: "anna", To: "anna", Inbox: 60 << 20}, {Name: "bert", To: "bert", Inbox: 1}}
	x := one(t, find(t, fedora13, new, &Move{Users: users}), "MAILBOX-LIMIT")
	require.Equal(t, Loss+" anna default", x.Severity+" "+x.Name+" "+x.At)
	require.Equal(t, Degraded, one(t, find(t, fedora13, new, nil), "MAILBOX-LIMIT").Severity)
}

// certificate makes one for the names, which signs itself.
func certificate(t *testing.T, until time.Time, serial int64, names ...string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Unix(0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificates(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	a, b := certificate(t, now.AddDate(1, 0, 0), 1, "mail.example.org", "imap.example.org"), certificate(t, now.AddDate(1, 0, 0), 2, "new.example.org")
	same, expired := certificate(t, now.AddDate(1, 0, 0), 3, "mail.example.org", "imap.example.org"), certificate(t, now.AddDate(0, 0, -1), 4, "mail.example.org")
	files := []File{{"ssl_cert", "/etc/pki/a.pem", "etc/dovecot.conf:3"}, {"ssl_key", "/etc/pki/a.key", "etc/dovecot.conf:4"}}
	present := []File{{"ssl_server_cert_file", "/etc/dovecot/b.pem", "etc/dovecot/dovecot.conf:9"}}
	for name, c := range map[string]struct {
		new     map[string]string
		present []File
		want    string
	}{
		"none set":      {nil, nil, "lacks /etc/pki/a.pem, /etc/pki/a.key"},
		"copied":        {map[string]string{"etc/pki/a.pem": a, "etc/pki/a.key": "secret"}, nil, ""},
		"named, absent": {nil, present, "is to use /etc/dovecot/b.pem, which is not there"},
		"the same":      {map[string]string{"etc/dovecot/b.pem": a}, present, ""},
		"other name":    {map[string]string{"etc/dovecot/b.pem": b}, present, "is not for mail.example.org, imap.example.org"},
		"own issuer":    {map[string]string{"etc/dovecot/b.pem": same}, present, "its own issuer"},
		"expired":       {map[string]string{"etc/dovecot/b.pem": expired}, present, "expired on 2026-10-31"},
	} {
		t.Run(name, func(t *testing.T) {
			all := find(t, map[string]string{"etc/pki/a.pem": a, "etc/pki/a.key": "secret"}, c.new, &Move{Certificates: files, Present: c.present, Now: now})
			if c.want == "" {
				require.Empty(t, all)
				return
			}
			require.Contains(t, all[0].Rule+": "+all[0].Detail, c.want)
		})
	}
}

func TestWanted(t *testing.T) {
	want := Wanted([]User{{Name: "anna", Home: "/home/a*na/"}, {Name: "b"}, {Name: "../x", Home: "/"}})
	require.Equal(t, []string{"var/spool/cron/anna", "var/spool/cron/crontabs/anna", `home/a\*na/.forward`, `home/a\*na/.procmailrc`, `home/a\*na/.dovecot.sieve`,
		"var/spool/cron/b", "var/spool/cron/crontabs/b"}, want[len(hostFiles):])
	require.Equal(t, []string{"etc/aliases", "etc/pki/tls/certs/mail.pem", "etc/postfix/canonical", "etc/postfix/sender_access", "etc/postfix/transport", "etc/postfix/virtual"},
		Further(root(t, centos6)))
	require.Equal(t, []string{"etc/lists", "srv/a"}, Further(root(t, with(fedora13, "etc/mail/sendmail.cf", "O AliasFile=/etc/lists,dbm:/srv/a\n"))))
}
