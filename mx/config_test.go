package mx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

func TestConfigs(t *testing.T) {
	s := serve(t, good)
	opt := Options{Backup: "mx2.example.test", Old: ip("192.0.2.1"), New: ip("192.0.2.99"), Recipients: []string{"alice", "Bob@example.test", "bob", "postmaster"}}
	c := check(t, s, opt).Configs
	require.Equal(t, `# backup MX for example.test; the domain must not be in mydestination or virtual_*_domains
relay_domains = example.test
relay_recipient_maps = texthash:/etc/postfix/relay_recipients
transport_maps = inline:{example.test=relay:[192.0.2.1]}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_etrn_restrictions = check_client_access texthash:/etc/postfix/etrn_clients, permit_mynetworks, reject
fast_flush_domains = $relay_domains
maximal_queue_lifetime = 30d
bounce_queue_lifetime = 30d
# for the time of the move only: a refusal by the new host stays in the queue
soft_bounce = yes
`, c["postfix/main.cf"])
	require.Equal(t, "abuse@example.test x\npostmaster@example.test x\nalice@example.test x\nbob@example.test x\n", c["postfix/relay_recipients"])
	require.Equal(t, "192.0.2.1 OK\n192.0.2.99 OK\n", c["postfix/etrn_clients"])
	require.Equal(t, "example.test\tesmtp:[192.0.2.1]\n", c["sendmail/mailertable"])
	require.Equal(t, "example.test\n", c["sendmail/relay-domains"])
	require.Contains(t, c["sendmail/access"], "To:alice@example.test\tRELAY\n")
	require.True(t, strings.HasSuffix(c["sendmail/access"], "To:example.test\tERROR:5.1.1:\"550 User unknown\"\n"), "the domain comes last")
	require.Contains(t, c["sendmail/sendmail.mc"], "define(`confTO_QUEUERETURN', `30d')dnl\n")

	opt.Recipients = nil
	c = check(t, s, opt).Configs
	require.NotContains(t, c, "postfix/relay_recipients", "an empty list would refuse everybody")
	require.NotContains(t, c, "sendmail/access")
	require.Contains(t, c["postfix/main.cf"], "\nrelay_recipient_maps =\n")
	require.NotContains(t, c["sendmail/sendmail.mc"], "access_db")

	require.Empty(t, check(t, s, Options{}).Configs, "no backup named")
	require.Empty(t, check(t, serve(t, "@ MX 10 mx1"), Options{Backup: "mx2.example.test"}).Configs, "no address to pin")

	six := check(t, serve(t, "@ MX 10 mx1\nmx1 AAAA 2001:db8::1"), Options{Backup: "mx2.example.test"}).Configs
	require.Contains(t, six["postfix/main.cf"], "relay:[2001:db8::1]}")
	require.Contains(t, six["sendmail/mailertable"], "esmtp:[IPv6:2001:db8::1]")
	implicit := check(t, serve(t, "@ A 192.0.2.1"), Options{Backup: "mx2.example.test"}).Configs
	require.Contains(t, implicit["postfix/main.cf"], "relay:[192.0.2.1]}")
}

// Postfix itself reads the lines and tables.
func TestConfigsWithPostfix(t *testing.T) {
	postconf, postmap := oracle.Need(t, "postconf"), oracle.Need(t, "postmap")
	dir := t.TempDir()
	c := check(t, serve(t, good), Options{Backup: "mx2.example.test", Recipients: []string{"alice"}}).Configs
	main := strings.ReplaceAll(c["postfix/main.cf"], "/etc/postfix/", dir+"/") + "compatibility_level = 3.6\nmyhostname = mx2.example.test\nmydomain = example.test\ninet_interfaces = 127.0.0.1\nmail_owner = daemon\nsetgid_group = mail\n"
	for name, text := range map[string]string{
		"main.cf": main, "master.cf": "relay unix - - n - - smtp\nsmtp unix - - n - - smtp\n",
		"relay_recipients": c["postfix/relay_recipients"], "etrn_clients": c["postfix/etrn_clients"],
	} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		past := time.Now().Add(-time.Minute) // Postfix waits for files that were just written
		require.NoError(t, os.Chtimes(file, past, past))
	}
	run := func(tool string, args ...string) (string, string) {
		cmd := exec.Command(tool, args...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), "%s %q: %s", tool, args, &stderr)
		return stdout.String(), stderr.String()
	}
	out, complaints := run(postconf, "-c", dir, "-n")
	require.NotContains(t, complaints, "unused", "every parameter is known")
	require.Contains(t, out, "soft_bounce = yes")
	out, _ = run(postmap, "-c", dir, "-q", "alice@example.test", "texthash:"+dir+"/relay_recipients")
	require.Equal(t, "x\n", out)
	require.Error(t, exec.Command(postmap, "-c", dir, "-q", "mallory@example.test", "texthash:"+dir+"/relay_recipients").Run())
	out, _ = run(postmap, "-c", dir, "-q", "192.0.2.1", "texthash:"+dir+"/etrn_clients")
	require.Equal(t, "OK\n", out)
	maps, _ := run(postconf, "-c", dir, "-h", "transport_maps")
	out, _ = run(postmap, "-c", dir, "-q", "example.test", strings.TrimSpace(maps))
	require.Equal(t, "relay:[192.0.2.1]\n", out)
}
