package surroundings

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrograms(t *testing.T) {
	for command, want := range map[string]string{
		`/usr/bin/procmail`: "/usr/bin/procmail",
		`IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #bert`: "/usr/bin/procmail",
		`IFS=' '&&exec /usr/bin/procmail -f-||exit 75`:           "/usr/bin/procmail",
		`exec /usr/local/bin/vacation -a "bert b" bert`:          "/usr/local/bin/vacation",
		`formail -I "X-A: |b" | $SENDMAIL -t; /bin/date >> log`:  "formail /bin/date",
		`$HOME/bin/filter | ~/bin/other | "${HOME}/bin/third"`:   "~/bin/filter ~/bin/other ~/bin/third",
		"echo `/bin/hostname -s`.$(uname -n | tr a-z A-Z)":       "/bin/hostname uname tr",
		`nice -n 10 env LANG=C spamc -u bert 2>&1 </dev/null`:    "spamc",
		`if test -x /usr/bin/spamc; then /usr/bin/spamc; fi`:     "/usr/bin/spamc",
		`(cat; echo "a ; b | c") > /tmp/x & sleep 1`:             "cat sleep",
		`sh -c 'grep -q x && mail -s "it is" root'`:              "sh grep mail",
		`"/opt/my filter/run" x`:                                 "/opt/my filter/run",
		`a\ b`:                                                   "a b",
		`/usr/lib/dovecot/deliver -d "$USER" # | /bin/evil`:      "/usr/lib/dovecot/deliver",
		`'unfinished`:      "",
		`$PROG x; >out`:    "",
		`[ -f x ] && true`: "",
		"":                 "",
	} {
		require.Equal(t, want, strings.Join(programs(command), " "), command)
	}
	require.LessOrEqual(t, len(programs(strings.Repeat("a;b|", 1e5))), maxPrograms)
	require.Empty(t, programs(strings.Repeat("x", 1<<20)))
	programs(strings.Repeat("$(", 1e5) + strings.Repeat("`", 1e5))
}

func TestTargets(t *testing.T) {
	for src, want := range map[string][]target{
		`\bert, bert@home.example.net`:                            {{local, "bert"}, {address, "bert@home.example.net"}},
		`"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75"`:     {{command, "IFS=' ' && exec /usr/bin/procmail -f- || exit 75"}},
		`|"/usr/bin/vacation bert", \bert`:                        {{command, "/usr/bin/vacation bert"}, {local, "bert"}},
		"|/usr/bin/procmail":                                      {{command, "/usr/bin/procmail"}},
		`"| exec \"/opt/a b\" x, y"`:                              {{command, `exec "/opt/a b" x, y`}},
		"# comment, with comma\n/var/mail/archive\n":              {{file, "/var/mail/archive"}},
		":include:/etc/mail/list , :Include: ~/friends":           {{include, "/etc/mail/list"}, {include, "~/friends"}},
		`Bert Lund <bert@example.org>, <anna> (the boss, really)`: {{address, "bert@example.org"}, {local, "anna"}},
		", ,\n\r\n":      nil,
		`"unfinished, a`: {{local, "unfinished, a"}},
	} {
		require.Equal(t, want, parseTargets(src), src)
	}
}

func TestAliases(t *testing.T) {
	all := parseAliases([]byte("# x\n  \nRoot: anna\r\n\"odd: name\" : a,\n\tb\n# in between\n c\nnocolon\n:\nlist:\n  :include:/x\n"))
	require.Equal(t, []alias{
		{"root", []target{{local, "anna"}}, "Root: anna", 3},
		{"odd: name", []target{{local, "a"}, {local, "b c"}}, "\"odd: name\" : a,\n\tb\n c", 4},
		{"list", []target{{include, "/x"}}, "list:\n  :include:/x", 10},
	}, all)
}

func TestMainCF(t *testing.T) {
	m := parseMain([]byte("# c\na = 1\nb = $a, ${a},\n  $(a) $$x\n# c\n c\nc = $c$b\nd=${a?yes}z\na = 2\n=3\nbad line\n"))
	require.Equal(t, setting{"2", 9}, m.get("a"))
	require.Equal(t, "z", m.expand("${nothing}z"))
	require.Equal(t, "2, 2, 2 $x c", m.expand("$b"))
	require.Equal(t, "z", m.expand("$d"))
	parseMain([]byte("x = " + strings.Repeat("$y", 1e5) + "\ny = " + strings.Repeat("$x", 1e5))).expand("$x")
	require.LessOrEqual(t, len(parseMain([]byte("x = "+strings.Repeat("$y ", 5e4)+"\ny = "+strings.Repeat("$x ", 5e4))).expand("$x")), 128<<10)
	require.Equal(t, []table{{"hash", "/a"}, {"ldap", "/b.cf"}, {"pcre", "/c"}}, m.tables("check_sender_access hash:/a, proxy:ldap:/b.cf !pcre:/c inet:host:25 unix:private/x static:all smtp:[host]"))
}

func TestMC(t *testing.T) {
	all := parseMC([]byte("divert(-1)dnl it's (a comment\ndnl define(`A', `b')\ndefine(`SMART_HOST', `esmtp:[a,b]')dnl\n# define(`C')\nFEATURE(`x',\n `y (z')dnl\nMAILER(smtp)"))
	require.Equal(t, []string{"divert", "define SMART_HOST", "FEATURE x", "MAILER"}, []string{all[0].what(), all[1].what(), all[2].what(), all[3].what()})
	require.Equal(t, "esmtp:[a,b]", all[1].arg(1))
	require.Equal(t, []string{"x", "y (z"}, all[2].args)
	require.Equal(t, []int{1, 3, 5, 7}, []int{all[0].line, all[1].line, all[2].line, all[3].line})
}

func TestRecipes(t *testing.T) {
	src := `SHELL=/bin/sh
MAILDIR=$HOME/mail   # comment | not a command
LOGNAME2=` + "`/usr/bin/whoami`" + `
INCLUDERC=/etc/procmail/spam.rc
INCLUDERC=$HOME/.procmail/own.rc
:0fw: spamassassin.lock
* < 256000
| /usr/bin/spamassassin -p $HOME/.prefs

:0 c
* ^Subject:.*\
  secret \
  words
! bert@home.example.net

:0
* ^From:.*boss
* ? formail -x From: | grep -q boss
{
  :0 c
  | (formail -r; cat $HOME/away) \
    | $SENDMAIL -t

  :0
  boss/
}
:0 E
{ }
:0:
lists/
SUBJ=| formail -zx Subject:
:0
RESULT=| /opt/bin/rate
`
	var got []string
	for _, c := range parseRecipes([]byte(src)) {
		word := c.text
		if c.include {
			word = "<" + word
		}
		got = append(got, at(word, c.line))
	}
	require.Equal(t, []string{"/bin/sh:1", "/usr/bin/whoami:3", "</etc/procmail/spam.rc:4", "/usr/bin/spamassassin:8", "formail:18", "grep:18", "formail:21", "cat:21", "/opt/bin/rate:33"}, got)
}

func TestCrontab(t *testing.T) {
	src := "# m h\nMAILTO=bert\n\"A\" = x\n*/5 * * * *\t/usr/bin/fetchmail -s >/dev/null 2>&1\n@daily backup %in put\n0 0 * *\n"
	jobs := parseCrontab([]byte(src), false)
	require.Equal(t, []job{{"", "/usr/bin/fetchmail -s >/dev/null 2>&1", 4}, {"", "backup ", 5}}, jobs)
	jobs = parseCrontab([]byte("1 2 3 4 5 bert /bin/x y\n@reboot\tanna z\n1 2 3 4 5 bert\n"), true)
	require.Equal(t, []job{{"bert", "/bin/x y", 1}, {"anna", "z", 2}}, jobs)
}

func TestShown(t *testing.T) {
	require.Equal(t, `a\x1b[2Jb\u202e\x80é`, clean("a\x1b[2Jb\u202e\x80é"))
	require.Less(t, len(clean(strings.Repeat("x", 1e6))), 400)
}

func FuzzParsers(f *testing.F) {
	for _, s := range []string{fedora13["etc/aliases"], fedora13["etc/mail/sendmail.mc"], debian13["etc/postfix/main.cf"], debian13["etc/postfix/master.cf"],
		"\"|IFS=' ' && exec /usr/bin/procmail -f- || exit 75\"", ":0fw\n* ? a\n| b \\\n | c\n{", "1 2 3 4 5 x %\n@x", "a`b$(c", "/dev/x / ext4 usrquota 0 0\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, a := range parseAliases(src) {
			require.NotEmpty(t, a.name)
		}
		m := parseMain(src)
		for _, v := range m.values {
			m.tables(v.text)
		}
		for _, p := range programs(string(src)) {
			require.NotEmpty(t, p)
		}
		for _, c := range parseRecipes(src) {
			require.LessOrEqual(t, c.line, strings.Count(string(src), "\n")+1)
		}
		for _, j := range append(parseCrontab(src, true), parseCrontab(src, false)...) {
			require.NotEmpty(t, j.command)
		}
		parseMC(src)
		mcPorts(src)
		masterPorts(src)
		quotaMounts(src)
		parseCertificate(src)
		fileWords(src)
	})
}
