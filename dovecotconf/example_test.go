package dovecotconf_test

import (
	"fmt"
	"testing/fstest"

	"github.com/mailmove/mailmove/dovecotconf"
)

func ExampleEqual() {
	old, _ := dovecotconf.ParseFormat("2.3", "%08Xu%08Xv")
	now, _ := dovecotconf.ParseFormat("2.4.1", "%{uid | hex(8)}%{uidvalidity | hex(8)}")
	equal, _ := dovecotconf.Equal(old, now)
	fmt.Println(equal)

	now, _ = dovecotconf.ParseFormat("2.4.1", "%{uidvalidity}.%{uid}")
	_, reason := dovecotconf.Equal(old, now)
	fmt.Println(reason)
	// Output:
	// true
	// different order: [uid uidvalidity] and [uidvalidity uid]; UID 10 in UIDVALIDITY 1293872400 is "0000000a4d1eed10" and "1293872400.10"
}

func ExampleFormat_Translate() {
	old, _ := dovecotconf.ParseFormat("1.2", "%08Xv%08Xu")
	fmt.Println(old.Translate("2.4.1"))
	// Output: %{uidvalidity | hex(8)}%{uid | hex(8)} <nil>
}

func ExampleConfig_Get() {
	host := fstest.MapFS{
		"etc/dovecot/dovecot.conf":        {Data: []byte("mail_location = mbox:~/mail\n!include conf.d/*.conf\n")},
		"etc/dovecot/conf.d/20-pop3.conf": {Data: []byte("protocol pop3 {\n  pop3_uidl_format = %v.%u\n}\n")},
	}
	c, err := dovecotconf.Load(host, "etc/dovecot/dovecot.conf", &dovecotconf.Options{Version: "2.3.19"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Get("pop3", "pop3_uidl_format"))
	fmt.Println(c.Get("imap", "pop3_uidl_format"))
	// Output:
	// {%v.%u etc/dovecot/conf.d/20-pop3.conf:2}
	// {%08Xu%08Xv default}
}

func ExampleCompare() {
	files := fstest.MapFS{
		"old.conf": {Data: []byte("protocols = imap pop3\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\npop3_uidl_format = %08Xv%08Xu\n")},
		"new.conf": {Data: []byte("dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\nprotocols = imap pop3\n" +
			"mail_driver = mbox\nmail_path = ~/mail\nmail_inbox_path = /var/mail/%{user}\nmail_privileged_group = mail\n")},
	}
	old, _ := dovecotconf.Load(files, "old.conf", &dovecotconf.Options{Version: "2.3.21"})
	now, _ := dovecotconf.Load(files, "new.conf", nil)
	r := dovecotconf.Compare(old, now, nil)
	fmt.Println(r.UIDLEqual, r.Suggest)
	for _, f := range r.Findings {
		fmt.Println(f.Rule, f.Severity, f.Setting, f.OldAt, f.NewAt)
	}
	// Output:
	// false %{uidvalidity | hex(8)}%{uid | hex(8)}
	// R01 redownload pop3_uidl_format old.conf:3 default
}

func ExampleReport_Snippet() {
	files := fstest.MapFS{
		"old.conf": {Data: []byte("protocols = imap pop3\nmail_location = mbox:~/mail:INBOX=/var/mail/%u\npop3_uidl_format = %08Xv%08Xu\n")},
		"new.conf": {Data: []byte("dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\nprotocols = imap pop3\n" +
			"mail_driver = mbox\nmail_path = ~/mail\nmail_inbox_path = /var/mail/%{user}\nmail_privileged_group = mail\nfirst_valid_uid = 1000\n")},
	}
	old, _ := dovecotconf.Load(files, "old.conf", &dovecotconf.Options{Version: "2.3.21"})
	now, _ := dovecotconf.Load(files, "new.conf", nil)
	fmt.Print(dovecotconf.Compare(old, now, nil).Snippet())
	// Output:
	// # What mail clients depend on, from Dovecot 2.3.21 to 2.4.1. Goes behind all other files: conf.d/99-mailmove.conf.
	// # Then: doveconf -n >/dev/null && doveadm reload
	//
	// # POP3 clients know mail by this; with another value they fetch all of it again. Old: old.conf:3
	// pop3_uidl_format = %{uidvalidity | hex(8)}%{uid | hex(8)}
	//
	// # S08 blocks: users with a uid from 500 to 999 cannot log in. Old: default
	// first_valid_uid = 500
}
