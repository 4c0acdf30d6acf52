//go:build unix

package surroundings

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostile: links, sizes, FIFOs and names that users and old hosts come up with.
func TestHostile(t *testing.T) {
	old := with(fedora13, "home/anna/.forward", "-> /etc/shadow", "etc/shadow", "|canary", "home/bert/.forward", strings.Repeat("|x", maxHome), "etc/mail/virtusertable", "-> ../../../../../../etc/passwd",
		"etc/mail/mailertable", "-> mailertable", "etc/aliases", "a\x1b[2J: anna\n"+strings.Repeat("loop: loop\nx: y, z\ny: x, z\nz: anna, x\n", 1000))
	r := root(t, old)
	require.NoError(t, syscall.Mkfifo(filepath.Join(r.Name(), "home/bert/.procmailrc"), 0o600))
	all, err := Find(t.Context(), r, root(t, debian13), &Move{Users: []User{{Name: "anna", To: "anna", Home: "/home/anna"}, {Name: "bert", To: "bert", Home: "/home/bert"},
		{Name: "../../etc/passwd", To: "x", Home: "/"}, {Name: "", To: "", Home: "/home/../../.."}}})
	require.NoError(t, err)
	unreadable := map[string]string{}
	for _, f := range all {
		require.NotContains(t, f.Detail+f.Advice+f.Name, "canary")
		require.NotContains(t, f.Detail+f.Advice+f.Name, "\x1b")
		if f.Rule == "UNREADABLE" {
			unreadable[f.Name] = f.Detail
		}
	}
	require.Contains(t, unreadable["home/anna/.forward"], "symbolic link")
	require.Contains(t, unreadable["home/bert/.forward"], "more than 1048576 bytes")
	require.Contains(t, unreadable["home/bert/.procmailrc"], "a FIFO")
	require.Contains(t, unreadable["etc/mail/mailertable"], "too many symbolic links")
	require.Len(t, unreadable, 4)
}

// TestAdviceIsSafeToPaste: a user names a program so that the line that is advised would run another one.
func TestAdviceIsSafeToPaste(t *testing.T) {
	old := with(fedora13, "home/anna/.forward", `"|'/opt/$(touch x);touch y/sendmail'"`)
	all, err := Find(t.Context(), root(t, old), root(t, debian13), &Move{Users: []User{{Name: "anna", To: "anna", Home: "/home/anna"}}})
	require.NoError(t, err)
	var advice []string
	for _, f := range all {
		if f.Rule == "FORWARD-PROGRAM" {
			advice = append(advice, f.Advice)
		}
	}
	require.Equal(t, []string{"the new host has /usr/sbin/sendmail: ln -s /usr/sbin/sendmail '/opt/$(touch x);touch y/sendmail'"}, advice)
}
