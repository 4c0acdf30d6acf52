//go:build unix

package hostcmd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

func TestGCMFirst(t *testing.T) {
	for list, want := range map[string]string{
		"":                         "",
		"aes128-ctr":               "aes128-ctr",
		"a,aes128-gcm@openssh.com": "aes128-gcm@openssh.com,a",
		"chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com,aes128-gcm@openssh.com,x": "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,x",
		"aes256-gcm@openssh.com,a": "aes256-gcm@openssh.com,a",
	} {
		require.Equal(t, want, gcmFirst(list))
	}
}

// used tells which cipher the connection has.
func used(t *testing.T, s *oracle.SSH, settings string) string {
	t.Helper()
	file := filepath.Join(s.Dir, "ssh_config")
	conf, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(conf, settings...), 0o600))
	defer func() { require.NoError(t, os.WriteFile(file, conf, 0o600)) }()
	args := append(ciphers(context.Background(), s.Dest), "-v", "-o", "BatchMode=yes", "--", s.Dest, "true")
	out, err := exec.Command("ssh", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, rest, ok := strings.Cut(string(out), "kex: server->client cipher: ")
	require.True(t, ok, "%s", out)
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// What the administrator allows stays the law, and what the other host has.
func TestCiphers(t *testing.T) {
	defer func(was bool) { aes = was }(aes)
	s := oracle.SSHD(t)
	aes = true
	require.Equal(t, "aes128-gcm@openssh.com", used(t, s, ""))
	require.Equal(t, "aes256-gcm@openssh.com", used(t, s, "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\n"))
	require.Equal(t, "aes256-ctr", used(t, s, "Ciphers aes256-ctr\n"))
	aes = false
	require.Equal(t, "chacha20-poly1305@openssh.com", used(t, s, "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\n"))
	aes = true
	s = oracle.SSHD(t, "Ciphers aes128-ctr")
	connect(t, s)
	require.Equal(t, "aes128-ctr", used(t, s, ""))
}
