package tree

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailmove/mailmove/internal/oracle"
)

// chroot of the coreutils 8.4 (CentOS 6, Fedora 13) refuses a number for --groups that no group has, and 65534 is there only with the
// package for NFS: another group of nobody's is taken.
func TestPlainGroupOfNobody(t *testing.T) {
	oracle.Root(t)
	src, dst := openRoots(t)
	bin := t.TempDir()
	for name, text := range map[string]string{
		"getent": `case "$1 $2" in "group nobody") echo nobody:x:99: ;; *) exit 2 ;; esac`,
		"chroot": `case "$*" in "--userspec=666:99 --groups=99 "*) exec ` + oracle.Need(t, "chroot") + ` "$@" ;; esac; echo "chroot: invalid group" >&2; exit 125`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	_, err := exec.LookPath("getent")
	require.NoError(t, err)
	write(t, filepath.Join(src, "h/mail/box"), mail)
	ownedBy(t, filepath.Join(src, "h"), 666)
	rep := plainPass(t, here(src), dst, nil)
	require.Empty(t, problems(rep))
	sameTrees(t, src, dst, nil)
}
