//go:build unix

package hostcmd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailmove/mailmove/internal/oracle"
	"github.com/stretchr/testify/require"
)

var words = []string{"plain", "", "two words", "it's", `"$HOME" $(id) \`, "new\nline", "*", "-o", "~", "a=b", "\xff", "#x", "{a,b}", "!"}

// far makes a Host whose ssh is a script that does what sshd does with its command: hands one string to a shell.
func far(t *testing.T) Host {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1 $2 $3 $4\" = '-o BatchMode=yes -- root@old' ] || exit 99\nexec sh -c \"$5\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return Host{SSH: "root@old"}
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	ctx := context.Background()
	printf := oracle.Need(t, "printf")
	for _, h := range []Host{{}, far(t)} {
		out, err := h.Run(ctx, nil, printf, append([]string{`%s\0`}, words...)...)
		require.NoError(t, err)
		require.Equal(t, strings.Join(words, "\x00")+"\x00", string(out))
		out, err = h.Run(ctx, strings.NewReader("in"), "cat")
		require.NoError(t, err)
		require.Equal(t, "in", string(out))
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	for _, h := range []Host{{}, far(t)} {
		_, err := h.Run(ctx, nil, "sh", "-c", "echo first >&2; echo 'the reason' >&2; exit 3")
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "the reason", e.Stderr)
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 3, exit.ExitCode())
		require.False(t, Absent(err))
		_, err = h.Run(ctx, nil, "no-such-program-here")
		require.True(t, Absent(err), "%v", err)
	}
	_, err := Host{SSH: "root@old"}.Run(ctx, nil, "false")
	require.ErrorContains(t, err, "on root@old: false: exit status 1")
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err = Host{}.Run(ctx, nil, "cat")
	require.True(t, errors.Is(err, context.Canceled))
}

func TestAnAnswerWithoutEndIsStopped(t *testing.T) {
	before := mostOutput
	mostOutput = 1 << 20
	t.Cleanup(func() { mostOutput = before })
	for _, h := range []Host{{}, far(t)} {
		out, err := h.Shell(t.Context(), nil, "# say yes\nwhile :; do echo yes; done")
		require.ErrorIs(t, err, errEndless)
		require.ErrorContains(t, err, "say yes: said more than")
		require.Empty(t, out)
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range words {
		f.Add(w, w)
	}
	sh := oracle.Need(f, "sh")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			t.Skip("no argument holds a NUL")
		}
		out, err := exec.Command(sh, "-c", "printf '%s|' "+Quote(a, b)).Output()
		require.NoError(t, err)
		require.Equal(t, a+"|"+b+"|", string(out))
	})
}
