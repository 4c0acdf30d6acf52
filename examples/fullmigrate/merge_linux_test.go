package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newHash gives a user another hash in etc/shadow below root.
func newHash(t *testing.T, root, user, hash string) {
	t.Helper()
	at := filepath.Join(root, "etc/shadow")
	text, err := os.ReadFile(at)
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^` + user + `:[^:]*:`)
	require.True(t, line.Match(text), user)
	require.NoError(t, os.WriteFile(at, line.ReplaceAllLiteral(text, []byte(user+":"+hash+":")), 0o600))
}

func hashOf(t *testing.T, root, user string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "etc/shadow"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); f[0] == user {
			return f[1]
		}
	}
	return ""
}

// TestPasswordsFollow: who changes his password while the old host serves has the new one after the cutover, unless it was
// changed on the new host as well. No output shows a hash.
func TestPasswordsFollow(t *testing.T) {
	const there, here = "$6$thereNEW$abcdefghijklmnop", "$6$hereNEW$abcdefghijklmnop"
	from, to := hosts(t)
	ok := func(args ...string) string {
		t.Helper()
		out, err := command(append(args, "-yes", "-from", from, "-to", to)...).CombinedOutput()
		require.NoError(t, err, string(out))
		require.NotContains(t, string(out), "NEW$")
		return string(out)
	}
	ok("sync")
	newHash(t, from, "bert", there+"1")
	require.Contains(t, ok("sync"), "bert")
	require.Equal(t, there+"1", hashOf(t, to, "bert"))

	newHash(t, from, "bert", there+"2")
	newHash(t, from, "anna", there+"3")
	newHash(t, to, "anna", here)
	out := ok("plan")
	require.Regexp(t, `anna: changed on both hosts since it came over, and that of the new host stands: password`, out)
	require.Regexp(t, `bert: changed on the old host since it came over, and comes along: password`, out)
	ok("cutover")
	require.Equal(t, there+"2", hashOf(t, to, "bert"))
	require.Equal(t, here, hashOf(t, to, "anna"))
	ok("rollback")
	newHash(t, from, "bert", there+"4")
	ok("sync")
	require.Equal(t, there+"4", hashOf(t, to, "bert"), "and after a way back")
}

// TestPasswordsFollowAfterACut: a pass that was killed between the accounts and the note of what they came from.
func TestPasswordsFollowAfterACut(t *testing.T) {
	from, to := hosts(t)
	out, err := command("sync", "-from", from, "-to", to).CombinedOutput()
	require.NoError(t, err, string(out))
	run, err := filepath.Glob(filepath.Join(to, "var/lib/mailmove/*/"+dirCarried))
	require.NoError(t, err)
	require.Len(t, run, 1)
	before, err := os.ReadFile(filepath.Join(run[0], "etc/shadow"))
	require.NoError(t, err)
	for _, hash := range []string{"$6$one$x", "$6$two$x"} {
		newHash(t, from, "bert", hash)
		out, err = command("sync", "-from", from, "-to", to).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, hash, hashOf(t, to, "bert"))
		if hash == "$6$one$x" {
			require.NoError(t, os.WriteFile(filepath.Join(run[0], "etc/shadow"), before, 0o600))
			out, err = command("sync", "-from", from, "-to", to).CombinedOutput() // nothing to do, and it is noted
			require.NoError(t, err, string(out))
		}
	}
}
