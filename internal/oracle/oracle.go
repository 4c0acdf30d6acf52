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
