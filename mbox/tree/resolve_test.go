//go:build unix

package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolve(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"var/spool/mail", "disk2/home/anna", "etc"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for link, target := range map[string]string{
		"var/mail":       "spool/mail",
		"home":           "/disk2/home",
		"disk2/up":       "../../../etc",
		"loop":           "loop",
		"disk2/home/bob": "../home/./anna/../anna",
		"gone":           "/disk3/home",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, link)))
	}
	for _, c := range []struct{ name, want string }{
		{"/var/mail", "var/spool/mail"},
		{"var/mail/anna", "var/spool/mail/anna"},
		{"/home/anna/mail", "disk2/home/anna/mail"},
		{"disk2/up/passwd", "etc/passwd"},
		{"/home/bob/mail", "disk2/home/anna/mail"},
		{"/home/../home/./anna", "disk2/home/anna"},
		{"../../etc", "etc"},
		{"/", "."},
		{"/gone/anna", "disk3/home/anna"},
		{"/srv/none", "srv/none"},
	} {
		got, err := Resolve(root, c.name)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
	_, err := Resolve(root, "/loop/x")
	require.ErrorContains(t, err, "more than 40 symbolic links")
}

func TestResolveFollowsNoUsersLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to own a link as somebody else")
	}
	root := t.TempDir()
	require.NoError(t, os.Symlink("/etc", filepath.Join(root, "home")))
	require.NoError(t, os.Lchown(filepath.Join(root, "home"), 1234, 1234))
	_, err := Resolve(root, "/home/anna")
	require.ErrorContains(t, err, "home: a symbolic link that root does not own")
}

func ExampleResolve() {
	root, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(root)
	_ = os.MkdirAll(filepath.Join(root, "var/spool/mail"), 0o755)
	_ = os.Symlink("spool/mail", filepath.Join(root, "var/mail"))
	fmt.Println(Resolve(root, "/var/mail/anna"))
	// Output: var/spool/mail/anna <nil>
}
