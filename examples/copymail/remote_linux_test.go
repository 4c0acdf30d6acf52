package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// outcome runs the program as a process of its own.
func outcome(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var out, errs strings.Builder
	c := &exec.Cmd{Path: self, Args: append([]string{"copymail"}, args...), Stdout: &out, Stderr: &errs}
	if err := c.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// The same through a real sshd: by this program there, and by find and tar.
func TestCopyThroughSSH(t *testing.T) {
	s := oracle.SSHD(t)
	root := t.TempDir()
	old := filepath.Join(root, "old")
	for path, text := range map[string]string{
		"anna/mail/Sent":              "From a@b Thu Jan  1 00:00:01 2015\nSubject: s\n\nbody\n",
		"anna/Maildir/cur/1.M1.h:2,S": "Subject: one\n",
		"anna/it's a \"file\"\n":      "text",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(old, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(old, path), []byte(text), 0o600))
	}
	for name, flags := range map[string][]string{"helper": nil, "plain": {"-plain"}} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(root, name)
			require.NoError(t, os.Mkdir(to, 0o755))
			args := append([]string{"-from", s.Dest + ":" + old, "-to", to, "-state", filepath.Join(root, name+".db")}, flags...)
			out, errs, code := outcome(t, append(args, "-verify", "hash")...)
			require.Equal(t, 0, code, errs)
			require.Contains(t, out, ": 3 copied (")
			require.Contains(t, out, "all alike")
			require.Empty(t, errs)
			same, err := exec.Command("diff", "-r", old, to).CombinedOutput()
			require.NoError(t, err, "%s", same)
			out, errs, code = outcome(t, args...)
			require.Equal(t, 0, code, errs)
			require.Contains(t, out, ": 3 unchanged")
		})
	}
	// Where the program cannot be, find and tar do it, and that is said.
	s2 := oracle.SSHD(t, `ForceCommand case "$SSH_ORIGINAL_COMMAND" in *uname*) echo Linux vax;; *) eval "$SSH_ORIGINAL_COMMAND";; esac`)
	to := filepath.Join(root, "fallback")
	require.NoError(t, os.Mkdir(to, 0o755))
	out, errs, code := outcome(t, "-from", s2.Dest+":"+old, "-to", to)
	require.Equal(t, 0, code, errs)
	require.Contains(t, errs, "copymail: warning: ")
	require.Contains(t, errs, "its own find and tar")
	require.Contains(t, out, ": 3 copied (")

	_, errs, code = outcome(t, "-from", s2.Dest+":"+old+"/nothing", "-to", to)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "copymail: error: ")
	s2.Socket.Close()
	s2.Cut()
	_, errs, code = outcome(t, "-from", s2.Dest+":"+old, "-to", to)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "hint: start sshd there")
}
