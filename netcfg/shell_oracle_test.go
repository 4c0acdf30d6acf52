package netcfg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

var shellPieces = []string{"IPADDR=", "IPADDR=192.0.2.1", "PREFIX=", "A=", "A=1", "B=2", "GATEWAY=192.0.2.254", "export ", "export A=1 ", "export B", "export", "NAME=System eth0",
	"\n", "\n", "\n", "\n", "\r\n", " ", " ", "\t", ";", ";", "#", " # c", "# c\\", "\\\n", "\\\n", "\\", "\\ ", "'", "\"", "'a b'", "\"a b\"", "\"a", "'x", "$'a\\tb'", "$'\\x41\\101'", "$'", "$\"x\"", "$\"",
	"$A", "${A}", "$", "$ ", "$$", "$(", "$(echo x)", "`", "~", "a~b", ":~", "x", "x#y", "=", "+=", "A+=1", "A =1", "(", ")", "&", "|", "<", ">", "{", "}", "{a,b}", "*", "?", "[", "]", "!",
	"if", "unset A", "eth0", "cmd ", "\v", "\x7f", "\x01", "\xff", "\xc3\xa9", "\ufeff", "-", ".", "/", ",", "0", "\"\\$\\`\\\"\\\\\\n\"", "$'\\'x'", "\"'\"", "'\"'", "A[0]=1", "$1", "$#", "\"$\"", "${", "%", "^", "@"}

func randomScript(r *rand.Rand) []byte {
	var b bytes.Buffer
	if r.IntN(3) > 0 {
		b.WriteString([]string{"A=", "IPADDR=", "B='"}[r.IntN(3)])
	}
	for range 1 + r.IntN(9) {
		b.WriteString(shellPieces[r.IntN(len(shellPieces))])
	}
	return b.Bytes()
}

// writeProgram writes a file that may be run.
func writeProgram(t testing.TB, path, text string) {
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
}

// runScript runs a script that finds the programs of dir first, and gives the words that were written to the file log there.
func runScript(t testing.TB, shell, dir, script string) string {
	cmd := exec.Command(shell, "-c", script)
	cmd.Env = []string{"PATH=" + dir + ":/usr/local/bin:/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	t.Logf("%s %v", out, err)
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(log)), " ")
}

// inMemory gives a directory in memory where that is possible: many small files are slow on a busy disk.
func inMemory(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "netcfg")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// bashValues lets one bash source many files, each in a subshell of its own, and gives what they set.
func bashValues(t testing.TB, bash string, files [][]byte) []map[string]string {
	dir := inMemory(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "work"), 0o700)) // where redirections may write
	for i, src := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), src, 0o600))
	}
	// printf leaves each value as it is, between NULs, which no variable holds. With a trap set, bash does not replace
	// the subshell by the last program of a sourced file.
	const script = `cd "$1/work"; N=$2; for ((I = 0; I < N; I++)); do printf 'F%s\0' "$I"; (
 trap : USR1; set -f; PATH=/nonexistent; . "$1/$I" >/dev/null 2>&1
 for K in A B IPADDR PREFIX GATEWAY NAME XX; do [[ -v $K ]] && builtin printf '%s=%s\0' "$K" "${!K}"; done; builtin printf 'done\0' ) </dev/null 2>/dev/null
done; printf 'END\0'`
	cmd := exec.Command(bash, "--noprofile", "--norc", "-c", script, "bash", dir, fmt.Sprint(len(files)))
	cmd.Env = []string{}
	out, err := cmd.Output()
	require.NoError(t, err)
	values := make([]map[string]string, len(files))
	i := -1
	for _, rec := range strings.Split(string(out), "\x00") {
		if k, v, ok := strings.Cut(rec, "="); ok && i >= 0 {
			values[i][k] = v
		} else if strings.HasPrefix(rec, "F") {
			i++
			values[i] = map[string]string{}
		}
	}
	require.Equal(t, len(files)-1, i)
	return values
}

func requireBashAgrees(t testing.TB, src []byte, got map[string]string) {
	f := ParseIfcfg("f", src)
	for _, k := range []string{"A", "B", "IPADDR", "PREFIX", "GATEWAY", "NAME", "XX"} {
		v := f.Var(k)
		if v.Opaque {
			continue
		}
		value, set := got[k]
		require.Equal(t, set, v.Set, "%s of %q", k, src)
		require.Equal(t, value, v.Bash, "%s of %q", k, src)
	}
}

// TestBashDecides compares what we read with what bash reads, on random files. Those that are opaque as a whole are
// nothing to ask bash about.
func TestBashDecides(t *testing.T) {
	bash := oracle.Need(t, "bash")
	n := campaign(5000)
	if testing.Short() {
		n = 2000
	}
	r := rand.New(rand.NewPCG(2, 6))
	decided := 0
	for done := 0; done < n; done += 1000 {
		var files [][]byte
		for range 1000 {
			if src := randomScript(r); ParseIfcfg("f", src).opaque() == nil {
				files = append(files, src)
			}
		}
		for i, got := range bashValues(t, bash, files) {
			requireBashAgrees(t, files[i], got)
		}
		decided += len(files)
	}
	t.Logf("%d files, %d decided", n, decided)
	require.Greater(t, decided, n/10)
}
