package surroundings

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// TestAsPostconfReadsIt compares what main.cf means with what Postfix itself says.
func TestAsPostconfReadsIt(t *testing.T) {
	postconf := oracle.Need(t, "postconf")
	for name, src := range map[string]string{
		"debian": debian13["etc/postfix/main.cf"],
		"centos": centos6["etc/postfix/main.cf"] + "myhostname = mail.example.org\n",
		"odd": "# c\nmyhostname=a.example.net\nmydestination = $myhostname,\n# comment inside\n\n\t${mydomain}  $(mydomain),$mydomain\n  localhost\n" +
			"relay_domains =\nrelay_domains = one.example\nrelayhost = [$mydomain]:25\nmynetworks = 127.0.0.0/8,\n  10.0.0.0/8\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.cf"), []byte(src), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "master.cf"), nil, 0o644))
			m := (&host{root: root(t, map[string]string{"etc/postfix/main.cf": src})}).mainCF()
			keys := []string{"myhostname", "mydomain", "mydestination", "relay_domains", "relayhost", "mynetworks", "inet_interfaces", "alias_maps", "home_mailbox",
				"virtual_alias_domains", "virtual_alias_maps", "mailbox_size_limit", "message_size_limit", "recipient_delimiter", "smtpd_recipient_restrictions", "luser_relay"}
			out, err := exec.Command(postconf, append([]string{"-c", dir, "-x"}, keys...)...).Output() // warnings go to stderr
			require.NoError(t, err)
			said := 0
			for line := range strings.Lines(string(out)) {
				key, value, _ := strings.Cut(line, "=")
				if key = strings.TrimSpace(key); m.get(key).line == 0 && (key == "mynetworks" || key == "alias_maps" || key == "relay_domains") {
					continue // by the machine's own addresses, how it was built, and compatibility_level
				}
				said++
				require.Equal(t, strings.Fields(value), strings.Fields(m.expand(m.get(key).text)), key)
			}
			require.Greater(t, said, 10)
		})
	}
}
