package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/run"
)

// TestKilledAtTheFirstLine: the very first cutover is killed when its journal has one line. It is gone on with, by the same
// flags alone, and one can go back from it.
func TestKilledAtTheFirstLine(t *testing.T) {
	for _, next := range []string{"cutover", "rollback"} {
		from, to := hosts(t)
		ok := func(env string, args ...string) (string, int) {
			c := command(append(args, "-from", from, "-to", to)...)
			c.Env = append(os.Environ(), "TEST_KILL="+env)
			out, _ := c.CombinedOutput()
			return string(out), c.ProcessState.ExitCode()
		}
		out, code := ok("", "sync", "-users", "anna,bert")
		require.Zero(t, code, out)
		out, code = ok(stepCutover+" begun", "cutover", "-users", "anna,bert", "-yes")
		require.Equal(t, -1, code, out)
		if next == "cutover" {
			out, code = ok("", next, "-yes")
			require.Equal(t, 2, code, out)
			require.Contains(t, out, "fullmigrate cutover -from "+from+" -to "+to+" -users anna,bert\n")
			out, code = ok("", next, "-users", "anna,bert", "-iface", "eth0", "-yes")
			require.Equal(t, 2, code, out)
		}
		out, code = ok("", next, "-users", "anna,bert", "-yes")
		require.Zero(t, code, out)
	}
}

// TestSyncThatMetACutover: it looked before the cutover began, and comes to copy when that has ended.
func TestSyncThatMetACutover(t *testing.T) {
	from, to := hosts(t)
	for _, verb := range []string{"sync", "cutover"} {
		out, err := command(verb, "-yes", "-from", from, "-to", to).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	all, err := filepath.Glob(filepath.Join(to, "var/lib/mailmove/*/journal"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	m := &migration{runDir: filepath.Dir(all[0])}
	require.ErrorContains(t, m.carryOut(t.Context(), &plan{}), "the cutover was begun")
	_, err = os.Lstat(filepath.Join(m.runDir, "lock"))
	require.NoError(t, err)
	dir, err := run.Open(m.runDir)
	require.NoError(t, err, "it let go of the lock")
	require.NoError(t, dir.Close())
}

// TestCutoverTellsWhatItLeft: a file that somebody changed on the new host is left alone, and the exit code says so.
func TestCutoverTellsWhatItLeft(t *testing.T) {
	from, to := hosts(t)
	require.NoError(t, os.WriteFile(filepath.Join(from, "home/anna/notes"), []byte("old"), 0o600))
	out, err := command("sync", "-from", from, "-to", to).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(filepath.Join(from, "home/anna/notes"), []byte("older"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(to, "home/anna/notes"), []byte("changed here"), 0o600))
	c := command("cutover", "-yes", "-from", from, "-to", to)
	out, _ = c.CombinedOutput()
	require.Equal(t, 1, c.ProcessState.ExitCode(), string(out))
	require.Contains(t, string(out), "the new host serves\n")
	require.Contains(t, string(out), `problem: "home/anna/notes": `)
}
