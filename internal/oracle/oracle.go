// Package oracle finds the real programs that judge us in tests. An absent one skips the test, and fails it when
// REQUIRE_ORACLES=1 is set, as CI does.
package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need returns the path of tool, looked for in PATH and in the directories of system tools.
func Need(t testing.TB, tool string) string {
	t.Helper()
	if p, err := exec.LookPath(tool); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/dovecot"} {
		if p, err := exec.LookPath(filepath.Join(dir, tool)); err == nil {
			return p
		}
	}
	missing(t, tool+" is not installed")
	return ""
}

// Unpacked returns the directory that .ci/NAME has filled with Debian packages which cannot be installed beside others.
func Unpacked(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	dir := filepath.Join(cache, "mailmove", name)
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "complete"))
	}
	if err != nil {
		missing(t, name+" is not unpacked in the user's cache; .ci/"+name+" does it")
	}
	return dir
}

// Root asks for the rights of root, which setting owners needs.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_ORACLES") == "1" {
		t.Fatal(why + ", and REQUIRE_ORACLES=1 is set")
	}
	t.Skip(why)
}
