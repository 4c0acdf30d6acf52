package main

import "strings"

// flags defines what all verbs share.
func (m *migration) flags() {
	f := m.c.Flags
	f.StringVar(&m.src, "from", "", "the old host: `[user@]host:/` through ssh, or the root of its files")
	f.StringVar(&m.to, "to", "", "`root` of the new host's files")
	f.StringVar(&m.runDir, "run", "", "`directory` that keeps plan, journal and state (default: below -to, var/lib/mailmove)")
	f.Func("users", "only these users, `a,b`", into(&m.users))
	f.Func("exclude", "all but these users, `a,b`", into(&m.exclude))
	f.StringVar(&m.iface, "iface", "", "take over the old host's address on this interface, such as `eth0`; without it no address moves")
	f.StringVar(&m.oldIface, "old-iface", "", "the old host's `interface` (default: the same)")
	f.StringVar(&m.domain, "domain", "", "check before a cutover that a backup MX holds the mail of this `domain`, and ask it for the mail afterwards")
	f.StringVar(&m.dns, "dns", "", "DNS server `HOST:PORT` for -domain (default: the system's)")
	f.StringVar(&m.login, "login", "", "verify: log in as this `user`, by IMAP and POP3 on this host")
	f.StringVar(&m.passwordFile, "password-file", "", "`file` with that user's password in its first line (default: the environment, "+passwordEnv+")")
	f.StringVar(&m.imap, "imap", "127.0.0.1:143", "`address` of the IMAP server for -login")
	f.StringVar(&m.pop3, "pop3", "127.0.0.1:110", "`address` of the POP3 server for -login")
	f.StringVar(&m.reportFile, "report", "", "write a report of the run to this `file`: a page to read and print (.html), or JSON (.json)")
	f.BoolVar(&m.plain, "plain", false, "read the old host by its find and tar, without putting this program there for the time")
	f.BoolVar(&m.apply, "apply", false, "carry the plan out")
	f.BoolVar(&m.yes, "yes", false, "answer yes to the question of cutover and rollback")
	f.BoolVar(&m.manual, "manual", false, "print the commands of cutover or rollback and run none")
}

// people are the flags that say who moves, as a person would type them.
func (m *migration) people() (args []string) {
	if m.users != nil {
		args = append(args, "-users", strings.Join(m.users, ","))
	}
	if m.exclude != nil {
		args = append(args, "-exclude", strings.Join(m.exclude, ","))
	}
	return args
}

// chosen are all that a cutover goes by.
func (m *migration) chosen() []string {
	args := append([]string{}, m.people()...)
	for _, f := range [][2]string{{"-iface", m.iface}, {"-old-iface", m.oldIface}, {"-domain", m.domain}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	return args
}

// into takes a list of names.
func into(names *[]string) func(string) error {
	return func(s string) error {
		*names = list(s)
		return nil
	}
}
